"""The line of a trial or of a baseline that has ended, in columns that suit the width of the terminal."""

from nas.record.baselines import Baseline
from nas.record.trial import Trial
from nas.terminal.tables import describe
from search_space.spec import SHORT_KEY_LENGTH, short_key

BEST_MARK = " best"
"""Stands behind the line of a trial whose reward is the best so far."""

_MIN_OUTCOME_WIDTH = len("reward 0.6052  76.9M MACs  1234 s")
_MAX_OUTCOME_WIDTH = len("reward 0.6052  same as trial 10, not trained again")
_FORM_WIDTH = 44
"""Columns of the short form of fifteen blocks that all have a letter."""


def trial_line(trial: Trial, num_done: int, num_trials: int, width: int | None) -> str:
    """Return the line of a trial: how many have ended, its number, its key, its outcome, its blocks in short form.

    It may be longer than the terminal is wide; then its end can be cut off: the blocks, or the last words of a failure.

    Args:
        trial: the trial.
        num_done: how many trials have ended.
        num_trials: how many the run is to have.
        width: columns of the terminal; None where lines may have any length.
    """
    head = f"[{num_done}/{num_trials}] trial {trial.number}"
    head_width = len(f"[{num_trials}/{num_trials}] trial {num_trials}")

    # Outcomes are as wide as they can be beside whole blocks, so that these stand below one another.
    outcome_width = _MAX_OUTCOME_WIDTH
    if width is not None:
        others = head_width + SHORT_KEY_LENGTH + _FORM_WIDTH + len(BEST_MARK) + 3 * len("  ")
        outcome_width = min(max(width - others, _MIN_OUTCOME_WIDTH), _MAX_OUTCOME_WIDTH)

    outcome = f"{describe(trial):<{outcome_width}}"
    return f"{head:<{head_width}}  {short_key(trial.key)}  {outcome}  {trial.candidate.short_form}"


def baseline_line(baseline: Baseline) -> str:
    """Return the line of a baseline, which has no number and no key."""
    return f"baseline {baseline.name}  {describe(baseline)}"
