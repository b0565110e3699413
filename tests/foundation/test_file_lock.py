"""A lock that several processes share."""

import subprocess
import sys
from pathlib import Path

import pytest

from foundation import InputError, file_lock

ADD = """
import sys
from pathlib import Path
from foundation import file_lock, write_whole
path = Path(sys.argv[1])
for _ in range(40):
    with file_lock(path):
        write_whole(path, str(int(path.read_text()) + 1).encode())
"""


def test_what_processes_add_at_once_all_arrives_and_no_lock_stays_behind(tmp_path: Path) -> None:
    path = tmp_path / "count"
    path.write_text("0")
    adding = [subprocess.Popen([sys.executable, "-c", ADD, str(path)]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in adding] == [0] * 4
    assert path.read_text() == "160"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_made_and_what_raises_gives_the_lock_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for _ in range(2):
        with pytest.raises(KeyError), file_lock(path):
            raise KeyError
    assert list(path.parent.iterdir()) == []


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match=r"^cannot write .*file/below: no lock beside it: File exists"),
        file_lock(tmp_path / "file" / "below"),
    ):
        pass
    # Nobody is led elsewhere by a link in the place of the lock.
    (tmp_path / ".table.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no lock beside it"), file_lock(tmp_path / "table"):
        pass
    assert not (tmp_path / "elsewhere").exists()
