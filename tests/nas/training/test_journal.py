"""The journal of a training: what a kill may leave, and what is no journal."""

from pathlib import Path

import pytest

from foundation import InputError
from nas.training.journal import FILE_NAME, TrainingJournal, read_events

NAMES = ("started", "progress", "evaluated")


def begin(folder: Path) -> bytes:
    """Write a journal of three events; return what it holds."""
    with TrainingJournal(folder) as journal:
        journal.append("started", step=0, num_steps=9, config={})
        journal.append("progress", step=3, epoch=1.0, loss=0.5, images_per_s=25.0)
        journal.append("evaluated", step=6, epoch=2.0, metrics={"ap": 0.25})
    return (folder / FILE_NAME).read_bytes()


def test_a_line_cut_short_anywhere_is_removed_and_a_whole_one_without_its_break_counts(tmp_path: Path) -> None:
    whole = begin(tmp_path)
    last = whole.rfind(b"\n", 0, -1) + 1
    for end in (0, 1, 9, 20, last, last + 1, len(whole) - 2, len(whole) - 1, len(whole)):
        (tmp_path / FILE_NAME).write_bytes(whole[:end])
        with TrainingJournal(tmp_path) as journal:
            journal.append("stopped")

        kept = 0 if end < last else 2 if end < len(whole) - 1 else 3
        assert [event["event"] for event in read_events(tmp_path)] == [*NAMES[:kept], "stopped"]


def test_what_is_damaged_or_no_journal_is_named_by_line_and_stays_byte_for_byte(tmp_path: Path) -> None:
    whole = begin(tmp_path)
    first, second, third = whole.splitlines(keepends=True)
    files = sorted(tmp_path.iterdir())

    for damaged, number in (
        (first + second[:9] + b"\n" + third, 2),
        (first + second.replace(b'"loss": 0.5, ', b"") + third, 2),
        (first + second + third.replace(b'{"ap": 0.25}', b"{}"), 3),
        (first + second + third.replace(b'"step": 6', b'"step": "six"'), 3),
        (first + b"[1]\n" + second, 2),
        (whole + b"# my notes\n", 4),
        (b"my notes, without a line break", 1),
        (b'{"no": "event"}', 1),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 1),
    ):
        (tmp_path / FILE_NAME).write_bytes(damaged)
        for read in (TrainingJournal, read_events):
            with pytest.raises(InputError, match=f"{FILE_NAME}, line {number}: is no event of a training; put back"):
                read(tmp_path)
        assert (tmp_path / FILE_NAME).read_bytes() == damaged
        assert sorted(tmp_path.iterdir()) == files
