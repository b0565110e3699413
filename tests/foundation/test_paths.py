"""Paths: the same in any folder, and one line where there is no folder to start from."""

from pathlib import Path

import pytest

from foundation import InputError, absolute_path, short_path


@pytest.fixture
def deleted_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    return folder


def test_a_relative_path_starts_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_path(Path("a/b")) == tmp_path / "a" / "b"
    assert absolute_path(Path("~/a")) == Path.home() / "a"


@pytest.mark.usefixtures("deleted_folder")
def test_a_relative_path_in_a_deleted_folder_is_one_line_and_a_whole_path_is_not_touched() -> None:
    with pytest.raises(InputError, match="the current folder has been deleted; change to another one first"):
        absolute_path(Path("a"))
    assert absolute_path(Path("/data/a")) == Path("/data/a")
    assert short_path("/data/a") == "/data/a"
