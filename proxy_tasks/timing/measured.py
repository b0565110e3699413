"""The latency of a network by the options: measured in torch, in onnxruntime or by a command, or kept from before."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import torch

from foundation import InputError
from proxy_tasks.device_options import Precision
from proxy_tasks.latency import Conditions, Latency, latency_of
from proxy_tasks.latency_options import LatencyOptions
from proxy_tasks.networks.latency import NUM_WARMUPS, device_name, measure_latency, times_ms, torch_conditions
from proxy_tasks.networks.onnx_file import IMAGES, open_onnx, runtime
from proxy_tasks.runtime import pick_device, uses_bf16
from proxy_tasks.timing.code import code_of
from proxy_tasks.timing.command import command_ms
from proxy_tasks.timing.command_files import command_files
from proxy_tasks.timing.kept import FOLDER, KeptLatency, Subject, Turn, kept_or_measured
from proxy_tasks.timing.network import TimedNetwork


@dataclass(frozen=True, slots=True)
class Timing:
    """The manner in which a network is timed.

    Attributes:
        options: the program that runs it.
        device: device of `runtime=torch`, as `pick_device` takes it; onnxruntime has the processor.
        precision: number format of `runtime=torch`; a file is in float32.
        batch_size: images a run.
        num_runs: runs that count, but for a command.
    """

    options: LatencyOptions
    device: str = "auto"
    precision: Precision = "float32"
    batch_size: int = 1
    num_runs: int = 20

    def conditions(self, image_size_px: tuple[int, int]) -> Conditions:
        """Return the conditions of a measurement.

        Raises:
            InputError: no such device.
        """
        batch_size, options = self.batch_size, self.options
        match options.runtime:
            case "torch":
                device = pick_device(self.device)
                bf16 = uses_bf16(self.precision, device.type)
                return torch_conditions(
                    image_size_px, batch_size=batch_size, device=device, bf16=bf16, num_runs=self.num_runs
                )
            case "onnxruntime":
                processor = device_name(torch.device("cpu"))
                return Conditions(
                    runtime(), processor, "float32", batch_size, image_size_px, self.num_runs, NUM_WARMUPS
                )
            case "command":
                return Conditions(
                    "command", options.device_name or "", "float32", batch_size, image_size_px, options.num_calls, None
                )
            case None:
                raise ValueError("runtime=null times nothing")
            case _:
                assert_never(options.runtime)


def network_latency(
    network: TimedNetwork,
    timing: Timing,
    folder: Path,
    *,
    report: Callable[[int], None] = lambda run: None,
    say: Callable[[str], None] = lambda line: None,
) -> KeptLatency:
    """Return how long a network takes, measured unless it is kept from before.

    Args:
        network: the network.
        timing: how it is timed.
        folder: of the caches; what is kept lies in `latency/` below it.
        report: called with the number of each run that counts, from 1, while they are measured.
        say: called with a line where the result cannot be kept.

    Raises:
        InputError: it cannot be measured.
    """
    conditions = timing.conditions(network.image_size_px)
    subject = Subject(
        key=network.key,
        head=network.head,
        num_classes=network.num_classes,
        scale=network.scale,
        command=timing.options.command,
        command_files=command_files(timing.options.command),
        code=code_of(network.architecture, needs_onnx=timing.options.needs_onnx),
        conditions=conditions,
    )

    def measure(turn: Turn) -> Latency:
        return _measured(network, timing, conditions, report, turn)

    # As long as a turn may take: all calls of a command, and the writing of its file.
    turn_s = timing.options.timeout_s * (timing.options.num_calls + 1)
    return kept_or_measured(folder / FOLDER, subject, measure, timeout_s=turn_s, say=say)


def _measured(
    network: TimedNetwork, timing: Timing, conditions: Conditions, report: Callable[[int], None], turn: Turn
) -> Latency:
    options = timing.options
    match options.runtime:
        case "torch":
            device = pick_device(timing.device)
            return measure_latency(
                network.folded(),
                network.image_size_px,
                batch_size=timing.batch_size,
                device=device,
                bf16=uses_bf16(timing.precision, device.type),
                num_runs=timing.num_runs,
                report=report,
            )
        case "onnxruntime":
            return _in_onnxruntime(network.onnx_bytes(timing.batch_size), conditions, report)
        case "command":
            return _by_command(network, timing, conditions, report, turn)
        case None:
            raise ValueError("runtime=null times nothing")
        case _:
            assert_never(options.runtime)


def _in_onnxruntime(content: bytes, conditions: Conditions, report: Callable[[int], None]) -> Latency:
    session = open_onnx(content)
    images = torch.randn(conditions.batch_size, 3, *conditions.image_size_px).numpy()
    times = times_ms(lambda: session.run(None, {IMAGES: images}), NUM_WARMUPS, conditions.num_runs, report)
    return latency_of(times, conditions)


def _by_command(
    network: TimedNetwork, timing: Timing, conditions: Conditions, report: Callable[[int], None], turn: Turn
) -> Latency:
    """Hand the network to the command as a file of its key's name, which is gone afterwards.

    Raises:
        InputError: the command fails, or no file can be written for it.
    """
    command = timing.options.command
    if command is None:
        raise InputError("runtime=command needs a command")

    times = []
    content = network.onnx_bytes(timing.batch_size)
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"{network.key}.onnx"
            file.write_bytes(content)
            for call in range(1, timing.options.num_calls + 1):
                times.append(command_ms(command, file, timing.options.timeout_s, turn))
                report(call)
    except OSError as error:
        raise InputError(f"latency.command cannot be given a file below TMPDIR: {error.strerror}") from None
    return latency_of(times, conditions)
