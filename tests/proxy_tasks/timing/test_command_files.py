"""Files that a command names: real ones, with words as a shell has them."""

from pathlib import Path

import pytest

from proxy_tasks.timing.command_files import command_files


@pytest.mark.parametrize("command", ["sh '{0}' {{file}}", "bench --with={0} {{file}}", "sh <'{0}'; : {{file}}"])
def test_a_command_is_another_once_a_file_that_it_names_was_changed(tmp_path: Path, command: str) -> None:
    script = tmp_path / "bench.sh"
    line = command.format(script)
    script.write_text("echo 3")
    before = command_files(line)
    assert before == command_files(line)
    assert list(before) == [str(script)]
    script.write_text("echo 4")
    assert command_files(line) != before


def test_what_a_command_writes_and_what_is_no_file_here_is_none_of_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("x")
    assert command_files(f"bench {{file}} >> {log} 2>&1; tail -1 {log} /absent {tmp_path} /dev/null") == {}
    assert command_files("echo it's {file}") == {}
    assert command_files(None) == {}
