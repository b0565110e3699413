"""python -m nas.prepare: read, decode and resize the data of a search once, before it."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import InputError, check_writable, short_path, write_whole
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.terminal.console import Verbosity, make_console
from nas.terminal.progress import TaskView
from proxy_tasks.base import ProxyTask, SampleTask

HELP = """\
python -m nas.prepare [name=value ...]

Read, decode and resize the images of a search once, and keep the result where the search finds it. The options are
those of the search; run= of a run that was begun takes them from its record. A search does the same when it finds no
cache; this command does it beforehand, for instance on a machine without a GPU. If it was stopped, the same command
resumes; once all is there, it returns at once. The validation set, which replays use, is prepared with
task.score_on=val. Full training reads images of their own size, which nas.train prepare_only=true prepares.
show=FILE draws sixteen training images with their boxes, as the network sees them, into one picture: look at it before
you search. --show is short for show=training-samples.png.

  python -m nas.prepare experiment=spinenet data.root=/data/coco
  python -m nas.prepare experiment=spinenet data.root=/data/coco task.score_on=val
  python -m nas.prepare experiment=spinenet data.root=/data/coco --show
"""

_NUM_SHOWN = 16


@dataclass(frozen=True, slots=True)
class Options:
    """The options that preparing looks at; names as in `experiments/prepare.yaml`."""

    task: ProxyTask
    verify: bool
    show: Path | None
    verbosity: Verbosity


def main(config: dict[str, Any]) -> None:
    """Prepare what the search that the configuration describes will use."""
    try:
        # Space, controller and executor are left alone: a machine that only prepares need not be able to build them.
        options = build(Options, {name: config[name] for name in ("task", "verify", "show", "verbosity")}, "")
        _prepare(options)
    except KeyboardInterrupt:
        print("stopped; the same command resumes", file=sys.stderr)
        raise


def _prepare(options: Options) -> None:
    if options.show is not None:
        _check_shown(options.task, options.show)
    console = make_console(quiet=options.verbosity == "quiet")
    with TaskView(console) as view:
        lines = options.task.prepare(view.report)
        if options.verify:
            options.task.verify(view.report)

    for line in lines:
        console.print(line, soft_wrap=True)
    if options.verify and lines:
        console.print("checksums are right")
    if options.show is not None:
        _show(options.task, options.show)
        console.print(f"{short_path(options.show)}: training images as the network sees them", soft_wrap=True)


def _check_shown(task: ProxyTask, path: Path) -> None:
    """Check before the data is read, which may take hours, that samples of it can be shown."""
    if not isinstance(task, SampleTask):
        raise InputError(f"show: {type(task).__name__} has no images to show")
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise InputError(f"show needs the name of a picture, .png or .jpg, got {short_path(path)}")
    if path.is_dir():
        raise InputError(f"show: {short_path(path)} is a folder; name a file")
    check_writable(path.parent, "show=... needs another place")


def _show(task: ProxyTask, path: Path) -> None:
    """Draw the first images of a training into one picture."""
    # Imported only where something is drawn.
    from nas.drawing.found_boxes import picture_bytes
    from nas.drawing.sample_sheet import sample_sheet

    assert isinstance(task, SampleTask)
    samples = task.training_samples(_NUM_SHOWN, seed=0)
    write_whole(path, picture_bytes(sample_sheet(samples), path.suffix))


def _options_on_record(folder: Path) -> Mapping[str, Any] | None:
    # Imported only for `run=`: a machine that prepares data need not have what runs are made of.
    from nas.record.identity import options_on_record

    return options_on_record(folder)


if __name__ == "__main__":
    run_command("prepare", HELP, main, _options_on_record, needs_output=False)
