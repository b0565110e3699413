"""The waiting list: what people put in is trained next, and once, whatever is killed in between."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from foundation import short_path
from nas.engine.loop import Search
from nas.record.journal import Journal, read_record
from nas.record.waiting_list import FOLDER, add_to_waiting_list, first_waiting
from search_space import Candidate, published_spec
from tests.nas.engine.test_loop import SPACE, evaluate, evolution, make_search

MINE = SPACE.encode(Candidate(published_spec("r0-sp53")))
KEY = published_spec("r0-sp53").key


def run_trials(search: Search, num_trials: int) -> None:
    for _ in range(num_trials):
        job = search.start_trial()
        assert job is not None
        search.finish_trial(evaluate(job))


def waiting_files(run: Path) -> list[str]:
    return sorted(path.name for path in (run / FOLDER).iterdir())


def test_what_waits_is_the_next_trial_and_leaves_the_list(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal, controller=evolution())
        run_trials(search, 3)
        other = SPACE.mutate(MINE, np.random.default_rng(0))
        names = [add_to_waiting_list(tmp_path, SPACE.decode(one).key, one) for one in (MINE, other)]
        run_trials(search, 4)

    record = read_record(tmp_path)
    decisions = [trial.proposal.decisions for trial in record.trials.values()]
    assert decisions[3:5] == [MINE, other]
    assert record.queued == {names[0]: 3, names[1]: 4}
    assert waiting_files(tmp_path) == []
    # A trial as all others: the controller heard of it, and goes on.
    assert all(trial.status == "completed" for trial in record.trials.values())


def test_a_kill_between_record_and_removal_trains_nothing_twice(tmp_path: Path) -> None:
    with Journal(tmp_path, {}) as journal:
        run_trials(make_search(journal, controller=evolution()), 2)
    name = add_to_waiting_list(tmp_path, KEY, MINE)
    kept = tmp_path.parent / "kept.json"
    shutil.copy(tmp_path / FOLDER / name, kept)
    with Journal(tmp_path, {}) as journal:
        run_trials(make_search(journal, controller=evolution()), 1)
    shutil.copy(kept, tmp_path / FOLDER / name)

    with Journal(tmp_path, {}) as journal:
        run_trials(make_search(journal, controller=evolution()), 2)
    trials = read_record(tmp_path).trials
    assert [number for number, trial in trials.items() if trial.key == KEY] == [2]
    assert first_waiting(tmp_path, read_record(tmp_path).queued) is None


def test_proposals_after_it_are_those_of_a_search_that_began_with_its_result(tmp_path: Path) -> None:
    """A resumed search and one that was not stopped propose the same, also with something put in."""
    for name, parts in (("whole", (8,)), ("resumed", (3, 1, 4))):
        run = tmp_path / name
        run.mkdir()
        add_to_waiting_list(run, KEY, MINE)
        for number in parts:
            with Journal(run, {}) as journal:
                run_trials(make_search(journal, controller=evolution()), number)
    whole, resumed = (read_record(tmp_path / name) for name in ("whole", "resumed"))
    assert [t.proposal for t in whole.trials.values()] == [t.proposal for t in resumed.trials.values()]


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "Invalid JSON"), ('{"decisions": [1, 2]}', "decisions"), ('{"spec": 1}', "decisions")],
)
def test_a_damaged_entry_stops_the_search_with_a_line_that_names_it(tmp_path: Path, content: str, words: str) -> None:
    with Journal(tmp_path, {}) as journal:
        search = make_search(journal)
        running = search.start_trial()
        assert running is not None
        path = tmp_path / FOLDER / "1-mine.json"
        path.parent.mkdir()
        path.write_text(content)
        assert search.start_trial() is None

        # What is being trained is awaited: it costs more than a file is worth.
        search.finish_trial(evaluate(running))
        assert search.start_trial() is None
    line = search.why_stopped
    assert line is not None
    assert line.startswith(short_path(path))
    assert words in line
    assert line.endswith("; delete it")
    assert [trial.status for trial in read_record(tmp_path).trials.values()] == ["completed"]
