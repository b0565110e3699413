"""The features of architectures that the rewards of a run depend on, as a section of its report."""

import math
from collections.abc import Sequence
from html import escape

from nas.assessment.importance import Importance, importance_of
from nas.record.comparison import compares
from nas.reporting.markup import note, section, table_of
from nas.reporting.occurrence import MIN_ARCHITECTURES
from nas.reporting.runs import ReportedRun
from search_space import Candidate

_TEXT = (
    "A model is fitted to the features of the architectures (docs/features.md), and asked for architectures that it "
    "has not seen. Then some features are shuffled among these: what its R² loses is what only they told. Intervals "
    "are 95 %, by bootstrap over architectures. Features that say the same share what they tell, and each seems to "
    "matter less; what a search never varied cannot be seen to matter."
)


def importance_section(runs: Sequence[ReportedRun]) -> str:
    """Return what the rewards of a run depend on; empty for several runs, and for too few architectures."""
    if len(runs) != 1:
        return ""
    scored: dict[str, tuple[Candidate, float]] = {}
    for trial in runs[0].record.trials.values():
        if trial.reward is not None and compares(trial):
            scored.setdefault(trial.key, (trial.candidate, trial.reward))

    if len(scored) < MIN_ARCHITECTURES:
        return ""
    candidates, rewards = zip(*scored.values(), strict=True)
    importance = importance_of(candidates, rewards)
    if math.isnan(importance.explained.value):
        return ""
    return section("What the reward depends on", note(_TEXT), note(_explained(importance)), _table(importance))


def _explained(importance: Importance) -> str:
    found = importance.explained
    figure = (
        f"R² {found.value:.2f} ({found.low:.2f} to {found.high:.2f}) over {importance.num_architectures} architectures"
    )
    if found.low > 0:
        return f"Of architectures that it has not seen the model explains {figure}."
    return f"Whether the model explains anything of architectures that it has not seen is not certain: {figure}."


def _table(importance: Importance) -> str:
    """Return those features whose part can be told from nothing, and how many others there are."""
    shown = [one for one in importance.features if one.lost.low > 0] if importance.explained.low > 0 else []
    others = len(importance.features) - len(shown)
    rows = [
        f'<tr><td>{escape(one.title)}</td><td class="number">{one.lost.value:.3f}</td>'
        f'<td class="number">{one.lost.low:.3f} to {one.lost.high:.3f}</td></tr>'
        for one in shown
    ]
    if not rows:
        return note("No group of features adds anything that can be told from zero.")
    rest = note(f"Groups of features that add nothing that can be told from zero: {others}.") if others else ""
    table = table_of(("features", "R² lost", "95 % interval"), rows, numbers_from=1)
    return f'<div class="scroll">{table}</div>{rest}'
