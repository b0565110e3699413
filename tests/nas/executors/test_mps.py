from pathlib import Path

import pytest

from nas.executors.mps import has_mps, turns_line


def test_mps_is_found_by_the_pipe_of_its_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert not has_mps()
    (tmp_path / "control").touch()
    assert has_mps()


def test_the_line_on_turns_names_the_machine_and_where_to_read_on() -> None:
    assert "take turns on node3, and" in turns_line("on node3")
    assert turns_line("on node3").endswith("see docs/cluster.md")
