"""Searches that time their networks as exported files, as a user has them."""

import re
import sys
from pathlib import Path

import pytest

from nas.record.journal import read_record
from tests.conftest import TINY_SEARCH, Run

SEARCH = (*TINY_SEARCH, "executor=local", "tracking=none", "task.device=cpu")
NANO = ("task.latency.runtime=command", "task.latency.device_name=nano", "task.latency.num_calls=1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        # An export is what takes long.
        pytest.param(
            (*NANO, "task.latency.command=echo 'no such host' >&2; exit 255; : {file}"),
            "task.latency: latency.command ended with status 255: no such host (the command is echo",
            marks=pytest.mark.long,
        ),
        ((*NANO, "task.latency.command=bench"), "task.latency: command needs {file} where the path of the ONNX file"),
        (("task.latency.runtime=command",), "task.latency: runtime=command needs a command, as command='ssh nano"),
        (
            ("task.latency.runtime=onnxruntime",),
            "task.latency.runtime=onnxruntime needs the packages onnx, onnxruntime, onnxscript: pip install",
        ),
    ],
)
def test_a_latency_that_cannot_be_measured_is_one_line_before_anything_is_trained(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    if "packages" in message:
        # As Python has it where a module was not installed.
        monkeypatch.setitem(sys.modules, "onnxscript", None)
    done = call("nas.search", *SEARCH, *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"error: {message}")
    assert "trial" not in done.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_search_times_each_architecture_once_over_restarts_and_its_report_has_the_front(
    call: Run, tmp_path: Path
) -> None:
    count = f"task.latency.command=echo x >> {tmp_path}/calls; wc -l < {tmp_path}/calls; : {{file}}"
    reward = ("reward=targets", "reward.latency_ms.target=2")
    begun = call("nas.search", *SEARCH, "num_trials=2", *NANO, count, *reward)
    assert begun.returncode == 0, begun.stderr
    assert "timing spinenet-49" in begun.stdout

    # A record decides no command: it is given again, and must be the one that the others were timed by.
    alone = call("nas.search", "run=run", "num_trials=4")
    assert alone.returncode == 2
    assert re.search(
        r"the run has task\.latency\.command=echo .* on record, .*: give task\.latency\.command=", alone.stderr
    )
    other = call("nas.search", "run=run", "num_trials=4", "task.latency.command=echo 3; : {file}")
    assert "was made with task.latency.command=echo x >> " in other.stderr
    resumed = call("nas.search", "run=run", "num_trials=4", count)
    assert resumed.returncode == 0, resumed.stderr

    trials = read_record(tmp_path / "run").trials.values()
    by_key = {trial.key: trial.metrics["latency_ms"] for trial in trials}
    assert len(by_key) == len(set(by_key.values()))
    assert len((tmp_path / "calls").read_text().splitlines()) == 1 + len(by_key)

    # Another run, of another seed, times what it has in common with the first no more.
    again = call("nas.search", *SEARCH, "num_trials=2", "run=again", "seed=0", *NANO, count, *reward)
    assert again.returncode == 0, again.stderr
    assert len((tmp_path / "calls").read_text().splitlines()) == 1 + len(by_key)

    profiled = call("nas.profile", "spec=run", "latency.runtime=onnxruntime", "num_runs=2")
    assert profiled.returncode == 0, profiled.stderr
    assert call("nas.report", "run=run").returncode == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert re.search(r"<h3>command float32 on nano 1 calls</h3><p class=\"note\">\d of \d architectures", page)
    assert re.search(
        r"<h3>onnxruntime \S+ float32 on .* 2 runs after 5: retinanet of 80 classes, batch 1 of 64 x 64", page
    )
