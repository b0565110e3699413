"""What the page says in words and tables, as HTML; every text in it is escaped here."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape

from nas.drawing import architecture_svg
from nas.record.trial import Trial, best_trials, place
from nas.reporting.curves import MeanCurve, best_so_far
from nas.reporting.failures import FailureRow, failure_rows
from nas.reporting.loss_curves import NUM_BEST, LossCurves
from nas.reporting.occurrence import MIN_ARCHITECTURES, Learned
from nas.reporting.runs import ReportedRun, cautions, differing_options
from nas.terminal.figures import count, duration
from search_space.spec import short_form

_PLOT = '<div class="plot {size}" id="{id}" role="img" aria-label="{label}"></div>'


def title(runs: Sequence[ReportedRun]) -> str:
    """Return what the page is about."""
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


def facts(runs: Sequence[ReportedRun]) -> str:
    """Return the figures that a reader looks for first."""
    trials = [trial for run in runs for trial in run.record.trials.values()]
    statuses = Counter(trial.status for trial in trials)
    ranked = sorted((trial for trial in trials if trial.reward is not None), key=place)
    names = {"completed": "trained", "reused": "known already", "rejected": "over a limit"}
    figures = [("trials", f"{len(trials):,}")]
    figures += [(names.get(status, status), f"{n:,}") for status, n in statuses.most_common()]
    if ranked:
        best = ranked[0]
        figures.insert(0, ("best reward", f"{best.reward:.4f}"))
        if "macs" in best.metrics:
            figures.insert(1, ("its multiply-adds", count(best.metrics["macs"])))
    if seconds := sum(sum(trial.seconds.values()) for trial in trials):
        figures.append(("time in trials", duration(seconds)))
    return "\n".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>" for name, text in figures)


def caution(runs: Sequence[ReportedRun]) -> str:
    """Return a warning where runs that are compared differ in more than what searched."""
    if not (names := cautions(runs)):
        return ""
    return f'<p class="caution">These runs differ in more than controller and seed: {escape(", ".join(names))}.</p>'


def sections(
    runs: Sequence[ReportedRun],
    curves: Mapping[str, MeanCurve],
    learned: Mapping[str, Learned],
    losses: LossCurves,
    top: int,
) -> str:
    """Return the body of the page."""
    trials = [trial for run in runs for trial in run.record.trials.values()]
    has_reward = any(trial.reward is not None for trial in trials)
    parts = [_progress(runs, curves) if has_reward else _section("Progress", _note("No trial has a reward yet."))]
    if has_reward:
        parts += [_best(runs, top), _trade_off(), _learned(learned)]
    if losses.row:
        parts.append(_training_curves(losses, len({trial.rung for trial in trials})))
    if any("loss" in trial.metrics and trial.status == "completed" for trial in trials):
        text = _note("Each point is a trial: the last training loss against the reward.")
        parts.append(_section("Training loss", text, _plot("loss", "middle", "reward against loss")))
    parts += [_failures(runs), _table(), _configuration(runs)]
    return "\n".join(parts)


def _progress(runs: Sequence[ReportedRun], curves: Mapping[str, MeanCurve]) -> str:
    plot = _plot("progress", "tall", "reward against results")
    if len(runs) == 1:
        return _section("Reward of each trial, and the best so far", plot)
    text = "Mean over the runs of a group, as far as its shortest goes; the band is the 95 % interval of the mean, by "
    text += "bootstrap over runs. Thin lines are single runs."
    rows = []
    for number, (group, curve) in enumerate(curves.items()):
        swatch = f'<span class="swatch" data-group="{number}"></span>'
        interval = f"{curve.low[-1]:.4f} to {curve.high[-1]:.4f}" if curve.low else ""
        best = [float(best_so_far(runs[i].record)[-1]) for i in curve.runs if len(runs[i].record.told)]
        last = f"{curve.results[-1]:,}" if curve.results else ""
        mean = f"{curve.mean[-1]:.4f}" if curve.mean else "no reward"
        cells = [f"{len(curve.runs)}", last, mean, interval, f"{max(best):.4f}" if best else ""]
        numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
        rows.append(f"<tr><td>{swatch}{escape(group)}</td>{numbers}</tr>")
    heads = ("runs", "results each", "mean of the best", "95 % interval", "best of all")
    return _section("Best reward so far", _note(text), plot, _table_of(("controller", *heads), rows, numbers_from=1))


def _best(runs: Sequence[ReportedRun], top: int) -> str:
    ranked = [(run, trial) for run in runs for trial in best_trials(run.record.trials, top)]
    ranked.sort(key=lambda pair: place(pair[1])[:2])
    cards = [_card(rank, run, trial, len(runs) > 1) for rank, (run, trial) in enumerate(ranked[:top], start=1)]
    return _section("Best architectures", f'<div class="cards">{"".join(cards)}</div>')


def _card(rank: int, run: ReportedRun, trial: Trial, names_run: bool) -> str:
    metrics = trial.metrics
    words = [f"trial {trial.number}" + (f" of {run.name}" if names_run else "")]
    words += [f"rung {trial.rung}"] if trial.rung else []
    words += [f"AP {metrics['ap']:.4f}"] if "ap" in metrics and metrics["ap"] != trial.reward else []
    words += [f"{count(metrics['macs'])} multiply-adds"] if "macs" in metrics else []
    words += [f"{count(metrics['params'])} parameters"] if "params" in metrics else []
    words += [f"{metrics['latency_ms']:.1f} ms"] if "latency_ms" in metrics else []
    return (
        f'<article class="card"><header><h3>{rank}</h3><span class="reward">{trial.reward:.4f}</span></header>'
        f'<p class="costs">{escape(", ".join(words))}</p>'
        f"<figure>{architecture_svg(trial.spec, compact=True)}</figure>"
        f'<p class="spec">{escape(short_form(trial.spec.blocks))}</p>'
        f'<span class="key">{escape(trial.key)}</span></article>'
    )


def _trade_off() -> str:
    text = "Trained trials. The front joins those that no other beats on both axes; costs and loss are to be low."
    controls = "".join(
        f'<label>{name} <select id="axis-{id}"></select></label>'
        for id, name in (("y", "Vertical"), ("x", "Horizontal"), ("rung", "Training"))
    )
    plot = _plot("trade-off", "tall", "one figure of the trials against another, with the front")
    return _section("What it costs", _note(text), f'<div class="controls">{controls}</div>', plot)


def _learned(learned: Mapping[str, Learned]) -> str:
    heading = "What the search learned"
    if not learned:
        return _section(heading, _note(f"There is something to count from {MIN_ARCHITECTURES} architectures on."))
    text = "How often each choice occurs in the best tenth of the architectures, against all that were tried. "
    text += "Whiskers are 95 % intervals, by bootstrap over architectures."
    controls = '<label>Controller <select id="learned-group"></select></label><output id="learned-count"></output>'
    holder = '<div class="panels" id="learned"></div>'
    return _section(heading, _note(text), f'<div class="controls">{controls}</div>', holder)


def _training_curves(losses: LossCurves, num_rungs: int) -> str:
    text = "Each line is a trial: the mean loss in equal parts of its training, each at its end."
    if len(losses.row) < losses.num_found:
        of_which = " of each rung" if num_rungs > 1 else ""
        text += f" Here are {len(losses.row):,} of {losses.num_found:,}: the best {NUM_BEST}{of_which}, and others "
        text += "evenly spaced over the ranking of the rest."
    controls = '<div class="controls"><label>Training <select id="training-rung"></select></label></div>'
    plot = _plot("training", "tall", "training loss against the share of the training that is done")
    return _section("Training curves", _note(text), controls, plot)


def _failures(runs: Sequence[ReportedRun]) -> str:
    rows = failure_rows(runs)
    if not rows:
        return _section("Failures", _note("No trial failed."))
    most = max(row.num_trials + row.num_retried for row in rows)
    heads = ("kind", "trials", "retried", "", "first", "message of the first")
    return _section("Failures", _table_of(heads, [_failure(row, most, len(runs) > 1) for row in rows]))


def _failure(row: FailureRow, most: int, names_run: bool) -> str:
    where = f"trial {row.first_trial}" + (f" of {row.first_run}" if names_run else "")
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
    table = '<table class="trials"><thead><tr id="heads"></tr></thead><tbody id="rows"></tbody></table>'
    body = f'<div class="controls">{controls}</div><div class="scroll">{table}</div>'
    return f'<section id="trials"><h2>All trials</h2>{body}</section>'


def _configuration(runs: Sequence[ReportedRun]) -> str:
    options = [run.options for run in runs]
    hidden = ("run", "controller._target_")
    different = differing_options(options)
    shown = {name: texts for name, texts in different.items() if name not in hidden}
    same = {name: text for name, text in options[0].items() if name not in different}
    parts = []
    if different:
        texts = [(run.name, run.group, *(values[i] for values in shown.values())) for i, run in enumerate(runs)]
        rows = [f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in texts]
        parts.append(f'<div class="scroll">{_table_of(("run", "controller", *shown), rows)}</div>')
    shared = "of all runs" if len(runs) > 1 else ""
    parts.append(_details(f"Options {shared}".strip(), _pairs(same, "options")))
    versions = list(dict.fromkeys(json.dumps(run.record.created.versions) for run in runs))
    for text in versions:
        names = [run.name for run in runs if json.dumps(run.record.created.versions) == text]
        which = f" of {', '.join(names)}" if len(versions) > 1 else ""
        parts.append(_details(f"Versions{which}", _pairs(json.loads(text), "versions")))
    return _section("Configuration", *parts)


def _pairs(texts: Mapping[str, str], kind: str) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(str(text))}</td></tr>" for name, text in texts.items())
    return f'<table class="{kind}"><tbody>{rows}</tbody></table>'


def _details(heading: str, body: str) -> str:
    return f"<details><summary>{escape(heading)}</summary>{body}</details>"


def _section(heading: str, *parts: str) -> str:
    return f"<section><h2>{escape(heading)}</h2>{''.join(parts)}</section>"


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def _plot(id: str, size: str, label: str) -> str:
    return _PLOT.format(id=id, size=size, label=escape(label))


def _table_of(heads: Sequence[str], rows: Iterable[str], numbers_from: int | None = None) -> str:
    classes = ["text" if numbers_from is None or i < numbers_from else "number" for i in range(len(heads))]
    cells = zip(classes, heads, strict=True)
    shown = "".join(f'<th scope="col" class="{kind}">{escape(head)}</th>' for kind, head in cells)
    return f"<table><thead><tr>{shown}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
