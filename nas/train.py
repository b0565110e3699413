"""The command python -m nas.train: train one architecture in full, to weights that people use."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foundation import InputError, absolute_path, check_range, check_seed
from nas.executors.interrupt import Interrupt
from nas.executors.threads import wait_without_spinning
from nas.options.builder import build
from nas.options.command_line import own_command, run_command
from nas.options.listed import choice_files
from nas.record.architecture import find_architecture, is_run
from nas.record.journal import FILE_NAME as JOURNAL
from nas.record.journal import package_versions
from nas.terminal.console import Verbosity, make_console
from nas.terminal.progress import TaskView
from nas.tracking.base import Tracker
from nas.training.launch import STATUS_LOST_OTHERS, end_with_launcher, launch
from proxy_tasks.detection.open_data import Data, DataOptions, prepare_data, prepared_content
from proxy_tasks.full_training.plan import TrainingPlan
from proxy_tasks.full_training.protocol import TrainingProtocol
from search_space import ArchSpec, ModelScale
from search_space.published import is_spec_file

if TYPE_CHECKING:
    from proxy_tasks.full_training.joining import Place

HELP = """\
python -m nas.train spec=NAME_OR_FILE_OR_RUN [scale=NAME] [protocol=NAME] data.root=FOLDER run=FOLDER [name=value ...]

Train one architecture in full, by a published protocol, on all GPUs of this machine or on its processor: of a run its
best, or the trial of a number. The folder gets detector.pt, the weights with the highest AP so far, last.pt, those
after the last step, checkpoints, and training.jsonl with each measurement. The same command again resumes.
On several machines, torchrun or Slurm starts it in each process; the run folder and the data are then shared.

  python -m nas.train experiment=quickstart_train
  python -m nas.train spec=runs/spinenet scale=spinenet-49 protocol=b data.root=/data/coco run=runs/full
  python -m nas.train model=r50-fpn scale=spinenet-49 protocol=b data.root=/data/coco run=runs/baseline
  python -m nas.train weights=runs/full protocol=finetune data.root=/data/photos run=runs/mine
  torchrun --nnodes=4 --nproc-per-node=8 -m nas.train spec=spinenet-49 data.root=/data/coco run=/shared/full
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/train.yaml`."""

    run: Path
    data: Data
    protocol: TrainingProtocol
    spec: str | None = None
    trial: int | None = None
    model: str | None = None
    scale: ModelScale | None = None
    weights: Path | None = None
    score_on: Literal["val", "held_out"] = "val"
    classes: Literal["dense", "ids"] = "dense"
    cache_dir: Path = Path("data/cache")
    cache_format: Literal["raw", "jpeg"] = "jpeg"
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    processes: int | None = None
    images_at_once: int | None = None
    validate_every_epochs: float = 10
    checkpoint_every_min: float = 15
    verbosity: Verbosity = "normal"
    tracking: Mapping[str, Tracker] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        for name, value, low, high, reason in (
            ("processes", self.processes or 1, 1, self.protocol.batch_size, "each takes an image of a batch at least"),
            ("images_at_once", self.images_at_once or 1, 1, 65_536, "they are held in memory"),
            ("validate_every_epochs", self.validate_every_epochs, 1e-6, 1e6, "no training has more"),
            ("checkpoint_every_min", self.checkpoint_every_min, 0, 1e6, "a checkpoint would never be written"),
        ):
            check_range(name, value, low, high, reason)
        if self.spec is not None and self.model is not None:
            raise ValueError("spec: give spec= or model=, as each names a network of its own")
        if self.spec is None and self.model is None and self.weights is None:
            raise ValueError(
                "spec: say what to train, by spec=, model= or weights=, as spec=runs/quickstart or model=r50-fpn"
            )


def main(config: dict[str, Any]) -> None:
    """Train what the configuration asks for."""
    config = {name: value for name, value in config.items() if name != "experiment"}
    wait_without_spinning()
    options = build(Options, config, "")

    # Imported here so that help and mistakes do not wait for torch.
    from proxy_tasks.full_training.joining import device_of, num_devices, place_of

    place = place_of(os.environ)
    if place is not None:
        end_with_launcher()
        _train(options, config, place)
        return

    count = num_devices(options.device) if options.processes is None else options.processes
    if count == 1:
        _train(options, config, None)
        return

    # What can be wrong is said once, by this process, before the others start.
    device = device_of(options.device, None)
    if device.startswith("cuda") and count > num_devices("cuda"):
        raise InputError(f"processes={count}: torch finds {num_devices('cuda')} GPUs on this machine, one for each")
    _plan(options, device)
    _prepare(options)
    threads = max(1, (os.cpu_count() or 1) // count) if device == "cpu" else None
    launch(count, threads)


def _train(options: Options, config: Mapping[str, Any], place: "Place | None") -> None:
    """Train in this process, alone or with others."""
    from nas.training.running import run_training
    from proxy_tasks.full_training.gathering import OthersEndedError
    from proxy_tasks.full_training.joining import device_of, joined

    device = device_of(options.device, place)
    plan = _plan(options, device)
    if place is None or place.on_machine == 0:
        _prepare(options)

    try:
        with Interrupt() as interrupt, joined(place, device) as processes:
            # Each process reads what was prepared, and nothing else.
            plan = replace(plan, data=replace(plan.data, content=prepared_content(plan.data)))
            run_training(plan, processes, interrupt, options.verbosity, config, options.tracking)
            interrupt.raise_if_asked()
    except OthersEndedError:
        sys.exit(STATUS_LOST_OTHERS)


def _plan(options: Options, device: str) -> TrainingPlan:
    """Return the plan that the options describe.

    Raises:
        InputError: there is no such architecture.
    """
    name, architecture, scale, search, trial = _architecture(options)
    scale = options.protocol.scaled(scale)
    return TrainingPlan(
        run=options.run,
        name=name,
        architecture=architecture,
        scale=scale,
        protocol=options.protocol,
        weights=_weights_file(options),
        data=_data_options(options, scale),
        seed=options.seed,
        device=device,
        precision=options.precision,
        images_at_once=options.images_at_once,
        validate_every=options.validate_every_epochs,
        checkpoint_every_s=options.checkpoint_every_min * 60,
        search=search,
        trial=trial,
        versions=package_versions(),
    )


def _architecture(options: Options) -> tuple[str, str | ArchSpec, ModelScale, str | None, int | None]:
    """Return name, architecture and scale, and the search and trial that it is from."""
    from proxy_tasks.networks.named_networks import default_scale, network_names

    weights = _weights_file(options)
    if weights is not None and options.spec is None and options.model is None:
        from proxy_tasks.detection.detector_file import read_detector

        info = read_detector(weights).info
        return info.name, info.architecture, options.scale or info.scale, info.search, info.trial

    named = options.model or options.spec or ""
    if options.spec is not None and (is_spec_file(named) or is_run(named) or options.trial is not None):
        _check_run(named)
        found = find_architecture(named, options.trial)
        scale = options.scale or found.scale or ModelScale()
        if not is_run(named):
            return found.name, found.spec, scale, None, None
        return found.name, found.spec, scale, Path(named).name, int(found.name.rpartition("-")[2])

    scale = options.scale or default_scale(named)
    architecture: str | ArchSpec = named
    if named in network_names() and named != "r50-fpn":
        architecture = find_architecture(named).spec
    return named, architecture, scale, None, None


def _check_run(spec: str) -> None:
    """Check that a run has been made where it is the one of an experiment.

    Raises:
        InputError: it has not; the message says which command makes it.
    """
    if not is_run(spec) or (absolute_path(Path(spec)) / JOURNAL).is_file():
        return
    for path in choice_files("experiment"):
        text = path.read_text(encoding="utf-8")
        if f"nas.search experiment={path.stem}" in text and f"run: {spec}" in text.splitlines():
            raise InputError(
                f"no run at {spec}: {own_command('search')} experiment={path.stem} makes it; spec=spinenet-49 does "
                "without a search"
            )


def _weights_file(options: Options) -> Path | None:
    """Return the file of the detector to start from; of a training's folder it is its best."""
    weights = options.weights
    return weights / "detector.pt" if weights is not None and weights.is_dir() else weights


def _data_options(options: Options, scale: ModelScale) -> DataOptions:
    return DataOptions(
        data=options.data,
        image_size_px=scale.image_size_px,
        score_on=options.score_on,
        classes=options.classes,
        cache_dir=options.cache_dir,
        cache_format=options.cache_format,
        content=None,
    )


def _prepare(options: Options) -> None:
    """Make the cache of the images where it is missing."""
    console = make_console(quiet=options.verbosity == "quiet")
    _, _, scale, _, _ = _architecture(options)
    with TaskView(console) as view:
        prepare_data(_data_options(options, scale), view.report)


if __name__ == "__main__":
    run_command("train", HELP, main, needs_output=False)
