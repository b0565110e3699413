"""What every executor must hold; a new executor joins by one line."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import ray

from foundation import InputError
from nas.engine.job import AnyJob, Job, Outcome
from nas.engine.workers import Gpu, Workers
from nas.executors import Executor, TrialSource, run_job
from nas.executors.local import LocalExecutor
from nas.executors.ray_cluster import RayExecutor
from nas.record.trial import Failure
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, NonFiniteLossError, Numerics, ProxyTask, Report, Weights
from proxy_tasks.landscape import Landscape
from search_space import Candidate, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def ray_executor() -> Executor:
    """Return an executor on a Ray that these tests share; those of whole searches let it start one of its own."""
    if not ray.is_initialized():
        ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", log_to_driver=False)
    return RayExecutor(max_concurrent=2)


@pytest.fixture(scope="module", autouse=True)
def _stop_ray() -> Iterator[None]:
    yield
    ray.shutdown()


EXECUTORS: dict[str, Callable[[], Executor]] = {"local": LocalExecutor, "ray": ray_executor}

every_executor = pytest.mark.parametrize(
    "make", [pytest.param(make, id=name, marks=[pytest.mark.ray] * (name == "ray")) for name, make in EXECUTORS.items()]
)


@dataclass
class Source:
    """Hands out a fixed list of jobs and keeps what comes back."""

    num_jobs: int
    on_finish: Callable[[Outcome], None] = lambda outcome: None

    def __post_init__(self) -> None:
        self.started: list[int] = []
        self.asked_for: set[Numerics | None] = set()
        self.outcomes: dict[int, Outcome] = {}

    def start_trial(self, numerics: Numerics | None = None) -> Job | None:
        self.asked_for.add(numerics)
        number = len(self.started)
        if number == self.num_jobs:
            return None
        self.started.append(number)
        return Job(number, SPACE.decode(SPACE.sample(np.random.default_rng(number))), Fidelity(1), seed=0)

    def finish_trial(self, outcome: Outcome) -> None:
        assert outcome.trial not in self.outcomes
        self.outcomes[outcome.trial] = outcome
        self.on_finish(outcome)


@dataclass(frozen=True)
class Misbehaving(Landscape):
    """Does something else in each trial, told apart by the order of the specs of `Source`."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        number = next(
            i for i in range(100) if SPACE.decode(SPACE.sample(np.random.default_rng(i))).spec == candidate.spec
        )
        if number == 1:
            raise NonFiniteLossError("the loss was not finite at step 3 of 9")
        if number == 2:
            np.zeros(2**50)
        if number == 3:
            raise KeyError("a bug\nof two lines")
        return super().evaluate(candidate, fidelity=fidelity, seed=seed)


@dataclass(frozen=True)
class Suicidal(Misbehaving):
    """Its process dies in trial 1, as when the system kills it for its memory."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        if candidate.spec == SPACE.decode(SPACE.sample(np.random.default_rng(1))).spec:
            os.kill(os.getpid(), signal.SIGKILL)
        return Landscape.evaluate(self, candidate, fidelity=fidelity, seed=seed)


@dataclass(frozen=True)
class Slow(Landscape):
    seconds: float = 1.0

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        time.sleep(self.seconds)
        return super().evaluate(candidate, fidelity=fidelity, seed=seed)

    def prepare(self, report: Report) -> tuple[str, ...]:
        raise AssertionError("the executor does not prepare")


@every_executor
def test_every_job_comes_back_once_with_its_own_result(make: Callable[[], Executor]) -> None:
    source = Source(12)
    seen: list[Workers] = []
    make().run(source, Landscape(), seen.append)
    assert seen[0].num_up == 0
    assert seen[0].num_starting >= 1
    assert 1 <= max(workers.num_up for workers in seen) <= 2
    assert sorted(source.outcomes) == list(range(12))
    for number, outcome in source.outcomes.items():
        spec = SPACE.decode(SPACE.sample(np.random.default_rng(number))).spec
        assert outcome.result == Landscape().evaluate(Candidate(spec), fidelity=Fidelity(1), seed=0)


@dataclass(frozen=True)
class OnThreads(Misbehaving):
    """Says that what it computes depends on the process that does it."""

    def numerics(self) -> Numerics:
        return Numerics("float32", f"cpu of process {os.getpid()}", threads=1)


@every_executor
def test_a_worker_asks_for_its_own_numerics_and_every_outcome_of_it_carries_them(make: Callable[[], Executor]) -> None:
    source = Source(6)
    make().run(source, OnThreads())
    assert None not in source.asked_for
    assert isinstance(source.outcomes[1].result, Failure)
    assert {outcome.numerics for outcome in source.outcomes.values()} <= source.asked_for


@every_executor
def test_no_job_at_all_is_no_work(make: Callable[[], Executor]) -> None:
    source = Source(0)
    make().run(source, Landscape())
    assert source.outcomes == {}


@every_executor
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM, signal.SIGHUP])
def test_an_outcome_that_is_being_taken_is_taken_whole_before_ctrl_c_counts(
    make: Callable[[], Executor], number: signal.Signals
) -> None:
    taken: list[int] = []

    def take(outcome: Outcome) -> None:
        signal.raise_signal(number)
        taken.append(outcome.trial)

    source = Source(12, take)
    previous = signal.signal(number, signal.default_int_handler)  # as every command has it
    try:
        with pytest.raises(KeyboardInterrupt):
            make().run(source, Landscape())
    finally:
        signal.signal(number, previous)
    assert taken == list(source.outcomes)
    assert 1 <= len(taken) < 12


@every_executor
def test_failures_have_kinds_and_the_others_go_on(make: Callable[[], Executor]) -> None:
    source = Source(6)
    make().run(source, Misbehaving())
    failures = {n: o.result for n, o in source.outcomes.items() if isinstance(o.result, Failure)}
    assert {n: failure.kind for n, failure in failures.items()} == {1: "nan", 2: "out_of_memory", 3: "error"}
    assert failures[1].message == "NonFiniteLossError: the loss was not finite at step 3 of 9"
    assert "\n" not in failures[3].message
    assert "in evaluate" in (failures[3].traceback or "")
    assert sorted(source.outcomes) == list(range(6))


@every_executor
def test_an_exception_of_the_source_ends_the_run_as_it_is(make: Callable[[], Executor]) -> None:
    def full_disk(outcome: Outcome) -> None:
        raise InputError("cannot write journal.jsonl: No space left on device")

    source = Source(50, on_finish=full_disk)
    with pytest.raises(InputError, match="No space left on device"):
        make().run(source, Landscape())
    assert len(source.outcomes) <= 2


@pytest.mark.ray
def test_a_killed_worker_fails_its_trial_alone() -> None:
    source = Source(6)
    ray_executor().run(source, Suicidal())
    failures = {n: o.result for n, o in source.outcomes.items() if isinstance(o.result, Failure)}
    assert {n: failure.kind for n, failure in failures.items()} == {1: "worker_lost"}
    assert failures[1].message.startswith("the worker's process died on ")
    assert sorted(source.outcomes) == list(range(6))


@dataclass(frozen=True)
class LosesGpu(Landscape):
    """Raises in trial 1 what torch does after an illegal access; every result says which process it is of."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        if candidate.spec == SPACE.decode(SPACE.sample(np.random.default_rng(1))).spec:
            import torch

            raise torch.AcceleratorError(f"process {os.getpid()}: CUDA error: an illegal memory access was encountered")
        found = super().evaluate(candidate, fidelity=fidelity, seed=seed)
        return Evaluation({**found.metrics, "pid": float(os.getpid())})


def pid_that_lost_its_gpu(outcome: Outcome) -> int:
    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind == "gpu_lost"
    assert outcome.result.message.startswith(f"on {socket.gethostname()}: AcceleratorError: process ")
    return int(outcome.result.message.split()[4].rstrip(":"))


@pytest.mark.ray
@pytest.mark.long
def test_workers_say_how_much_memory_of_their_gpus_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    ray_executor()
    from nas.executors import worker_pool
    from nas.executors.worker import Loaded, Ran, Worker

    class OnGpu(Worker):
        """Has a GPU, whose memory is taken by its first job."""

        def load(self, task: ProxyTask) -> Loaded:
            return replace(super().load(task), gpu=Gpu("H200", 40, 140))

        def run(self, call: int, job: AnyJob) -> Ran:
            return replace(super().run(call, job), gpu=Gpu("H200", 12, 140))

    monkeypatch.setattr(worker_pool, "Worker", OnGpu)
    seen: list[Workers] = []
    RayExecutor(max_concurrent=1).run(Source(3), Landscape(), seen.append)
    assert list(dict.fromkeys(gpu for workers in seen for gpu in workers.gpus)) == [
        Gpu("H200", 40, 140),
        Gpu("H200", 12, 140),
    ]


@pytest.mark.ray
@pytest.mark.long
def test_a_worker_that_lost_its_gpu_is_never_given_another_job() -> None:
    ray_executor()
    source = Source(4)
    RayExecutor(max_concurrent=1).run(source, LosesGpu())
    pid = pid_that_lost_its_gpu(source.outcomes.pop(1))
    pids = [o.result.metrics["pid"] for _, o in sorted(source.outcomes.items()) if isinstance(o.result, Evaluation)]
    assert pids[0] == pid
    assert pids[1] == pids[2] != pid


def test_a_search_in_one_process_that_lost_its_gpu_stops_after_that_trial_with_the_command_that_resumes() -> None:
    source = Source(8)
    expected = "this process has lost its GPU .* every trial that ended is on record; resume with: "
    with pytest.raises(InputError, match=expected):
        LocalExecutor().run(source, LosesGpu())
    assert sorted(source.outcomes) == [0, 1]
    assert pid_that_lost_its_gpu(source.outcomes[1]) == os.getpid()


@dataclass(frozen=True)
class Hanging(Landscape):
    """Never comes back in trial 1."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        if candidate.spec == SPACE.decode(SPACE.sample(np.random.default_rng(1))).spec:
            time.sleep(10_000)
        return super().evaluate(candidate, fidelity=fidelity, seed=seed)


@pytest.mark.ray
def test_a_trial_that_hangs_is_ended_and_the_others_go_on() -> None:
    ray_executor()  # has Ray running
    source = Source(6)
    RayExecutor(max_concurrent=2, timeout_s=1.5).run(source, Hanging())
    failures = {n: o.result for n, o in source.outcomes.items() if isinstance(o.result, Failure)}
    assert {n: failure.kind for n, failure in failures.items()} == {1: "timeout"}
    assert failures[1].message.startswith("took longer than 1.5 s on ")
    assert sorted(source.outcomes) == list(range(6))


@pytest.mark.ray
@pytest.mark.long
def test_what_was_done_in_time_counts_when_the_driver_is_late_to_look() -> None:
    ray_executor()
    source = Source(2, on_finish=lambda outcome: time.sleep(3))
    RayExecutor(max_concurrent=2, timeout_s=2).run(source, Slow())
    assert not any(isinstance(outcome.result, Failure) for outcome in source.outcomes.values())


@pytest.mark.ray
def test_no_worker_is_started_to_ask_for_a_job_that_is_not_there() -> None:
    ray_executor()
    from nas.executors.capacity import WorkerSlots
    from nas.executors.worker_pool import WorkerPool

    source = Source(1)
    num_slots = iter([1])

    class Shrinking(WorkerSlots):
        def num_workers(self, nodes: object) -> int:
            return next(num_slots, 0)

    # Its worker dies with the last job, and nothing is left that a new one could run on.
    with WorkerPool(source, AlwaysKilled(), Shrinking(1, 0), None) as pool:
        deadline = time.monotonic() + 30
        while pool.step():
            assert time.monotonic() < deadline
    assert isinstance(source.outcomes[0].result, Failure)


@dataclass(frozen=True)
class AlwaysKilled(Landscape):
    """Its process dies in every trial."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


class TooLargeToSend(float):
    """A figure that takes more memory to send than there is."""

    def __reduce__(self) -> tuple[type[float], tuple[float]]:
        raise MemoryError


@dataclass(frozen=True)
class LargeResult(Landscape):
    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        return Evaluation({"ap": TooLargeToSend(0.5)})


@pytest.mark.ray
def test_a_worker_without_memory_to_send_its_outcome_is_out_of_memory() -> None:
    source = Source(1)
    ray_executor().run(source, LargeResult())
    result = source.outcomes[0].result
    assert isinstance(result, Failure)
    assert result.kind == "out_of_memory"


@dataclass(frozen=True)
class Unreadable(Landscape):
    """Cannot be made in a worker, as when a node lacks a package."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return __import__, ("a_package_that_is_nowhere",)


@dataclass(frozen=True)
class Threads(Landscape):
    """Says what the process that it runs in has set for its threads before the task came."""

    def __setstate__(self, state: object) -> None:
        object.__setattr__(self, "seen", (os.environ["OMP_NUM_THREADS"], os.environ["GOMP_SPINCOUNT"]))

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        num_threads, policy = getattr(self, "seen")  # noqa: B009  # set when it is unpickled
        return Evaluation({"ap": float(num_threads), "spins": float(policy)})


@pytest.mark.ray
def test_a_worker_has_the_threads_of_its_share_and_they_do_not_spin_for_long() -> None:
    ray_executor()
    source = Source(1)
    RayExecutor(cpus_per_trial=2, gpus_per_trial=0).run(source, Threads())
    assert source.outcomes[0].result == Evaluation({"ap": 2.0, "spins": 3000.0})


@dataclass(frozen=True)
class HangsInFirstLoad(Landscape):
    """Hangs in the first process that loads it, as an import from a dead mount does."""

    begun: Path = Path()

    def load(self) -> None:
        try:
            self.begun.touch(exist_ok=False)
        except FileExistsError:
            return
        time.sleep(10_000)


@pytest.mark.ray
@pytest.mark.long
def test_a_worker_that_hangs_while_it_starts_is_ended_and_replaced(tmp_path: Path) -> None:
    ray_executor()
    from nas.executors.capacity import WorkerSlots
    from nas.executors.worker_pool import WorkerPool

    source = Source(2)
    seen: list[Workers] = []
    task = HangsInFirstLoad(begun=tmp_path / "begun")
    with WorkerPool(source, task, WorkerSlots(1, 0, 1), None, seen.append, start_timeout_s=0.5) as pool:
        while pool.step():
            pass

    assert seen[0] == Workers(num_up=0, num_starting=1)
    (failure,) = [workers.failed_start for workers in seen if workers.failed_start is not None]
    assert failure.kind == "timeout"
    assert failure.message.startswith("took longer than 0.5 s to load the task on ")
    assert sorted(source.outcomes) == [0, 1]


@pytest.mark.ray
@pytest.mark.long
def test_a_worker_whose_process_hangs_before_it_answers_is_replaced_and_one_without_a_slot_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray_executor()
    from nas.executors import worker_pool
    from nas.executors.capacity import WorkerSlots
    from nas.executors.worker import Worker

    begun = tmp_path / "begun"

    class HangsInFirstProcess(Worker):
        """Hangs where the process imports what a worker is, as from a mount that is dead."""

        def __init__(self, num_threads: int) -> None:
            super().__init__(num_threads)
            with suppress(FileExistsError):
                begun.touch(exist_ok=False)
                time.sleep(10_000)

    monkeypatch.setattr(worker_pool, "Worker", HangsInFirstProcess)
    source = Source(2)
    seen: list[Workers] = []
    # One slot, and two workers that want it: the second waits for longer than a start may take.
    num_cpus = int(ray.cluster_resources()["CPU"])  # type: ignore[no-untyped-call]  # Ray leaves it so
    slots = WorkerSlots(num_cpus, 0, 2, may_grow=True)
    with worker_pool.WorkerPool(source, Landscape(), slots, None, seen.append, start_timeout_s=8.0) as pool:
        while pool.step():
            pass

    failures = [workers.failed_start for workers in seen if workers.failed_start is not None]
    assert [failure.kind for failure in failures] == ["timeout"]
    assert failures[0].message.startswith("took longer than 8 s to come up on ")
    assert sorted(source.outcomes) == [0, 1]


@dataclass(frozen=True)
class OneSoundSlot(Landscape):
    """Loads in one process at a time, as on a cluster with one sound node, and fails in its first trial."""

    folder: Path = Path()

    def load(self) -> None:
        (self.folder / "taken").touch(exist_ok=False)
        time.sleep(1.0)

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        if not (self.folder / "failed").exists():
            (self.folder / "failed").touch()
            # Long enough for the other slot to fail as often as ends a search without any worker.
            time.sleep(16.0)
            (self.folder / "taken").unlink()
            raise KeyError("after which a worker is replaced")
        return super().evaluate(candidate, fidelity=fidelity, seed=seed)


@pytest.mark.ray
@pytest.mark.long
def test_starts_that_failed_beside_a_sound_worker_do_not_count_when_that_one_is_replaced(tmp_path: Path) -> None:
    ray_executor()
    from nas.executors.capacity import WorkerSlots
    from nas.executors.worker_pool import MAX_FAILED_STARTS, WorkerPool

    source = Source(2)
    seen: list[Workers] = []
    with WorkerPool(source, OneSoundSlot(folder=tmp_path), WorkerSlots(1, 0, 2), None, seen.append) as pool:
        while pool.step():
            pass
    assert sorted(source.outcomes) == [0, 1]
    assert sum(workers.failed_start is not None for workers in seen) >= MAX_FAILED_STARTS


@pytest.mark.ray
def test_workers_that_cannot_start_end_the_search_in_one_line() -> None:
    with pytest.raises(InputError, match=r"no worker can be started on the cluster \(.*a_package_that_is_nowhere"):
        ray_executor().run(Source(3), Unreadable())


@pytest.mark.ray
def test_outcomes_that_are_there_together_are_taken_in_one_step() -> None:
    ray_executor()
    from nas.executors.capacity import WorkerSlots
    from nas.executors.worker_pool import WorkerPool

    source = Source(100)
    # Longer than two waits of a step: of shorter trials that end in turn, each step may start one and take the other.
    with WorkerPool(source, Slow(seconds=0.6), WorkerSlots(1, 0, max_workers=2), None) as pool:
        while len(source.started) - len(source.outcomes) < 2:
            assert pool.step()
        num_taken = len(source.outcomes)
        time.sleep(1.3)
        pool.step()
    assert len(source.outcomes) == num_taken + 2


@pytest.mark.ray
def test_fewer_jobs_than_workers_do_not_wait_for_workers_that_never_come() -> None:
    source = Source(1)
    ray_executor().run(source, Landscape())
    assert sorted(source.outcomes) == [0]


@pytest.mark.ray
@pytest.mark.long
def test_short_trials_keep_all_workers_busy() -> None:
    ends: list[float] = []
    source = Source(10, on_finish=lambda outcome: ends.append(time.monotonic()))
    ray_executor().run(source, Slow())
    # Ten trials of a second each: nine more seconds after the first with one worker, four with two.
    assert ends[-1] - ends[0] < 7


@pytest.mark.ray
def test_a_trial_larger_than_the_cluster_is_refused() -> None:
    with pytest.raises(InputError, match="a trial asks for 999 CPUs and 0 GPUs, the largest node of the cluster has"):
        RayExecutor(cpus_per_trial=999, gpus_per_trial=0).run(Source(1), Landscape())


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nonsense", "ray://127.0.0.1:1", "127.0.0.1:99999"])
def test_a_cluster_that_is_not_there_is_refused(address: str) -> None:
    ray.shutdown()
    with pytest.raises(InputError, match=f"no Ray cluster at executor.address={address}"):
        RayExecutor(address=address).run(Source(1), Landscape())


@pytest.mark.parametrize(
    "options",
    [
        {"cpus_per_trial": 0},
        {"max_concurrent": 0},
        {"gpus_per_trial": -1.0},
        {"gpus_per_trial": 1.5},
        {"timeout_s": 0.0},
    ],
)
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        RayExecutor(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_running_out_of_memory_in_torch_has_its_kind() -> None:
    import torch

    class Greedy(Landscape):
        def evaluate(
            self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
        ) -> Evaluation:
            torch.empty(2**48)
            raise AssertionError

    source: TrialSource = Source(1)
    job = source.start_trial()
    assert job is not None
    result = run_job(Greedy(), job).result
    assert isinstance(result, Failure)
    assert result.kind == "out_of_memory"
