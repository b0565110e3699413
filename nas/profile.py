"""python -m nas.profile: show what an architecture costs, block by block."""

import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.table import Table

from foundation import InputError, absolute_path, check_range, short_path
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_aside, print_warning
from nas.record.architecture import find_architecture, is_run
from nas.terminal.console import make_console
from nas.terminal.figures import count
from nas.terminal.progress import progress_bar
from proxy_tasks.latency_options import LatencyOptions, latency_options
from proxy_tasks.onnx_extra import check_onnx_packages
from search_space import ArchSpec, ModelScale
from search_space.published import is_spec_file
from search_space.scale import MAX_IMAGE_SIZE_PX

if TYPE_CHECKING:
    from proxy_tasks.networks.cost import Cost
    from proxy_tasks.networks.profile import Part, Profile

HELP = """\
python -m nas.profile spec=NAME_OR_FILE_OR_RUN [scale=NAME] [name=value ...]

Show the blocks of an architecture: level, parents, parameters and multiply-adds of each, the total, and how long the
network takes: in torch, or as an ONNX file in onnxruntime or in a program of your own, on any device. Published names
are spinenet-49s, -49, -96, -143, -143l and -190 (one spec at six scales), spinenet-mobile-49, -49s and -49xs, r0-sp53,
r23-sp30 and, to compare with, r50-fpn. Spec files are written by nas.search and nas.export; of a run the best is taken,
or the trial of a number. Without scale=, the published scale of that name is used, or the one of the file or the run.

  python -m nas.profile spec=spinenet-96
  python -m nas.profile spec=r0-sp53 scale=spinenet-49s image_size_px=[600,800] num_classes=91
  python -m nas.profile spec=runs/quickstart scale=spinenet-49 latency=false
  python -m nas.profile spec=runs/quickstart trial=7 latency.runtime=onnxruntime
  python -m nas.profile spec=mine.json latency.runtime=command latency.device_name=nano latency.command='bench {file}'
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/profile.yaml`."""

    spec: str
    image_size_px: Any  # checked below, as its mistakes have a line of their own
    head: Literal["retinanet", "mask_rcnn", "classifier", "none"]
    num_classes: int
    latency: bool | LatencyOptions
    cache_dir: Path
    batch_size: int
    device: str
    precision: Literal["auto", "float32", "bfloat16"]
    num_runs: int
    scale: ModelScale | None = None
    trial: int | None = None

    def __post_init__(self) -> None:
        for name, value, low, high, reason in (
            ("num_classes", self.num_classes, 1, 100_000, "ImageNet's largest set has 22,000"),
            ("batch_size", self.batch_size, 1, 65_536, "a batch is held in memory"),
            ("num_runs", self.num_runs, 2, 1_000_000, "each run is timed and kept"),
        ):
            check_range(name, value, low, high, reason)

        self._check_timing()
        sides = self.size_px(32)
        if not all(isinstance(side, int) for side in sides):
            raise ValueError(f"image_size_px must be a number or [height,width], got {self.image_size_px}")
        for side in sides:
            check_range("image_size_px", side, 32, MAX_IMAGE_SIZE_PX, "an image of 8192 px takes 200 MB")

    @property
    def timing(self) -> LatencyOptions:
        """The manner in which the network is timed."""
        return latency_options(self.latency)

    def _check_timing(self) -> None:
        """Check what a file cannot do, and onnxruntime does not here."""
        if not self.timing.needs_onnx:
            return
        runtime = f"latency.runtime={self.timing.runtime}"
        if self.head == "mask_rcnn":
            raise ValueError(
                f"{runtime} times an ONNX file, which head=mask_rcnn cannot be written as: leave either out"
            )
        if self.precision == "bfloat16":
            raise ValueError(f"{runtime} times an ONNX file in float32: leave out precision={self.precision}")
        if self.device.startswith("cuda"):
            where = "the processor" if self.timing.runtime == "onnxruntime" else "the device that the command uses"
            raise ValueError(f"{runtime} times on {where}: leave out device={self.device}")

    def size_px(self, default: int) -> tuple[int, int]:
        """Return height and width; `default` is the scale's."""
        if isinstance(self.image_size_px, list) and len(self.image_size_px) == 2:
            height, width = self.image_size_px
            return height, width
        side = default if self.image_size_px is None else self.image_size_px
        return side, side


def main(config: dict[str, Any]) -> None:
    """Show what the configuration asks for."""
    options = build(Options, config, "")

    # Imported here so that help and mistakes do not wait for torch.
    from proxy_tasks.networks.profile import profile_network
    from proxy_tasks.runtime import pick_device

    if options.timing.needs_onnx:
        check_onnx_packages(f"latency.runtime={options.timing.runtime}")
    pick_device(options.device)  # a device that is not there ends the command before anything is printed
    name, architecture, scale = _named_architecture(options)
    image_size_px = options.size_px(scale.image_size_px)

    # A scale may leave a block no channel, which only building it shows.
    try:
        profile = profile_network(
            architecture, scale, image_size_px, head=options.head, num_classes=options.num_classes
        )
    except ValueError as error:
        raise InputError(str(error)) from None

    console = make_console()
    head = "backbone" if options.head == "none" else f"{options.head} head"
    _show_profile(console, profile, f"{name}, {head}", image_size_px)
    if options.timing.runtime is not None:
        _measure_latency(console, architecture, scale, options, image_size_px)


def _show_profile(console: Console, profile: "Profile", what: str, image_size_px: tuple[int, int]) -> None:
    height, width = image_size_px
    console.print(_table(profile, image_size_px, f"{what}, {height} x {width} px"))
    if profile.not_built:
        console.print(f"Not built, as they reach no output: {', '.join(map(str, profile.not_built))}")


def _measure_latency(
    console: Console,
    architecture: str | ArchSpec,
    scale: ModelScale,
    options: Options,
    image_size_px: tuple[int, int],
) -> None:
    """Time the network, or find what is kept of it, and print the result; keep it in the run that it is of, too."""
    from proxy_tasks.timing.kept import FOLDER, keep
    from proxy_tasks.timing.measured import Timing, network_latency
    from proxy_tasks.timing.network import TimedNetwork

    network = TimedNetwork(architecture, scale, image_size_px, options.head, options.num_classes)
    timing = Timing(options.timing, options.device, options.precision, options.batch_size, options.num_runs)
    num_runs = options.timing.num_calls if options.timing.runtime == "command" else options.num_runs
    started = time.time()
    with progress_bar(console, transient=True) as progress:
        bar = progress.add_task("measuring", total=num_runs)
        kept = network_latency(
            network,
            timing,
            options.cache_dir,
            report=lambda run: progress.update(bar, completed=run),
            say=print_warning,
        )

    console.print(f"Latency: {kept.latency}, normalisation folded into convolutions", soft_wrap=True)
    if kept.measured_at < started:
        when = datetime.fromtimestamp(kept.measured_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        path = short_path(options.cache_dir / FOLDER / kept.subject.file_name)
        console.print(f"Measured {when} and kept: without {path} it is measured again", soft_wrap=True)

    # The report of a run shows what was measured of its architectures, by device.
    if is_run(options.spec):
        run = absolute_path(Path(options.spec))
        try:
            keep(run / FOLDER, kept, inside=run)
        except InputError as error:
            print_warning(f"the report will not show this latency: {error}")


def _named_architecture(options: Options) -> tuple[str, str | ArchSpec, ModelScale]:
    """Return what to call the architecture, itself, which is a name where it was published, and its scale.

    Raises:
        InputError: an unknown name, or a file or run that cannot be used.
    """
    from proxy_tasks.networks.named_networks import default_scale

    if is_spec_file(options.spec) or is_run(options.spec) or options.trial is not None:
        found = find_architecture(options.spec, options.trial, print_aside)
        name = found.name if is_run(options.spec) else options.spec
        return name, found.spec, options.scale or found.scale or ModelScale()

    # The ResNet-50-FPN has a name here and no spec, and some published scales depend on the head.
    return options.spec, options.spec, options.scale or default_scale(options.spec, options.head)


def _table(profile: "Profile", image_size_px: tuple[int, int], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="bold", pad_edge=False)
    left = ("block", "kind", "parents")
    for name in ("block", "level", "kind", "parents", "size", "params", "MACs", "% of MACs"):
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)

    # A part that is no block, as the head, has neither level nor parents.
    for part in profile.parts:
        table.add_row(*_block_cells(part, image_size_px), *_cost_cells(part.cost, profile.total))
    table.add_row("total", "", "", "", "", *_cost_cells(profile.total, profile.total), style="bold")
    return table


def _block_cells(part: "Part", image_size_px: tuple[int, int]) -> tuple[str, str, str, str, str]:
    if part.level is None:
        return part.name, "", "", "", ""

    parents = ", ".join(map(str, part.parents)) + "".join(f" + {leftover} as it is" for leftover in part.leftovers)
    height, width = (math.ceil(size / 2**part.level) for size in image_size_px)
    name = f"{part.name} -> P{part.level}" if part.is_output else part.name
    return name, str(part.level), part.kind, parents, f"{height} x {width}"


def _cost_cells(cost: "Cost", total: "Cost") -> tuple[str, str, str]:
    return count(cost.params), count(cost.macs), f"{100 * cost.macs / total.macs:.1f}"


if __name__ == "__main__":
    run_command("profile", HELP, main)
