"""The local executor: jobs run one after another in this process, without a cluster."""

from nas.engine.workers import OnWorkers, Workers, ignore_workers
from nas.executors.base import TrialSource, run_job
from nas.executors.interrupt import Interrupt
from proxy_tasks import ProxyTask


class LocalExecutor:
    """Run each job here, before the next is started; every core works on it."""

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        """Run every job of the source; see `Executor.run`. A job that hangs is not ended.

        Ctrl-C ends a training at once, but lets the source put on record what it is putting there.
        """
        on_workers(Workers(num_up=0, num_starting=1))
        task.load()
        on_workers(Workers(num_up=1))

        numerics = task.numerics()
        while True:
            with Interrupt():
                job = source.start_trial(numerics)
            if job is None:
                return

            outcome = run_job(task, job)

            with Interrupt():
                source.finish_trial(outcome)
