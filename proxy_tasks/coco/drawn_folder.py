"""A folder of data that is drawn when it is first needed, with a record of what it was drawn by."""

import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from foundation import InputError, sync_folder

_RECIPE_FILE = "shapes.json"


def draw_once(
    root: Path,
    recipe: Mapping[str, int],
    draw: Callable[[Path], None],
    *,
    as_good: Sequence[Mapping[str, int]] = (),
) -> None:
    """Draw a folder where it is not there; else check that it was drawn by the same recipe.

    Args:
        root: the folder; it appears whole or not at all.
        recipe: all that decides its content, which it then has on record.
        draw: makes the content in a folder whose name it is called with.
        as_good: recipes of folders that may stand in its place.

    Raises:
        InputError: the folder holds something else, or cannot be written.
    """
    recipe_file = root / _RECIPE_FILE
    if not root.exists():
        _draw(root, recipe, draw)
        return
    if not recipe_file.exists():
        raise InputError(f"data.root={root} exists and holds no embedded data; name another folder")

    found = _read_recipe(recipe_file)
    if found not in (recipe, *as_good):
        raise InputError(f"data.root={root} was drawn with {found}, now asked for {recipe}; name another folder")


def _draw(root: Path, recipe: Mapping[str, int], draw: Callable[[Path], None]) -> None:
    """Draw everything into a folder of another name, which is renamed when it is whole."""
    part = root.with_name(f"{root.name}.part-{secrets.token_hex(4)}")

    try:
        draw(part)
        (part / _RECIPE_FILE).write_text(json.dumps(recipe), encoding="utf-8")

        # Thousands of small files reach the disk together faster than one by one.
        os.sync()
        part.rename(root)
        sync_folder(root.parent)
    except OSError as error:
        # Another process may have drawn the same folder meanwhile: then its copy is as good.
        if not (root / _RECIPE_FILE).exists():
            raise InputError(f"cannot write {root}: {error.strerror}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _read_recipe(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; delete its folder, and the data is drawn again") from None
