"""The cost of a search before it starts, in a terminal."""

from collections.abc import Sequence

from rich.table import Table

from nas.engine.cost import MeasuredCost, Trainings
from nas.terminal.figures import count


def cost_table(
    search: Sequence[Trainings],
    plain: Trainings,
    baselines: Trainings,
    num_images: int | None,
    seconds_per_epoch: float | None,
) -> Table:
    """Return a row for each sort of training, one for all of them, and one for the plain search.

    Args:
        search: the trainings of the search.
        plain: those of the plain search.
        baselines: those beside both; there may be none.
        num_images: images of an epoch; None where the task has none.
        seconds_per_epoch: time of a worker for one; None where it is not known.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    heads = ["trainings", "epochs each", "epochs"]
    heads += ["image passes"] if num_images is not None else []
    heads += ["hours of a worker"] if seconds_per_epoch is not None else []
    for head in (*heads, "of the plain search"):
        table.add_column(head, justify="right")

    def row(name: str, number: int, each: str, epochs: tuple[float, float]) -> None:
        texts = [f"{number:,}", each, _range(epochs)]
        texts += [_range(epochs, num_images)] if num_images is not None else []
        texts += [_range(epochs, seconds_per_epoch / 3600)] if seconds_per_epoch is not None else []
        table.add_row(name, *texts, _share(epochs, plain.total_epochs[1] + baselines.total_epochs[1]))

    rows = [*search, *([baselines] if baselines.number else [])]
    for one in rows:
        row(one.name, one.number, f"{one.epochs:g}", one.total_epochs)
    low, high = (sum(one.total_epochs[end] for one in rows) for end in (0, 1))
    if len(rows) > 1:
        row("all", sum(one.number for one in rows), "", (low, high))
    both = plain.total_epochs[1] + baselines.total_epochs[1]
    row(plain.name, plain.number + baselines.number, f"{plain.epochs:g}", (both, both))
    return table


def rate_line(measured: MeasuredCost | None, images_per_trial: float | None) -> str:
    """Return what the hours rest on, or how they become known."""
    if measured is None:
        return "Hours are not known before a trial is on record: run it with num_trials=3, and ask again."
    of_trials = (
        f"of the {measured.num_trials} trials on record" if measured.num_trials > 1 else "of the trial on record"
    )
    rate = "" if images_per_trial is None else f", {images_per_trial / measured.seconds:,.1f} images a second"
    return f"Hours are at the rate {of_trials}, {measured.seconds:,.1f} s each{rate}; workers share them."


def stopping_line(trainings: Trainings, measured: MeasuredCost | None) -> str:
    """Return what is known of the share of the first rung that stopping leaves."""
    if measured is not None and measured.share_done is not None:
        return f"Stopping leaves {measured.share_done:.0%} of a training with a limit, by those on record."
    least = trainings.share_done[0]
    return (
        f"What stopping saves is not known before trials are on record: at most {1 - least:.0%} of the first rung. "
        "nas.stopping says what it would have saved in runs that are there."
    )


def _range(ends: tuple[float, float], factor: float = 1.0) -> str:
    low, high = (_number(end * factor) for end in ends)
    return low if low == high else f"{low} to {high}"


def _share(ends: tuple[float, float], whole: float) -> str:
    low, high = (f"{end / whole:.0%}" for end in ends)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else count(value)
