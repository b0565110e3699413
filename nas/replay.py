"""The command python -m nas.replay: train the best architectures of a run again, and see how the ranking changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from controllers.random_search import RandomSearch
from foundation import check_range, short_path
from nas.engine.promotion import Promotion
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.record.architecture import best_of
from nas.record.baselines import Baseline, read_baselines
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
from nas.record.numerics import count_numerics, mixture_line
from nas.record.record import Record
from nas.record.trial import Trial
from nas.running import REPLAYS, Shown, make_consoles, prepare_task, print_tracking_hints, run_and_show
from nas.setup import Setup, build_setup
from nas.terminal.baselines import replay_lines
from nas.terminal.figures import Figure, shown_figures
from search_space.spec import short_key

HELP = """\
python -m nas.replay run=FOLDER top=K fidelity.epochs=E [name=value ...]

Train the best K architectures of a run again and show how their ranking changes. The task is set up as the record
of the run says; without a new fidelity the search's own is used. seed, task.score_on, task.device and task.precision
may differ too. Results are kept below the run folder; the same command again resumes where it stopped.

  python -m nas.replay run=runs/quickstart top=3 fidelity.epochs=12
"""


@dataclass(frozen=True, slots=True)
class Options:
    """The options that only a replay has; names as in `experiments/replay.yaml`."""

    top: int

    def __post_init__(self) -> None:
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")


def main(config: dict[str, Any]) -> None:
    """Replay what the configuration asks for."""
    options = build(Options, {name: value for name, value in config.items() if name == "top"}, "")
    search_config = {name: value for name, value in config.items() if name != "top"}
    setup = build_setup(search_config)
    record = read_record(setup.run)
    best = _best_of_search(record, setup, search_config, options.top)

    consoles = make_consoles(setup.verbosity)
    setup = replace(setup, task=prepare_task(setup.task, consoles.results))
    check_data(record, setup.run, setup.task)

    # Looked at only now: preparing may take an hour, in which links can come.
    refuse_links(setup.run)
    folder = setup.run / REPLAYS / _folder_name(setup)
    with open_run(folder, search_config, setup.task, setup.space) as journal:
        _ask_for(best, journal)

        replay = replace(
            setup,
            run=folder,
            num_trials=len(journal.record.trials),
            controller=RandomSearch(setup.space),  # never asked: every trial is on record
            # What the search has found is trained whatever it costs, and once.
            limits={},
            promotion=Promotion(),
            # They are compared on equal terms: trained again with what they are compared with.
            baselines=setup.baselines or bool(read_baselines(setup.run)),
        )

        title = f"replay of {short_path(setup.run)}"
        summarise = partial(_summarise, consoles.results, journal.record, best, replay, read_baselines(setup.run))
        numbers = {trial.key: trial.number for trial in best}
        beside = {"in the search": count_numerics(best)}
        run_and_show(replay, journal, consoles, Shown(title, summarise, numbers, beside))


def _best_of_search(record: Record, setup: Setup, config: Mapping[str, Any], top: int) -> list[Trial]:
    """Return the best trials of the run that the configuration belongs to.

    Raises:
        InputError: the run was made with other options, or it has no reward yet.
    """
    check_config(record, setup.run, config, setup.task, may_change_in_replay(setup.task))
    check_decisions(record, setup.run, setup.space)

    return best_of(record, setup.run, top)


def _folder_name(setup: Setup) -> str:
    """Return a name that differs where the replayed task differs."""
    parts = [f"epochs{setup.fidelity.epochs}"]
    if setup.fidelity.max_train_images is not None:
        parts.append(f"images{setup.fidelity.max_train_images}")
    parts += [setup.task.option_rules.replay_label, f"seed{setup.seed}"]
    return "-".join(part for part in parts if part)


def _ask_for(best: Sequence[Trial], journal: Journal) -> None:
    """Put the trials on the replay's record as asked, so that a search finishes them; failed ones once more."""
    trials = journal.record.trials
    known = {trial.key for trial in trials.values() if trial.status != "failed"}
    for trial in best:
        if trial.key in known:
            continue
        decisions, log_prob = trial.proposal.decisions, trial.proposal.log_prob
        journal.append(Asked(trial=len(trials), decisions=decisions, log_prob=log_prob, key=trial.key, spec=trial.spec))


def _summarise(
    console: Console, record: Record, best: Sequence[Trial], replay: Setup, in_search: Sequence[Baseline]
) -> None:
    """Print the ranking now beside that of the search, and how far the two agree."""
    # The last one of each key: a replay that failed is tried again by the next command.
    replayed = {trial.key: trial for trial in record.trials.values()}
    console.print()
    console.print(_table(best, replayed))
    baselines = read_baselines(replay.run)
    for line in replay_lines(in_search, [baselines]):
        console.print(line, soft_wrap=True)

    # In the search, trials of several amounts of training may be among the best.
    pairs = []
    for trial in best:
        now = replayed.get(trial.key)
        if compares(trial, best[0].rung) and now is not None and now.reward is not None:
            pairs.append((trial.reward or 0.0, now.reward))
    if len(pairs) > 1:
        console.print(f"\n{_agreement(pairs)}")
    mixture = mixture_line(count_numerics([*best, *replayed.values(), *in_search, *baselines]))
    if mixture:
        console.print(f"\n{mixture}.", soft_wrap=True)
    console.print(f"Kept in {short_path(replay.run)}")
    print_tracking_hints(replay, console)


def _table(best: Sequence[Trial], replayed: Mapping[str, Trial]) -> Table:
    """Return the best trials of the search, each with its rank and reward in the replay where it has them."""
    rewards = {key: trial.reward for key, trial in replayed.items() if trial.reward is not None}
    # Ranks are counted among those that were replayed, so that a failed one leaves no gap.
    in_order = sorted((trial.key for trial in best if trial.key in rewards), key=lambda key: -rewards[key])
    ranks = {key: rank for rank, key in enumerate(in_order, start=1)}

    table = Table(title="Replay", title_justify="left", box=None, header_style="bold", pad_edge=False)
    figures = shown_figures({name for trial in best for name in trial.metrics}, "replay")
    for head in ("rank", "in search", "trial", "reward in search", "reward now", *(figure.head for figure in figures)):
        table.add_column(head, justify="right")
    table.add_column("key")

    for rank_in_search, trial in enumerate(best, start=1):
        table.add_row(
            str(ranks.get(trial.key, "")),
            str(rank_in_search),
            str(trial.number),
            f"{trial.reward:.4f}",
            _reward_now(replayed.get(trial.key)),
            *(_figure_text(figure, trial) for figure in figures),
            short_key(trial.key),
        )
    return table


def _figure_text(figure: Figure, trial: Trial) -> str:
    return figure.text(trial.metrics[figure.name]) if figure.name in trial.metrics else ""


def _reward_now(replayed: Trial | None) -> str:
    """Return the reward of a replayed trial, or what it failed with; empty while it has neither."""
    if replayed is None:
        return ""
    if replayed.reward is not None:
        return f"{replayed.reward:.4f}"
    return replayed.failure.kind if replayed.failure else ""


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
    run_command("replay", HELP, main, options_on_record, needs_output=False)
