"""The report as a file."""

from collections.abc import Sequence
from pathlib import Path

from foundation import short_path, write_whole
from nas.reporting.page import page_of
from nas.reporting.runs import ReportedRun
from nas.reporting.trained import TrainedNetwork


def write_report(runs: Sequence[ReportedRun], top: int, out: Path, trained: Sequence[TrainedNetwork] = ()) -> str:
    """Write the page of runs to a file; return a line that says where it is.

    What has the name of the page is replaced: a link there is not followed. See `page_of`.

    Raises:
        InputError: it cannot be written.
    """
    page = page_of(runs, top, trained=trained)
    write_whole(out, page.encode())
    return f"{short_path(out)}: {len(page) / 1e6:.1f} MB, open it in a browser"
