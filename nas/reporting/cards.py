"""The cards of the best architectures: what stands on the page, and what a card opens to."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nas.drawing import architecture_svg
from nas.record.trial import Trial, best_trials, ranking_key
from nas.reporting.runs import ReportedRun
from nas.terminal.figures import shown_figures
from search_space import ArchSpec, SpecFile
from search_space.spec import NUM_STEM_PARENTS, short_form


@dataclass(frozen=True, slots=True)
class Card:
    """One of the best architectures, as the page's script opens and compares it.

    Attributes:
        title: the trial, and its run where there are several.
        figures: its reward and other figures, in words.
        blocks: each block in words, by its name, in order of computation.
        spec_file: the text of a spec file, which every command with `spec=` reads.
    """

    title: str
    figures: str
    blocks: dict[str, str]
    spec_file: str


def best_of_all(runs: Sequence[ReportedRun], top: int) -> list[tuple[ReportedRun, Trial]]:
    """Return the best architectures of all runs, with the run of each."""
    ranked = [(run, trial) for run in runs for trial in best_trials(run.record.trials, top)]

    # Trial numbers of different runs do not compare: where rewards are equal, runs keep their order.
    ranked.sort(key=lambda pair: ranking_key(pair[1])[:2])
    return ranked[:top]


def cards(runs: Sequence[ReportedRun], top: int) -> tuple[Card, ...]:
    """Return what the best architectures' cards open to, in the order of the cards."""
    return tuple(_card(run, trial, names_run=len(runs) > 1) for run, trial in best_of_all(runs, top))


def cards_html(runs: Sequence[ReportedRun], top: int) -> str:
    """Return the cards, each with the large drawing that it opens to."""
    articles = [
        _article(rank, run, trial, names_run=len(runs) > 1)
        for rank, (run, trial) in enumerate(best_of_all(runs, top), start=1)
    ]
    return f'<div class="cards">{"".join(articles)}</div>'


def _card(run: ReportedRun, trial: Trial, *, names_run: bool) -> Card:
    file = SpecFile(schema_version=1, name=f"{run.name}-{trial.number}", key=trial.spec.key, spec=trial.spec)
    return Card(
        title=_title(run, trial, names_run=names_run),
        figures=", ".join((f"reward {trial.reward:.4f}", *_figures(trial))),
        blocks=_block_words(trial.spec),
        spec_file=file.model_dump_json(indent=1, exclude_none=True),
    )


def _article(rank: int, run: ReportedRun, trial: Trial, *, names_run: bool) -> str:
    words = ", ".join((_title(run, trial, names_run=names_run), *_figures(trial)))

    # The large drawing waits in a template: a browser parses it, and draws it once the card is opened.
    return (
        f'<article class="card"><header><h3>{rank}</h3><span class="reward">{trial.reward:.4f}</span></header>'
        f'<p class="costs">{escape(words)}</p>'
        f"<figure>{architecture_svg(trial.spec, compact=True)}</figure>"
        f'<p class="spec">{escape(short_form(trial.spec.blocks))}</p>'
        f'<footer><span class="key">{escape(trial.key)}</span><button type="button" hidden>Open</button></footer>'
        f"<template>{architecture_svg(trial.spec)}</template></article>"
    )


def _title(run: ReportedRun, trial: Trial, *, names_run: bool) -> str:
    return f"trial {trial.number}" + (f" of {run.name}" if names_run else "")


def _figures(trial: Trial) -> list[str]:
    words = [f"rung {trial.rung}"] if trial.rung else []
    if trial.numerics is not None:
        words.append(str(trial.numerics))
    for figure in shown_figures(trial.metrics, "card"):
        # A metric that is the reward itself stands above already.
        if trial.metrics[figure.name] != trial.reward:
            words.append(figure.report_words(trial.metrics[figure.name]))
    return words


def _block_words(spec: ArchSpec) -> dict[str, str]:
    """Return each block in words, by its name: the stem's count from 1, the others are named by their feature."""
    stem = [f"stem {number}" for number in range(1, len(spec.stem) + 1)]
    words = {name: f"level {block.level}, {block.kind}" for name, block in zip(stem, spec.stem, strict=True)}

    # Parents count features: the last blocks of the stem, then all others.
    names = stem[-NUM_STEM_PARENTS:]
    for block in spec.blocks:
        parents = " and ".join(names[parent] for parent in block.parents)
        name = str(len(names))
        words[name] = f"level {block.level}, {block.kind}, from {parents}{', output' if block.is_output else ''}"
        names.append(name)
    return words
