"""The command python -m nas.proxy: how good a proxy is, and which of several candidates is best."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter
from rich.console import Console

from foundation import InputError, check_range, short_path, write_whole
from nas.assessment.assessment import Assessment, assess
from nas.assessment.existing import read_proxies
from nas.assessment.sample import SampleName
from nas.assessment.trained import MIN_ARCHITECTURES, ProxyRuns
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.variants import compose_variant, override_list
from nas.record.failures import failure_lines
from nas.record.identity import options_on_record
from nas.record.numerics import count_numerics, mixture_line
from nas.record.record import Record
from nas.reporting.proxy_page import proxy_page
from nas.running import MAX_SEEDS, Consoles, make_consoles, seeds_of_trainings
from nas.setup import build_setup
from nas.study import StudiedProxy, Study, train_study
from nas.terminal.console import make_console
from nas.terminal.proxy_tables import comparison_lines, figures_table, verdict_lines

HELP = """\
python -m nas.proxy run=FOLDER target=[name=value,...] [candidates.NAME=[name=value,...]] [name=value ...]

Say how good a proxy is: how far apart two architectures must be to be told apart, and how well one training ranks them
as the target does, each figure with its 95 % interval and all of it in one sentence. The same architectures are
trained with the same seeds by each candidate and by the target; the best of the run are among them. Everything is kept
below the run folder, and the same command again resumes where it stopped. With runs=, runs and replays that are there
are compared, and nothing is trained.

  python -m nas.proxy run=runs/quickstart target=[fidelity.epochs=12]
  python -m nas.proxy run=runs/quickstart target=[fidelity.epochs=12] candidates.short=[fidelity.epochs=1] top=5
  python -m nas.proxy run=runs/quickstart sample=relatives num_architectures=10 seeds=3
  python -m nas.proxy runs=[runs/a,runs/b,runs/a/replays/epochs12.0-seed0] format=json
"""

FILE_NAME = "proxy.html"
FOLDER = "proxy"
"""Folder below that of a run which holds its studies."""
STUDIES: Mapping[SampleName, str] = {"mixed": "study", "relatives": "relatives"}
"""Name of a study that is given none."""
TARGET = "target"
"""Name of the target among the runs of a study."""
CONFIGURATION = "configuration"
"""Name of the only candidate where none is named."""
SHARED = ("run", "seed", "space", "block_kinds", "executor")
"""Parts of the configuration that all proxies of a study share."""
_NAME = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Options:
    """The options that only this command has; names as in `experiments/proxy.yaml`."""

    study: str | None
    sample: SampleName
    num_architectures: int
    seeds: int
    target: str | tuple[str, ...] | None
    candidates: Mapping[str, str | tuple[str, ...] | None]
    runs: Path | tuple[Path, ...] | None
    top: int
    format: Literal["table", "json"]
    out: Path | None

    def __post_init__(self) -> None:
        if self.num_architectures < MIN_ARCHITECTURES:
            raise ValueError(f"num_architectures must be {MIN_ARCHITECTURES} or more, got {self.num_architectures}")
        if self.seeds < 2:
            raise ValueError(
                f"seeds must be 2 or more, got {self.seeds}: how far seeds of one architecture differ takes two"
            )
        check_range("seeds", self.seeds, 2, MAX_SEEDS, "each architecture is trained as often")
        if self.top < 1:
            raise ValueError(f"top must be 1 or more, got {self.top}")
        if self.runs == ():
            raise ValueError("runs: needs a folder")
        if self.runs is not None and self.candidates:
            raise ValueError("candidates: are trained, and with runs= nothing is; leave out one of the two")

        # They become folders.
        if self.study is not None and not _NAME.fullmatch(self.study):
            raise ValueError(f"study: needs letters, digits, dots and hyphens, got {self.study!r}")
        for name in self.candidates:
            if not _NAME.fullmatch(name) or name == TARGET:
                raise ValueError(
                    f"candidates: a name needs letters, digits, dots and hyphens and is not {TARGET!r}, got {name!r}"
                )


_OWN = frozenset(field.name for field in fields(Options))


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs that are assessed.

    Attributes:
        candidates: those of each candidate.
        target: those of the target; None where there is none.
        folder: that holds all of them.
        inside: folder below which no link is followed.
    """

    candidates: list[ProxyRuns]
    target: ProxyRuns | None
    folder: Path
    inside: Path

    @property
    def records(self) -> list[Record]:
        """The records of all runs."""
        proxies = [*self.candidates, *([] if self.target is None else [self.target])]
        return [record for proxy in proxies for record in proxy.records.values()]


def main(config: dict[str, Any]) -> None:
    """Train what is missing, and show what the configuration asks for."""
    options = build(Options, {name: value for name, value in config.items() if name in _OWN}, "")
    runs = _trained(config, options) if options.runs is None else _read(options.runs, options)
    assessment = assess(runs.candidates, runs.target, options.top)

    page = proxy_page(assessment, short_path(runs.folder)).encode()
    if options.out is None:
        out = runs.folder / FILE_NAME
        write_whole(out, page, inside=runs.inside)
    else:
        out = options.out
        write_whole(out, page)

    if options.format == "json":
        print(TypeAdapter(Assessment).dump_json(assessment, indent=1).decode())
    else:
        _show(make_console(), assessment, runs.records)
        print(f"{short_path(out)}: all of this as a page, open it in a browser")


def _read(runs: Path | tuple[Path, ...], options: Options) -> _Runs:
    """Return runs that are there."""
    folders = runs if isinstance(runs, tuple) else (runs,)
    candidates, target = read_proxies(folders, override_list(options.target, TARGET))
    folder = Path(os.path.commonpath(folders))
    return _Runs(candidates, target, folder, folder)


def _trained(config: Mapping[str, Any], options: Options) -> _Runs:
    """Train what is missing of a study, and return its runs."""
    proxies = _proxies(config, options)
    setup = proxies[0].setup
    folder = setup.run / FOLDER / (options.study or STUDIES[options.sample])
    seeds = seeds_of_trainings(setup, options.seeds)

    # Where the figures are JSON, nothing else goes to standard output.
    consoles = make_consoles(setup.verbosity)
    if options.format == "json":
        consoles = Consoles(make_console(quiet=True), make_console(stderr=True))

    study = Study(folder, tuple(proxies), seeds, options.num_architectures, options.sample)
    *candidates, last = train_study(study, consoles)
    if last.name == TARGET:
        return _Runs(candidates, last, folder, setup.run)
    return _Runs([*candidates, last], None, folder, setup.run)


def _proxies(config: Mapping[str, Any], options: Options) -> list[StudiedProxy]:
    """Return the candidates, and behind them the target, if there is one.

    Raises:
        InputError: one has an option that there is not, or that all proxies of a study share; or two are the same.
    """
    given = options.candidates or {CONFIGURATION: None}
    variants = [(name, f"candidates.{name}", overrides) for name, overrides in given.items()]
    if options.target is not None:
        variants.append((TARGET, TARGET, options.target))

    proxies: list[StudiedProxy] = []
    for name, where, overrides in variants:
        composed = compose_variant("proxy", override_list(overrides, where), options_on_record, where)
        _check_shared(config, composed, where)

        own = {name: value for name, value in composed.items() if name not in _OWN}
        for other in proxies:
            if other.config == own:
                raise InputError(f"{where}: is the same configuration as {other.name}")

        setup = build_setup(own)
        if options.format == "json":
            setup = replace(setup, verbosity="quiet")
        proxies.append(StudiedProxy(name, own, setup))
    return proxies


def _check_shared(config: Mapping[str, Any], composed: Mapping[str, Any], where: str) -> None:
    """Check that a variant changes nothing that all proxies of a study share.

    Raises:
        InputError: it does.
    """
    for name in (*SHARED, *sorted(_OWN)):
        if composed.get(name) != config.get(name):
            raise InputError(f"{where}: {name} is shared by all proxies of a study; set it for the whole command")


def _show(console: Console, assessment: Assessment, records: Sequence[Record]) -> None:
    """Print the figures and the verdicts, and what stands in their way."""
    console.print()
    console.print(figures_table(assessment))
    console.print()
    for line in (*verdict_lines(assessment), *comparison_lines(assessment)):
        console.print(line, soft_wrap=True)

    trials = [trial for record in records for trial in record.trials.values()]
    if assessment.num_left_out:
        console.print(f"left out, as they lack a reward in some run: {assessment.num_left_out} architectures")
    for line in failure_lines(trials):
        console.print(f"failed: {line}", soft_wrap=True)
    mixture = mixture_line(count_numerics(trials))
    if mixture:
        console.print(f"{mixture}.", soft_wrap=True)


if __name__ == "__main__":
    run_command("proxy", HELP, main, options_on_record, needs_output=False)
