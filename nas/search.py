"""The command python -m nas.search: run a search, or resume one."""

import shlex
import time
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from foundation import InputError, short_path
from nas.engine.cost import Trainings, measured_cost, plain_trainings, search_trainings
from nas.engine.warm_start import WarmStart
from nas.exporting.specs import export_best
from nas.options.command_line import run_command
from nas.options.experiments import settings_of
from nas.options.invocation import own_command, this_command
from nas.options.repeated import arguments_for
from nas.record.baselines import Baseline, read_baselines
from nas.record.failures import failure_lines
from nas.record.identity import check_config, check_data, may_change, open_run, options_on_record, present_options
from nas.record.journal import has_trials, read_record
from nas.record.numerics import NumericsCount, count_numerics, mixture_line
from nas.record.record import Record
from nas.record.replays import comparing_options, replayed_run
from nas.record.trial import Status, Trial
from nas.reporting.ranked import ranking_of_run
from nas.running import (
    Shown,
    has_work,
    make_consoles,
    prepare_task,
    print_tracking_hints,
    run_and_show,
)
from nas.setup import Setup, build_setup
from nas.terminal.baselines import standing_line
from nas.terminal.cost_table import cost_table, rate_line, stopping_line
from nas.terminal.figures import duration
from nas.terminal.tables import leaderboard_table
from proxy_tasks.base import DataTask, ImageTask
from search_space import Decisions

HELP = """\
python -m nas.search [name=value ...]

Search for architectures: a controller proposes, a proxy task trains and scores, the reward goes back.
Everything is kept in the run folder; the same command again resumes where it stopped, and a larger num_trials
extends a finished run. So does run= alone: what is not given is taken from the record.

  python -m nas.search experiment=quickstart                          minutes, on data it draws itself
  python -m nas.search experiment=spinenet data.root=/path/to/coco    the paper's search
  python -m nas.search run=runs/quickstart num_trials=24              resumes or extends a run

With --cost it makes the data ready as ever, says what the search costs in image passes, and in hours where trials are
on record, beside the search without rungs and stopping, and trains nothing.
"""
NUM_SHOWN = 10
"""Best trials in the table of the summary."""
_QUICKSTART = ("quickstart_train", "runs/quickstart")
"""An experiment that names the run whose best it trains."""
NUM_RECENT = 100
"""Trials over which the share of reused ones is taken."""


def main(config: dict[str, Any]) -> None:
    """Run the search that the configuration describes."""
    setup = build_setup(config)
    _refuse_replay(setup.run)
    if setup.task.option_rules.search_refusal:
        raise InputError(setup.task.option_rules.search_refusal)
    consoles = make_consoles(setup.verbosity)
    started = time.monotonic()

    # A run that has begun has on record what it begins with. And without data there is no run folder.
    is_begun = has_trials(setup.run)
    begin_with: tuple[Decisions, ...] = ()
    beside: dict[str, NumericsCount] = {}
    if not is_begun:
        begin_with = setup.warm_start.decisions(setup.space)
        beside = _warm_start_numerics(setup.warm_start)
        setup = replace(setup, task=prepare_task(setup.task, consoles.results))

    here = short_path(setup.run)
    with open_run(setup.run, config, setup.task, setup.space, begin_with) as journal:
        record = journal.record
        if is_begun:
            consoles.results.print(f"{here}: {len(record.told)} trials on record, {setup.num_trials} asked for")
            if has_work(setup, record):
                setup = replace(setup, task=prepare_task(setup.task, consoles.results))
                check_data(record, setup.run, setup.task)

        summarise = partial(_summarise, consoles.results, record, setup, started)
        run_and_show(setup, journal, consoles, Shown(here, summarise, beside=beside))


def show_cost(config: dict[str, Any]) -> None:
    """Print what the search that the configuration describes costs, without beginning it."""
    setup = build_setup(config)
    _refuse_replay(setup.run)
    console = make_consoles(setup.verbosity).problems
    task, plan = prepare_task(setup.task, console), setup.plan
    measured = None
    if has_trials(setup.run):
        record = read_record(setup.run)
        check_config(record, setup.run, config, task, may_change(task))
        measured = measured_cost(record)

    num_images = None
    if isinstance(task, ImageTask):
        num_images = min(task.num_train_images, plan.fidelity.max_train_images or task.num_train_images)
    trainings = search_trainings(plan, None if measured is None else measured.share_done)
    baselines = Trainings("baselines", len(setup.baseline_names), plan.fidelity.epochs)

    seconds_per_epoch = None if measured is None else measured.seconds / plan.fidelity.epochs
    console.print(cost_table(trainings, plain_trainings(plan), baselines, num_images, seconds_per_epoch))
    console.print()
    console.print(rate_line(measured, num_images and num_images * plan.fidelity.epochs), soft_wrap=True)
    if plan.stopping.shares:
        console.print(stopping_line(trainings[0], measured), soft_wrap=True)
    console.print(
        "The plain search trains as many architectures, each for as long as the furthest. All of it at most: what is "
        "proposed again, or over a limit, is not trained.",
        soft_wrap=True,
    )


def _refuse_replay(folder: Path) -> None:
    """Check that a folder holds no replay: what a controller proposes is none of the best of its run.

    Raises:
        InputError: it does.
    """
    run = replayed_run(folder)
    if run is not None:
        raise InputError(
            f"{short_path(folder)} is a replay of {short_path(run)}; to resume it, use nas.replay "
            f"run={short_path(run)} with the options that it was begun with"
        )


def _warm_start_numerics(warm_start: WarmStart) -> dict[str, NumericsCount]:
    """Return what the architectures of a warm start were chosen by, under the name of their run."""
    if warm_start.run is None:
        return {}
    return {f"best of {short_path(warm_start.run)}": count_numerics(warm_start.best())}


def _summarise(console: Console, record: Record, setup: Setup, started: float) -> None:
    """Print how the trials ended, the best of them, and the commands that may follow."""
    statuses = Counter(trial.status for trial in record.trials.values())
    order: tuple[Status, ...] = ("completed", "stopped", "reused", "rejected", "failed", "running")
    counts = ", ".join(f"{statuses[status]} {status}" for status in order if statuses[status])
    console.print(f"\n{counts or 'no trials'}; {duration(time.monotonic() - started)} this time\n")
    baselines = read_baselines(setup.run)
    _print_remarks(console, record, baselines, setup.max_reused_share)

    # After Ctrl-C too: what was found so far is shown and exported all the same.
    ranking = ranking_of_run(record, setup.run, partial(console.print, soft_wrap=True))
    best = [one.row for one in ranking.architectures[:NUM_SHOWN]]
    if best or ranking.baselines:
        run = short_path(setup.run)
        console.print(leaderboard_table(best, f"Best of {run}", console.width, ranking.baselines))
    if best:
        specs = export_best(record, setup.run)
        console.print(f"\nSpecs of the best {len(specs)}: {run}/best/ ({', '.join(path.name for path in specs)})")

    # A run that goes on after replays has more to say of its best than one training each.
    lines = [ranking.line(NUM_SHOWN), ranking.comparison_line()]
    if ranking.seeds.deviation is None:
        lines = [standing_line(record, baselines, _interval_command(setup, record))]
    for line in lines:
        if line:
            console.print(line, soft_wrap=True)
    _print_next_commands(console, setup, record, best[0].trial if best else None)
    print_tracking_hints(setup.tracking, setup.run, console)
    training = _training_command(setup, record) if best else ""
    if training:
        console.print(f"Train:   {training}", soft_wrap=True)


def _print_remarks(console: Console, record: Record, baselines: Sequence[Baseline], max_reused_share: float) -> None:
    """Print what a person should know of failed, rejected and reused trials, where there are many."""
    trials = record.trials.values()
    failures = failure_lines(trials)
    for line in failures:
        console.print(f"failed: {line}", soft_wrap=True)
    if failures:
        console.print()

    mixture = mixture_line(count_numerics([*trials, *baselines]))
    if mixture:
        console.print(f"{mixture}.\n", soft_wrap=True)

    num_rejected = sum(trial.status == "rejected" for trial in trials)
    if num_rejected > len(record.told) / 2:
        console.print(
            f"{num_rejected} of {len(record.told)} proposals were over a limit and never trained: with higher "
            "limits, in another run, more of the trials count.\n",
            soft_wrap=True,
        )

    # A controller that proposes what it knows makes trials cheap, and finds nothing new.
    share = reused_share(record)
    if share > max_reused_share:
        console.print(
            f"{share:.0%} of the last {NUM_RECENT} trials were architectures that had been trained before: the "
            "controller has converged. Stop here, or begin another run that explores more; --help controller says "
            "which option does that.\n",
            soft_wrap=True,
        )


def _print_next_commands(console: Console, setup: Setup, record: Record, best: Trial | None) -> None:
    """Print the commands that resume or extend the run, and where it has a best trial those that look into it."""
    num_told = len(record.told)
    again = this_command("search", without=("num_trials",))
    if num_told < setup.num_trials or has_work(setup, record):
        console.print(f"Resume:  {again} num_trials={setup.num_trials}", soft_wrap=True)
    else:
        console.print(f"Extend:  {again} num_trials={2 * max(setup.num_trials, num_told)}", soft_wrap=True)
    if best is None:
        return

    of_run = [f"run={short_path(setup.run)}", *_own_kinds(record)]

    # A front needs costs, and the reward that the search had. A class that no choice has cannot be named there.
    if len(setup.reward.metrics) > 1:
        with suppress(InputError):
            reward = arguments_for("leaderboard", "reward", present_options(record.created.config))
            front = shlex.join([*of_run, *reward, "front=true"])
            console.print(f"Front:   {own_command('leaderboard')} {front}", soft_wrap=True)
    console.print(f"Report:  {own_command('report')} {shlex.join(of_run)}", soft_wrap=True)

    # Longer than any trial of the search was trained: else the replay would find out nothing.
    if not setup.task.option_rules.ignores_training:
        most_epochs = setup.promotion.fidelity(setup.fidelity, best.rung).epochs
        replay = this_command("replay", without=("num_trials", "fidelity.epochs"))
        console.print(f"Replay:  {replay} top=3 fidelity.epochs={4 * most_epochs:g}", soft_wrap=True)


def _own_kinds(record: Record) -> list[str]:
    """Return the arguments that name kinds of somebody's own to a command that reads the run's specs."""
    kinds = record.created.config.get("block_kinds", {})
    return [f"block_kinds.{name}={path}" for name, path in kinds.items()]


def _training_command(setup: Setup, record: Record) -> str:
    """Return the command that trains the best in full; empty where it has not all that the command would need."""
    if not isinstance(setup.task, DataTask):
        return ""
    options = present_options(record.created.config)
    try:
        data, scale = (arguments_for("train", part, options) for part in ("data", "scale"))
    except InputError:
        # Classes of somebody's own, which no command line can name.
        return ""

    has_own_scale = any(trial.scale is not None for trial in record.trials.values())
    run, heads = short_path(setup.run), setup.task.option_rules.full_training
    named = [f"spec={run}", f"run={run}_train"]
    experiment, settings = _experiment_for(data, heads)
    if experiment:
        # As the quickstart, which the experiment is made for: small images, and a schedule for as many.
        # A scale of the architecture's own is known to the record; that of the experiment would win over it.
        of_scale = ["scale=null"] if has_own_scale else scale
        own = [argument for argument in [*data, *of_scale] if argument not in settings]
        words = [f"experiment={experiment}", *([] if (experiment, run) == _QUICKSTART else named), *own]
    else:
        words = [*named, *heads, *([] if has_own_scale else ["scale=spinenet-49"]), *data]
    return f"{own_command('train')} {shlex.join([*words, *_own_kinds(record)])}"


def _experiment_for(data: Sequence[str], full_training: Sequence[str]) -> tuple[str, Collection[str]]:
    """Return the experiment that trains the same head in full on the same data, and what it sets; empty for none."""
    for name, settings in settings_of("train").items():
        heads, head = ({one for one in some if one.startswith("head=")} for some in (settings, full_training))
        if heads == head and settings.intersection(data):
            return name, settings
    return "", ()


def _interval_command(setup: Setup, record: Record) -> str:
    """Return the command that trains the best and the baselines with several seeds; empty where seeds do nothing."""
    options = comparing_options(record, top=3)
    if setup.task.option_rules.ignores_training or not options:
        return ""
    given = {option.partition("=")[0] for option in options}
    return " ".join([this_command("replay", without={"num_trials", *given}), *options])


def reused_share(record: Record) -> float:
    """Return the share of reused trials among the last that ended; 0 while fewer than `NUM_RECENT` have."""
    recent = record.told[-NUM_RECENT:]
    if len(recent) < NUM_RECENT:
        return 0.0
    return sum(record.trials[number].status == "reused" for number in recent) / NUM_RECENT


if __name__ == "__main__":
    run_command("config", HELP, main, options_on_record, needs_output=False, other_actions={"--cost": show_cost})
