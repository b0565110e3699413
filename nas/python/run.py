"""A run in Python and in notebooks: started or opened, looked into, resumed."""

import operator
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from foundation import InputError, absolute_path, check_range, short_path
from nas.drawing import architecture_svg
from nas.options.block_kinds import join_block_kinds
from nas.options.output import print_warning
from nas.options.recorded import GIVEN_AGAIN
from nas.options.text_values import quoted
from nas.python.markup import picture, table
from nas.python.notebook import show_page
from nas.python.options import Folder, absolute_folders, arguments_of, folder_flags
from nas.python.trial import RunTrial, figures_of, trials_of
from nas.record.architecture import highest_ranked
from nas.record.events import MAX_TRIALS
from nas.record.journal import FILE_NAME, read_record
from nas.record.record import Record
from nas.reporting import read_runs
from nas.reporting.page import FILE_NAME as REPORT
from nas.reporting.ranked import ranking_of_run
from nas.reporting.written import write_report
from nas.searching import NUM_SHOWN, counts_in_words
from nas.terminal.tables import columns_of, texts_of
from nas.training.trained import trained_networks
from search_space import ArchSpec, ModelScale

if TYPE_CHECKING:
    import pandas as pd
    from torch import nn

    from proxy_tasks.networks.named_networks import Head


class Run:
    """A search in its folder. What it shows is always what is on disk, also of a search that runs elsewhere.

        run = Run.start(experiment="quickstart", num_trials=24)
        run.best                     # <trial quickstart-9: reward 0.3305, 26.4M MACs, 29 s>
        run.resume(num_trials=48)

    Mistakes raise `InputError`, a `ValueError` whose message is one line.

    Args:
        folder: the run folder.
        again: arguments of its start that no record gives back, as the folders of YAML files.

    Raises:
        InputError: the folder holds no run, or its journal is damaged.
    """

    def __init__(self, folder: Folder, again: Sequence[str] = ()) -> None:
        self._folder = absolute_path(Path(folder))
        self._again = tuple(again)
        self._read_at: tuple[int, int, int] | None = None
        self._record, self._trials = self._read()

    @classmethod
    def start(
        cls,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        config_dir: Folder | Sequence[Folder] | None = None,
        **more: Any,  # noqa: ANN401  # any option's value
    ) -> Self:
        """Run a search to its end, as `python -m nas.search` does; the same call again resumes it.

        A second search in the same process has to wait for the first. What is interrupted stands on disk whole, and
        `Run.open` finds it.

        Args:
            options: options by their whole names, as `{"controller.population_size": 20}`.
            config_dir: folder with YAML files of one's own, or several.
            **more: options whose names have no dots; a mapping holds those below, as `fidelity={"epochs": 2}`.

        Returns:
            The run, with a result for each trial.

        Raises:
            InputError: an option or data that cannot be used, or the search stopped before its last trial.
            KeyboardInterrupt: it was interrupted.
        """
        # Without what only it needs, as Hydra, a run that is there opens at once.
        from nas.python.starting import run_search

        arguments = (*folder_flags(config_dir), *arguments_of(options, more))
        return cls(run_search(arguments), again=_not_on_record(arguments))

    @classmethod
    def open(cls, folder: Folder, *, block_kinds: Mapping[str, str] | None = None) -> Self:
        """Open a run that is there, finished or under way.

        Args:
            folder: the run folder.
            block_kinds: kinds of blocks from outside the package that its specs name: import paths, as `mine.KIND`, by
                name.

        Raises:
            InputError: the folder holds no run, its journal is damaged, or a kind cannot be used.
        """
        join_block_kinds(block_kinds, checks_units=True)
        return cls(folder, again=arguments_of({"block_kinds": block_kinds or {}}, {}))

    @property
    def folder(self) -> Path:
        """The run folder, as an absolute path."""
        return self._folder

    @property
    def trials(self) -> tuple[RunTrial, ...]:
        """All trials, in the order of proposing: `run.trials[7]` is trial 7."""
        self._record, self._trials = self._read()
        return self._trials

    @property
    def best(self) -> RunTrial:
        """The best trial as `nas.leaderboard` ranks them: those that were replayed come first, by their means.

        Raises:
            InputError: no trial has a reward yet.
        """
        trials = self.trials
        return trials[highest_ranked(self._record, self._folder, 1)[0].number]

    @property
    def spec(self) -> ArchSpec:
        """The architecture of the best trial.

        Raises:
            InputError: no trial has a reward yet.
        """
        return self.best.spec

    def to_dataframe(self) -> "pd.DataFrame":
        """Return all trials as a table of pandas: a row each, with a column for each metric.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise InputError("to_dataframe() needs pandas: pip install pandas") from None

        rows = [figures_of(trial) for trial in self.trials]
        frame = pd.DataFrame(rows, columns=None if rows else ["trial"]).set_index("trial")
        # A column without any value would be one of objects, which has no mean.
        return frame.astype({name: float for name in ("reward", "seconds") if name in frame})

    def network(
        self,
        trial: RunTrial | SupportsIndex | None = None,
        *,
        scale: ModelScale | None = None,
        head: "Head" = "none",
        num_classes: int = 80,
    ) -> "nn.Module":
        """Build the network of a trial, with fresh weights; `nas.train` trains one in full.

        Args:
            trial: a trial or its number; None for the best.
            scale: how big it is; None for the scale that the trial had.
            head: `none` for the backbone, which returns its features; or that of a detector or classifier, see
                `build_network`.
            num_classes: classes of the head, without background.

        Raises:
            InputError: no such trial, no trial with a reward, no scale on record, or one that does not fit.
        """
        # It loads torch.
        from proxy_tasks.networks.named_networks import build_network

        chosen = self._chosen(trial)
        used = scale or chosen.scale
        if used is None:
            raise InputError(f"{chosen.name}: no scale is on record; give scale=ModelScale(...)")
        try:
            return build_network(chosen.spec, used, head=head, num_classes=num_classes)
        except ValueError as error:
            raise InputError(f"{chosen.name}: {error}") from None

    def report(self, out: Folder | None = None, *, top: int = 6, trained: Folder | Sequence[Folder] = ()) -> Path:
        """Write the run as one HTML page that opens from disk, show it where this is a notebook, and return its path.

        Args:
            out: file to write; None for report.html in the run folder.
            top: number of best architectures to show.
            trained: folder of a full training to show beside, or several.

        Raises:
            InputError: the run has no trials, or the file cannot be written.
        """
        try:
            check_range("top", top, 1, MAX_TRIALS, "no run has more trials")
        except ValueError as error:
            raise InputError(str(error)) from None

        networks = trained_networks(absolute_folders(trained))
        path = self._folder / REPORT if out is None else absolute_path(Path(out))
        write_report(read_runs([self._folder], print_warning), top, path, networks)
        show_page(path)
        return path

    def resume(
        self,
        options: Mapping[str, Any] | None = None,
        /,
        *,
        config_dir: Folder | Sequence[Folder] | None = None,
        **more: Any,  # noqa: ANN401  # any option's value
    ) -> Self:
        """Run what is left of the search, or extend it: `resume(num_trials=48)`. Options not given are as on record.

        Args:
            options: as of `start`.
            config_dir: as of `start`.
            **more: as of `start`.

        Returns:
            This run.

        Raises:
            InputError: as of `start`, or an option that the run cannot change.
            KeyboardInterrupt: it was interrupted.
        """
        from nas.python.starting import run_search

        given = (*folder_flags(config_dir), *arguments_of(options, more))
        names = {argument.partition("=")[0] for argument in given}
        if "run" in names:
            raise InputError(f"resume() is of {short_path(self._folder)}: leave out run")

        again = [argument for argument in self._again if argument.partition("=")[0] not in names]
        run_search((*again, f"run={quoted(str(self._folder))}", *given))
        self._again = (*again, *_not_on_record(given))
        return self

    def __repr__(self) -> str:
        """Return a line, also where the folder is gone meanwhile."""
        try:
            return f"<Run {self._headline()}>"
        except InputError:
            return f"<Run {short_path(self._folder)}: cannot be read any more>"

    def _repr_html_(self) -> str:
        """Return what Jupyter shows: the best architecture as a picture, and the best of the ranking as a table."""
        trials = self.trials
        ranking = ranking_of_run(self._record, self._folder)
        heading = f"<p><b>{escape(self._headline())}</b></p>"
        if not ranking.architectures:
            return heading

        best = trials[ranking.architectures[0].row.trial.number]
        rows = [one.row for one in ranking.architectures[:NUM_SHOWN]]
        columns = columns_of(rows, ranking.baselines)
        texts = texts_of(columns, rows, ranking.baselines)
        ranked = table([column.head for column in columns], texts, [column.align for column in columns])
        lines = [f"<p>{escape(line)}</p>" for line in (ranking.line(NUM_SHOWN), ranking.comparison_line()) if line]
        return "".join([heading, picture(architecture_svg(best.spec, best.name)), ranked, *lines])

    def _headline(self) -> str:
        """Return where the run is, how its trials ended, and the best of them."""
        has_reward = any(trial.reward is not None for trial in self.trials)
        best = f"; best is trial {self.best.number}: {self.best.outcome}" if has_reward else ""
        return f"{short_path(self._folder)}: {counts_in_words(self._record)}{best}"

    def _chosen(self, trial: RunTrial | SupportsIndex | None) -> RunTrial:
        if trial is None:
            return self.best
        if isinstance(trial, RunTrial):
            return trial

        # A number out of a table is one of NumPy.
        number, trials = operator.index(trial), self.trials
        if not 0 <= number < len(trials):
            there_are = f"there are 0 to {len(trials) - 1}" if trials else "there are none yet"
            raise InputError(f"{short_path(self._folder)} has no trial {number}; {there_are}")
        return trials[number]

    def _read(self) -> tuple[Record, tuple[RunTrial, ...]]:
        """Return what is on disk, read again where the journal has changed."""
        try:
            status = (self._folder / FILE_NAME).stat()
            now = (status.st_ino, status.st_size, status.st_mtime_ns)
        except OSError:
            # Reading says what is wrong.
            now = None

        if now is None or now != self._read_at:
            record = read_record(self._folder)
            self._record, self._trials, self._read_at = record, trials_of(record, self._folder), now
        return self._record, self._trials


def _not_on_record(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments that a record does not give back when the run is resumed."""
    names = tuple(f"{name}{end}" for name in GIVEN_AGAIN for end in ("=", "."))
    return tuple(one for one in arguments if one.startswith(("--config-dir", *names)))
