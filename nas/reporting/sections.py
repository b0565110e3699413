"""The words and tables of the page, as HTML; every text in them is escaped here."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from nas.options.configuration import differing_options
from nas.record.numerics import count_numerics, mixture_line
from nas.reporting.baselines import baselines_section
from nas.reporting.best import best_section
from nas.reporting.cards import reward_text
from nas.reporting.curves import MeanCurve, best_so_far
from nas.reporting.failures import FailureRow, failure_rows
from nas.reporting.importance import importance_section
from nas.reporting.latencies import latencies_section
from nas.reporting.loss_curves import NUM_BEST, LossCurves
from nas.reporting.markup import details, note, plot_place, section, table_of
from nas.reporting.occurrence import MIN_ARCHITECTURES, Learned, runs_without_decisions
from nas.reporting.ranked import ReportRanking
from nas.reporting.resolution import resolution_section
from nas.reporting.runs import ReportedRun, cautions
from nas.reporting.trained import TrainedNetwork, trained_section
from nas.reporting.wall_time import wall_time
from nas.terminal.figures import duration, shown_figures


def title(runs: Sequence[ReportedRun]) -> str:
    """Return the page's title: the name of the run, or of what is compared."""
    if len(runs) == 1:
        return runs[0].name
    groups = list(dict.fromkeys(run.group for run in runs))
    if len(groups) == 2:
        return " against ".join(groups)
    return f"{', '.join(groups[:-1])} and {groups[-1]}" if 2 < len(groups) <= 5 else f"{len(runs)} runs"


def subtitle(runs: Sequence[ReportedRun]) -> str:
    """Return what was searched, in a line."""
    if len(runs) > 1:
        names = Counter(run.group for run in runs)
        return f"{len(runs)} runs: " + "; ".join(f"{n} of {group}" for group, n in names.items())

    (run,) = runs
    task = run.options.get("task._target_", "").rpartition(".")[2]
    begun = datetime.fromtimestamp(run.record.created.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    running = sum(trial.status == "running" for trial in run.record.trials.values())
    state = f", {running} of its trials not ended" if running else ""
    return f"{run.group}{f' on {task}' if task else ''}, begun {begun}{state}"


def facts(runs: Sequence[ReportedRun], ranking: ReportRanking) -> str:
    """Return the figures that a reader looks for first, as terms and their descriptions."""
    trials = [trial for run in runs for trial in run.record.trials.values()]
    shown: list[tuple[str, str]] = []

    # None or one: without a reward there is no best.
    for best in ranking.architectures[:1]:
        metrics = best.row.trial.metrics
        shown.append(("best mean reward" if best.row.replayed else "best reward", reward_text(best.row)))
        for figure in shown_figures(metrics, "facts"):
            shown.append((f"its {figure.title}", figure.text(metrics[figure.name])))

    shown.append(("trials", f"{len(trials):,}"))
    statuses = Counter(trial.status for trial in trials)
    names = {
        "completed": "trained",
        "stopped": "stopped early",
        "reused": "known already",
        "rejected": "over a limit",
    }
    shown += [(names.get(status, status), f"{number:,}") for status, number in statuses.most_common()]

    seconds = sum(sum(trial.seconds.values()) for trial in trials)
    if seconds:
        shown.append(("time in trials", duration(seconds)))
        times = [wall_time(run.record) for run in runs]
        shown.append(("wall time", duration(sum(time.seconds for time in times))))
        shown.append(("most trials at a time", f"{max(time.most_at_once for time in times):,}"))
    return "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in shown)


def caution(runs: Sequence[ReportedRun]) -> str:
    """Return a warning where runs differ in more than what searched, and where results differ in their arithmetic."""
    names = cautions(runs)
    texts = [f"These runs differ in more than controller and seed: {', '.join(names)}."] if names else []

    replays = [replay for run in runs for replay in run.replays]
    records = [*(run.record for run in runs), *(replay.record for replay in replays)]
    found = [*(run.baselines for run in runs), *(replay.baselines for replay in replays)]
    baselines = [baseline for own in found for baseline in own]
    trials = [trial for record in records for trial in record.trials.values()]
    mixture = mixture_line(count_numerics([*trials, *baselines]))
    if mixture:
        texts.append(f"{mixture[0].upper()}{mixture[1:]}.")
    return "".join(f'<p class="caution">{escape(text)}</p>' for text in texts)


def sections(
    runs: Sequence[ReportedRun],
    ranking: ReportRanking,
    curves: Mapping[str, MeanCurve],
    learned: Mapping[str, Learned],
    losses: LossCurves,
    top: int,
    trained: Sequence[TrainedNetwork],
) -> str:
    """Return the body of the page."""
    trials = [trial for run in runs for trial in run.record.trials.values()]

    if any(trial.reward is not None for trial in trials):
        best = best_section(ranking, top, names_run=len(runs) > 1)
        latencies = latencies_section(
            [run.name for run in runs], [run.record for run in runs], [run.latencies for run in runs]
        )
        parts = [_progress(runs, curves), best, baselines_section(runs, ranking), trained_section(trained, runs)]
        parts += [_trade_off(), latencies]
        parts += [_learned(runs, learned), importance_section(runs), resolution_section(runs)]
    else:
        parts = [section("Progress", note("No trial has a reward yet.")), baselines_section(runs, ranking)]

    if losses.index:
        parts.append(_training_curves(losses, len({trial.rung for trial in trials})))
    if any("loss" in trial.metrics and trial.status == "completed" for trial in trials):
        text = note("Each point is a trial: the last training loss against the reward.")
        parts.append(section("Training loss", text, plot_place("loss", "middle", "reward against loss")))

    parts += [_failures(runs), _table(), _configuration(runs)]
    return "\n".join(part for part in parts if part)


def _progress(runs: Sequence[ReportedRun], curves: Mapping[str, MeanCurve]) -> str:
    plot = plot_place("progress", "tall", "reward against results")
    if len(runs) == 1:
        return section("Reward of each trial, and the best so far", plot)

    text = "Mean over the runs of a group, as far as its shortest goes; the band is the 95 % interval of the mean, by "
    text += "bootstrap over runs. Thin lines are single runs."
    heads = ("controller", "runs", "results each", "mean of the best", "95 % interval", "best of all")
    groups = enumerate(curves.items())
    rows = [_curve_row(number, group, curve, runs) for number, (group, curve) in groups]
    return section("Best reward so far", note(text), plot, table_of(heads, rows, numbers_from=1))


def _curve_row(number: int, group: str, curve: MeanCurve, runs: Sequence[ReportedRun]) -> str:
    # A run without results has no last point.
    best = [float(best_so_far(runs[i].record)[-1]) for i in curve.runs if len(runs[i].record.told)]
    cells = (
        f"{len(curve.runs)}",
        f"{curve.results[-1]:,}" if curve.results else "",
        f"{curve.mean[-1]:.4f}" if curve.mean else "no reward",
        f"{curve.low[-1]:.4f} to {curve.high[-1]:.4f}" if curve.low else "",
        f"{max(best):.4f}" if best else "",
    )

    swatch = f'<span class="swatch" data-group="{number}"></span>'
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f"<tr><td>{swatch}{escape(group)}</td>{numbers}</tr>"


def _trade_off() -> str:
    text = "Trained trials. The front joins those that no other beats on both axes; costs and loss are to be low."
    axes = (("y", "Vertical"), ("x", "Horizontal"), ("rung", "Training"))
    controls = "".join(f'<label>{name} <select id="axis-{id}"></select></label>' for id, name in axes)
    plot = plot_place("trade-off", "tall", "one figure of the trials against another, with the front")
    return section("What it costs", note(text), f'<div class="controls">{controls}</div>', plot)


def _learned(runs: Sequence[ReportedRun], learned: Mapping[str, Learned]) -> str:
    heading = "What the search learned"
    if not learned:
        text = f"Too few trials: the best tenth says something from {MIN_ARCHITECTURES} different architectures on."
        return section(heading, note(text))

    text = "How often each choice occurs in the best tenth of the architectures, against all that were tried. "
    text += "Whiskers are 95 % intervals, by bootstrap over architectures; where all of the best agree there is none."
    old = runs_without_decisions([run for run in runs if run.group in learned])
    if old:
        which = ", ".join(old) if len(runs) > 1 else "this run"
        text += f" Of {which}, recorded by an older version without the decisions of the space, the specs are counted:"
        text += " levels, kinds and connections."

    controls = '<label>Controller <select id="learned-group"></select></label><output id="learned-count"></output>'
    holder = '<div class="panels" id="learned"></div>'
    return section(heading, note(text), f'<div class="controls">{controls}</div>', holder)


def _training_curves(losses: LossCurves, num_rungs: int) -> str:
    text = "Each line is a trial: the mean loss in equal parts of its training, each at its end."
    if min(losses.done) < 1:
        text += " Grey ones were stopped where they end."
    if len(losses.index) < losses.num_found:
        of_which = " of each rung" if num_rungs > 1 else ""
        text += f" Here are {len(losses.index):,} of {losses.num_found:,}: the best {NUM_BEST}{of_which}, and others "
        text += "evenly spaced over the ranking of the rest."

    controls = '<div class="controls"><label>Training <select id="training-rung"></select></label></div>'
    plot = plot_place("training", "tall", "training loss against the share of the training that is done")
    return section("Training curves", note(text), controls, plot)


def _failures(runs: Sequence[ReportedRun]) -> str:
    rows = failure_rows(runs)
    if not rows:
        return section("Failures", note("No trial failed."))
    most = max(row.num_trials + row.num_retried for row in rows)
    heads = ("kind", "trials", "retried", "", "first", "message of the first")
    return section("Failures", table_of(heads, [_failure(row, most, len(runs) > 1) for row in rows]))


def _failure(row: FailureRow, most: int, names_run: bool) -> str:
    where = f"trial {row.first_trial}" + (f" of {row.first_run}" if names_run else "")
    # The bar of the most frequent kind is 9 rem wide.
    width = 9 * (row.num_trials + row.num_retried) / most
    return (
        f'<tr><td>{escape(row.kind)}</td><td class="number">{row.num_trials or ""}</td>'
        f'<td class="number">{row.num_retried or ""}</td>'
        f'<td><span class="bar" style="width:{width:.2f}rem"></span></td>'
        f"<td>{escape(where)}</td><td>{escape(row.message)}</td></tr>"
    )


def _table() -> str:
    sizes = "".join(f"<option{' selected' if n == 25 else ''}>{n}</option>" for n in (10, 25, 100, 500))
    hint = "reward&gt;0.5 macs&lt;80M status:failed or any text"
    controls = (
        f'<label class="grow">Filter <input id="filter" type="search" placeholder="{hint}"></label>'
        '<label>Status <select id="status"><option value="">all</option></select></label>'
        f'<label>Rows <select id="page-size">{sizes}</select></label>'
        '<button type="button" id="previous">Previous</button><button type="button" id="next">Next</button>'
        '<output id="count"></output>'
    )

    # The page's script fills in heads and rows, as many rows as are shown at a time.
    table = '<table class="trials"><thead><tr id="heads"></tr></thead><tbody id="rows"></tbody></table>'
    body = f'<div class="controls">{controls}</div><div class="scroll">{table}</div>'
    return f'<section id="trials"><h2>All trials</h2>{body}</section>'


def _configuration(runs: Sequence[ReportedRun]) -> str:
    different = differing_options([run.options for run in runs])
    same = {name: text for name, text in runs[0].options.items() if name not in different}

    parts = []
    if different:
        parts.append(f'<div class="scroll">{_options_table(runs, different)}</div>')
    parts.append(details("Options of all runs" if len(runs) > 1 else "Options", _pairs(same, "options")))
    return section("Configuration", *parts, *_versions(runs))


def _options_table(runs: Sequence[ReportedRun], different: Mapping[str, Sequence[str]]) -> str:
    # Both stand in columns of their own.
    hidden = ("run", "controller._target_")
    shown = {name: texts for name, texts in different.items() if name not in hidden}

    rows = []
    for i, run in enumerate(runs):
        texts = (run.name, run.group, *(values[i] for values in shown.values()))
        cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
        rows.append(f"<tr>{cells}</tr>")
    return table_of(("run", "controller", *shown), rows)


def _versions(runs: Sequence[ReportedRun]) -> list[str]:
    """Return the packages' versions, once for all runs that have the same."""
    # As text, since a mapping cannot be a key.
    names_of: dict[str, list[str]] = {}
    for run in runs:
        names_of.setdefault(json.dumps(run.record.created.versions), []).append(run.name)

    parts = []
    for text, names in names_of.items():
        which = f" of {', '.join(names)}" if len(names_of) > 1 else ""
        parts.append(details(f"Versions{which}", _pairs(json.loads(text), "versions")))
    return parts


def _pairs(texts: Mapping[str, str], kind: str) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(text))}</td></tr>" for name, text in texts.items())
    return f'<table class="{kind}"><tbody>{rows}</tbody></table>'
