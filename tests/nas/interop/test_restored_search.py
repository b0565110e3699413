"""A search inside Ray Tune after a kill: what Tune kept of its trials, beside a run folder that went on."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from foundation import InputError
from nas.interop.ray_tune import TuneSearch
from nas.interop.tune_trial import JOB
from nas.record.journal import read_record
from tests.nas.interop.test_ray_tune import LANDSCAPE, figures_of, run_by_our_loop, run_to_its_end, suggested, told

OPTIONS = (*LANDSCAPE, "num_trials=8")


@pytest.fixture(autouse=True)
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def snapshot(search: TuneSearch, folder: Path, trials: Mapping[str, tuple[dict[str, Any], str]]) -> None:
    """Write what Tune writes of an experiment with these configurations and statuses, by the ids of its trials."""
    states = []
    for trial_id, (config, status) in trials.items():
        trial = Trial("architecture", stub=True, config=config, trial_id=trial_id)
        trial.create_placement_group_factory()  # type: ignore[no-untyped-call]
        trial.set_status(status)  # type: ignore[no-untyped-call]
        states.append(list(trial.get_json_state()))

    folder.mkdir(exist_ok=True)
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps({"trial_data": states}))
    search.save_to_dir(str(folder), session_str="2026-01-01_00-00-00")


def test_trials_of_tunes_own_are_not_suggested_again_and_later_ones_are(tmp_path: Path) -> None:
    search = TuneSearch(*OPTIONS, "run=run")
    done, running = suggested(search, "a"), suggested(search, "b")
    search.on_trial_complete("a", figures_of(done))
    snapshot(search, tmp_path / "tune", {"a": (done, Trial.TERMINATED), "b": (running, Trial.RUNNING)})
    unknown = suggested(search, "c")

    restored = TuneSearch(*OPTIONS, "run=run")
    restored.restore_from_dir(str(tmp_path / "tune"))
    assert suggested(restored, "d") == unknown
    assert suggested(restored, "e")[JOB].trial == 3
    restored.on_trial_complete("b", figures_of(running))
    restored.on_trial_complete("d", figures_of(unknown))
    assert read_record(restored.run).told == [0, 1, 2]


def test_a_trial_that_ended_after_tune_last_saved_is_told_once(tmp_path: Path) -> None:
    ours = run_by_our_loop(*OPTIONS, "run=ours")
    search = TuneSearch(*OPTIONS, "run=run")
    first = suggested(search, "a")
    snapshot(search, tmp_path / "tune", {"a": (first, Trial.RUNNING)})
    search.on_trial_complete("a", figures_of(first))

    restored = TuneSearch(*OPTIONS, "run=run")
    restored.restore_from_dir(str(tmp_path / "tune"))
    restored.on_trial_complete("a", figures_of(first))
    run_to_its_end(restored, "b")
    assert told(read_record(restored.run)) == told(ours)


def test_without_the_run_folder_the_search_is_as_tune_saved_it(tmp_path: Path) -> None:
    ours = run_by_our_loop(*OPTIONS, "run=ours")
    search = TuneSearch(*OPTIONS, "run=run")
    first = suggested(search, "a")
    search.on_trial_complete("a", figures_of(first))
    second = suggested(search, "b")
    snapshot(search, tmp_path / "tune", {"a": (first, Trial.TERMINATED), "b": (second, Trial.RUNNING)})
    search.close()
    shutil.rmtree(search.run)

    restored = TuneSearch(*OPTIONS, "run=run")
    restored.restore_from_dir(str(tmp_path / "tune"))
    restored.on_trial_complete("b", figures_of(second))
    run_to_its_end(restored, "c")
    assert told(read_record(restored.run)) == told(ours)


def test_a_searcher_waits_for_the_trials_that_tune_runs_again(tmp_path: Path) -> None:
    options = (*LANDSCAPE, "num_trials=1", "run=run")
    search = TuneSearch(*options)
    only = suggested(search, "a")
    snapshot(search, tmp_path / "tune", {"a": (only, Trial.PENDING)})
    restored = TuneSearch(*options)
    restored.restore_from_dir(str(tmp_path / "tune"))
    assert restored.suggest("b") is None
    restored.on_trial_complete("a", figures_of(only))
    assert restored.suggest("c") == Searcher.FINISHED


def test_an_experiment_without_its_trials_is_refused(tmp_path: Path) -> None:
    search = TuneSearch(*OPTIONS, "run=run")
    search.save_to_dir(str(tmp_path))
    with pytest.raises(InputError, match="holds no experiment of Ray Tune"):
        search.restore_from_dir(str(tmp_path))
