"""The report of runs: plain values from their records, and the page that shows them."""

from nas.reporting.page import page_of
from nas.reporting.runs import ReportedRun, read_runs

__all__ = ["ReportedRun", "page_of", "read_runs"]
