"""The folders of a run's replays: one for each seed, fidelity and setting of the task that results depend on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nas.options.configuration import option_texts
from nas.record.events import Created
from nas.record.identity import present_options
from nas.record.journal import read_created
from nas.record.parts import recorded_part
from nas.record.replays import REPLAYS
from proxy_tasks import Fidelity
from proxy_tasks.base import OptionRules


def replay_folder(run: Path, search: Created, config: Mapping[str, Any], rules: OptionRules) -> Path:
    """Return the folder of a replay with one seed.

    Args:
        run: folder of the run that is replayed.
        search: the first line of its journal.
        config: the configuration of the replay, its seed included.
        rules: those of its task.

    Raises:
        InputError: fidelity or seed cannot be used, or the first line of a journal that is there is damaged.
    """
    was, now = (option_texts(present_options(one)) for one in (search.config, config))
    options = [f"task.{name}" for name in rules.replay if f"task.{name}" in now]
    changed = {name: now[name] for name in options if was.get(name, now[name]) != now[name]}
    words = [f"{name.removeprefix('task.')}_{value}" for name, value in changed.items() if value != rules.replay_label]

    # Older versions named nothing but the label, and refused whatever would have shared a folder.
    older = run / REPLAYS / _name(config, [rules.replay_label])
    if words and _was_made_with(older, changed):
        return older
    return run / REPLAYS / _name(config, [rules.replay_label, *words])


def _name(config: Mapping[str, Any], words: Sequence[str]) -> str:
    """Return the name of a folder, without signs that a command line or a file system takes for something else."""
    fidelity = recorded_part(Fidelity, config, "fidelity")
    parts = [f"epochs{fidelity.epochs}"]
    if fidelity.max_train_images is not None:
        parts.append(f"images{fidelity.max_train_images}")
    parts += [word.replace(":", "").replace("/", "") for word in words if word]
    return "-".join([*parts, f"seed{recorded_part(int, config, 'seed')}"])


def _was_made_with(folder: Path, options: Mapping[str, str]) -> bool:
    """Return whether a folder holds a replay with these options."""
    created = read_created(folder)
    return created is not None and options.items() <= option_texts(present_options(created.config)).items()
