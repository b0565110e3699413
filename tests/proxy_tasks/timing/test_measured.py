"""Latencies of real networks: in torch, in onnxruntime and by a shell command."""

import re
import resource
from pathlib import Path
from typing import get_args

import pytest

from foundation import InputError
from proxy_tasks.latency_options import LatencyOptions
from proxy_tasks.networks.named_networks import Head
from proxy_tasks.timing.measured import Timing, network_latency
from proxy_tasks.timing.network import TimedNetwork
from search_space import ModelScale

SCALE = ModelScale(width_multiplier=0.0625, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=64)
BACKBONE = TimedNetwork("r50-fpn", SCALE, (64, 96), head="none")
"""The network that is written the fastest as a file."""


@pytest.mark.parametrize("head", get_args(Head))
def test_every_head_can_be_timed_in_torch(tmp_path: Path, head: Head) -> None:
    network = TimedNetwork("spinenet-49", SCALE, (64, 64), head)
    timing = Timing(LatencyOptions("torch"), device="cpu", num_runs=2)
    latency = network_latency(network, timing, tmp_path).latency
    assert latency.median_ms > 0
    assert latency.conditions.precision == "float32"
    assert latency.conditions.runtime.startswith("torch ")
    assert "thread" in latency.conditions.device


def test_onnxruntime_times_the_file_of_the_network(tmp_path: Path) -> None:
    runs: list[int] = []
    timing = Timing(LatencyOptions("onnxruntime"), batch_size=2, num_runs=4)
    kept = network_latency(BACKBONE, timing, tmp_path, report=runs.append)
    latency = kept.latency
    assert 0 < latency.quartiles_ms[0] <= latency.median_ms <= latency.quartiles_ms[1]
    assert re.search(
        r"median of 4 runs after 5 to warm up \(.*\); batch 2 of 64 x 96 px, float32, onnxruntime \d\S+, .* thread",
        str(latency),
    )
    assert runs == [1, 2, 3, 4]
    assert network_latency(BACKBONE, timing, tmp_path) == kept


def test_a_command_times_a_file_that_onnx_reads_and_the_median_of_its_calls_counts(tmp_path: Path) -> None:
    import onnx

    copied = tmp_path / "copied.onnx"
    command = f"cp {{file}} {copied}; echo x >> {tmp_path}/calls; wc -l < {tmp_path}/calls"
    timing = Timing(LatencyOptions("command", command, "nano", num_calls=5))
    latency = network_latency(BACKBONE, timing, tmp_path).latency
    assert (latency.median_ms, latency.quartiles_ms, latency.spread_ms) == (3.0, (2.0, 4.0), 2.0)
    assert str(latency).startswith(
        "3.00 ms, median of 5 calls (quartiles 2.00 and 4.00); batch 1 of 64 x 96 px, float32"
    )

    model = onnx.load(copied)
    onnx.checker.check_model(model)
    (images,) = model.graph.input
    assert [dim.dim_value for dim in images.type.tensor_type.shape.dim] == [1, 3, 64, 96]


@pytest.mark.long
def test_a_script_that_was_edited_measures_again(tmp_path: Path) -> None:
    script = tmp_path / "bench.sh"
    timing = Timing(LatencyOptions("command", f"sh {script} {{file}}", "nano", num_calls=1))
    found = []
    for line in ("echo 3", "echo 4", "echo 3"):
        script.write_text(line)
        found.append(network_latency(BACKBONE, timing, tmp_path).latency.median_ms)
    assert found == [3, 4, 3]
    assert len(list((tmp_path / "latency").glob("*.json"))) == 2


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    # No file may grow as big as the network's.
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        timing = Timing(LatencyOptions("command", "echo 3; : {file}", "nano"))
        with pytest.raises(InputError, match=r"^latency\.command cannot be given a file below TMPDIR: File too large$"):
            network_latency(BACKBONE, timing, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_mask_rcnn_is_no_file(tmp_path: Path) -> None:
    network = TimedNetwork("spinenet-49", SCALE, (64, 64), "mask_rcnn")
    with pytest.raises(InputError, match="cannot be written as an ONNX file: time it with runtime=torch"):
        network_latency(network, Timing(LatencyOptions("onnxruntime")), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize(
    ("architecture", "head"),
    [("spinenet-49", "classifier"), ("spinenet-mobile-49", "retinanet"), ("r50-fpn", "retinanet")],
)
def test_detectors_and_classifiers_are_timed_in_onnxruntime(tmp_path: Path, architecture: str, head: Head) -> None:
    network = TimedNetwork(architecture, SCALE, (64, 64), head, num_classes=3)
    if architecture == "spinenet-mobile-49":
        network = TimedNetwork(architecture, ModelScale(separable_head=True, head_width=16), (64, 64), head)
    assert network_latency(network, Timing(LatencyOptions("onnxruntime")), tmp_path).median_ms > 0
