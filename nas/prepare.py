"""python -m nas.prepare: read, decode and resize a COCO-format data set once, before any search."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console

from foundation import InputError, absolute_path, first_error
from nas.terminal.console import make_console
from nas.terminal.progress import TaskView
from proxy_tasks.coco.annotations import Annotations
from proxy_tasks.coco.cache import CachedSplit, cached_split, check_cache, check_source
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.held_out import recorded_split, split_held_out
from proxy_tasks.coco.image_store import Format

HELP = """\
python -m nas.prepare source=FOLDER [name=value ...]

Read a data set in COCO's format, decode and resize its images once, and keep the result where searches find it. A
search does the same when it finds no cache; this does it beforehand, on a machine without a GPU for instance. Stopped,
the same command goes on; done, it returns at once. The options must be those of the search.

  python -m nas.prepare source=/data/coco image_size_px=512

Options, as name=value:
  source                                                  folder of the data set (data.root of a search)
  image_size_px=512                                       side of the squares that images are fitted into
  format=raw                                              raw, or jpeg for about a tenth of the space
  cache_dir=data/cache                                    folder for caches
  max_images=                                             use only so many images of each split; all by default
  num_held_out=7392                                       training images kept for the reward
  split_seed=0                                            seed of their choice
  train_annotations=annotations/instances_train2017.json  below source
  train_images=train2017                                  below source
  val_annotations=annotations/instances_val2017.json      below source; the validation set is prepared if it is there
  val_images=val2017                                      below source
  verify=false                                            read what is cached and compare its checksums
"""
_NUM_NAMED = 5
"""Images left out that are named."""


class Options(BaseModel):
    """What to prepare."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: Path
    image_size_px: int = Field(512, ge=32, le=8192)
    format: Format = "raw"
    cache_dir: Path = Path("data/cache")
    max_images: int | None = None
    num_held_out: int = 7392
    split_seed: int = 0
    train_annotations: str = "annotations/instances_train2017.json"
    train_images: str = "train2017"
    val_annotations: str = "annotations/instances_val2017.json"
    val_images: str = "val2017"
    verify: bool = False

    def folder(self) -> CocoFolder:
        """Return the data set.

        Raises:
            ValueError: a number is out of range.
        """
        return CocoFolder(
            root=absolute_path(self.source),
            train_annotations=self.train_annotations,
            train_images=self.train_images,
            val_annotations=self.val_annotations,
            val_images=self.val_images,
            num_held_out=self.num_held_out,
            split_seed=self.split_seed,
            max_images=self.max_images,
        )


def main(arguments: list[str]) -> None:
    """Prepare what the command line asks for."""
    options = _parse(arguments)
    try:
        folder = options.folder()
    except ValueError as error:
        raise InputError(str(error)) from None
    console = make_console()

    def check_train(train: Annotations) -> None:
        split_held_out(train.num_images, folder.num_held_out, folder.split_seed)

    train = _prepare(options, folder, "train", check_train, console)
    train_rows, held_out = recorded_split(train, folder.num_held_out, folder.split_seed)
    console.print(f"{len(train_rows)} images to train on, {len(held_out)} held out for the reward")
    try:
        folder.paths("val")
    except InputError:
        console.print("val: not there, so not prepared; nas.replay wants it, nas.search does not")
    else:
        _prepare(options, folder, "val", lambda val: folder.check_categories(train.annotations, val), console)


def _parse(arguments: list[str]) -> Options:
    values: dict[str, str] = {}
    for argument in arguments:
        name, is_there, value = argument.partition("=")
        if not is_there:
            raise InputError(f"options are written name=value, got {argument!r}; --help lists them")
        if name not in Options.model_fields:
            raise InputError(f"unknown option {name}; --help lists them")
        if value:
            values[name] = value
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise InputError(first_error(error)) from None


def _prepare(
    options: Options,
    folder: CocoFolder,
    name: Literal["train", "val"],
    check: Callable[[Annotations], None],
    console: Console,
) -> CachedSplit:
    """Make one split's cache, or find it, and say what it holds."""
    key = folder.cache_key(name, options.image_size_px, options.format, absolute_path(options.cache_dir))
    with TaskView(console) as view:
        split = cached_split(key, view.report, check)
        check_source(split, key.image_dir)
        if options.verify:
            check_cache(split, view.report)
    found = split.annotations
    num_empty = int((found.first_box[1:] == found.first_box[:-1]).sum())
    num_gigabytes = sum(file.stat().st_size for file in split.path.iterdir()) / 1e9
    console.print(
        f"{name}: {found.num_images} images, {num_empty} of them without a box; {len(found.labels)} boxes of "
        f"{len(found.category_ids)} categories, ids {found.category_ids[0]} to {found.category_ids[-1]}\n"
        f"  {split.path} ({num_gigabytes:.2g} GB){', checksums are right' if options.verify else ''}",
        soft_wrap=True,
    )
    for what, number in found.repairs.items():
        console.print(f"  {number} {what}")
    for image in list(split.left_out.values())[:_NUM_NAMED]:
        console.print(f"    {image.reason}", soft_wrap=True)
    return split


if __name__ == "__main__":
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(HELP, end="")
        sys.exit(0)
    try:
        main(sys.argv[1:])
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        # The reader, as `head`, has seen enough.
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
