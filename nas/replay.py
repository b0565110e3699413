"""python -m nas.replay: train the best architectures of a run again, for longer, and see how the ranking changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from controllers import RandomSearch
from foundation import InputError, short_path
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.record.comparison import compares
from nas.record.identity import check_config, may_change, open_run
from nas.record.journal import Asked, Journal, read_record, refuse_links
from nas.record.trial import Trial, best_trials
from nas.setup import Setup, build_setup
from nas.terminal.console import make_console
from nas.terminal.figures import count
from nas.terminal.progress import TaskView
from nas.terminal.search_view import SearchView
from nas.tracking import Tracking

HELP = """\
python -m nas.replay [name=value ...] top=K fidelity.epochs=E

Train the best K architectures of a run again and show how their ranking changes. Give the options of the search,
so that the same task is set up, and the new fidelity; without one the search's own is used. seed, task.score_on,
task.device and task.precision may differ too. Results are kept below the run folder; the same command again goes on
where it stopped.

  python -m nas.replay experiment=quickstart top=3 fidelity.epochs=12
"""


@dataclass(frozen=True, slots=True)
class Options:
    """What to replay; names as in `experiments/replay.yaml`."""

    top: int

    def __post_init__(self) -> None:
        if self.top < 1:
            raise ValueError(f"top must be 1 or more, got {self.top}")


def main(config: dict[str, Any]) -> None:
    """Replay what the configuration asks for."""
    options = build(Options, {name: value for name, value in config.items() if name == "top"}, "")
    search_config = {name: value for name, value in config.items() if name != "top"}
    setup = build_setup(search_config)
    record = read_record(setup.run)
    may_differ = ("fidelity", "seed", *(f"task.{name}" for name in setup.task.option_rules.replay))
    check_config(record, setup.run, search_config, (*may_change(setup.task), *may_differ))
    refuse_links(setup.run)
    best = best_trials(record.trials, options.top)
    if not best:
        raise InputError(f"{setup.run}: no trial has a reward yet")
    loud = make_console()
    console = make_console(quiet=True) if setup.verbosity == "quiet" else loud
    with TaskView(console) as task_view:
        setup.task.prepare(task_view.report)
    folder = setup.run / "replays" / _folder_name(setup)
    with open_run(folder, search_config, setup.task) as journal, setup.track(journal, console, loud) as tracking:
        try:
            why_stopped = _train(setup, journal, tracking, best, loud)
        except KeyboardInterrupt:
            _show(console, journal, best, setup.tracking_hints(folder))
            raise
        _show(console, journal, best, setup.tracking_hints(folder))
    if why_stopped is not None:
        raise InputError(why_stopped)


def _folder_name(setup: Setup) -> str:
    """Return a name that differs where the replayed task differs."""
    parts = [f"epochs{setup.fidelity.epochs}"]
    if setup.fidelity.max_train_images is not None:
        parts.append(f"images{setup.fidelity.max_train_images}")
    parts += [setup.task.option_rules.replay_label, f"seed{setup.seed}"]
    return "-".join(part for part in parts if part)


def _train(setup: Setup, journal: Journal, tracking: Tracking, best: list[Trial], console: Console) -> str | None:
    """Put the best trials on the replay's record as asked, and let a search finish them.

    Returns:
        Why it stopped before the last one, if it did.
    """
    known = {trial.key for trial in journal.record.trials.values() if trial.status != "failed"}
    for trial in best:
        if trial.key not in known:
            journal.append(
                Asked(
                    trial=len(journal.record.trials),
                    decisions=trial.proposal.decisions,
                    log_prob=trial.proposal.log_prob,
                    key=trial.key,
                    spec=trial.spec,
                )
            )
    num_trials = len(journal.record.trials)
    numbers = {trial.key: trial.number for trial in best}
    title = f"replay of {short_path(setup.run)}"
    with SearchView(console, title, num_trials, journal.record, setup.verbosity, numbers) as view:

        def on_change(trial: Trial) -> None:
            view.show(trial)
            tracking.update()

        search = Search(
            space=setup.space,
            controller=RandomSearch(setup.space),  # never asked: every trial is on record
            reward=setup.reward,
            journal=journal,
            plan=Plan(num_trials, setup.seed, setup.fidelity, failures=setup.failures),
            on_change=on_change,
            on_stop=view.stopping,
        )
        setup.executor.run(search, setup.task, view.note_workers)
    return search.why_stopped


def _show(console: Console, journal: Journal, best: list[Trial], hints: Sequence[str]) -> None:
    # The last one of each key: a replay that failed is tried again by the next command.
    replayed = {trial.key: trial for trial in journal.record.trials.values()}
    rewards = {key: trial.reward for key, trial in replayed.items() if trial.reward is not None}
    order = sorted((trial.key for trial in best if trial.key in rewards), key=lambda key: -rewards[key])
    table = Table(title="Replay", title_justify="left", box=None, header_style="bold", pad_edge=False)
    for name in ("rank", "in search", "trial", "reward in search", "reward now", "MACs", "params", "key"):
        table.add_column(name, justify="left" if name == "key" else "right")
    for rank, trial in enumerate(best, start=1):
        now = replayed.get(trial.key)
        is_done = trial.key in rewards
        table.add_row(
            str(order.index(trial.key) + 1) if is_done else "",
            str(rank),
            str(trial.number),
            f"{trial.reward:.4f}",
            f"{rewards[trial.key]:.4f}" if is_done else (now.failure.kind if now and now.failure else ""),
            count(trial.metrics["macs"]) if "macs" in trial.metrics else "",
            count(trial.metrics["params"]) if "params" in trial.metrics else "",
            trial.key,
        )
    console.print()
    console.print(table)
    compared = [trial for trial in best if trial.key in rewards and compares(trial, best[0].rung)]
    pairs = [(trial.reward or 0.0, rewards[trial.key]) for trial in compared]
    if len(pairs) > 1:
        console.print(f"\n{_agreement(pairs)}")
    console.print(f"Kept in {short_path(journal.folder)}")
    for hint in hints:
        console.print(f"Curves:  {hint}", soft_wrap=True)


def _agreement(pairs: list[tuple[float, float]]) -> str:
    """Say how far two lists of rewards agree about the order; two that are equal in either list have none."""
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    signs = np.sign(np.subtract.outer(first, first)) * np.sign(np.subtract.outer(second, second))
    upper = signs[np.triu_indices(len(pairs), 1)]
    num_ordered, num_tied = int((upper != 0).sum()), int((upper == 0).sum())
    text = f"{int((upper > 0).sum())} of {num_ordered} pairs keep their order"
    if num_tied:
        text += f" ({num_tied} tied)"
    if (first == first.max()).sum() == (second == second.max()).sum() == 1:
        text += f"; the best {'stays the best' if first.argmax() == second.argmax() else 'changes'}"
    return text


if __name__ == "__main__":
    run_command("replay", HELP, main)
