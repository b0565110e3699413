"""The cards of the best architectures: what stands on the page, and what a card opens to."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from nas.drawing import architecture_svg
from nas.record.ranking import Row
from nas.record.trial import Trial
from nas.reporting.ranked import RankedArchitecture
from nas.reporting.runs import ReportedRun
from nas.terminal.figures import shown_figures
from nas.terminal.seed_line import MARK
from search_space import ArchSpec, SpecFile
from search_space.spec import NUM_STEM_PARENTS


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


def cards(ranked: Sequence[RankedArchitecture], *, names_run: bool) -> tuple[Card, ...]:
    """Return what the best architectures' cards open to, in the order of the cards."""
    return tuple(_card(one, names_run=names_run) for one in ranked)


def cards_html(ranked: Sequence[RankedArchitecture], *, names_run: bool) -> str:
    """Return the cards, each with the large drawing that it opens to."""
    articles = [_article(one, names_run=names_run) for one in ranked]
    return f'<div class="cards">{"".join(articles)}</div>'


def _card(ranked: RankedArchitecture, *, names_run: bool) -> Card:
    trial = ranked.row.trial
    name = f"{ranked.run.name}-{trial.number}"
    file = SpecFile(schema_version=1, name=name, key=trial.candidate.key, spec=trial.spec, scale=trial.scale)
    reward = "mean reward" if ranked.row.replayed else "reward"
    return Card(
        title=_title(ranked.run, trial, names_run=names_run),
        figures=", ".join((f"{reward} {reward_text(ranked.row)}", *_replay_words(ranked.row), *_figures(trial))),
        blocks=_block_words(trial.spec),
        spec_file=file.model_dump_json(indent=1, exclude_none=True),
    )


def _article(ranked: RankedArchitecture, *, names_run: bool) -> str:
    trial = ranked.row.trial
    title = _title(ranked.run, trial, names_run=names_run)
    words = ", ".join((title, *_replay_words(ranked.row), *_figures(trial)))
    mark = MARK if ranked.row.standing == "may be as good" else ""

    # The large drawing waits in a template: a browser parses it, and draws it once the card is opened.
    return (
        f'<article class="card"><header><h3>{ranked.rank}{mark}</h3>'
        f'<span class="reward">{reward_text(ranked.row)}</span></header>'
        f'<p class="costs">{escape(words)}</p>'
        f"<figure>{architecture_svg(trial.spec, compact=True)}</figure>"
        f'<p class="spec">{escape(trial.candidate.short_form)}</p>'
        f'<footer><span class="key">{escape(trial.key)}</span><button type="button" hidden>Open</button></footer>'
        f"<template>{architecture_svg(trial.spec)}</template></article>"
    )


def reward_text(row: Row) -> str:
    """Return what a row is ranked by, with its deviation over seeds where it has one."""
    mean = row.ranked_by
    return f"{mean.mean:.4f}" if mean.deviation is None else f"{mean.mean:.4f} ± {mean.deviation:.4f}"


def _replay_words(row: Row) -> list[str]:
    """Return how often an architecture was trained again, and what the search itself had measured."""
    if row.replayed is None:
        return []
    number = row.replayed.num_trainings
    return [f"mean of {number} trainings" if number > 1 else "replayed once", f"{row.trial.reward:.4f} in the search"]


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
