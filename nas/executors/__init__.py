"""Who runs the jobs: this process, or a Ray cluster."""

from nas.executors.base import Executor, TrialSource, run_job

__all__ = ["Executor", "TrialSource", "run_job"]
