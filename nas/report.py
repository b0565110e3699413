"""python -m nas.report: write what a run found as one page to read, show and print."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import check_range, short_path, write_whole
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_warning
from nas.record.events import MAX_TRIALS
from nas.reporting import page_of, read_runs

HELP = """\
python -m nas.report run=FOLDER [name=value ...]

Write one HTML file about a run, finished or under way: rewards, the best architectures, AP against cost, what the
search learned, failures, and a table of all trials. It opens from disk, without a network. Several runs are compared:
mean best reward so far, those of one controller taken together.

  python -m nas.report run=runs/quickstart
  python -m nas.report run=[runs/evolution-0,runs/evolution-1,runs/random-0,runs/random-1] out=comparison.html
"""

FILE_NAME = "report.html"


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/report.yaml`."""

    run: Path | tuple[Path, ...]
    out: Path | None
    top: int

    def __post_init__(self) -> None:
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")


def main(config: dict[str, Any]) -> None:
    """Write the report that the configuration asks for."""
    options = build(Options, config, "")
    folders = options.run if isinstance(options.run, tuple) else (options.run,)
    page = page_of(read_runs(folders, print_warning), options.top)

    # What has the name of the page is replaced: a link there is not followed.
    out = options.out or Path(os.path.commonpath(folders)) / FILE_NAME
    write_whole(out, page.encode())
    print(f"{short_path(out)}: {len(page) / 1e6:.1f} MB, open it in a browser")


if __name__ == "__main__":
    run_command("report", HELP, main)
