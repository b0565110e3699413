import os
import resource
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foundation import InputError, open_folder, write_whole


@contextmanager
def no_file_above(num_bytes: int) -> Iterator[None]:
    """Stand in for a full disk: the system refuses the rest of a write in the same way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("content", [b"", b"new", memoryview(b"a view"), b"x" * 3_000_000])
def test_a_file_holds_what_was_written_and_nothing_lies_beside_it(tmp_path: Path, content: bytes | memoryview) -> None:
    path = tmp_path / "made" / "on the way" / "file.txt"
    write_whole(path, b"old")
    write_whole(path, content)
    assert path.read_bytes() == bytes(content)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_permissions_are_those_of_any_new_file(tmp_path: Path, mask: int, mode: int) -> None:
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "file", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    (tmp_path / "file").symlink_to(outside)
    write_whole(tmp_path / "file", b"ours")
    assert outside.read_bytes() == b"theirs"
    assert not (tmp_path / "file").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"ours"


def test_a_link_where_the_part_file_would_be_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Even somebody who could guess the random name could not have anything written elsewhere.
    outside = tmp_path / "outside"
    outside.write_bytes(b"theirs")
    monkeypatch.setattr(secrets, "token_hex", lambda num_bytes: "guessed")
    (tmp_path / ".guessed.part").symlink_to(outside)
    with pytest.raises(InputError, match=r"cannot write .*file: File exists"):
        write_whole(tmp_path / "file", b"ours")
    assert outside.read_bytes() == b"theirs"
    assert (tmp_path / ".guessed.part").is_symlink()


def test_each_part_file_has_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    replace = os.replace

    def noted(source: str, target: str, **folders: int) -> None:
        names.append(source)
        replace(source, target, **folders)

    monkeypatch.setattr(os, "replace", noted)
    for _ in range(3):
        write_whole(tmp_path / "file", b"content")
    assert len(set(names)) == 3


def test_a_full_disk_leaves_the_old_file_whole_and_no_part_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    with no_file_above(1000), pytest.raises(InputError, match=r"cannot write .*file: File too large"):
        write_whole(path, b"x" * 5000)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_the_way_is_one_line_and_leaves_no_part_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(InputError, match=r"cannot write .*file: Is a directory"):
        write_whole(tmp_path / "file", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_in_place_of_the_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    with pytest.raises(InputError, match=r"cannot write .*folder/file: (File exists|Not a directory)"):
        write_whole(tmp_path / "folder" / "file", b"content")


@pytest.mark.parametrize("name", ["n" * 255, "日" * 85])
def test_a_name_as_long_as_the_system_allows_is_written(tmp_path: Path, name: str) -> None:
    write_whole(tmp_path / name, b"content")
    assert (tmp_path / name).read_bytes() == b"content"


def test_an_interrupted_write_leaves_the_old_file_and_no_part_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")
    code = f"""
import os, signal
from pathlib import Path
from foundation import write_whole
signal.signal(signal.SIGINT, signal.default_int_handler)
# Ctrl-C arrives while the content is on its way to the disk.
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGINT)
write_whole(Path({str(path)!r}), b"new")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in done.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("is_bounded", [False, True], ids=["anywhere", "inside a folder"])
def test_content_is_synced_before_it_takes_its_name_and_each_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_bounded: bool
) -> None:
    path = tmp_path / "made" / "file"
    calls: list[tuple[str, Path, bytes]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        synced = Path(f"/proc/self/fd/{descriptor}").readlink()
        calls.append(("sync", synced.parent, synced.read_bytes()) if synced.is_file() else ("sync", synced, b""))
        fsync(descriptor)

    def noted_replace(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        content = (Path(f"/proc/self/fd/{src_dir_fd}") / source).read_bytes()
        calls.append(("rename", Path(f"/proc/self/fd/{dst_dir_fd}").readlink() / target, content))
        replace(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_whole(path, b"content", inside=tmp_path if is_bounded else None)
    assert calls == [
        ("sync", tmp_path, b""),
        ("sync", path.parent, b"content"),
        ("rename", path, b"content"),
        ("sync", path.parent, b""),
    ]


@pytest.mark.parametrize("link", ["run/best", "run/best/deep"])
def test_a_link_below_a_folder_that_is_not_to_be_left_is_not_followed(tmp_path: Path, link: str) -> None:
    run, outside = tmp_path / "run", tmp_path / "outside"
    outside.mkdir()
    (tmp_path / link).parent.mkdir(parents=True)
    (tmp_path / link).symlink_to(outside)
    name = Path(link).name
    with pytest.raises(
        InputError, match=rf"cannot write .*file: {name} is a link, which is not followed; put a folder"
    ):
        write_whole(run / "best" / "deep" / "file", b"content", inside=run)
    assert list(outside.iterdir()) == []


def test_folders_above_may_be_links_and_those_below_are_made(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    write_whole(tmp_path / "run" / "best" / "file", b"content", inside=tmp_path / "run")
    write_whole(tmp_path / "run" / "file", b"content", inside=tmp_path / "run")
    files = sorted(str(path.relative_to(tmp_path / "disk")) for path in (tmp_path / "disk").rglob("file"))
    assert files == ["best/file", "file"]


def test_what_is_done_in_an_open_folder_is_done_there_whatever_takes_its_name(tmp_path: Path) -> None:
    for name in ("outside", "run"):
        (tmp_path / name).mkdir()
    with open_folder(tmp_path / "run" / "best", inside=tmp_path / "run") as folder:
        (tmp_path / "run" / "best").rename(tmp_path / "moved")
        (tmp_path / "run" / "best").symlink_to(tmp_path / "outside")
        os.mkdir("here", dir_fd=folder)
    assert [path.name for path in (tmp_path / "moved").iterdir()] == ["here"]
    assert list((tmp_path / "outside").iterdir()) == []
