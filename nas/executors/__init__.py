"""Executors run the jobs of a search: in this process, or on a Ray cluster."""

from nas.executors.base import Executor, TrialSource, run_job

__all__ = ["Executor", "TrialSource", "run_job"]
