"""Jobs one after another in this process: no cluster, the same search every time."""

from nas.executors.base import OnWorkers, TrialSource, ignore_workers, run_job
from proxy_tasks import ProxyTask


class LocalExecutor:
    """Run each job here, before the next is started; every core works on it."""

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        """Run every job of the source; see `Executor.run`. A job that hangs is not ended."""
        on_workers(1)
        while (job := source.start_trial()) is not None:
            source.finish_trial(run_job(task, job))
