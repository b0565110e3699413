"""The baselines of a report: a table below the best architectures, without ranks."""

from collections.abc import Sequence
from html import escape

from nas.record.baselines import Baseline
from nas.record.comparison import compares
from nas.record.trial import Trial, best_trials
from nas.reporting.markup import note, section, table_of
from nas.reporting.runs import ReportedRun
from nas.terminal.figures import Figure, shown_figures

_TEXT = (
    "Networks that the task trained once each beside the trials, with their fidelity and their seed; the search heard "
    "nothing of them. The best of many trials is partly the luckiest, so a small distance says little: nas.replay with "
    "top=3 seeds=3 trains them and the best with several seeds."
)


def baselines_section(runs: Sequence[ReportedRun]) -> str:
    """Return the baselines of each run below the best trial that was trained as they were; empty where none are."""
    if not any(run.baselines for run in runs):
        return ""

    names = {name for run in runs for baseline in run.baselines for name in baseline.metrics}
    figures = [figure for figure in shown_figures(names, "card") if figure.name not in ("reward", "seconds")]
    # As in the lists of options, a single run is not named.
    heads = ["network", "reward", "best less this", *(figure.title for figure in figures), "seconds"]
    if len(runs) > 1:
        heads.insert(0, "run")

    rows: list[str] = []
    for run in runs:
        if run.baselines:
            rows += _rows(run, figures, names_run=len(runs) > 1)
    table = table_of(heads, rows, numbers_from=2 if len(runs) > 1 else 1)
    return section("Baselines", note(_TEXT), f'<div class="scroll">{table}</div>')


def _rows(run: ReportedRun, figures: Sequence[Figure], *, names_run: bool) -> list[str]:
    first_rung = {number: trial for number, trial in run.record.trials.items() if compares(trial)}
    best = next(iter(best_trials(first_rung, 1)), None)

    rows = [] if best is None else [_row(run, f"best: trial {best.number}", best, "", figures, names_run=names_run)]
    for baseline in run.baselines:
        distance = ""
        if best is not None and best.reward is not None and baseline.reward is not None:
            distance = f"{best.reward - baseline.reward:+.4f}"
        rows.append(_row(run, f"baseline {baseline.name}", baseline, distance, figures, names_run=names_run))
    return rows


def _row(
    run: ReportedRun, name: str, result: Trial | Baseline, distance: str, figures: Sequence[Figure], *, names_run: bool
) -> str:
    reward = "" if result.reward is None else f"{result.reward:.4f}"
    if result.failure is not None:
        reward = result.failure.kind
    values = [figure.text(result.metrics[figure.name]) if figure.name in result.metrics else "" for figure in figures]
    seconds = f"{sum(result.seconds.values()):.0f}" if result.seconds else ""

    texts = [run.name, name] if names_run else [name]
    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    numbers = "".join(f'<td class="number">{escape(text)}</td>' for text in (reward, distance, *values, seconds))
    return f"<tr>{cells}{numbers}</tr>"
