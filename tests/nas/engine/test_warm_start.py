import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from foundation import InputError
from nas.engine.warm_start import WarmStart
from nas.record.journal import Journal, read_record
from nas.record.trial import best_trials
from search_space import ScalePermutedSpace, SpecFile, published_spec, resnet_seed, write_spec
from tests.conftest import TINY_LANDSCAPE, Run

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def test_specs_are_decisions_of_the_space_in_order(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    mine = SPACE.decode(SPACE.sample(np.random.default_rng(0))).spec
    write_spec(path, SpecFile(schema_version=1, name="mine", spec=mine))
    # SpineNet-96 is SpineNet-49 at another scale: the same architecture, taken once.
    found = WarmStart(specs=("spinenet-49", "r0-sp53", str(path), "spinenet-96")).decisions(SPACE)
    expected = [published_spec("spinenet-49"), published_spec("r0-sp53"), mine]
    assert [SPACE.decode(decisions).spec for decisions in found] == expected


def test_nothing_asked_for_is_nothing() -> None:
    assert WarmStart().decisions(SPACE) == ()


@pytest.mark.parametrize(
    ("specs", "message"),
    [
        (("spinenet-mobile-49",), "warm_start: spinenet-mobile-49 is not in the space: the spec's stem is not"),
        (("spinenet",), "unknown published spec 'spinenet'"),
        (("absent.json",), "cannot read spec absent.json"),
    ],
)
def test_what_cannot_be_used_is_one_line(specs: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        WarmStart(specs).decisions(SPACE)


def test_a_run_without_a_journal_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run at"):
        WarmStart(run=tmp_path).decisions(SPACE)
    Journal(tmp_path, {}).close()
    with pytest.raises(InputError, match="no trial has a reward yet"):
        WarmStart(run=tmp_path).decisions(SPACE)


def test_a_search_begins_with_given_specs_and_with_another_runs_best(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, "num_trials=20").returncode == 0
    best = best_trials(read_record(tmp_path / "run").trials, 3)
    begin_with = ("warm_start.specs=[spinenet-49]", "warm_start.run=run", "warm_start.top=3")
    arguments = (*TINY_LANDSCAPE, "run=second", *begin_with, "controller=reinforce", "controller.learner.batch_size=2")
    done = call("nas.search", *arguments, "num_trials=9")
    assert done.returncode == 0, done.stderr
    trials = read_record(tmp_path / "second").trials
    assert [trials[i].spec for i in range(4)] == [published_spec("spinenet-49"), *(trial.spec for trial in best)]
    # They were evaluated, and not drawn from the policy; what follows was.
    assert all(trials[i].status == "completed" for i in range(4))
    assert [trial.proposal.log_prob is None for trial in trials.values()] == [True] * 4 + [False] * 5
    # The same command resumes without evaluating them again, and without the other run.
    shutil.rmtree(tmp_path / "run")
    assert call("nas.search", *arguments, "num_trials=12").returncode == 0
    assert len(read_record(tmp_path / "second").trials) == 12


def test_a_count_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"top must be from 1 to .*, got 0"):
        WarmStart(top=0)
