"""Jobs one after another in this process: no cluster, the same search every time."""

from nas.executors.base import TrialSource, run_job
from proxy_tasks import ProxyTask


class LocalExecutor:
    """Run each job here, before the next is started; every core works on it."""

    def run(self, source: TrialSource, task: ProxyTask) -> None:
        """Run every job of the source; see `Executor.run`. A job that hangs is not ended."""
        while (job := source.start_trial()) is not None:
            source.finish_trial(run_job(task, job))
