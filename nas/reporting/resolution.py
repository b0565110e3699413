"""The split of rewards by resolution paths: architectures with a path to an output against those without."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from statistics import median

from nas.record.comparison import compares
from nas.record.trial import Trial
from nas.reporting.markup import note, section, table_of
from nas.reporting.runs import ReportedRun
from search_space import ArchSpec
from search_space.resolution import levels_above

_TEXT = (
    "An output has a resolution path where some path from the stem leads to it on which no block is coarser than the "
    "output: else all that it sees has passed a coarser map. Rewards of architectures with such a path against those "
    "without, each once a run, in equally much training; space.resolution_paths=true searches the former alone."
)
_HEADS = ("output", "with a path", "lowest", "median", "highest", "without", "lowest", "median", "highest")


@dataclass(frozen=True, slots=True)
class Split:
    """The rewards of a run's architectures, by whether outputs have a resolution path.

    Attributes:
        output: in words.
        having: rewards of those that have one.
        lacking: rewards of those that lack it.
    """

    output: str
    having: tuple[float, ...]
    lacking: tuple[float, ...]


def splits_of(trials: Iterable[Trial]) -> list[Split]:
    """Return how the rule splits trials, for all outputs together and for each that splits them; none for no split.

    Architectures are counted once, and those rewards that compare with one another.
    """
    scored: dict[str, tuple[ArchSpec, float]] = {}
    for trial in trials:
        if trial.reward is not None and compares(trial):
            scored.setdefault(trial.key, (trial.spec, trial.reward))

    # Whatever made the journal: not every architecture needs an output of each level.
    found = [(levels_above(spec), reward) for spec, reward in scored.values()]
    splits = [_split("all", [(not any(above.values()), reward) for above, reward in found])]
    for level in sorted({level for above, _ in found for level in above}):
        splits.append(
            _split(f"level {level}", [(not above[level], reward) for above, reward in found if level in above])
        )
    return [split for split in splits if split.having and split.lacking]


def resolution_section(runs: Sequence[ReportedRun]) -> str:
    """Return how the rule splits the rewards of each run; empty where it splits none."""
    names_run = len(runs) > 1
    rows = []
    for run in runs:
        for split in splits_of(run.record.trials.values()):
            texts = [run.name, split.output] if names_run else [split.output]
            cells = "".join(f"<td>{escape(text)}</td>" for text in texts)
            numbers = "".join(
                f'<td class="number">{text}</td>' for text in (*_texts(split.having), *_texts(split.lacking))
            )
            rows.append(f"<tr>{cells}{numbers}</tr>")
    if not rows:
        return ""

    heads = ("run", *_HEADS) if names_run else _HEADS
    table = table_of(heads, rows, numbers_from=2 if names_run else 1)
    return section("Resolution paths", note(_TEXT), f'<div class="scroll">{table}</div>')


def _split(output: str, scored: Sequence[tuple[bool, float]]) -> Split:
    having = tuple(reward for has_path, reward in scored if has_path)
    lacking = tuple(reward for has_path, reward in scored if not has_path)
    return Split(output, having, lacking)


def _texts(rewards: Sequence[float]) -> tuple[str, ...]:
    return f"{len(rewards):,}", *(f"{value:.4f}" for value in (min(rewards), median(rewards), max(rewards)))
