"""The local executor: jobs run one after another in this process, without a cluster."""

from nas.engine.workers import OnWorkers, Workers, ignore_workers
from nas.executors.base import ClusterLostError, TrialSource, run_job
from nas.executors.gpu import current_gpu
from nas.executors.interrupt import Interrupt
from nas.options.invocation import how_to_continue
from nas.record.trial import Failure
from proxy_tasks import ProxyTask


class LocalExecutor:
    """Run each job here, before the next is started; every core works on it."""

    def run(self, source: TrialSource, task: ProxyTask, on_workers: OnWorkers = ignore_workers) -> None:
        """Run every job of the source; see `Executor.run`. A job that hangs is not ended.

        Ctrl-C ends a training at once, but lets the source put on record what it is putting there.

        Raises:
            ClusterLostError: this process has lost its GPU, so that no further job could use it.
        """
        on_workers(Workers(num_up=0, num_starting=1))
        task.load()
        _report(on_workers)

        numerics = task.numerics()
        while True:
            with Interrupt():
                job = source.start_trial(numerics)
            if job is None:
                return

            outcome = run_job(task, job)

            with Interrupt():
                source.finish_trial(outcome)
            if not isinstance(outcome.result, Failure):
                _report(on_workers)

            # Every further job would fail in this process, whatever its architecture.
            if isinstance(outcome.result, Failure) and outcome.result.kind == "gpu_lost":
                raise ClusterLostError(f"this process has lost its GPU ({outcome.result.message}); {how_to_continue()}")


def _report(on_workers: OnWorkers) -> None:
    gpu = current_gpu()
    on_workers(Workers(num_up=1, gpus=() if gpu is None else (gpu,)))
