"""One process per run folder, whatever happens to the folder meanwhile."""

import errno
import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation import InputError
from nas.record.events import Asked
from nas.record.journal import FILE_NAME, Journal, read_record
from search_space import published_spec
from tests.conftest import TINY_LANDSCAPE, start

SPEC = published_spec("spinenet-49")


def asked(trial: int) -> Asked:
    return Asked(trial=trial, decisions=(1, 2), key=SPEC.key, spec=SPEC)


def error_of_second_process(folder: Path) -> str:
    """Return what a second process is told that opens the same run."""
    code = f"from nas.record.journal import Journal; from pathlib import Path; Journal(Path({str(folder)!r}), {{}})"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr


def removed(run: Path) -> None:
    shutil.rmtree(run)


def moved(run: Path) -> None:
    run.rename(run.with_name("moved"))


def moved_and_begun_again_by_another(run: Path) -> None:
    run.rename(run.with_name("moved"))
    with Journal(run, {}) as journal:
        journal.append(asked(0))


def rewritten_under_its_name(run: Path) -> None:
    (run / "copy").write_bytes((run / FILE_NAME).read_bytes())
    (run / "copy").rename(run / FILE_NAME)


def replaced_by_a_file(run: Path) -> None:
    shutil.rmtree(run)
    run.touch()


GONE = (removed, moved, moved_and_begun_again_by_another, rewritten_under_its_name, replaced_by_a_file)


@pytest.mark.parametrize("change", GONE)
def test_nothing_is_written_once_the_journal_is_not_the_one_at_its_path(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    with Journal(run, {}) as journal:
        journal.append(asked(0))
        change(run)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        for _ in range(2):
            with pytest.raises(InputError, match=r"\.jsonl was removed or replaced while this search was running"):
                journal.append(asked(1))
        assert list(journal.record.trials) == [0]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "change",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content + content.splitlines(keepends=True)[-1],
    ],
    ids=["emptied", "cut", "appended to"],
)
def test_nothing_is_written_to_a_journal_that_was_edited_in_place(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / FILE_NAME
    with Journal(tmp_path, {}) as journal:
        journal.append(asked(0))
        edited = change(path.read_bytes())
        path.write_bytes(edited)
        for _ in range(2):
            with pytest.raises(InputError, match=r"\.jsonl was changed while this search was running: it has \d+"):
                journal.append(asked(1))
    assert path.read_bytes() == edited


@pytest.mark.parametrize("names", [(), ("lock",), ("journal.holder",)])
def test_a_second_process_is_refused_and_told_who_has_the_run_whichever_file_is_deleted(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    with Journal(tmp_path, {}) as journal:
        journal.append(asked(0))
        for name in names:
            (tmp_path / name).unlink()
        # The second attempt finds what the first one left.
        for _ in range(2):
            error = error_of_second_process(tmp_path)
            assert re.search(r"InputError: the run folder .* is in use by process \d+ on \S+\n", error), error
        journal.append(asked(1))
    assert list(read_record(tmp_path).trials) == [0, 1]


def test_a_moved_run_is_refused_at_its_new_path_while_the_search_runs(tmp_path: Path) -> None:
    with Journal(tmp_path / "run", {}) as journal:
        journal.append(asked(0))
        moved(tmp_path / "run")
        assert "is in use by process" in error_of_second_process(tmp_path / "moved")
    with Journal(tmp_path / "moved", {}) as journal:
        journal.append(asked(1))


def test_a_run_that_an_older_version_has_open_is_refused_by_the_name_it_left(tmp_path: Path) -> None:
    Journal(tmp_path, {}).close()
    # Older versions lock this file alone, and write into it who they are.
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write("process 4242 on elsewhere\n")
        lock.flush()
        assert "is in use by process 4242 on elsewhere" in error_of_second_process(tmp_path)


def test_an_older_version_is_kept_out_and_told_who_has_the_run(tmp_path: Path) -> None:
    with Journal(tmp_path, {}), (tmp_path / "lock").open("a+") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.seek(0)
        assert re.fullmatch(r"process \d+ on \S+\n", lock.read())


def test_a_search_whose_run_folder_is_moved_away_ends_in_one_line(tmp_path: Path) -> None:
    arguments = [*TINY_LANDSCAPE[:-1], "num_trials=100000", "verbosity=quiet"]
    search = start("nas.search", arguments, tmp_path)
    journal = tmp_path / "run" / FILE_NAME
    while not (journal.is_file() and journal.stat().st_size > 100_000):
        assert search.poll() is None
        time.sleep(0.05)
    moved(tmp_path / "run")
    _, error = search.communicate(timeout=60)
    assert search.returncode == 2
    assert re.fullmatch(r"error: \S*journal\.jsonl was removed or replaced while this search was running.*\n", error)
    assert not journal.exists()
    assert read_record(tmp_path / "moved").told


# No such file system can be mounted where the tests run: the system call answers as one of them would.
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
@pytest.mark.parametrize("is_on_record", [False, True])
def test_a_file_system_without_locks_is_named_and_not_taken_for_a_run_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, is_on_record: bool
) -> None:
    run = tmp_path / "run"
    if is_on_record:
        Journal(run, {}).close()

    def without_locks(descriptor: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    message = (
        rf"the file system of the run folder .*run has no locks \({os.strerror(number)}\).* on another disk \(run="
    )
    with pytest.raises(InputError, match=message) as refused:
        Journal(run, {})
    assert "in use" not in str(refused.value)
    assert (run / FILE_NAME).exists() == is_on_record


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES])
def test_a_lock_that_is_held_is_a_run_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    Journal(tmp_path, {}).close()

    def held(descriptor: object, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", held)
    with pytest.raises(InputError, match=rf"is in use by process {os.getpid()} on \S+$"):
        Journal(tmp_path, {})


def test_any_other_failure_to_lock_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: object, operation: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(InputError, match=r"the run folder .* cannot be locked: Input/output error$"):
        Journal(tmp_path, {})
