import json
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foundation import InputError
from nas.record.events import Asked, Told
from nas.record.journal import FILE_NAME, Journal, has_trials, read_record
from nas.record.trial import Failure
from search_space import published_spec

SPEC = published_spec("spinenet-49")
CONFIG = {"seed": 0}


def asked(trial: int) -> Asked:
    return Asked(trial=trial, decisions=(1, 2), log_prob=None, key=SPEC.key, spec=SPEC)


def told(trial: int, reward: float = 0.5) -> Told:
    metrics, seconds, loss_curve = {"ap": reward}, {"train": 1.0}, (0.9, 0.5)
    return Told(trial=trial, status="completed", reward=reward, metrics=metrics, seconds=seconds, loss_curve=loss_curve)


def lines(folder: Path) -> list[bytes]:
    return (folder / FILE_NAME).read_bytes().splitlines(keepends=True)


def test_events_read_back_as_trials(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        for event in (asked(0), asked(1), told(1, 0.25), asked(2)):
            journal.append(event)
        failure = Failure("nan", "diverged", "where")
        journal.append(Told(trial=0, status="failed", failure=failure))
        journal.append(Told(trial=2, status="reused", reward=0.25, metrics={"ap": 0.25}, reused_from=1))
    record = read_record(tmp_path)
    assert record.created.config == CONFIG
    assert record.created.versions["torch"]
    assert record.told == [1, 0, 2]
    assert time.time() - 60 < record.told_at[0] <= record.told_at[1] <= record.told_at[2] <= time.time()
    assert record.trials[1].loss_curve == (0.9, 0.5)
    assert [record.trials[i].status for i in range(3)] == ["failed", "completed", "reused"]
    assert record.trials[0].failure == failure
    assert record.trials[1].metrics == {"ap": 0.25}
    assert record.trials[1].seconds == {"train": 1.0}
    assert record.trials[2].reused_from == 1
    assert record.trials[2].spec == SPEC


def test_an_event_is_on_disk_before_append_returns(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        assert json.loads(lines(tmp_path)[-1])["event"] == "asked"


def test_a_line_cut_short_anywhere_is_removed_and_nothing_before_it(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        journal.append(told(0))
    whole = (tmp_path / FILE_NAME).read_bytes()
    start_of_last = len(whole) - len(lines(tmp_path)[-1])
    for end in range(start_of_last, len(whole), 7):
        (tmp_path / FILE_NAME).write_bytes(whole[:end])
        assert read_record(tmp_path).trials[0].status == "running"
        with Journal(tmp_path, CONFIG) as journal:
            journal.append(told(0))
        assert read_record(tmp_path).trials[0].status == "completed"


@pytest.mark.parametrize("content", [b"", b'{"event":"crea'])
def test_a_journal_without_a_whole_line_is_begun_again(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    assert not has_trials(tmp_path)
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
    assert read_record(tmp_path).created.config == CONFIG


def test_a_journal_without_trials_may_become_another_run(tmp_path: Path) -> None:
    Journal(tmp_path, {"seed": 1}).close()
    assert not has_trials(tmp_path)
    with Journal(tmp_path, {"seed": 2}) as journal:
        journal.append(asked(0))
    assert has_trials(tmp_path)
    assert read_record(tmp_path).created.config == {"seed": 2}


def test_a_second_process_is_refused_and_told_who_has_the_run(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG):
        code = (
            f"from nas.record.journal import Journal; from pathlib import Path; Journal(Path({str(tmp_path)!r}), {{}})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert re.search(r"InputError: the run folder .* is in use by process \d+ on \S+", done.stderr)


def test_a_closed_journal_can_be_opened_again(tmp_path: Path) -> None:
    first = Journal(tmp_path, CONFIG)
    first.close()
    Journal(tmp_path, CONFIG).close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        first.append(asked(0))


def test_a_full_disk_leaves_everything_before_it(tmp_path: Path) -> None:
    # A limit on file size stands in for the disk: the system refuses the rest of a write in the same way.
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        size = (tmp_path / FILE_NAME).stat().st_size
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, before[1]))
            with pytest.raises(InputError, match=r"cannot write .*: File too large; nothing before it is lost"):
                journal.append(told(0))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert (tmp_path / FILE_NAME).stat().st_size == size
        journal.append(told(0))
    assert read_record(tmp_path).trials[0].reward == 0.5


@pytest.mark.parametrize(
    ("number", "old", "new", "message"),
    [
        (1, b'"created"', b'"begun"', "line 1: Input tag 'begun' found using 'event' does not match"),
        (1, b'"schema_version":1', b'"schema_version":2', "line 1: created.schema_version: Input should be 1"),
        (2, b'"trial":0', b'"trial":3', "line 2: trial 0 should be asked next, not 3"),
        (2, b'"level":2', b'"level":12', "line 2: asked.spec.stem[0]: level must be 1 to 7, got 12"),
        (2, b'"key":"', b'"key":"../', "line 2: asked.key: String should match pattern"),
        (3, b'"trial":0', b'"trial":7', "line 3: a result for trial 7, which is not running"),
        (3, b'"reward":0.5', b'"reward":"much"', "line 3: told.reward: Input should be a valid number"),
        (3, b'"reward":0.5,', b"", "line 3: trial 0 is completed with reward None"),
        (3, b'"event":"told"', b'"event":"told","mood":1', "line 3: told.mood: Extra inputs are not permitted"),
        (3, b"{", b"", "line 3: Invalid JSON"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, number: int, old: bytes, new: bytes, message: str) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        journal.append(told(0))
    content = lines(tmp_path)
    assert old in content[number - 1]
    content[number - 1] = content[number - 1].replace(old, new, 1)
    (tmp_path / FILE_NAME).write_bytes(b"".join(content))
    with pytest.raises(InputError, match=re.escape(message)):
        read_record(tmp_path)
    with pytest.raises(InputError, match=re.escape(message)):
        Journal(tmp_path, CONFIG)
    assert lines(tmp_path) == content


def test_a_folder_without_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run at .*: there is no journal\.jsonl"):
        read_record(tmp_path / "absent")


def test_a_run_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot write the run folder .*file: File exists"):
        Journal(tmp_path / "file", CONFIG)
