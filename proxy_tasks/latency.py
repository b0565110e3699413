"""A latency: the time that a network takes, with the conditions that it was measured under, as values."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions under which a network is timed.

    Attributes:
        runtime: name and version of what runs the network, as `torch 2.9.0`; `command` for a command of one's own.
        device: name of the processor or GPU, with the number of threads; that of a command as the person calls it.
        precision: number format of the convolutions; TF32 is what cuDNN makes of float32 by default. For a command that
            of the file.
        batch_size: images a run.
        image_size_px: height and width.
        num_runs: how many are timed; calls of a command.
        num_warmups: runs before those that count; None where a command sees to that itself.
    """

    runtime: str
    device: str
    precision: str
    batch_size: int
    image_size_px: tuple[int, int]
    num_runs: int
    num_warmups: int | None

    @property
    def label(self) -> str:
        """The conditions as the name of a series of results; characters that no tracker takes are left out."""
        runs, warmups = self.num_runs, self.num_warmups
        times = f"{runs} calls" if warmups is None else f"{runs} runs after {warmups}"
        text = f"{self.runtime} {self.precision} on {self.device} {times}"
        return " ".join(re.sub(r"\((R|TM)\)|[^\w .:-]", " ", text, flags=re.ASCII).split())

    def __str__(self) -> str:
        height, width = self.image_size_px
        size = f"batch {self.batch_size} of {height} x {width} px"
        if self.num_warmups is None:
            return f"{size}, {self.precision} in the file, {self.device}, warm-up and threads as the command has them"
        return f"{size}, {self.precision}, {self.runtime}, {self.device}"


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one forward pass, and under which conditions it was taken.

    Attributes:
        median_ms: median of all runs.
        quartiles_ms: a quarter of the runs was faster than the first, a quarter slower than the second.
        conditions: how it was measured.
    """

    median_ms: float
    quartiles_ms: tuple[float, float]
    conditions: Conditions

    @property
    def spread_ms(self) -> float:
        """Distance of the quartiles: the middle half of the runs lies within it."""
        return self.quartiles_ms[1] - self.quartiles_ms[0]

    def __str__(self) -> str:
        low, high = self.quartiles_ms
        num_runs, num_warmups = self.conditions.num_runs, self.conditions.num_warmups
        runs = "call" if num_warmups is None else "run"
        of_which = f"{num_runs} {runs}{'' if num_runs == 1 else 's'}"
        if num_warmups is not None:
            of_which += f" after {num_warmups} to warm up"
        quartiles = f"{_figure(low)} and {_figure(high)}"
        return f"{_figure(self.median_ms)} ms, median of {of_which} (quartiles {quartiles}); {self.conditions}"


def latency_of(times: Sequence[float], conditions: Conditions) -> Latency:
    """Return the latency that times in milliseconds, one or more, amount to."""
    # Of a single time there are no quartiles but itself.
    several = times if len(times) > 1 else [*times, *times]
    first, median, third = statistics.quantiles(several, n=4, method="inclusive")
    return Latency(median, (first, third), conditions)


def _figure(milliseconds: float) -> str:
    """Return milliseconds with three digits or more, without an exponent."""
    digits = 1 if milliseconds >= 10 else 2 if milliseconds >= 1 else 3
    return f"{milliseconds:.{digits}f}"
