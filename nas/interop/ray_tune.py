"""A search of ours as a searcher of Ray Tune: Tune runs the trials, the loop proposes them and keeps the record."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary, finalize

from ray.tune.experiment import Trial
from ray.tune.search import Searcher

from foundation import InputError, absolute_path, short_path
from nas.engine.job import Outcome
from nas.engine.loop import Search
from nas.interop.saved_journal import journal_bytes, put_back
from nas.interop.tune_trial import JOB, Trainable, outcome_of, trainable_of
from nas.options.block_kinds import join_block_kinds
from nas.options.command_line import command_config
from nas.options.output import print_warning
from nas.record.identity import open_run, options_on_record
from nas.record.journal import Journal, has_trials
from nas.record.trial import Failure
from nas.running import make_consoles, prepare_task
from nas.searching import build_search, check_may_search
from nas.setup import Setup, build_setup
from proxy_tasks import Numerics, ProxyTask

KEY = "key"
"""Name of the architecture's key in the configuration of a trial."""

_HOLDERS: "WeakValueDictionary[Path, TuneSearch]" = WeakValueDictionary()
"""The searchers of this process that have a journal open, by run folder: a lock knows processes only."""


class TuneSearch(Searcher):
    """Any controller over any space, with all options of `nas.search`, as a searcher of Ray Tune.

        search = TuneSearch("experiment=quickstart", "baselines=false", "run=runs/in_tune")
        tuner = tune.Tuner(
            search.trainable,
            tune_config=tune.TuneConfig(search_alg=search, num_samples=-1, max_concurrent_trials=2),
        )
        tuner.fit()

    The run folder is that of a search by `nas.search`, and all commands take it. It says what was proposed and told;
    what Tune saves of the searcher is a copy of its journal.

    Args:
        options: as on the command line of `nas.search`; those of executor and tracking have no effect.

    Raises:
        InputError: an option that is wrong or that Tune cannot serve, data that cannot be used, or a run folder that
            holds another run or is in use by another process.
    """

    # What is pickled.
    _config: dict[str, Any]
    _run: Path
    _task: ProxyTask

    # The open journal, and the search on it.
    _built: Setup | None
    _journal: Journal | None
    _search: Search | None

    # Numbers of the trials that Tune runs, by its ids, and of those that it ended before they were done.
    _live: dict[str, int]
    _left: set[int]
    _failed: dict[str, dict[str, Any]]
    _numerics: set[Numerics]

    def __init__(self, *options: str) -> None:
        super().__init__()
        config = command_config("config", options, options_on_record)
        setup = build_search(config)
        _check(setup)
        setup = replace(setup, task=prepare_task(setup.task, make_consoles(setup.verbosity).results))

        self.__setstate__(
            {"_metric": None, "_mode": None, "_config": config, "_run": absolute_path(setup.run), "_task": setup.task}
        )

        # A mistake is then found before Ray is started.
        self._opened_journal().close()

    @property
    def run(self) -> Path:
        """The run folder."""
        return self._run

    @property
    def trainable(self) -> Trainable:
        """The function that evaluates what is suggested; see `trainable_of`."""
        return trainable_of(self._task, self._setup().reward, self._run)

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]  # FINISHED is text
        """Return the job of a trial that Tune may start, with the key of its architecture.

        None asks Tune to ask again later; `FINISHED` says that there is nothing more.

        Raises:
            InputError: the journal cannot be opened or written.
        """
        search = self._opened()
        job = search.start_trial(self._common_numerics())
        if job is not None:
            self._live[trial_id] = job.trial
            return {JOB: job, KEY: job.candidate.key}

        if search.why_stopped is None and self._live:
            return None
        if not self._live:
            self.close()
        return Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Keep what a trial reports of its failure: of one that ends with an error Tune passes on nothing."""
        self._failed.pop(trial_id, None)
        if "failure/kind" in result:
            self._failed[trial_id] = dict(result)

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        """Hand the outcome of a trial to the search.

        A trial that Tune ended before it was done stays open: the next start of the run has it again.

        Raises:
            InputError: the journal cannot be written.
        """
        reported = self._failed.pop(trial_id, None)
        number = self._live.get(trial_id)
        if number is None:
            return

        search, setup = self._opened(), self._setup()
        # Opening finds out which trials of an earlier start have ended.
        if self._live.pop(trial_id, None) is None:
            return

        if error:
            lost = Outcome(number, Failure("worker_lost", "Tune's trial ended with an error, and reported no failure"))
            outcome = lost if reported is None else outcome_of(number, reported, setup.task, setup.reward)
        elif result and result.get("done"):
            outcome = outcome_of(number, result, setup.task, setup.reward)
        else:
            self._left.add(number)
            if not self._live:
                self.close()
            return

        if outcome.numerics is not None:
            self._numerics.add(outcome.numerics)
        search.finish_trial(outcome)
        if search.why_stopped is not None and not self._live:
            self.close()

    def save(self, checkpoint_path: str) -> None:
        """Write what the run's journal holds to a file."""
        Path(checkpoint_path).write_bytes(journal_bytes(self._run))

    def restore(self, checkpoint_path: str) -> None:
        """Put a saved journal into the run folder, unless the one there has gone further.

        Raises:
            InputError: the folder holds another run, or is in use by another process.
        """
        self._take_over()
        self._live, self._left = {}, set()
        put_back(self._run, Path(checkpoint_path).read_bytes())

    def restore_from_dir(self, checkpoint_dir: str) -> None:
        """Restore from the folder of an experiment; its unfinished trials are Tune's to run, under the ids they had.

        Raises:
            InputError: see `restore`.
        """
        super().restore_from_dir(checkpoint_dir)
        self._live = {trial.trial_id: trial.config[JOB].trial for trial in _unfinished(Path(checkpoint_dir))}

    def close(self) -> None:
        """Let other processes have the run folder; what comes next opens it again."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._search = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a searcher is made of: Tune keeps it in a file, and what it knows is in the run folder."""
        return {name: getattr(self, name) for name in ("_metric", "_mode", "_config", "_run", "_task")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._built = self._journal = self._search = None
        self._live, self._left, self._failed, self._numerics = {}, set(), {}, set()

    def _setup(self) -> Setup:
        """Return everything that the run is made of, but for its controller, which belongs to one opening."""
        if self._built is None:
            join_block_kinds(self._config.get("block_kinds"))
            # The task is tied to its data, and relative paths may mean others by now.
            self._built = replace(build_setup(self._config), run=self._run, task=self._task)
        return self._built

    def _opened(self) -> Search:
        """Return the search on its open journal, which is opened where it is not."""
        if self._search is not None:
            return self._search

        # With a controller that has been told nothing.
        self._built = None
        self._journal = self._opened_journal()
        try:
            search = self._setup().search(self._journal, on_stop=print_warning)
        except BaseException:
            self.close()
            raise

        trials = self._journal.record.trials.values()
        self._numerics = {trial.numerics for trial in trials if trial.numerics is not None}
        for number in self._left:
            search.take_up(number)
        self._live = {trial_id: number for trial_id, number in self._live.items() if search.take_up(number)}
        self._search = search
        return search

    def _opened_journal(self) -> Journal:
        """Return the run's journal, opened, or begun where there is none."""
        self._take_over()
        setup = self._setup()
        begin_with = () if has_trials(self._run) else setup.warm_start.decisions(setup.space)
        journal = open_run(self._run, self._config, setup.task, setup.space, begin_with)

        _HOLDERS[self._run] = self
        # A searcher that nobody has any more would keep the lock as long as the process lasts.
        finalize(self, journal.close)
        return journal

    def _take_over(self) -> None:
        """Close the journal where this process has it open: a searcher may not know that its Tune has ended."""
        holder = _HOLDERS.pop(self._run, None)
        if holder is not None:
            holder.close()

    def _common_numerics(self) -> Numerics | None:
        """Return the arithmetic of all results so far; None where it is not one, as nobody knows where Tune runs."""
        return next(iter(self._numerics)) if len(self._numerics) == 1 else None


def _check(setup: Setup) -> None:
    """Check that Tune can serve a search.

    Raises:
        InputError: it cannot.
    """
    check_may_search(setup)
    if setup.baselines:
        raise InputError(
            "baselines: a search inside Ray Tune trains none; add baselines=false, and train them by nas.search"
        )


def _unfinished(folder: Path) -> Iterator[Trial]:
    """Yield the trials that Tune had not finished when it last saved the experiment.

    Raises:
        InputError: its file is missing.
    """
    saved = sorted(folder.glob("experiment_state-*.json"))
    if not saved:
        raise InputError(f"{short_path(folder)} holds no experiment of Ray Tune: there is no experiment_state-*.json")

    # Each trial is text of its own, in Tune's format.
    for trial_state, _ in json.loads(saved[-1].read_text())["trial_data"]:
        trial = Trial.from_json_state(trial_state, stub=True)
        if trial.status not in (Trial.TERMINATED, Trial.ERROR):
            yield trial
