"""The command python -m nas.replay: train the best architectures of a run again, and see how the ranking changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from controllers.random_search import RandomSearch
from foundation import absolute_path, check_range, short_path
from nas.assessment.told_apart import pooled_deviation
from nas.engine.replay_folders import replay_folder
from nas.exporting.specs import export_best
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.invocation import this_command
from nas.record.architecture import best_of
from nas.record.baselines import read_baselines
from nas.record.comparison import compares
from nas.record.events import MAX_TRIALS, Asked
from nas.record.identity import (
    check_config,
    check_data,
    check_decisions,
    may_change_in_replay,
    open_run,
    options_on_record,
)
from nas.record.journal import Journal, read_record, refuse_links
from nas.record.mean_reward import mean_baselines, mean_rewards
from nas.record.numerics import count_numerics, mixture_line
from nas.record.promotion import Promotion
from nas.record.record import Record
from nas.record.replays import REPLAYS, differences_to_search, rung_trained_as
from nas.record.stopping import Stopping
from nas.record.trial import Trial
from nas.running import (
    MAX_SEEDS,
    Consoles,
    Shown,
    has_work,
    make_consoles,
    prepare_task,
    print_tracking_hints,
    run_and_show,
    seeds_of_trainings,
)
from nas.setup import Setup, build_setup
from nas.terminal.baselines import interval_line, replay_lines
from nas.terminal.replay_table import ReplayedTrial, replay_table
from nas.terminal.seed_line import seed_line
from proxy_tasks.base import DataTask

HELP = """\
python -m nas.replay run=FOLDER top=K seeds=S [fidelity.epochs=E] [name=value ...]

Train the best K architectures of a run again, each with S seeds, and show how their ranking changes: a search trains
once, and what comes first in it had luck. The task is set up as the record of the run says; without a new fidelity the
search's own is used, and then leaderboards and reports rank by the means. seed, task.score_on, task.device and
task.precision may differ too. Results are kept below the run folder; the same command again resumes where it stopped,
and more seeds or a larger top add to what is there.

  python -m nas.replay run=runs/quickstart top=12 seeds=3
  python -m nas.replay run=runs/quickstart top=3 fidelity.epochs=12
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that only a replay has; names as in `experiments/replay.yaml`."""

    top: int
    seeds: int = 1
    baselines: bool | None = None

    def __post_init__(self) -> None:
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")
        check_range("seeds", self.seeds, 1, MAX_SEEDS, "each architecture is trained as often")


_OWN = frozenset(field.name for field in fields(Options))


def main(config: dict[str, Any]) -> None:
    """Replay what the configuration asks for."""
    options = build(Options, {name: value for name, value in config.items() if name in _OWN}, "")
    search_config = {name: value for name, value in config.items() if name not in _OWN}
    run = absolute_path(Path(str(config["run"])))
    record = read_record(run)

    # They are compared on equal terms: trained again with what they are compared with.
    had_baselines = bool(record.created.config.get("baselines")) or bool(read_baselines(run))
    search_config["baselines"] = had_baselines if options.baselines is None else options.baselines
    setup = build_setup(search_config)
    best = _best_of_search(record, setup, search_config, options.top)

    consoles = make_consoles(setup.verbosity)
    setup = replace(setup, task=prepare_task(setup.task, consoles.results))
    check_data(record, setup.run, setup.task)
    seeds = _seeds(record, setup, search_config, options.seeds)
    differences = differences_to_search(record, search_config, _data_content(setup))
    _say_whether_it_ranks(consoles.results, differences)

    # Looked at only now: preparing may take an hour, in which links can come.
    refuse_links(setup.run)
    replays: dict[Path, Record] = {}
    try:
        # Seed by seed, so that a replay that was stopped has as much of each architecture.
        for seed in seeds:
            own = {**search_config, "seed": seed}
            folder = replay_folder(setup.run, record.created, own, setup.task.option_rules)
            _train(replace(setup, seed=seed), own, folder, best, consoles, replays)
    finally:
        # After Ctrl-C too: what was trained is shown all the same.
        if replays:
            _summarise(consoles.results, best, replays, setup)
            if not differences:
                specs = export_best(record, setup.run)
                names = ", ".join(path.name for path in specs)
                consoles.results.print(f"Specs of the best {len(specs)}: {short_path(setup.run)}/best/ ({names})")


def _options_on_record(folder: Path) -> dict[str, Any] | None:
    """Return the options of a run as `options_on_record` does; a run may have got its baselines since it was begun."""
    recorded = options_on_record(folder)
    return None if recorded is None else {name: value for name, value in recorded.items() if name != "baselines"}


def _seeds(record: Record, setup: Setup, config: Mapping[str, Any], count: int) -> tuple[int, ...]:
    """Return the seeds of a replay: they count from `seed` on, without the search's own where that trained alike.

    The search's own training is what chose an architecture, so that its reward is high by luck: with the same seed it
    would only be repeated.

    Raises:
        InputError: there are not as many seeds.
    """
    is_alike = rung_trained_as(record.created, config, _data_content(setup)) is not None
    left_out = record.created.config.get("seed") if is_alike else None
    return seeds_of_trainings(setup, count, left_out)


def _say_whether_it_ranks(console: Console, differences: Sequence[str]) -> None:
    """Print a line where leaderboard and report will leave a replay out, with the reasons."""
    if differences:
        console.print(
            "This command alone shows the replay; leaderboard and report leave it out, as it does not compare with the "
            f"search: {', '.join(differences)}",
            soft_wrap=True,
        )


def _data_content(setup: Setup) -> Mapping[str, str] | None:
    return setup.task.data_content if isinstance(setup.task, DataTask) else None


def _train(
    setup: Setup,
    config: Mapping[str, Any],
    folder: Path,
    best: Sequence[Trial],
    consoles: Consoles,
    replays: dict[Path, Record],
) -> None:
    """Train with one seed what is missing of the best; the record joins `replays` before."""
    with open_run(folder, config, setup.task, setup.space) as journal:
        record = replays[folder] = journal.record
        _ask_for(best, journal)

        replay = replace(
            setup,
            run=folder,
            num_trials=len(record.trials),
            controller=RandomSearch(setup.space),  # never asked: every trial is on record
            # What the search has found is trained whatever it costs, to the end, and once with each seed.
            limits={},
            promotion=Promotion(),
            stopping=Stopping(),
        )

        title = f"replay of {short_path(setup.run)}, seed {setup.seed}"
        if has_work(replay, record):
            consoles.results.print(f"{title}: {len(record.told)} of {len(record.trials)} trainings are on record")
        numbers = {trial.key: trial.number for trial in best}
        beside = {"in the search": count_numerics(best)}
        run_and_show(replay, journal, consoles, Shown(title, lambda: None, numbers, beside))


def _best_of_search(record: Record, setup: Setup, config: Mapping[str, Any], top: int) -> list[Trial]:
    """Return the best trials of the run that the configuration belongs to.

    Raises:
        InputError: the run was made with other options, or it has no reward yet.
    """
    check_config(record, setup.run, config, setup.task, may_change_in_replay(setup.task))
    check_decisions(record, setup.run, setup.space)

    return best_of(record, setup.run, top)


def _ask_for(best: Sequence[Trial], journal: Journal) -> None:
    """Put the trials on the replay's record as asked, so that a search finishes them; failed ones once more."""
    trials = journal.record.trials
    known = {trial.key for trial in trials.values() if trial.status != "failed"}
    for trial in best:
        if trial.key in known:
            continue
        decisions, log_prob = trial.proposal.decisions, trial.proposal.log_prob
        journal.append(
            Asked(
                trial=len(trials),
                decisions=decisions,
                log_prob=log_prob,
                key=trial.key,
                spec=trial.spec,
                scale=trial.scale,
            )
        )


def _summarise(console: Console, best: Sequence[Trial], replays: Mapping[Path, Record], setup: Setup) -> None:
    """Print the ranking now beside that of the search, how far the two agree, and what the seeds say of it."""
    replayed = _replayed(best, replays)
    means = [one.mean for one in replayed if one.mean is not None]
    in_search = read_baselines(setup.run)
    again = [read_baselines(folder) for folder in replays]
    baseline_means = mean_baselines(again)
    deviation = pooled_deviation([*means, *baseline_means.values()])

    console.print()
    console.print(replay_table(replayed, deviation))
    for line in replay_lines(in_search, again):
        console.print(line, soft_wrap=True)

    # In the search, trials of several amounts of training may be among the best.
    comparable = [one for one in replayed if compares(one.trial, best[0].rung)]
    pairs = [(one.trial.reward or 0.0, one.mean.mean) for one in comparable if one.mean is not None]
    if len(pairs) > 1:
        console.print(f"\n{_agreement(pairs)}")

    more = _command_for_seeds(setup, max(3, len(replays)))
    highest = max(means, key=lambda one: one.mean, default=None)
    if deviation is not None and highest is not None:
        is_marked = sum(deviation.may_be_as_good(one, highest) for one in means) > 1
        console.print(f"\n{seed_line(deviation, means, is_marked=is_marked)}", soft_wrap=True)
    elif means and more:
        console.print(f"\nOne training each: how far seeds differ is not known. This tells: {more}", soft_wrap=True)

    trained = dict.fromkeys(baseline.name for own in again for baseline in own)
    own_means = {name: baseline_means.get(name) for name in trained}
    comparison = interval_line(deviation, highest, own_means, len(means), more)
    if comparison and means:
        console.print(f"\n{comparison}", soft_wrap=True)

    trials = [trial for record in replays.values() for trial in record.trials.values()]
    baselines = [*in_search, *(baseline for own in again for baseline in own)]
    mixture = mixture_line(count_numerics([*best, *trials, *baselines]))
    if mixture:
        console.print(f"\n{mixture}.", soft_wrap=True)

    names = [folder.name for folder in replays]
    console.print(f"Kept in {short_path(setup.run / REPLAYS)}: {', '.join(names)}", soft_wrap=True)
    print_tracking_hints(setup.tracking, list(replays)[-1], console)


def _command_for_seeds(setup: Setup, count: int) -> str:
    """Return the command of this replay with so many seeds; empty where seeds do nothing."""
    if setup.task.option_rules.ignores_training:
        return ""
    return f"{this_command('replay', without=('seeds',))} seeds={count}"


def _replayed(best: Sequence[Trial], replays: Mapping[Path, Record]) -> list[ReplayedTrial]:
    """Return the best trials of the search, each with the outcome of its trainings."""
    means = mean_rewards(record.trials for record in replays.values())
    failures = {
        trial.key: trial.failure.kind
        for record in replays.values()
        for trial in record.trials.values()
        if trial.failure is not None
    }
    return [ReplayedTrial(trial, means.get(trial.key), failures.get(trial.key, "")) for trial in best]


def _agreement(pairs: list[tuple[float, float]]) -> str:
    """Say how far two lists of rewards agree about the order; two that are equal in either list have none."""
    first, second = np.array(pairs).T
    signs = np.sign(np.subtract.outer(first, first)) * np.sign(np.subtract.outer(second, second))
    signs = signs[np.triu_indices(len(pairs), 1)]  # each pair once
    num_kept, num_turned, num_tied = (int((signs == sign).sum()) for sign in (1, -1, 0))

    text = f"{num_kept} of {num_kept + num_turned} pairs keep their order"
    if num_tied:
        text += f" ({num_tied} tied)"

    # Where several are best in either list, the best neither stays nor changes.
    if (first == first.max()).sum() == (second == second.max()).sum() == 1:
        text += f"; the best {'stays the best' if first.argmax() == second.argmax() else 'changes'}"
    return text


if __name__ == "__main__":
    run_command("replay", HELP, main, _options_on_record, needs_output=False)
