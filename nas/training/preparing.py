"""The images of a training: their caches made where they are missing, with it or before it."""

import sys

from nas.terminal.console import Verbosity, make_console
from nas.terminal.progress import TaskView
from proxy_tasks.coco.description import describe_split
from proxy_tasks.coco.open_data import DataOptions, open_data, prepare_data


def prepare_images(options: DataOptions, verbosity: Verbosity) -> None:
    """Make the caches of the images where they are missing.

    Raises:
        InputError: the data cannot be used.
    """
    with TaskView(make_console(quiet=verbosity == "quiet")) as view:
        prepare_data(options, view.report)


def prepare_before(options: DataOptions, verbosity: Verbosity) -> None:
    """Make the caches as a work of its own, and say what is in them and where they lie.

    Raises:
        InputError: the data cannot be used.
    """
    try:
        prepare_images(options, verbosity)
    except KeyboardInterrupt:
        print("stopped; the same command resumes", file=sys.stderr)
        raise

    console = make_console(quiet=verbosity == "quiet")
    data = open_data(options)
    for name, split in (("train", data.train), ("val", data.val)):
        for line in () if split is None else describe_split(name, split):
            console.print(line, soft_wrap=True)
