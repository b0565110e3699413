"""The latencies of a report: the architectures by the devices that they were timed on, each with its front."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from foundation import first_error, short_path
from nas.options.configuration import options_of
from nas.record.comparison import compares, furthest_rung
from nas.record.parts import recorded_part
from nas.record.record import Record
from nas.record.trial import Trial, best_trials
from nas.reporting.markup import note, section, table_of
from nas.terminal.figures import figure_of
from proxy_tasks.timing.kept import FOLDER, KeptLatency
from search_space import ModelScale
from search_space.spec import short_key

LATENCY, SPREAD = "latency_ms/", "latency_spread_ms/"
"""Beginnings of the names of metrics, which end in the conditions of the measurement."""

_TEXT = (
    "For each program and device that networks were timed on, those that no other beats in both. The latency is the "
    "median of so many runs, after others to warm up; the middle half of them lies within the spread. The axes above "
    "have every architecture that was timed."
)


@dataclass(frozen=True, slots=True)
class Timed:
    """An architecture that was timed.

    Attributes:
        run: name of its run.
        trial: its best trial.
        score: what is to be high.
        latency_ms: what is to be low.
        spread_ms: of the times; None where that is not on record.
    """

    run: str
    trial: Trial
    score: float
    latency_ms: float
    spread_ms: float | None


def read_latencies(run: Path, record: Record, warn: Callable[[str], None]) -> Mapping[str, Mapping[str, float]]:
    """Return what nas.profile has left in a run, as metrics by the key of the architecture.

    Args:
        run: the run folder.
        record: what its journal says.
        warn: called with a line on each file that cannot be used, or is a link.
    """
    folder = run / FOLDER
    scale = recorded_part(ModelScale, record.created.config, "scale") if "scale" in record.created.config else None
    latencies: list[KeptLatency] = []
    for path in sorted(folder.glob("*.json")):
        if folder.is_symlink() or path.is_symlink():
            warn(f"{short_path(path)} is left out: no link is followed in a run")
            continue
        try:
            latencies.append(KeptLatency.model_validate_json(path.read_bytes()))
        except OSError as error:
            warn(f"{short_path(path)} is left out: {error.strerror}")
        except ValidationError as error:
            warn(f"{short_path(path)} is left out: {first_error(error)}")

    scaled = (trial for trial in record.trials.values() if trial.scale is not None)
    of_own_scale = {(trial.spec.key, trial.scale): trial.key for trial in scaled}

    # What was measured again stands in the place of the first.
    found: dict[str, dict[str, float]] = {}
    for kept in sorted(latencies, key=lambda kept: kept.measured_at):
        # An architecture with a scale of its own was timed as what it is at that scale alone.
        key = of_own_scale.get((kept.subject.key, kept.subject.scale))
        label = _label(kept, scale if key is None else kept.subject.scale)
        own = found.setdefault(kept.subject.key if key is None else key, {})
        own |= {f"{LATENCY}{label}": kept.median_ms, f"{SPREAD}{label}": kept.latency.spread_ms}
    return found


def latencies_section(
    names: Sequence[str], records: Sequence[Record], profiled: Sequence[Mapping[str, Mapping[str, float]]]
) -> str:
    """Return a table of the front for each device; empty where nothing was timed.

    Args:
        names: of the runs.
        records: what their journals say.
        profiled: what nas.profile has left in each, by the key of the architecture.
    """
    trials = [trial for record in records for trial in record.trials.values()]
    rung = furthest_rung(trials)
    score = _score_of(records)

    ambiguous = _ambiguous_labels(records)
    timed: dict[str, list[Timed]] = {}
    for name, record, found in zip(names, records, profiled, strict=True):
        furthest = {number: trial for number, trial in record.trials.items() if compares(trial, rung)}
        for trial in best_trials(furthest):
            metrics = {"reward": trial.reward or 0.0, **trial.metrics, **found.get(trial.key, {})}
            for metric in [metric for metric in metrics if metric.startswith(LATENCY) and score in metrics]:
                label = metric.removeprefix(LATENCY)
                one = Timed(name, trial, metrics[score], metrics[metric], metrics.get(f"{SPREAD}{label}"))
                own = f"{label}, set-up {_set_up(record)}" if label in ambiguous and metric in trial.metrics else label
                timed.setdefault(own, []).append(one)

    if not timed:
        return ""
    parts = [_table(label, timed[label], score, names_run=len(names) > 1) for label in sorted(timed)]
    return section("What it takes, by device", note(_TEXT), *parts)


def front_of(timed: Sequence[Timed]) -> list[Timed]:
    """Return those that no other beats: as high a score in as little time, and better in one; the fastest first."""
    front: list[Timed] = []
    for one in sorted(timed, key=lambda one: (one.latency_ms, -one.score)):
        if not front or one.score > front[-1].score:
            front.append(one)
    return front


def _score_of(records: Sequence[Record]) -> str:
    """Return the metric that all these searches maximise, which no cost changes; the reward where they differ."""
    maximised = {dict(options_of(record.created.config)).get("reward.metric") for record in records}
    (metric,) = maximised if len(maximised) == 1 else (None,)
    return str(metric or "reward")


def _label(kept: KeptLatency, scale: ModelScale | None) -> str:
    """Return the conditions of a measurement with its network, which may be another than the search trained."""
    subject, conditions = kept.subject, kept.subject.conditions
    height, width = conditions.image_size_px
    network = f"{subject.head} of {subject.num_classes} classes, batch {conditions.batch_size} of {height} x {width} px"
    command = "" if subject.command is None else f", command {_digest(subject.command)}"
    other = "" if scale == subject.scale else f", at another scale {_digest(asdict(subject.scale))}"
    return f"{conditions.label}: {network}{command}{other}"


def _ambiguous_labels(records: Sequence[Record]) -> set[str]:
    """Return the labels of measurements by which searches of different commands or scales went."""
    set_ups: dict[str, set[str]] = {}
    for record in records:
        names = {name for trial in record.trials.values() for name in trial.metrics if name.startswith(LATENCY)}
        for name in names:
            set_ups.setdefault(name.removeprefix(LATENCY), set()).add(_set_up(record))
    return {label for label, several in set_ups.items() if len(several) > 1}


def _set_up(record: Record) -> str:
    """Return a short name of the command and the scale that a search timed its networks by."""
    options = dict(options_of(record.created.config))
    command = options.get("task.latency.command")
    scale = {name: value for name, value in options.items() if name.startswith("scale.")}
    return _digest([command, scale])


def _digest(value: str | Sequence[Any] | Mapping[str, Any]) -> str:
    """Return a short name of a value, by which two that differ are told apart."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:6]


def _table(label: str, timed: Sequence[Timed], score: str, *, names_run: bool) -> str:
    front = front_of(timed)
    heads = [figure_of(name).title for name in (score, "latency_ms", "latency_spread_ms")]
    rows = [_row(one, score, names_run=names_run) for one in front]
    table = table_of(["architecture", *heads], rows, numbers_from=1)
    heading = f"<h3>{escape(label)}</h3>"
    return f'{heading}{note(f"{len(front)} of {len(timed)} architectures")}<div class="scroll">{table}</div>'


def _row(one: Timed, score: str, *, names_run: bool) -> str:
    name = f"{one.run}, trial {one.trial.number}" if names_run else f"trial {one.trial.number}"
    spread = "" if one.spread_ms is None else f"{one.spread_ms:.3g}"
    figures = (figure_of(score).text(one.score), f"{one.latency_ms:.4g}", spread)
    numbers = "".join(f'<td class="number">{text}</td>' for text in figures)
    return f"<tr><td>{escape(name)} {short_key(one.trial.key)}</td>{numbers}</tr>"
