"""The events of a run, as the lines of its journal hold them."""

import time
from dataclasses import fields
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, field_validator

from nas.record.trial import Failure
from proxy_tasks import LossLimit, Numerics
from proxy_tasks.base import check_share
from search_space import ArchSpec, BlockSpec, Decision, ModelScale

SCHEMA_VERSION: Final = 1
"""The layout of journals that this version writes and reads."""
MAX_RUNG = 20
"""More promotions than any search makes."""

MAX_TRIALS = 10_000_000
"""Most trials of a run; their journal has some 20 GB."""

_BLOCK = TypeAdapter(BlockSpec)
_NUM_BLOCK_FIELDS = len(fields(BlockSpec))


@lru_cache(maxsize=100_000)
def _shared_block(level: int, kind: str, parents: tuple[int, ...], is_output: bool) -> BlockSpec:
    return _BLOCK.validate_python({"level": level, "kind": kind, "parents": parents, "is_output": is_output})


def _with_shared_blocks(spec: Any) -> Any:  # noqa: ANN401  # what stands in the file
    """Put one object in place of all blocks that are equal: 100,000 specs then take half the memory to keep.

    What is no list of good blocks is left to the validation that follows, whose message names the place.
    """
    try:
        blocks = [_shared_if_whole(block) for block in spec["blocks"]]
    except (TypeError, KeyError, ValueError):
        return spec
    return {**spec, "blocks": blocks}


def _shared_if_whole(block: Any) -> Any:  # noqa: ANN401  # what stands in the file
    if len(block) != _NUM_BLOCK_FIELDS:
        return block
    return _shared_block(block["level"], block["kind"], tuple(block["parents"]), block["is_output"])


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    time: float = Field(default_factory=time.time)


class Created(_Event):
    """The first line of a journal, which says what the run is.

    Attributes:
        schema_version: version of the journal's layout.
        config: the whole configuration, resolved.
        versions: versions of the packages that do the work.
        begin_with: decisions of the first trials, which are proposed before the controller's own.
        decisions: what the space decides, with a word for each option; empty where an older version began the run.
        data: what stands for the content of the task's data, by its part; None where the task has none, or an older
            version began the run.
        data_places: options of the task that say where this data lies, as `data.root`; None where there are none, or an
            older version began the run.
        time: seconds since 1970, as in all events.
    """

    event: Literal["created"] = "created"
    schema_version: Literal[1] = SCHEMA_VERSION
    config: dict[str, Any]
    versions: dict[str, str]
    begin_with: tuple[tuple[int, ...], ...] = ()
    decisions: tuple[Decision, ...] = ()
    data: dict[str, str] | None = None
    data_places: tuple[str, ...] | None = None


class Asked(_Event):
    """A trial was proposed. Written before it runs.

    Attributes:
        key: of the candidate: of the spec alone, or of the spec and its scale.
        scale: its own scale; None where the space searches none, which keeps the line as older versions wrote it.
        queued: name of the file on the run's waiting list that it was made of; None where the search proposed it.
        loss_limits: losses above which its training ends, by what was known when it was proposed; None where there are
            none, which keeps the line as older versions wrote it.
    """

    event: Literal["asked"] = "asked"
    trial: int
    decisions: tuple[int, ...]
    log_prob: float | None = None
    rung: Annotated[int, Field(ge=0, le=MAX_RUNG)] = 0
    key: Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
    spec: Annotated[ArchSpec, BeforeValidator(_with_shared_blocks)]
    scale: ModelScale | None = None
    queued: str | None = None
    loss_limits: tuple[LossLimit, ...] | None = None


class AttemptFailed(_Event):
    """A trial failed in a way that does not end it: it is run again, now or by the next start."""

    event: Literal["attempt_failed"] = "attempt_failed"
    trial: int
    failure: Failure


class Told(_Event):
    """A trial ended. Written before the controller learns of it.

    Attributes:
        remarks: see `Evaluation`; None where there are none, which keeps the line as older versions wrote it.
        numerics: None where the task does not depend on it, and in journals of older versions.
        stopped_at: see `Evaluation`.
    """

    event: Literal["told"] = "told"
    trial: int
    status: Literal["completed", "stopped", "failed", "reused", "rejected"]
    reward: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    loss_curve: tuple[float, ...] = ()
    failure: Failure | None = None
    reused_from: int | None = None
    remarks: tuple[str, ...] | None = None
    numerics: Numerics | None = None
    stopped_at: float | None = None

    @field_validator("stopped_at")
    @classmethod
    def _is_share(cls, stopped_at: float | None) -> float | None:
        if stopped_at is not None:
            check_share(stopped_at)
        return stopped_at


Event: TypeAlias = Asked | AttemptFailed | Told
"""The events that can follow the creation of a run."""

ANY_EVENT: TypeAdapter[Created | Event] = TypeAdapter(Annotated[Created | Event, Field(discriminator="event")])
"""Checks one line of a journal."""
