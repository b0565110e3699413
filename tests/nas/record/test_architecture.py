"""An architecture by the run that found it, wherever a published name or a spec file will do."""

from pathlib import Path

import pytest

from foundation import InputError
from nas.engine.warm_start import WarmStart
from nas.options.command_line import compose
from nas.record.architecture import base_of_space, find_architecture
from nas.record.identity import check_config, may_change
from nas.record.journal import Journal, read_record
from nas.record.trial import best_trials
from nas.setup import build_setup
from proxy_tasks.landscape import Landscape
from search_space import Candidate, published_spec
from tests.conftest import TINY_LANDSCAPE, Run


@pytest.fixture
def run(call: Run, tmp_path: Path) -> Path:
    assert call("nas.search", *TINY_LANDSCAPE, "run=runs/a", "scale=tiny").returncode == 0
    return tmp_path / "runs" / "a"


def test_a_run_is_its_best_architecture_or_that_of_one_trial(run: Path) -> None:
    record = read_record(run)
    best = best_trials(record.trials, 1)[0]
    found = find_architecture("runs/a")
    assert (found.spec, found.name) == (best.spec, f"a-{best.number}")
    assert found.scale is not None
    assert found.scale.width_multiplier == 0.25

    assert find_architecture(str(run), trial=3).spec == record.trials[3].spec
    space = build_setup(compose("config", [])).space
    (decisions,) = WarmStart(specs=("runs/a",)).decisions(space)
    assert space.decode(decisions).key == best.key
    # A folder does not hide what was published under its name.
    Path("spinenet-49").mkdir()
    assert find_architecture("spinenet-49").spec == published_spec("spinenet-49")


def test_what_is_no_single_run_is_one_line(run: Path, tmp_path: Path) -> None:
    Journal(tmp_path / "runs" / "new", {}).close()
    for spec, trial, message in (
        ("runs", None, r"no run at \S+runs: there is no journal\.jsonl; runs below it are runs/a, runs/new$"),
        ("runs/b", None, r"no run at \S+runs/b: there is no journal\.jsonl$"),
        ("runs/new", None, r"runs/new: no trial has a reward yet$"),
        ("runs/new", 0, r"trial=0: \S+runs/new has no trial of that number; there are none yet$"),
        ("runs/a", 5, r"trial=5: \S+runs/a has no trial of that number; there are 0 to 4$"),
        ("spinenet-49", 5, "^trial=5 needs a run, as spec=runs/quickstart, got spec=spinenet-49$"),
        ("spinenet-94", None, "unknown published spec 'spinenet-94'"),
    ):
        with pytest.raises(InputError, match=message):
            find_architecture(spec, trial)


def test_draw_and_profile_take_a_run(call: Run, run: Path) -> None:
    drawn = call("nas.draw", "spec=runs/a", "trial=3", "format=svg")
    assert drawn.stdout == "a-3.svg\n", drawn.stderr
    profiled = call("nas.profile", f"spec={run}", "trial=3", "latency=false")
    # At the scale of the run, where no other is given.
    assert profiled.stdout.startswith("a-3, retinanet head, 64 x 64 px\n"), profiled.stderr
    for module in ("nas.draw", "nas.profile"):
        refused = call(module, "spec=runs")
        assert refused.returncode == 2
        assert refused.stderr.endswith("; runs below it are runs/a\n")


def test_a_space_lies_around_a_numbered_trial_of_a_run(run: Path) -> None:
    trials = read_record(run).trials
    assert base_of_space("runs/a", trial=3) == trials[3].spec
    best = best_trials(trials, 1)[0].number
    with pytest.raises(InputError, match=rf"^space\.base\.spec=runs/a: .*: give space\.base\.trial={best}, which"):
        base_of_space("runs/a")

    around = ["task=landscape", "space=around_spec", "space.base.spec=runs/a", "space.base.trial=3"]
    setup = build_setup(compose("config", around))
    assert setup.space.encode(Candidate(trials[3].spec))


def test_a_search_around_a_spec_of_an_older_version_can_be_resumed(tmp_path: Path) -> None:
    now = compose("config", ["task=landscape", "space=around_spec"])
    older = compose("config", ["task=landscape", "space=around_spec"])
    for space in (older["space"], older["controller"]["space"]):
        space["base"] = {"_target_": "search_space.load_spec", "spec": "spinenet-49"}
    with Journal(tmp_path, older) as journal:
        check_config(journal.record, tmp_path, now, Landscape(), may_change(Landscape()))
