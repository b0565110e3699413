"""python -m nas.report: write what a run found as one page to read, show and print."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from foundation import check_range, short_path
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_warning
from nas.record.events import MAX_TRIALS
from nas.record.journal import read_record
from nas.reporting import read_runs
from nas.reporting.page import FILE_NAME
from nas.reporting.written import write_report
from nas.training.trained import trained_networks

HELP = """\
python -m nas.report run=FOLDER [name=value ...]

Write one HTML file about a run, finished or under way: rewards, the best architectures, AP against cost, what the
search learned, failures, and a table of all trials. It opens from disk, without a network. Several runs are compared:
mean best reward so far, those of one controller taken together. serve=true writes nothing: it serves the page to a
browser on this machine, where it shows new results of a running search by itself.

  python -m nas.report run=runs/quickstart
  python -m nas.report run=runs/quickstart serve=true
  python -m nas.report run=runs/quickstart trained=[runs/quickstart_train]
  python -m nas.report run=[runs/evolution-0,runs/evolution-1,runs/random-0,runs/random-1] out=comparison.html
"""

_LAST_PORT = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/report.yaml`."""

    run: Path | tuple[Path, ...]
    out: Path | None
    top: int
    serve: bool
    port: int
    trained: Path | tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")
        check_range("port", self.port, 0, _LAST_PORT, "0 takes any that is free")
        if self.serve and self.out is not None:
            raise ValueError("out and serve=true exclude each other: a page that is served is not written")


def main(config: dict[str, Any]) -> None:
    """Write the report that the configuration asks for."""
    options = build(Options, config, "")
    folders = options.run if isinstance(options.run, tuple) else (options.run,)
    trainings = options.trained if isinstance(options.trained, tuple) else (options.trained,)
    if options.serve:
        _serve(options, folders, trainings)
        return
    runs, trained = read_runs(folders, print_warning), trained_networks(trainings)
    out = options.out or Path(os.path.commonpath(folders)) / FILE_NAME
    print(write_report(runs, options.top, out, trained))


def _serve(options: Options, folders: tuple[Path, ...], trainings: tuple[Path, ...]) -> None:
    """Serve the page until the user stops it."""
    # Imported only where something is served.
    from nas.reporting.runs import different_folders
    from nas.reporting.served import LivePage, ReportServer

    # A run or training that is not there is a mistake; a run without trials yet is waited for.
    for folder in different_folders(folders):
        read_record(folder)
    trained_networks(trainings)
    page = LivePage(folders, options.top, print_warning, partial(trained_networks, trainings))
    with ReportServer(page, options.port) as server:
        print(f"{server.url} follows {', '.join(map(short_path, folders))}; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("ended")


if __name__ == "__main__":
    run_command("report", HELP, main)
