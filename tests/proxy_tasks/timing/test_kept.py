"""Kept latencies: real files, and a real shell command as what takes time."""

import json
import socket
import subprocess
import sys
import threading
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from foundation import InputError
from proxy_tasks.latency import Conditions, Latency, latency_of
from proxy_tasks.timing.command import command_ms
from proxy_tasks.timing.kept import KeptLatency, Subject, Turn, kept_or_measured
from search_space import ModelScale

CONDITIONS = Conditions("command", "nano", "float32", 1, (64, 64), 1, None)
SUBJECT = Subject(
    key="r50-fpn", head="retinanet", num_classes=3, scale=ModelScale(), command="bench {file}", conditions=CONDITIONS
)
OTHER = SUBJECT.model_copy(update={"key": "0123456789abcdef"})


def measured(folder: Path, subject: Subject, command: str, timeout_s: float = 30) -> float:
    """Return the milliseconds that a command prints, or what is kept of the subject."""

    def measure(turn: Turn) -> Latency:
        return latency_of([command_ms(command, folder, 30, turn)], subject.conditions)

    return kept_or_measured(folder, subject, measure, timeout_s=timeout_s, say=print).median_ms


def counting(path: Path) -> str:
    """Return a command that prints how often it was called."""
    return f"echo x >> {path}/calls; wc -l < {path}/calls"


def test_nothing_is_timed_twice_but_what_differs_in_anything(tmp_path: Path) -> None:
    folder, count = tmp_path / "latency", counting(tmp_path)
    assert [measured(folder, SUBJECT, count) for _ in range(3)] == [1.0, 1.0, 1.0]
    changes: dict[str, Any] = {
        "key": "0123456789abcdef",
        "head": "none",
        "num_classes": 80,
        "scale": ModelScale(width_multiplier=0.5),
        "command": "bench --fp16 {file}",
        "command_files": {"bench.sh": "0" * 64},
        "code": {"torch": "2.9.0"},
    }
    conditions: dict[str, Any] = {
        "runtime": "onnxruntime 1.20.0",
        "device": "orin",
        "precision": "bfloat16",
        "batch_size": 2,
        "image_size_px": (64, 96),
        "num_runs": 20,
        "num_warmups": 5,
    }
    assert changes.keys() | {"conditions"} == Subject.model_fields.keys()
    assert list(conditions) == [field.name for field in fields(Conditions)]
    others = [SUBJECT.model_copy(update={name: value}) for name, value in changes.items()]
    for name, value in conditions.items():
        others.append(SUBJECT.model_copy(update={"conditions": replace(CONDITIONS, **{name: value})}))
    for _ in range(2):
        assert [measured(folder, other, count) for other in others] == [float(n) for n in range(2, 2 + len(others))]


def test_a_result_of_an_older_version_can_be_read(tmp_path: Path) -> None:
    measured(tmp_path, SUBJECT, "echo 3")
    (path,) = tmp_path.glob("*.json")
    content = json.loads(path.read_text())
    for name in content["subject"].keys() - {"key", "head", "num_classes", "scale", "command", "conditions"}:
        del content["subject"][name]
    assert KeptLatency.model_validate(content).median_ms == 3


def test_a_damaged_result_is_measured_again_and_replaced(tmp_path: Path) -> None:
    folder, count = tmp_path / "latency", counting(tmp_path)
    measured(folder, SUBJECT, count)
    (path,) = folder.glob("*.json")
    whole = path.read_text()
    damaged = [whole[:-20], "", json.dumps({**json.loads(whole), "median_ms": -1}), whole.replace("nano", "orin")]
    for number, text in enumerate(damaged, start=2):
        path.write_text(text)
        assert [measured(folder, SUBJECT, count) for _ in range(2)] == [number, number]
    assert KeptLatency.model_validate_json(path.read_bytes()).subject == SUBJECT


def test_two_that_time_at_once_take_turns_and_measure_once(tmp_path: Path) -> None:
    # The command fails where another of it runs.
    command = f"mkdir {tmp_path}/busy && echo x >> {tmp_path}/calls && sleep 0.1 && rmdir {tmp_path}/busy && echo 3"
    found: list[float] = []

    def measure(subject: Subject) -> None:
        found.append(measured(tmp_path / "latency", subject, command))

    threads = [threading.Thread(target=measure, args=(subject,)) for subject in (SUBJECT, SUBJECT, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [3.0, 3.0, 3.0]
    assert (tmp_path / "calls").read_text() == "x\nx\n"


def test_a_turn_is_waited_for_a_bounded_time_and_ends_with_its_process(tmp_path: Path) -> None:
    folder, count = tmp_path / "latency", counting(tmp_path)
    measured(folder, SUBJECT, count)
    (lock,) = folder.glob("*.lock")
    script = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True); "
    with subprocess.Popen(
        [sys.executable, "-S", "-c", f"{script} time.sleep(60)", str(lock)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(InputError, match=r"nano was in use by other measurements for 0\.05 s \("):
            measured(folder, OTHER, count, timeout_s=0.05)
        # What is kept needs no turn, and another device has one of its own.
        assert measured(folder, SUBJECT, count, timeout_s=0.05) == 1
        orin = OTHER.model_copy(update={"conditions": replace(CONDITIONS, device="orin")})
        assert measured(folder, orin, count, timeout_s=0.05) == 2
        holder.kill()
    started = time.monotonic()
    assert measured(folder, OTHER, count) == 3
    assert time.monotonic() - started < 10


def test_a_command_whose_worker_was_killed_keeps_its_turn_until_it_ends(tmp_path: Path) -> None:
    folder, begun, go = (tmp_path / name for name in ("latency", "begun", "go"))
    command = f"touch {begun}; while [ ! -e {go} ]; do sleep 0.02; done; echo 3"
    script = """
import sys
from pathlib import Path
from tests.proxy_tasks.timing.test_kept import SUBJECT, measured
measured(Path(sys.argv[1]), SUBJECT, sys.argv[2])
"""
    with subprocess.Popen([sys.executable, "-c", script, str(folder), command]) as worker:
        while not begun.exists():
            assert worker.poll() is None
            time.sleep(0.01)
        worker.kill()
    try:
        with pytest.raises(InputError, match="nano was in use by other measurements"):
            measured(folder, OTHER, "echo 4", timeout_s=0.1)
    finally:
        go.touch()
    assert measured(folder, OTHER, "echo 4", timeout_s=10) == 4


def test_a_process_that_a_command_leaves_behind_keeps_no_turn(tmp_path: Path) -> None:
    assert measured(tmp_path, SUBJECT, "sleep 5 & echo 3") == 3
    assert measured(tmp_path, OTHER, "echo 4", timeout_s=0.1) == 4


@pytest.mark.parametrize(("runtime", "num_locks"), [("torch 2.9.0", 2), ("command", 1)])
def test_machines_of_one_shared_folder_wait_for_each_other_only_for_a_device_that_a_command_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, num_locks: int
) -> None:
    subject = SUBJECT.model_copy(update={"conditions": replace(CONDITIONS, runtime=runtime)})
    for host in ("one", "other"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        measured(tmp_path, subject.model_copy(update={"key": host}), "echo 3")
    assert len(list(tmp_path.glob("*.lock"))) == num_locks


def test_the_wait_for_a_turn_is_bounded_however_many_are_in_front(tmp_path: Path) -> None:
    subjects = [SUBJECT.model_copy(update={"num_classes": number}) for number in range(1, 5)]
    found: list[float | str] = []

    def measure(subject: Subject) -> None:
        try:
            found.append(measured(tmp_path, subject, "sleep 0.3; echo 3", timeout_s=0.5))
        except InputError as error:
            found.append(str(error))

    threads = [threading.Thread(target=measure, args=(subject,)) for subject in subjects]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 3.0 in found
    assert any(str(one).startswith("nano was in use by other measurements for 0.5 s (") for one in found)


def test_what_cannot_be_kept_is_measured_all_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "latency").write_text("a file in the place of the folder")
    assert measured(tmp_path / "latency", SUBJECT, "echo 3") == 3
    said = capsys.readouterr().out
    assert said.startswith("a latency is not kept, and will be measured again: cannot write ")
    assert said.count("\n") == 1
