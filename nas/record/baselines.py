"""The baselines of a run: networks that its proxy task trained beside the trials, each on record in a file of its own.

The journal knows nothing of them, so a search is the same with and without.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from foundation import InputError, first_error, short_path, write_whole
from nas.record.trial import Failure
from proxy_tasks import Numerics

FOLDER = "baselines"
"""Folder in a run that holds the files of its baselines."""


BASELINE_NAME = r"[\w.-]+"
"""The names that a baseline may have, each of them that of a file."""


class Baseline(BaseModel):
    """One baseline of a run, with the result of its training; the meaning of each value is that of a `Trial`.

    Attributes:
        schema_version: version of the file's layout.
        name: name of the network, as `r50-fpn`.
        status: `running` until its training has ended; the next start trains what is not `completed`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    schema_version: Literal[1] = 1
    name: str = Field(pattern=f"^{BASELINE_NAME}$")
    status: Literal["running", "completed", "failed"] = "running"
    reward: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    loss_curve: tuple[float, ...] = ()
    failure: Failure | None = None
    remarks: tuple[str, ...] = ()
    numerics: Numerics | None = None
    attempts: tuple[Failure, ...] = ()


def read_baselines(run: Path) -> tuple[Baseline, ...]:
    """Return the baselines that a run has on record, best first and those without a reward last; none for none.

    Raises:
        InputError: a file that is damaged; the message names it.
    """
    found = [_read(path) for path in sorted((run / FOLDER).glob("*.json"))]
    return tuple(sorted(found, key=lambda baseline: (baseline.reward is None, -(baseline.reward or 0.0))))


def with_replayed(own: Sequence[Baseline], replays: Iterable[Sequence[Baseline]]) -> tuple[Baseline, ...]:
    """Return the baselines of a run and, without a result of their own, those that its replays alone have trained."""
    names = {baseline.name for baseline in own}
    further = sorted({baseline.name for replay in replays for baseline in replay} - names)
    return (*own, *(Baseline(name=name, status="completed") for name in further))


def write_baseline(run: Path, baseline: Baseline) -> None:
    """Put a baseline on record, in place of what was there of it; on disk when this returns.

    Raises:
        InputError: it cannot be written.
    """
    content = baseline.model_dump_json(indent=1, exclude_none=True)
    write_whole(run / FOLDER / f"{baseline.name}.json", f"{content}\n".encode(), inside=run)


def _read(path: Path) -> Baseline:
    try:
        return Baseline.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {short_path(path)}: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(
            f"{short_path(path)}: {first_error(error)}; without this file the next start with baselines=true trains it "
            "again"
        ) from None
