"""A search inside Ray Tune: the searcher, called as Tune calls it; `test_tune_run.py` has Tune itself."""

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from foundation import InputError
from nas.executors.base import run_job
from nas.executors.local import LocalExecutor
from nas.interop.ray_tune import KEY, TuneSearch
from nas.interop.tune_trial import JOB
from nas.options.command_line import compose
from nas.record.identity import open_run
from nas.record.journal import FILE_NAME, read_record
from nas.record.record import Record
from nas.setup import build_setup
from proxy_tasks import Evaluation
from proxy_tasks.landscape import Landscape

LANDSCAPE = ("task=landscape", "executor=local")
CONTROLLERS = {
    "random": (),
    "evolution": ("controller.population_size=5", "controller.tournament_size=2"),
    "pareto_evolution": ("reward=tradeoff", "controller.population_size=5", "controller.tournament_size=2"),
    "local_search": (),
    "guided": ("controller.num_random=4", "controller.num_parents=3", "controller.num_candidates=4"),
    "reinforce": ("controller.learner.batch_size=4",),
    "ppo": ("controller.learner.batch_size=4",),
    "grid": ("space=spinenet_scaling", "scale.image_size_px=640"),
}


@pytest.fixture
def in_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def figures_of(suggested: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trainable of somebody's own would report last."""
    evaluation = run_job(Landscape(), suggested[JOB]).result
    assert isinstance(evaluation, Evaluation)
    return {**evaluation.metrics, "done": True}


def run_to_its_end(search: TuneSearch, prefix: str = "a") -> None:
    """Do what Tune does, one trial at a time."""
    number = 0
    while (suggested := search.suggest(f"{prefix}{number}")) != Searcher.FINISHED:
        assert isinstance(suggested, dict)
        search.on_trial_complete(f"{prefix}{number}", figures_of(suggested))
        number += 1


def suggested(search: TuneSearch, trial_id: str) -> dict[str, Any]:
    answer = search.suggest(trial_id)
    assert isinstance(answer, dict)
    return answer


def told(record: Record) -> list[tuple[object, ...]]:
    trials = (record.trials[number] for number in record.told)
    return [(trial.number, trial.proposal, trial.key, trial.status, trial.reward) for trial in trials]


def run_by_our_loop(*options: str) -> Record:
    config = compose("config", options)
    setup = build_setup(config)
    with open_run(setup.run, config, setup.task, setup.space) as journal:
        LocalExecutor().run(setup.search(journal), setup.task)
    return read_record(setup.run)


@pytest.mark.usefixtures("in_own_folder")
@pytest.mark.parametrize("name", CONTROLLERS)
def test_one_trial_at_a_time_the_proposals_are_those_of_our_loop(name: str) -> None:
    options = (*LANDSCAPE, f"controller={name}", "num_trials=12", *CONTROLLERS[name])
    ours = run_by_our_loop(*options, "run=ours")
    search = TuneSearch(*options, "run=tunes")
    run_to_its_end(search)
    assert len(ours.told) == 12
    assert told(read_record(search.run)) == told(ours)


@pytest.mark.usefixtures("in_own_folder")
def test_promotions_are_suggested_as_trials() -> None:
    options = (*LANDSCAPE, "num_trials=12", "promotion.num_rungs=2", "promotion.reduction=3")
    ours = run_by_our_loop(*options, "run=ours")
    search = TuneSearch(*options, "run=tunes")
    run_to_its_end(search)
    assert any(trial.rung for trial in ours.trials.values())
    assert told(read_record(search.run)) == told(ours)


@pytest.mark.usefixtures("in_own_folder")
def test_a_suggestion_says_which_architecture_it_is_in_few_words() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=4")
    first = suggested(search, "a")
    assert str(first[JOB]) == "trial 0"
    assert first[KEY] == read_record(search.run).trials[0].key


@pytest.mark.usefixtures("in_own_folder")
def test_tune_is_asked_to_wait_while_something_runs() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=1")
    only = suggested(search, "a")
    assert search.suggest("b") is None
    search.on_trial_complete("a", figures_of(only))
    assert search.suggest("c") == Searcher.FINISHED


@pytest.mark.usefixtures("in_own_folder")
def test_a_failure_that_was_reported_is_the_one_on_record() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=2")
    suggested(search, "a")
    search.on_trial_result(
        "a", {"failure/kind": "nan", "failure/message": "the loss is nan", "failure/traceback": None}
    )
    search.on_trial_complete("a", error=True)
    failure = read_record(search.run).trials[0].failure
    assert failure is not None
    assert (failure.kind, failure.message) == ("nan", "the loss is nan")


@pytest.mark.usefixtures("in_own_folder")
def test_a_failure_in_the_last_result_is_one_where_tune_stops_trials() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=2")
    suggested(search, "a")
    failure = {"failure/kind": "nan", "failure/message": "the loss is nan", "failure/traceback": None}
    search.on_trial_complete("a", {**failure, "ap": float("nan"), "done": True})
    assert read_record(search.run).trials[0].status == "failed"


@pytest.mark.usefixtures("in_own_folder")
def test_a_trial_that_is_lost_is_suggested_again_and_then_fails() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=1", "failures.max_retries=1")
    for trial_id in ("a", "b"):
        assert suggested(search, trial_id)[JOB].trial == 0
        search.on_trial_complete(trial_id, error=True)
    assert search.suggest("c") == Searcher.FINISHED
    failure = read_record(search.run).trials[0].failure
    assert failure is not None
    assert failure.kind == "worker_lost"


@pytest.mark.usefixtures("in_own_folder")
def test_failures_that_stop_a_search_end_the_experiment_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=9", "failures.worker_lost=stop")
    suggested(search, "a")
    second = suggested(search, "b")
    search.on_trial_complete("a", error=True)
    assert "trial 0 failed (worker_lost): Tune's trial ended with an error" in capsys.readouterr().err
    assert search.suggest("c") == Searcher.FINISHED
    search.on_trial_complete("b", figures_of(second))
    assert [trial.status for trial in read_record(search.run).trials.values()] == ["running", "completed"]


@pytest.mark.usefixtures("in_own_folder")
def test_a_trial_that_tune_ended_stays_open_for_the_next_start() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=2")
    first = suggested(search, "a")
    search.on_trial_complete("a", {"ap": 0.5, "done": False})
    assert suggested(search, "b")[JOB].trial == 1
    search.on_trial_complete("b")
    assert search.suggest("c") == Searcher.FINISHED
    assert suggested(TuneSearch(*LANDSCAPE, "run=run", "num_trials=2"), "d")[JOB] == first[JOB]


@pytest.mark.usefixtures("in_own_folder")
def test_after_an_interrupt_of_which_tune_says_nothing_a_new_searcher_proposes_what_was_running() -> None:
    interrupted = TuneSearch(*LANDSCAPE, "run=run", "num_trials=3")
    running = [suggested(interrupted, name)[JOB] for name in ("a", "b")]
    again = TuneSearch(*LANDSCAPE, "run=run", "num_trials=3")
    repeated = {name: suggested(again, name) for name in ("c", "d")}
    assert [one[JOB] for one in repeated.values()] == running
    for name, one in repeated.items():
        again.on_trial_complete(name, figures_of(one))
    run_to_its_end(again)
    assert len(read_record(again.run).told) == 3


@pytest.mark.usefixtures("in_own_folder")
def test_ids_that_are_unknown_or_done_with_change_nothing() -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=2")
    first = suggested(search, "a")
    search.on_trial_complete("a", figures_of(first))
    before = (search.run / FILE_NAME).read_bytes()
    search.on_trial_complete("a", figures_of(first))
    search.on_trial_complete("never", error=True)
    assert (search.run / FILE_NAME).read_bytes() == before


@pytest.mark.usefixtures("in_own_folder")
def test_a_pickled_searcher_resumes_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = (*LANDSCAPE, "num_trials=8")
    ours = run_by_our_loop(*options, "run=ours")
    search = TuneSearch(*options, "run=tunes")
    kept = pickle.dumps(search)
    search.on_trial_complete("a", figures_of(suggested(search, "a")))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run_to_its_end(pickle.loads(kept), "b")
    assert told(read_record(tmp_path / "tunes")) == told(ours)


@pytest.mark.usefixtures("in_own_folder")
def test_saved_is_put_back_where_the_folder_is_empty_or_behind(tmp_path: Path) -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=4")
    for trial_id in ("a", "b"):
        search.on_trial_complete(trial_id, figures_of(suggested(search, trial_id)))
    saved, journal = tmp_path / "saved", search.run / FILE_NAME
    search.save(str(saved))

    for left in (b"", saved.read_bytes()[:-40]):
        search.close()
        journal.write_bytes(left)
        search.restore(str(saved))
        assert journal.read_bytes() == saved.read_bytes()
    assert suggested(search, "c")[JOB].trial == 2


@pytest.mark.usefixtures("in_own_folder")
def test_a_folder_that_is_ahead_of_what_was_saved_stays(tmp_path: Path) -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=4")
    search.on_trial_complete("a", figures_of(suggested(search, "a")))
    search.save(str(tmp_path / "saved"))
    search.on_trial_complete("b", figures_of(suggested(search, "b")))
    ahead = (search.run / FILE_NAME).read_bytes()
    search.restore(str(tmp_path / "saved"))
    assert (search.run / FILE_NAME).read_bytes() == ahead


@pytest.mark.usefixtures("in_own_folder")
def test_a_folder_with_another_run_is_refused_and_stays(tmp_path: Path) -> None:
    one = TuneSearch(*LANDSCAPE, "run=one", "num_trials=2")
    run_to_its_end(one)
    one.save(str(tmp_path / "saved"))
    other = TuneSearch(*LANDSCAPE, "run=other", "num_trials=2", "seed=1")
    run_to_its_end(other)
    before = (other.run / FILE_NAME).read_bytes()
    with pytest.raises(InputError, match="holds another run than the one that is restored"):
        other.restore(str(tmp_path / "saved"))
    assert (other.run / FILE_NAME).read_bytes() == before


@pytest.mark.usefixtures("in_own_folder")
def test_what_is_saved_before_the_first_trial_asks_for_nothing(tmp_path: Path) -> None:
    search = TuneSearch(*LANDSCAPE, "run=run", "num_trials=2")
    search.save(str(tmp_path / "saved"))
    run_to_its_end(search)
    search.restore(str(tmp_path / "saved"))
    assert len(read_record(search.run).told) == 2


@pytest.mark.usefixtures("in_own_folder")
def test_known_architectures_are_told_without_a_trial_of_tune() -> None:
    # 432 scales: some are drawn twice.
    options = (
        *LANDSCAPE,
        "controller=random",
        "space=spinenet_scaling",
        "scale.image_size_px=640",
        "num_trials=60",
        "run=run",
    )
    search = TuneSearch(*options)
    run_to_its_end(search)
    record = read_record(search.run)
    assert any(trial.status == "reused" for trial in record.trials.values())
    assert len(record.told) == 60


@pytest.mark.usefixtures("in_own_folder")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("experiment=quickstart",), "baselines: a search inside Ray Tune trains none"),
        (("controler=random",), "controler"),
        (("experiment=spinenet", "task.score_on=val"), "task.score_on"),
    ],
)
def test_what_tune_cannot_serve_is_refused_before_a_folder_is_made(
    options: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        TuneSearch(*options, "run=run")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("in_own_folder")
def test_the_folder_of_a_replay_is_refused() -> None:
    run_to_its_end(TuneSearch(*LANDSCAPE, "run=run", "num_trials=1"))
    replay = Path("run/replays/epochs50.0-seed1")
    run_by_our_loop(*LANDSCAPE, f"run={replay}", "num_trials=1", "seed=1")
    with pytest.raises(InputError, match="is a replay of run"):
        TuneSearch(*LANDSCAPE, f"run={replay}", "num_trials=2", "seed=1")


@pytest.mark.usefixtures("in_own_folder")
def test_a_folder_that_another_process_has_is_refused() -> None:
    options = (*LANDSCAPE, "run=run", "num_trials=2")
    holds = "import sys; from nas.interop.ray_tune import TuneSearch; s = TuneSearch(*sys.argv[1:]); s.suggest('a')"
    code = f"{holds}; print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(InputError, match=f"is in use by process {holder.pid}"):
            TuneSearch(*options)
        holder.communicate("")


@pytest.mark.usefixtures("in_own_folder")
@pytest.mark.parametrize("devices", [("cpu AVX512",), ("cpu AVX512", "cpu AVX2")])
def test_results_are_reused_while_all_of_them_share_one_arithmetic(devices: tuple[str, ...]) -> None:
    scales = ("space=spinenet_scaling", "scale.image_size_px=640")
    search = TuneSearch(*LANDSCAPE, "controller=random", *scales, "num_trials=60", "run=run")
    number = 0
    while (answer := search.suggest(f"{number}")) != Searcher.FINISHED:
        assert isinstance(answer, dict)
        device = devices[number % len(devices)]
        numerics = {"numerics/precision": "float32", "numerics/device": device, "numerics/threads": 1}
        search.on_trial_complete(f"{number}", figures_of(answer) | numerics)
        number += 1
    reused = [trial for trial in read_record(search.run).trials.values() if trial.status == "reused"]
    assert bool(reused) == (len(devices) == 1)
