import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
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
    # Up to the closing brace: with it the event is whole, though its line break is missing.
    for end in range(start_of_last, len(whole) - 1, 7):
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
        (1, b'"schema_version":1', b'"schema_version":0', "line 1: created.schema_version: Input should be 1"),
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


def damaged_beside_a_torn_tail(content: list[bytes]) -> bytes:
    return content[0] + content[1].replace(b'"trial":0', b'"trial":3') + content[2][:20]


def in_another_order_beside_a_torn_tail(content: list[bytes]) -> bytes:
    return content[1] + content[0] + content[2][:20]


@pytest.mark.parametrize("damage", [damaged_beside_a_torn_tail, in_another_order_beside_a_torn_tail])
def test_a_refused_journal_with_a_torn_tail_stays_byte_for_byte(
    tmp_path: Path, damage: Callable[[list[bytes]], bytes]
) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        journal.append(told(0))
    content = damage(lines(tmp_path))
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(InputError, match=r"line (1|2): "):
        Journal(tmp_path, CONFIG)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_a_torn_tail_stays_until_something_is_appended(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole + b'{"event":"to')
    Journal(tmp_path, CONFIG).close()
    assert (tmp_path / FILE_NAME).read_bytes() == whole + b'{"event":"to'
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(told(0))
    assert (tmp_path / FILE_NAME).read_bytes().startswith(whole + b'{"time":')


def test_a_whole_last_event_without_its_line_break_counts(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        journal.append(told(0, 0.25))
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole.removesuffix(b"\n"))
    assert read_record(tmp_path).trials[0].reward == 0.25
    with Journal(tmp_path, CONFIG) as journal:
        assert journal.record.trials[0].reward == 0.25
        journal.append(asked(1))
    assert (tmp_path / FILE_NAME).read_bytes().startswith(whole + b'{"time":')
    assert sorted(read_record(tmp_path).trials) == [0, 1]


def test_one_trial_whose_line_lacks_its_break_is_a_run_that_has_begun(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
    whole = (tmp_path / FILE_NAME).read_bytes()
    (tmp_path / FILE_NAME).write_bytes(whole.removesuffix(b"\n"))
    assert has_trials(tmp_path)
    with Journal(tmp_path, {"seed": 7}) as journal:
        assert journal.record.created.config == CONFIG


def test_a_last_line_that_is_whole_but_no_event_is_refused_and_not_cut_off(tmp_path: Path) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        journal.append(told(0))
    content = (tmp_path / FILE_NAME).read_bytes().replace(b'"reward":0.5', b'"reward":"much"').removesuffix(b"\n")
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(InputError, match=r"line 3: told\.reward"):
        Journal(tmp_path, CONFIG)
    assert (tmp_path / FILE_NAME).read_bytes() == content


@pytest.mark.parametrize("blank", [b"\n", b"  \n\n", b"\r\n", b" "])
def test_blank_lines_are_skipped_and_lines_keep_their_numbers(tmp_path: Path, blank: bytes) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(0))
        journal.append(told(0))
    content = lines(tmp_path)
    (tmp_path / FILE_NAME).write_bytes(b"".join(content) + blank)
    with Journal(tmp_path, CONFIG) as journal:
        journal.append(asked(1))
    assert read_record(tmp_path).told == [0]

    between = b"".join([content[0], b"\n", b" \n", *content[1:]])
    (tmp_path / FILE_NAME).write_bytes(between)
    assert read_record(tmp_path).told == [0]
    (tmp_path / FILE_NAME).write_bytes(between.replace(b'"reward":0.5', b'"reward":"much"'))
    with pytest.raises(InputError, match="line 5: told"):
        read_record(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "which"),
    [
        (b'"spinenet-search":"', b'"spinenet-search":"9.', r"spinenet-search 9\.\S+:"),
        (b'"versions":{', b'"begun_by":{', r"spinenet-search \(it does not say which\):"),
        (b'"event":"created"', b'"event":"begun"', r"spinenet-search \d\S+:"),
    ],
)
def test_a_journal_of_a_newer_version_says_so_and_which(tmp_path: Path, old: bytes, new: bytes, which: str) -> None:
    Journal(tmp_path, CONFIG).close()
    content = (
        (tmp_path / FILE_NAME).read_bytes().replace(b'"schema_version":1', b'"schema_version":2').replace(old, new)
    )
    (tmp_path / FILE_NAME).write_bytes(content)
    message = rf"written by a newer version, {which} its layout is 2, and this version reads 1"
    with pytest.raises(InputError, match=message):
        read_record(tmp_path)
    with pytest.raises(InputError, match=message):
        Journal(tmp_path, CONFIG)
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_an_event_is_written_then_synced_and_only_then_taken_into_the_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal(tmp_path, CONFIG) as journal:
        calls: list[tuple[str, int]] = []
        write, fsync = os.write, os.fsync

        def noted_write(descriptor: int, content: bytes) -> int:
            assert os.path.samestat(os.fstat(descriptor), (tmp_path / FILE_NAME).stat())
            calls.append(("write", len(journal.record.trials)))
            return write(descriptor, content)

        def noted_fsync(descriptor: int) -> None:
            assert os.path.samestat(os.fstat(descriptor), (tmp_path / FILE_NAME).stat())
            calls.append(("sync", len(journal.record.trials)))
            fsync(descriptor)

        monkeypatch.setattr(os, "write", noted_write)
        monkeypatch.setattr(os, "fsync", noted_fsync)
        for trial in range(2):
            journal.append(asked(trial))
            calls.append(("returned", len(journal.record.trials)))
    assert calls == [("write", 0), ("sync", 0), ("returned", 1), ("write", 1), ("sync", 1), ("returned", 2)]


def test_a_new_journal_is_synced_and_so_is_every_folder_with_a_new_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "runs" / "new"
    synced: list[tuple[Path, list[str], int]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        entries = [entry.name for entry in path.iterdir()] if path.is_dir() else []
        synced.append((path, entries, path.stat().st_size))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    Journal(run, CONFIG).close()
    size = (run / FILE_NAME).stat().st_size
    folders = {path: entries for path, entries, _ in synced if entries}
    assert "runs" in folders[tmp_path]
    assert "new" in folders[tmp_path / "runs"]
    # The folder comes after its file, which is whole by then.
    last_two = synced[-2:]
    assert [path for path, *_ in last_two] == [run / FILE_NAME, run]
    assert last_two[0][2] == size
    assert FILE_NAME in folders[run]
