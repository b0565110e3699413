"""The command python -m nas.train: train one architecture in full, to weights that people use."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from foundation import InputError, absolute_path, check_range, check_seed, current_folder, short_path
from nas.executors.base import Executor
from nas.executors.interrupt import Interrupt
from nas.executors.local import LocalExecutor
from nas.executors.threads import wait_without_long_spinning
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.invocation import given_arguments, own_command
from nas.options.listed import choice_files
from nas.options.stop_signals import stop_signals_held_back
from nas.record.architecture import find_architecture, highest_ranked, is_run, trial_name
from nas.record.events import MAX_TRIALS
from nas.record.journal import FILE_NAME as JOURNAL
from nas.record.journal import package_versions, read_record
from nas.running import make_consoles
from nas.terminal.console import Verbosity
from nas.terminal.winners_table import winners_table
from nas.tracking.base import Tracker
from nas.training.journal import check_folder
from nas.training.launch import end_for_others, end_with_launcher, launch
from nas.training.preparing import prepare_before, prepare_images
from nas.training.winners import FullTraining, Winner, Winners, arguments_of, figure_text, is_finished, results
from proxy_tasks.classification.class_labels import labels_of
from proxy_tasks.classification.class_shapes import ClassShapes
from proxy_tasks.classification.image_folder import ImageFolder
from proxy_tasks.classification.inaturalist import INaturalist
from proxy_tasks.coco.folder import CocoFolder
from proxy_tasks.coco.native_images import LONGEST_SIDE_PX, Native
from proxy_tasks.coco.open_data import Data, DataOptions, prepared_content
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.full_training.head_names import HEADS, HeadName
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
search= trains the best of a search, each in a folder below run=: one after another, or side by side over Ray.
prepare_only=true makes the cache of images and stops, for instance on a machine without a GPU before many processes
start; if it was stopped, the same command resumes.

  python -m nas.train experiment=quickstart_train
  python -m nas.train spec=runs/spinenet scale=spinenet-49 protocol=b data.root=/data/coco run=runs/full
  python -m nas.train model=r50-fpn scale=spinenet-49 protocol=b data.root=/data/coco run=runs/baseline
  python -m nas.train weights=runs/full protocol=finetune data.root=/data/photos run=runs/mine
  python -m nas.train spec=spinenet-49 head=mask_rcnn protocol=mask_rcnn data.root=/data/coco run=runs/masks
  python -m nas.train search=runs/spinenet top=3 scale=spinenet-49 data.root=/data/coco run=runs/winners
  python -m nas.train head=classifier spec=runs/spinenet scale=spinenet-49 protocol=classes \\
    data=image_folder data.root=/data/imagenet run=runs/classes
  python -m nas.train prepare_only=true data.root=/data/coco
  torchrun --nnodes=4 --nproc-per-node=8 -m nas.train spec=spinenet-49 data.root=/data/coco run=/shared/full
"""


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/train.yaml`."""

    run: Path
    data: Data
    protocol: TrainingProtocol
    head: HeadName = "retinanet"
    spec: str | None = None
    trial: int | None = None
    model: str | None = None
    scale: ModelScale | None = None
    weights: Path | None = None
    score_on: Literal["val", "held_out"] = "val"
    classes: Literal["dense", "ids"] = "dense"
    cache_dir: Path = Path("data/cache")
    longest_side_px: int = LONGEST_SIDE_PX
    seed: int = 0
    device: str = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    processes: int | None = None
    images_at_once: int | None = None
    validate_every_epochs: float = 10
    checkpoint_every_min: float = 15
    verbosity: Verbosity = "normal"
    tracking: Mapping[str, Tracker] = field(default_factory=dict)
    prepare_only: bool = False
    search: Path | None = None
    top: int = 3
    executor: Executor = field(default_factory=LocalExecutor)

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        Native(self.longest_side_px)
        processes, images_at_once = (1 if given is None else given for given in (self.processes, self.images_at_once))
        for name, value, low, high, reason in (
            ("processes", processes, 1, self.protocol.batch_size, "each takes an image of a batch at least"),
            ("images_at_once", images_at_once, 1, 65_536, "they are held in memory"),
            ("validate_every_epochs", self.validate_every_epochs, 1e-6, 1e6, "no training has more"),
            ("checkpoint_every_min", self.checkpoint_every_min, 0, 1e6, "a checkpoint would never be written"),
        ):
            check_range(name, value, low, high, reason)
        check_range("top", self.top, 1, MAX_TRIALS, "no run has more trials")
        if not self.prepare_only:
            self._check_data()
        if self.search is not None:
            self._check_search(self.search)
            return
        if not isinstance(self.executor, LocalExecutor):
            raise ValueError("executor: runs the trainings of search= beside each other; a single one needs none")
        if self.spec is not None and self.model is not None:
            raise ValueError("spec: give spec= or model=, as each names a network of its own")
        if self.spec is None and self.model is None and self.weights is None and not self.prepare_only:
            raise ValueError(
                "spec: say what to train, by spec=, model= or weights=, as spec=runs/quickstart or model=r50-fpn"
            )

    def _check_data(self) -> None:
        """Check that the head can learn from this kind of data."""
        is_of_classes = isinstance(self.data, ClassShapes | ImageFolder | INaturalist)
        if is_of_classes and self.head != "classifier":
            raise ValueError(
                f"head={self.head}: images by class have no boxes; head=classifier protocol=classes fits them"
            )
        if self.head == "mask_rcnn" and isinstance(self.data, Shapes) and not self.data.masks:
            raise ValueError("head=mask_rcnn: data=shapes has no masks; data=shapes_masks is the same data with masks")
        if self.head == "classifier" and isinstance(self.data, Shapes):
            raise ValueError(
                "head=classifier: images of data=shapes have several objects; data=class_shapes has one each"
            )

    def _check_search(self, search: Path) -> None:
        """Check that nothing else is to be trained; an experiment may name the same run as spec."""
        named = {"spec": self.spec, "trial": self.trial, "model": self.model, "weights": self.weights}
        if self.spec is not None and absolute_path(Path(self.spec)) == search:
            named.pop("spec")
        for name, value in named.items():
            if value is not None:
                raise ValueError(f"search: trains the best of a run, so {name}={value} must be left out, or be null")


def main(config: dict[str, Any]) -> None:
    """Train what the configuration asks for."""
    config = {name: value for name, value in config.items() if name != "experiment"}
    options = build(Options, config, "")
    if options.prepare_only:
        # The cache is one for every scale.
        prepare_before(_data_options(options, ModelScale()), options.verbosity)
        return

    wait_without_long_spinning()
    # Imported here so that help and mistakes do not wait for torch.
    from proxy_tasks.full_training.joining import device_of, num_devices, place_of

    end_with_launcher()
    place = place_of(os.environ)
    if options.search is not None:
        if place is not None:
            raise InputError("search= starts the processes of each training itself: leave out torchrun or Slurm")
        _train_winners(options, options.search, config)
        return
    if place is not None:
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
    with stop_signals_held_back():
        from nas.training.running import run_training
        from proxy_tasks.full_training.gathering import OthersEndedError, any_wants, lost_others
        from proxy_tasks.full_training.joining import device_of, joined

    device = device_of(options.device, place)
    plan = _plan(options, device)
    try:
        with joined(place, device) as processes:
            # Together from here on: where the data cannot be used, none waits for a process that is gone.
            if place is None or place.on_machine == 0:
                _prepare(options)
            with lost_others():
                any_wants(processes, wants=False)

            # Each process reads what was prepared, and nothing else.
            plan = replace(plan, data=replace(plan.data, content=prepared_content(plan.data)))
            with Interrupt() as interrupt:
                run_training(plan, processes, interrupt, options.verbosity, config, options.tracking)
                interrupt.raise_if_asked()
    except OthersEndedError as error:
        end_for_others(str(error))


def _train_winners(options: Options, search: Path, config: Mapping[str, Any]) -> None:
    """Train the best of a search, each by a command of its own, and show what came of each.

    Raises:
        InputError: there are none, they cannot be trained, or a training failed.
    """
    consoles = make_consoles(options.verbosity)
    say, warn = (partial(console.print, soft_wrap=True) for console in (consoles.results, consoles.problems))
    best = highest_ranked(read_record(search), search, options.top, say)
    winners = [Winner(trial, options.run / trial_name(search, trial)) for trial in best]

    left = [winner for winner in winners if not is_finished(winner.folder, config)]
    for winner in winners:
        if winner not in left:
            say(f"{winner.name}: trained already{figure_text(winner.folder)}")

    # What can be wrong is said once, before the first one starts.
    single = replace(options, search=None, spec=str(search), executor=LocalExecutor())
    singles = [replace(single, trial=winner.trial.number, run=winner.folder) for winner in left]
    for single in singles:
        _plan(single, options.device)
    for single in singles[:1]:
        _prepare(single)

    source = Winners(left, say, warn)
    commands = {winner.trial.key: (arguments_of(winner, search, given_arguments()), winner.folder) for winner in left}
    try:
        if left:
            options.executor.run(source, FullTraining(commands, current_folder()))
    finally:
        # After Ctrl-C too: what was trained is shown all the same.
        rows = results(winners, source.failures)
        consoles.results.print(
            winners_table(rows, f"Best of {short_path(search)}, trained in full", HEADS[options.head].metric_text)
        )
    if source.failures:
        raise InputError(
            f"{len(source.failures)} of {len(winners)} trainings failed; the same command resumes those, and no other"
        )


def _plan(options: Options, device: str) -> TrainingPlan:
    """Return the plan that the options describe.

    Raises:
        InputError: there is no such architecture, or the run folder cannot be the training's.
    """
    check_folder(options.run)
    name, architecture, scale, search, trial = _architecture(options)
    scale = options.protocol.scaled(scale)
    return TrainingPlan(
        run=options.run,
        name=name,
        head=options.head,
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
        from proxy_tasks.full_training.starting_weights import read_start

        start = read_start(weights)
        return start.name, start.architecture, options.scale or start.scale, start.search, start.trial

    named = options.model or options.spec or ""
    if options.spec is not None and (is_spec_file(named) or is_run(named) or options.trial is not None):
        _check_run(named)
        found = find_architecture(named, options.trial)
        scale = options.scale or found.scale or ModelScale()
        if not is_run(named):
            return found.name, found.spec, scale, None, None
        return found.name, found.spec, scale, Path(named).name, int(found.name.rpartition("-")[2])

    scale = options.scale or default_scale(named, options.head)
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
    """Return the file of the network to start from; of a training's folder it is its best."""
    weights = options.weights
    if weights is None or not weights.is_dir():
        return weights
    # Of another head it has a backbone all the same.
    files = [weights / HEADS[options.head].file, *(weights / words.file for words in HEADS.values())]
    return next((file for file in files if file.exists()), files[0])


def _data_options(options: Options, scale: ModelScale) -> DataOptions:
    data = options.data
    if options.score_on == "val" and isinstance(data, CocoFolder | ImageFolder | INaturalist):
        # All images are trained on. How many a search holds out does not matter, and may be more than there are.
        data = replace(data, num_held_out=1)
    return DataOptions(
        data=data,
        image_size_px=scale.image_size_px,
        score_on=options.score_on,
        classes=options.classes,
        cache_dir=options.cache_dir,
        cache_format=Native(options.longest_side_px),
        content=None,
        with_masks=options.head == "mask_rcnn",
        check=labels_of if options.head == "classifier" else None,
    )


def _prepare(options: Options) -> None:
    """Make the cache of the images where it is missing."""
    _, _, scale, _, _ = _architecture(options)
    prepare_images(_data_options(options, scale), options.verbosity)


if __name__ == "__main__":
    run_command("train", HELP, main, needs_output=False)
