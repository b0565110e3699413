"""Rules that stop trainings in a terminal: a row for each, with the savings and losses it would have had."""

from rich.table import Table

from nas.assessment.binomial import fewest_with_none
from nas.assessment.interval import Estimate
from nas.assessment.stopping import MAX_TOP_STOPPED, MAX_TOP_STOPPED_HIGH, RuleFigures, RulesAssessment
from nas.record.stopping import Stopping


def rules_table(assessment: RulesAssessment) -> Table:
    """Return a row for each rule."""
    first = assessment.rules[0]
    num_runs = len(assessment.runs)
    searches = "search" if num_runs == 1 else "searches"
    title = f"{first.num_trainings} trainings of {num_runs} {searches}, with 95 % intervals"
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    table.add_column("stopping.shares")
    for head in ("worst", "stopped", "image passes saved", "best tenth stopped", "best stopped"):
        table.add_column(head, justify="right")
    for figures in assessment.rules:
        rule = figures.stopping
        table.add_row(
            _shares_text(rule), f"{rule.worst:g}", *_texts(figures), f"{figures.num_best_stopped} of {num_runs}"
        )
    return table


def verdict_lines(assessment: RulesAssessment) -> list[str]:
    """Return which rules are safe, how they do where others have chosen them, and what the figures rest on."""
    goal = f"at most {MAX_TOP_STOPPED:.0%} of the best tenth stopped, with an upper bound of {MAX_TOP_STOPPED_HIGH:.0%}"
    safe = [figures for figures in assessment.rules if figures.is_safe]
    num_needed = fewest_with_none(MAX_TOP_STOPPED_HIGH)
    if safe:
        best = max(safe, key=lambda figures: figures.saved.value)
        lines = [f"Rules with {goal}: {len(safe)}; the one that saves most is {_rule_text(best.stopping)}."]
    else:
        lines = [f"No rule has {goal}."]
    if assessment.rules[0].num_top < num_needed:
        lines.append(
            f"{assessment.rules[0].num_top} of the best are too few to tell: where none of them is stopped, it takes "
            f"{num_needed}, of {10 * num_needed} trainings."
        )

    if assessment.chosen is not None:
        stopped, saved, top = _texts(assessment.chosen)
        num_none = assessment.left_out.count(None)
        without = f" ({num_none} of them without one)" if num_none else ""
        lines.append(
            f"Each search under the rule that the others would have chosen{without}: {stopped} of the trainings "
            f"stopped, {saved} of the image passes saved, {top} of the best tenth stopped."
        )
    elif assessment.left_out:
        lines.append("For none of the searches would the others have chosen a rule: each stops some of their best.")
    lines.append("Proposals are as they were: except for random search, a controller would have gone on otherwise.")
    return lines


def _texts(figures: RuleFigures) -> tuple[str, str, str]:
    """Return how many were stopped, what that saves, and how many of the best were among them."""
    top = f"{figures.num_top_stopped} of {figures.num_top}"
    return (
        f"{figures.num_stopped / figures.num_trainings:.0%}",
        _percent(figures.saved),
        f"{top} {_interval(figures.top_stopped)}",
    )


def _percent(estimate: Estimate) -> str:
    return f"{estimate.value:.0%} {_interval(estimate)}"


def _interval(estimate: Estimate) -> str:
    return f"[{estimate.low:.0%}, {estimate.high:.0%}]"


def _rule_text(stopping: Stopping) -> str:
    return f"stopping.shares={_shares_text(stopping)} stopping.worst={stopping.worst:g}"


def _shares_text(stopping: Stopping) -> str:
    return f"[{','.join(f'{share:g}' for share in stopping.shares)}]"
