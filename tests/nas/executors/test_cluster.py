"""A Ray cluster of several nodes on one machine, and what is done to it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
from ray.cluster_utils import Cluster

from controllers import Proposal
from controllers.evolution import RegularizedEvolution
from controllers.random_search import RandomSearch
from nas.engine.failures import FailurePolicy
from nas.engine.loop import Search
from nas.engine.plan import Plan
from nas.engine.reward import MetricReward
from nas.engine.successive_halving import SuccessiveHalving
from nas.engine.workers import Workers
from nas.executors.ray_cluster import RayExecutor
from nas.record.journal import FILE_NAME, Journal, read_record
from nas.record.stopping import LossHistory, Stopping
from nas.record.trial import Trial
from proxy_tasks import NO_WEIGHTS, Evaluation, Fidelity, Numerics, OptionRules, Report, Weights, silent
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.task import DetectionProxy
from proxy_tasks.landscape import Landscape
from proxy_tasks.training.recipe import Recipe
from search_space import Candidate, ModelScale, ScalePermutedSpace, published_spec, resnet_seed

pytestmark = [pytest.mark.ray, pytest.mark.long]

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000, "node_ip_address": "127.0.0.1"}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """A head that runs no trials; tests add nodes of one CPU. Takes a second to see that a node died, not fifteen."""
    heartbeats = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 300,
        "health_check_failure_threshold": 3,
    }
    head = NODE | {"num_cpus": 0, "include_dashboard": False, "_system_config": heartbeats}
    made = Cluster(initialize_head=True, head_node_args=head)
    yield made
    ray.shutdown()
    made.shutdown()  # type: ignore[no-untyped-call]  # Ray leaves it so


@dataclass(frozen=True)
class OnNode(Landscape):
    """Takes a moment, and says on which node."""

    seconds: float = 0.7

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        time.sleep(self.seconds)
        found = super().evaluate(candidate, fidelity=fidelity, seed=seed)
        node = int(ray.get_runtime_context().get_node_id()[:8], 16)
        return Evaluation({**found.metrics, "node": float(node)})


def number_of(node: object) -> float:
    return float(int(str(getattr(node, "node_id"))[:8], 16))  # noqa: B009  # Ray does not declare it


def search_on(journal: Journal, num_trials: int, on_change: Callable[[Trial], None]) -> Search:
    return Search(
        space=SPACE,
        controller=RandomSearch(SPACE),
        reward=MetricReward("ap"),
        journal=journal,
        plan=Plan(num_trials, 0, Fidelity(1)),
        on_change=on_change,
    )


def test_a_node_dies_and_another_joins_and_every_trial_is_told_once(cluster: Cluster, tmp_path: Path) -> None:
    doomed, steady = cluster.add_node(**NODE), cluster.add_node(**NODE)
    joined: list[object] = []

    def disturb(trial: Trial) -> None:
        # The last one to start is under way on one of the two nodes, the other one on the other.
        if len(journal.record.told) == 4 and trial.status == "running" and not joined:
            time.sleep(0.1)
            cluster.remove_node(doomed, allow_graceful=False)
            joined.append(cluster.add_node(**NODE))

    with Journal(tmp_path, {}) as journal:
        RayExecutor(address=cluster.address).run(search_on(journal, 20, disturb), OnNode())
    record = read_record(tmp_path)
    assert sorted(record.told) == list(range(20))
    assert all(trial.status == "completed" for trial in record.trials.values())
    lost = [failure.kind for trial in record.trials.values() for failure in trial.attempts]
    assert lost == ["node_lost"]
    nodes = Counter(trial.metrics["node"] for trial in record.trials.values())
    assert set(nodes) == {number_of(node) for node in (doomed, steady, *joined)}
    assert nodes[number_of(steady)] > 5


def test_with_a_number_of_workers_set_a_search_waits_for_nodes(cluster: Cluster, tmp_path: Path) -> None:
    # Ray starts nodes in the main thread only, and that is where signals are handled.
    before = signal.signal(signal.SIGALRM, lambda number, frame: cluster.add_node(**NODE))
    signal.setitimer(signal.ITIMER_REAL, 3.0)
    started = time.monotonic()
    try:
        with Journal(tmp_path, {}) as journal:
            executor = RayExecutor(address=cluster.address, max_concurrent=2)
            executor.run(search_on(journal, 3, lambda trial: None), OnNode())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started > 3
    assert sorted(read_record(tmp_path).told) == [0, 1, 2]


@dataclass(frozen=True)
class OnGpus(OnNode):
    """Says which GPUs it may use, as a number whose bits they are, and in which process it runs."""

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        found = super().evaluate(candidate, fidelity=fidelity, seed=seed)
        gpus = sum(1 << int(number) for number in os.environ["CUDA_VISIBLE_DEVICES"].split(","))
        return Evaluation({**found.metrics, "gpus": float(gpus), "pid": float(os.getpid())})


@pytest.mark.parametrize(
    ("gpus_per_trial", "num_workers", "sets_of_gpus"), [(0.5, 4, {0b01, 0b10}), (None, 2, {0b01, 0b10}), (2, 1, {0b11})]
)
def test_gpus_are_shared_or_taken_together(
    cluster: Cluster, tmp_path: Path, gpus_per_trial: float | None, num_workers: int, sets_of_gpus: set[int]
) -> None:
    # Ray counts GPUs and hands them out; these two need not be there.
    cluster.add_node(**NODE | {"num_cpus": 4, "num_gpus": 2})
    with Journal(tmp_path, {}) as journal:
        executor = RayExecutor(address=cluster.address, gpus_per_trial=gpus_per_trial)
        seen: list[Workers] = []
        executor.run(search_on(journal, 24, lambda trial: None), OnGpus(), seen.append)
    trials = read_record(tmp_path).trials.values()
    assert len({trial.metrics["pid"] for trial in trials}) == num_workers
    assert {int(trial.metrics["gpus"]) for trial in trials} == sets_of_gpus

    # One line, however many workers share, and none where nobody does.
    remarks = [workers.remark for workers in seen if workers.remark]
    assert len(remarks) == (1 if gpus_per_trial == 0.5 else 0)
    assert all(remark.startswith("trials that share a GPU take turns on ") for remark in remarks)


SLOW_TASK = '''
import os, time
from dataclasses import dataclass, replace
from proxy_tasks import NO_WEIGHTS
from proxy_tasks.landscape import Landscape

@dataclass(frozen=True)
class Slow(Landscape):
    """Takes 0.2 s, and notes on disk when each spec was begun; its loss is what its score lacks, in 20 parts."""

    log: str = ""

    def evaluate(self, spec, *, fidelity, seed, weights=NO_WEIGHTS):
        with open(self.log, "a") as file:
            file.write(f"{time.time()} {spec.key} {fidelity.epochs}\\n")
        time.sleep(0.2)
        found = super().evaluate(spec, fidelity=fidelity, seed=seed)
        return replace(found, loss_curve=(1 - found.metrics["ap"],) * 20)

    def evaluate_within(self, spec, *, fidelity, seed, loss_limits, weights=NO_WEIGHTS):
        found = self.evaluate(spec, fidelity=fidelity, seed=seed)
        (limit,) = loss_limits
        if found.loss_curve[0] <= limit.max_loss:
            return found
        return replace(found, metrics=self.costs(spec), loss_curve=found.loss_curve[:5], stopped_at=0.25)
'''


RUNGS = ("promotion.num_rungs=3", "promotion.reduction=3")
STOPPING = ("stopping.shares=[0.25]", "stopping.min_results=5")


@pytest.mark.parametrize(("promotion", "stopping"), [((), ()), (RUNGS, STOPPING)], ids=["plain", "rungs and stopping"])
def test_a_driver_killed_at_twenty_moments_loses_and_repeats_nothing(
    cluster: Cluster, tmp_path: Path, promotion: tuple[str, ...], stopping: tuple[str, ...]
) -> None:
    for _ in range(2):
        cluster.add_node(**NODE)
    (tmp_path / "slow_task.py").write_text(SLOW_TASK)
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "slow.yaml").write_text(f"_target_: slow_task.Slow\nlog: {tmp_path / 'log'}\n")
    arguments = ["--config-dir", "mine", "task=slow", "run=run", "fidelity.epochs=1", *promotion, *stopping]
    arguments += [
        "controller.population_size=10",
        "controller.tournament_size=3",
        f"executor.address={cluster.address}",
    ]
    rng = random.Random(0)
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-m", "nas.search", *arguments, "num_trials=10000"],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Anything from before the imports are done to some ten results later.
        with pytest.raises(subprocess.TimeoutExpired):
            process.communicate(timeout=rng.uniform(0.1, 6.5))
        process.kill()
        process.communicate()
    num_trials = len(read_record(tmp_path / "run").trials) + 20
    last = subprocess.run(
        [sys.executable, "-m", "nas.search", *arguments, f"num_trials={num_trials}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert last.returncode == 0, last.stderr

    lines = (tmp_path / "run" / FILE_NAME).read_text().splitlines()
    events = [json.loads(line) for line in lines][1:]
    told = [event["trial"] for event in events if event["event"] == "told"]
    assert sorted(told) == list(range(num_trials))
    record = read_record(tmp_path / "run")
    trained = ("completed", "stopped")
    told_at = {e["trial"]: e["time"] for e in events if e["event"] == "told" and e["status"] in trained}
    num_begun = 0
    for line in (tmp_path / "log").read_text().splitlines():
        begun_at, key, epochs = line.split()
        num_begun += 1
        done_at = [
            told_at[number]
            for number, trial in record.trials.items()
            if trial.key == key and number in told_at and 3**trial.rung == float(epochs)
        ]
        assert float(begun_at) < min(done_at), "a finished trial was trained again"
    # At most the two that were running are lost at each kill.
    assert len(told_at) <= num_begun <= len(told_at) + 2 * 20

    # Every proposal is that of a controller which was told what the journal holds up to there.
    controller = RegularizedEvolution(SPACE, population_size=10, tournament_size=3)
    halving = SuccessiveHalving(3 if promotion else 1, 3)
    running: dict[int, Proposal] = {}
    for event in events:
        number = event["trial"]
        trial = record.trials[number]
        if event["event"] == "asked":
            promoted = halving.promotion(running.values())
            assert trial.proposal == (promoted or controller.ask(np.random.default_rng([0, number])))
            running[number] = trial.proposal
        elif event["event"] == "told":
            proposal = running.pop(number)
            halving.note(proposal, trial.reward)
            if proposal.rung == 0:
                controller.tell(proposal, trial.reward)
    if stopping:
        # Each has the limits that follow from what the journal holds up to it, whoever proposed it.
        history = LossHistory(Stopping((0.25,), min_results=5))
        for event in events:
            trial = record.trials[event["trial"]]
            if event["event"] == "asked":
                assert trial.loss_limits == (() if trial.rung else history.limits())
            elif event["event"] == "told":
                history.note(trial)
        assert sum(trial.status == "stopped" for trial in record.trials.values()) >= 3
    if promotion:
        assert Counter(trial.rung for trial in record.trials.values())[2] >= 3


def test_a_result_that_was_lost_on_the_way_is_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "slow_task.py").write_text(SLOW_TASK)
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "slow.yaml").write_text(f"_target_: slow_task.Slow\nlog: {tmp_path / 'log'}\n")
    # Ray drops half of the replies to the driver, ten at most.
    chaos = {"num_failures": 10, "req_failure_prob": 0, "resp_failure_prob": 50, "in_flight_failure_prob": 0}
    done = subprocess.run(
        [sys.executable, "-m", "nas.search", "--config-dir", "mine", "task=slow", "run=run", "num_trials=20"],
        cwd=tmp_path,
        env=os.environ
        | {
            "RAY_testing_rpc_failure": json.dumps({"CoreWorkerService.grpc_client.PushTask": chaos}),
            "RAY_testing_rpc_failure_avoid_intra_node_failures": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "run")
    assert all(trial.status == "completed" and not trial.attempts for trial in record.trials.values())
    keys = [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(keys) == sorted(trial.key for trial in record.trials.values())


def sabotaged(number: int, task: DetectionProxy, folder: Path) -> DetectionProxy:
    """Do to this process, or to its data, what the trial of this number is to suffer."""
    if number == 1:
        return replace(task, recipe=replace(task.recipe, learning_rate=1e30, optimizer="sgd"))
    if number == 2:
        # More than any machine has. A limit on the process would do as well, but Ray's own threads die of it too.
        torch.empty(2**50, dtype=torch.uint8)
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 4:
        time.sleep(10_000)
    if number == 5:
        raise KeyError("a bug in somebody's code")
    if number == 6:
        copy = folder / "damaged"
        shutil.copytree(task.cache_dir, copy)
        for images in copy.glob("*/images"):
            os.truncate(images, images.stat().st_size // 2)
        return replace(task, cache_dir=copy)
    return task


@dataclass(frozen=True)
class Sabotaged:
    """The real detection task, to which something happens in each trial, told apart by the specs in their order."""

    task: DetectionProxy
    keys: tuple[str, ...]
    folder: Path

    @property
    def metric_names(self) -> tuple[str, ...]:
        return self.task.metric_names

    @property
    def cost_names(self) -> tuple[str, ...]:
        return self.task.cost_names

    @property
    def option_rules(self) -> OptionRules:
        return self.task.option_rules

    def prepare(self, report: Report) -> tuple[str, ...]:
        return self.task.prepare(report)

    def load(self) -> None:
        self.task.load()

    def numerics(self) -> Numerics | None:
        return self.task.numerics()

    def verify(self, report: Report) -> None:
        self.task.verify(report)

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        return self.task.costs(candidate)

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        number = self.keys.index(candidate.key)
        task = sabotaged(number, self.task, self.folder)
        if number == 7:
            candidate = Candidate(
                published_spec("spinenet-mobile-49")
            )  # whose narrow blocks are left no channel at this scale
        return task.evaluate(candidate, fidelity=fidelity, seed=seed, weights=weights)


def test_every_failure_ends_as_its_kind_and_the_search_goes_on(tmp_path: Path) -> None:
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    specs = [space.decode(space.sample(np.random.default_rng([0, number]))).spec for number in range(10)]
    data = Shapes(tmp_path / "shapes", num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8)
    scale = ModelScale(image_size_px=64, width_multiplier=0.0625, endpoint_width=8, head_width=8, num_head_convs=1)
    detection = DetectionProxy(data, scale, Recipe(batch_size=4), cache_dir=tmp_path / "cache")
    task = Sabotaged(detection, tuple(spec.key for spec in specs), tmp_path)
    task.prepare(silent)
    policy = FailurePolicy(bad_data="fail", max_retries=1, max_failed_share=1)
    with Journal(tmp_path / "run", {}) as journal:
        search = Search(
            space=space,
            controller=RandomSearch(space),
            reward=MetricReward("ap"),
            journal=journal,
            plan=Plan(10, 0, Fidelity(0.5), failures=policy),
        )
        RayExecutor(max_concurrent=2, timeout_s=40).run(search, task)
    trials = read_record(tmp_path / "run").trials
    kinds = {number: trial.failure.kind for number, trial in trials.items() if trial.failure is not None}
    assert kinds == {
        1: "nan",
        2: "out_of_memory",
        3: "worker_lost",
        4: "timeout",
        5: "error",
        6: "bad_data",
        7: "bad_spec",
    }
    assert {number for number, trial in trials.items() if trial.status == "completed"} == {0, 8, 9}
    # These two kinds are tried once more, on a fresh worker.
    assert {number: len(trial.attempts) for number, trial in trials.items() if trial.attempts} == {2: 1, 3: 1}
    assert "damaged/train2017-64px-raw-" in (trials[6].failure.message if trials[6].failure else "")
