"""A study: the same architectures trained with the same seeds by several proxies, each training as in a search."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from controllers.random_search import RandomSearch
from foundation import InputError, short_path
from nas.assessment.sample import SampleName, draw_sample
from nas.assessment.trained import ProxyRuns
from nas.engine.warm_start import WarmStart
from nas.record.identity import check_decisions, open_run
from nas.record.journal import has_trials, read_record, refuse_links
from nas.record.promotion import Promotion
from nas.record.record import Record
from nas.record.stopping import Stopping
from nas.record.trial import best_trials
from nas.running import Consoles, Shown, is_finished, prepare_task, run_and_show
from nas.setup import Setup
from search_space import Decisions


@dataclass(frozen=True, slots=True)
class StudiedProxy:
    """A proxy of a study.

    Attributes:
        name: of the folder of its runs.
        config: its configuration, as a search has it.
        setup: what that builds.
    """

    name: str
    config: Mapping[str, Any]
    setup: Setup


@dataclass(frozen=True, slots=True)
class Study:
    """A study: a run for each proxy and seed, all over the same architectures.

    Attributes:
        folder: that its runs are kept below.
        proxies: what is compared; all have the same run, space and first seed.
        seeds: of the trainings of each.
        num_architectures: how many are trained.
        sample: what they are drawn from, where the study is begun.
    """

    folder: Path
    proxies: tuple[StudiedProxy, ...]
    seeds: tuple[int, ...]
    num_architectures: int
    sample: SampleName

    def run_folder(self, proxy: StudiedProxy, seed: int) -> Path:
        """Return the folder of one run."""
        return self.folder / proxy.name / f"seed{seed}"


def train_study(study: Study, consoles: Consoles) -> list[ProxyRuns]:
    """Train what is missing of a study; return the runs of each proxy.

    Raises:
        InputError: the data cannot be used, the study was begun with other options, or a run stopped.
        KeyboardInterrupt: the user stopped it.
    """
    # Before anything is made: a link below the run folder would be written through.
    refuse_links(study.proxies[0].setup.run)
    architectures = _architectures(study)
    # All data too: a target whose data is missing would be noticed only after the candidates were trained.
    proxies = [_prepared(study, proxy, consoles) for proxy in study.proxies]

    # Seed by seed, so that a study that was stopped has as much of each proxy.
    records: dict[str, dict[int, Record]] = {proxy.name: {} for proxy in proxies}
    for seed in study.seeds:
        for proxy in proxies:
            folder = study.run_folder(proxy, seed)
            records[proxy.name][seed] = _run(proxy, seed, folder, architectures, consoles)

    return [ProxyRuns(name, by_seed) for name, by_seed in records.items()]


def _architectures(study: Study) -> tuple[Decisions, ...]:
    """Return the architectures that a study was begun with, or those to begin it with.

    Raises:
        InputError: it was begun with another number or in another space, or the space holds too few.
    """
    setup, count = study.proxies[0].setup, study.num_architectures
    folders = [study.run_folder(proxy, seed) for seed in study.seeds for proxy in study.proxies]
    begun = [folder for folder in folders if has_trials(folder)]
    if not begun:
        best = best_trials(read_record(setup.run).trials) if has_trials(setup.run) else []
        return draw_sample(setup.space, count, [trial.candidate for trial in best], setup.seed, study.sample)

    # The best of the run may be others by now.
    record = read_record(begun[0])
    check_decisions(record, begun[0], setup.space)
    recorded = record.created.begin_with
    if len(recorded) != count:
        raise InputError(
            f"the study {short_path(study.folder)} was begun with num_architectures={len(recorded)}, now it is "
            f"{count}; use the recorded value, or name another study with study=..."
        )
    return recorded


def _prepared(study: Study, proxy: StudiedProxy, consoles: Consoles) -> StudiedProxy:
    """Return a proxy with its data prepared, unless all of its trainings are on record."""
    folders = [study.run_folder(proxy, seed) for seed in study.seeds]
    if all(has_trials(folder) and is_finished(read_record(folder), study.num_architectures) for folder in folders):
        return proxy
    task = prepare_task(proxy.setup.task, consoles.results)
    return replace(proxy, setup=replace(proxy.setup, task=task))


def _run(
    proxy: StudiedProxy, seed: int, folder: Path, architectures: tuple[Decisions, ...], consoles: Consoles
) -> Record:
    """Train what is missing of one proxy with one seed, as a search that begins with the architectures."""
    count = len(architectures)
    setup = replace(
        proxy.setup,
        run=folder,
        seed=seed,
        num_trials=count,
        controller=RandomSearch(proxy.setup.space),  # never asked: the run begins with all that it trains
        # Every architecture is trained, whatever it costs, to the end, and once.
        limits={},
        promotion=Promotion(),
        stopping=Stopping(),
        warm_start=WarmStart(),
        # A study is about how proxies rank architectures of the space.
        baselines=False,
    )
    config = {**proxy.config, "seed": seed, "num_trials": count, "baselines": False}

    with open_run(folder, config, setup.task, setup.space, architectures) as journal:
        title = f"{proxy.name}, seed {seed}"
        if not is_finished(journal.record, count):
            consoles.results.print(f"{title}: {len(journal.record.told)} of {count} architectures are trained")
        run_and_show(setup, journal, consoles, Shown(title, lambda: None))
        return journal.record
