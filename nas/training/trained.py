"""Full trainings on record, as reports show them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from foundation import InputError, short_path
from nas.reporting.trained import TrainedNetwork
from nas.training.journal import FILE_NAME, read_events
from nas.training.winners import highest_of


def trained_networks(folders: Sequence[Path]) -> list[TrainedNetwork]:
    """Return the trainings in folders, each of which holds one, or holds folders that do.

    Raises:
        InputError: a folder holds none, or a journal is damaged.
    """
    found: list[Path] = []
    for folder in folders:
        below = [path.parent for path in sorted(folder.glob(f"*/{FILE_NAME}"))]
        own = [folder] if (folder / FILE_NAME).is_file() else below
        if not own:
            raise InputError(f"trained: {short_path(folder)} holds no training of nas.train, nor folders that do")
        found += own
    return [_trained(folder) for folder in dict.fromkeys(found)]


def _trained(folder: Path) -> TrainedNetwork:
    events = read_events(folder)
    configs: list[Mapping[str, Any]] = [event.get("config", {}) for event in events if event["event"] == "started"]
    config = configs[0] if configs else {}
    network = config.get("spec") or config.get("model") or config.get("weights") or ""

    # A start that follows anything else resumes: what lies between was no training.
    seconds = sum(later["time"] - earlier["time"] for earlier, later in pairwise(events) if later["event"] != "started")
    return TrainedNetwork(
        name=folder.name,
        network=str(network),
        trial=config.get("trial"),
        figure=highest_of(events),
        num_epochs=max((event["epoch"] for event in events if "epoch" in event), default=0.0),
        seconds=seconds,
        is_finished=any(event["event"] == "finished" for event in events),
    )
