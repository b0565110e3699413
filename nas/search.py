"""The command python -m nas.search: run a search, or resume one."""

import shlex
from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rich.console import Console

from foundation import InputError, short_path
from nas.engine.cost import Trainings, measured_cost, plain_trainings, search_trainings
from nas.options.command_line import command_config, run_command
from nas.options.experiments import settings_of
from nas.options.invocation import own_command, this_command
from nas.options.repeated import arguments_for
from nas.options.sweep import Combination
from nas.record.identity import check_config, may_change, options_on_record, present_options
from nas.record.journal import has_trials, read_record
from nas.record.record import Record
from nas.record.replays import comparing_options
from nas.record.trial import Trial
from nas.running import has_work, make_consoles, prepare_task, print_tracking_hints
from nas.searching import FollowUp, build_search, search
from nas.setup import Setup
from nas.sweeping import build_sweep, run_sweep
from nas.terminal.cost_table import cost_table, rate_line, stopping_line
from proxy_tasks.base import DataTask, ImageTask

HELP = """\
python -m nas.search [name=value ...]

Search for architectures: a controller proposes, a proxy task trains and scores, the reward goes back.
Everything is kept in the run folder; the same command again resumes where it stopped, and a larger num_trials
extends a finished run. So does run= alone: what is not given is taken from the record.

  python -m nas.search experiment=quickstart                          minutes, on data it draws itself
  python -m nas.search experiment=spinenet data.root=/path/to/coco    the paper's search
  python -m nas.search run=runs/quickstart num_trials=24              resumes or extends a run
  python -m nas.search experiment=quickstart -m seed=1,2,3 controller=random,evolution_small    six searches, compared

With -m, or --multirun, there is a search for each combination of values, written as a,b or range(1,4) or choice(a,b)
or, for choices, glob(*). They run one after another in one Ray, each in a folder that is named by its values, below
run= or where that is not given beside the run folder, as runs/quickstart_sweep. All are checked before the first
starts; one that stops does not stop the others; the same command again resumes what is not finished. At the end a table
and a report compare them.

With --cost it makes the data ready as ever, says what the search costs in image passes, and in hours where trials are
on record, beside the search without rungs and stopping, and trains nothing.
"""
_QUICKSTART = ("quickstart_train", "runs/quickstart")
"""An experiment that names the run whose best it trains."""


def main(config: dict[str, Any]) -> None:
    """Run the search that the configuration describes."""
    search(build_search(config), config, FollowUp(_print_follow_up, _interval_command))


def run_combinations(combinations: Sequence[Combination]) -> None:
    """Run a search for each combination of the values on the command line."""
    sweep = build_sweep(combinations, partial(command_config, "config", on_record=options_on_record))
    # What may follow one search is overtaken by the next.
    run_sweep(sweep, FollowUp(lambda *of_search: None, _interval_command))


def show_cost(config: dict[str, Any]) -> None:
    """Print what the search that the configuration describes costs, without beginning it."""
    setup = build_search(config)
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


def _print_follow_up(console: Console, setup: Setup, record: Record, best: Trial | None) -> None:
    """Print the commands that may follow, and what a person does to see the run in each tracker."""
    _print_next_commands(console, setup, record, best)
    print_tracking_hints(setup.tracking, setup.run, console)
    training = "" if best is None else _training_command(setup, record)
    if training:
        console.print(f"Train:   {training}", soft_wrap=True)


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


if __name__ == "__main__":
    run_command(
        "config",
        HELP,
        main,
        options_on_record,
        needs_output=False,
        other_actions={"--cost": show_cost},
        sweep=run_combinations,
    )
