"""The baselines of a report: a table below the best architectures, without ranks."""

from collections.abc import Sequence
from html import escape

from nas.record.baselines import Baseline
from nas.record.comparison import compares
from nas.record.ranking import BaselineRow
from nas.record.trial import Trial, best_trials
from nas.reporting.markup import note, section, table_of
from nas.reporting.ranked import ReportRanking, mean_texts
from nas.reporting.runs import ReportedRun
from nas.terminal.figures import Figure, shown_figures

_TEXT = (
    "Networks that the task trained once each beside the trials, with their fidelity and their seed; the search heard "
    "nothing of them."
)
_OF_SINGLE = (
    "The best of many trials is partly the luckiest, so a small distance says little. This trains them and the best "
    "with several seeds:"
)
_OF_REPLAYED = "Means are over replays that trained them and the best architectures with other seeds."
_MEAN_HEADS = ("mean over seeds", "deviation over seeds", "trainings")


def baselines_section(runs: Sequence[ReportedRun], ranking: ReportRanking) -> str:
    """Return the baselines of each run below its best architecture; empty where there are none."""
    if not ranking.baselines:
        return ""

    names = {name for row in ranking.baselines for name in row.baseline.metrics}
    figures = [figure for figure in shown_figures(names, "card") if figure.name not in ("reward", "seconds")]
    has_means = any(row.replayed is not None for row in ranking.baselines)

    # A distance of means stands in the line above the table, with its interval.
    heads = ["network", *(_MEAN_HEADS if has_means else ()), "reward", *(() if has_means else ("best less this",))]
    heads += [*(figure.title for figure in figures), "seconds"]
    # As in the lists of options, a single run is not named.
    names_run = len(runs) > 1
    if names_run:
        heads.insert(0, "run")

    rows: list[str] = []
    for run in runs:
        own = [row for row in ranking.baselines if row.run in (run.name, "")]
        if own and has_means:
            rows += _replayed_rows(run, own, ranking, figures, names_run=names_run)
        elif own:
            rows += _rows(run, own, figures, names_run=names_run)
    table = table_of(heads, rows, numbers_from=2 if names_run else 1)

    notes = [_TEXT]
    if has_means:
        notes = [f"{_TEXT} {_OF_REPLAYED}", ranking.comparison_line()]
    elif ranking.replay_command:
        notes = [f"{_TEXT} {_OF_SINGLE} {ranking.replay_command}"]
    return section("Baselines", *(note(text) for text in notes if text), f'<div class="scroll">{table}</div>')


def _replayed_rows(
    run: ReportedRun, own: Sequence[BaselineRow], ranking: ReportRanking, figures: Sequence[Figure], *, names_run: bool
) -> list[str]:
    """Return the best architecture of a run and its baselines with their means over seeds."""
    first = [run.name] if names_run else []
    rows = []
    best = next((one.row for one in ranking.architectures if one.run is run), None)
    if best is not None:
        cells = (*mean_texts(best.replayed), _reward(best.trial))
        rows.append(_row([*first, f"best: trial {best.trial.number}"], cells, best.trial, figures))
    for row in own:
        cells = (*mean_texts(row.replayed), _reward(row.baseline))
        rows.append(_row([*first, f"baseline {row.baseline.name}"], cells, row.baseline, figures))
    return rows


def _rows(run: ReportedRun, own: Sequence[BaselineRow], figures: Sequence[Figure], *, names_run: bool) -> list[str]:
    """Return the best trial that was trained as the baselines of a run were, and how far it is from each."""
    first = [run.name] if names_run else []
    first_rung = {number: trial for number, trial in run.record.trials.items() if compares(trial)}
    best = next(iter(best_trials(first_rung, 1)), None)

    rows = []
    if best is not None:
        rows.append(_row([*first, f"best: trial {best.number}"], (_reward(best), ""), best, figures))
    for baseline in (row.baseline for row in own):
        distance = ""
        if best is not None and best.reward is not None and baseline.reward is not None:
            distance = f"{best.reward - baseline.reward:+.4f}"
        rows.append(_row([*first, f"baseline {baseline.name}"], (_reward(baseline), distance), baseline, figures))
    return rows


def _row(texts: Sequence[str], numbers: Sequence[str], result: Trial | Baseline, figures: Sequence[Figure]) -> str:
    values = [figure.text(result.metrics[figure.name]) if figure.name in result.metrics else "" for figure in figures]
    seconds = f"{sum(result.seconds.values()):.0f}" if result.seconds else ""

    cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
    shown = "".join(f'<td class="number">{escape(text)}</td>' for text in (*numbers, *values, seconds))
    return f"<tr>{cells}{shown}</tr>"


def _reward(result: Trial | Baseline) -> str:
    """Return the reward of a single training, or what it failed with."""
    if result.failure is not None:
        return result.failure.kind
    return "" if result.reward is None else f"{result.reward:.4f}"
