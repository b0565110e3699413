"""One evaluation of the detection task: a network built, trained, and scored by COCO's average precision."""

import time
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from foundation import InputError
from proxy_tasks.base import NO_WEIGHTS, BadDataError, BadSpecError, Evaluation, Fidelity, LossLimit, Weights
from proxy_tasks.coco.batch_reading import read_batches
from proxy_tasks.coco.batches import training_rows
from proxy_tasks.coco.open_data import OpenData, open_data
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.evaluation_options import EvaluationOptions
from proxy_tasks.detection.inference import detect_all
from proxy_tasks.detection.latency_metrics import latency_metrics
from proxy_tasks.detection.normalisation import retake_statistics
from proxy_tasks.detection.scoring import score
from proxy_tasks.detection.training import train
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.retinanet import RetinaNet
from proxy_tasks.networks.torch_file import UnusableWeightsError
from proxy_tasks.networks.weights import load_network, save_network
from proxy_tasks.runtime import pick_device, set_up_training, uses_bf16
from proxy_tasks.training.gpu_memory import peak_named
from proxy_tasks.training.loss_curve import loss_curve, share_done
from search_space import ArchSpec, ModelScale

_TO_LOWER = "recipe.batch_size, scale.image_size_px or the number of trials that share the GPU"
_SEEDS = 2**32
"""One more than the largest seed of a run; see `Plan`."""


def evaluate_detector(
    options: EvaluationOptions,
    architecture: str | ArchSpec,
    *,
    fidelity: Fidelity,
    seed: int,
    weights: Weights = NO_WEIGHTS,
    loss_limits: Sequence[LossLimit] = (),
) -> Evaluation:
    """Train and score one spec, or one network by its name, as the options say; see `StoppableTask.evaluate_within`.

    A lack of the GPU's memory says how much was taken, and what to lower.
    """
    device = pick_device(options.device)
    set_up_training(device)
    with peak_named(device, _TO_LOWER):
        return _evaluate(options, architecture, fidelity, seed, weights, loss_limits)


def _evaluate(
    options: EvaluationOptions,
    architecture: str | ArchSpec,
    fidelity: Fidelity,
    seed: int,
    weights: Weights,
    loss_limits: Sequence[LossLimit],
) -> Evaluation:
    """Train and score one network.

    A network with weights to start from is trained for the epochs that it lacks, under a schedule of its own. The
    metrics then say how many it had before, as `epochs_before`. Where images to score on cannot be used, they say how
    many AP was measured on, as `num_scored_images`.
    """
    started = time.perf_counter()
    device = pick_device(options.device)
    bf16 = uses_bf16(options.precision, device.type)
    data = _open_data(options)

    # The seed decides the random weights that the network starts from.
    torch.manual_seed(seed)
    network = _build(architecture, options.scale, data.num_classes, device)
    anchors = make_anchors(network.output_levels, options.scale.image_size_px, options.scale.anchor_scale, device)
    remarks: list[str] = []
    epochs_before = _resume(network, weights, fidelity, remarks)

    # A network that resumes is trained for the epochs that it lacks. Its seed is one that no run has, so it sees
    # other orders and augmentations than before.
    rows = data.train_rows[: fidelity.max_train_images]
    batch_size = options.recipe.batch_size
    num_steps = max(1, round((fidelity.epochs - epochs_before) * len(rows) / batch_size))
    training_seed = seed + _SEEDS * round(epochs_before * len(rows) / batch_size)
    batches = read_batches(data.train, training_rows(rows, batch_size, num_steps, training_seed), device)
    losses = train(
        network, batches, anchors, options.recipe, num_steps, bf16=bf16, seed=training_seed, loss_limits=loss_limits
    )
    trained = time.perf_counter()
    curve = loss_curve(losses, num_steps)
    known = {"loss": float(losses[-1]), **detector_costs(options, architecture)}
    if len(losses) < num_steps:
        seconds = {"train": trained - started}
        return Evaluation(known, seconds, curve, tuple(remarks), stopped_at=share_done(curve, num_steps))

    retake_statistics(network, data.train, rows, batch_size=batch_size, seed=seed, device=device, bf16=bf16)

    # After the statistics, which belong to the network that a promotion resumes.
    _keep(network, weights, fidelity, remarks)

    found = detect_all(network, anchors, data.scored, data.scored_rows, bf16=bf16)
    metrics = score(data.scored.annotations, data.scored_rows, found, per_class=options.per_class_ap)
    scored = time.perf_counter()
    seconds = {"train": trained - started, "score": scored - trained}

    if options.latency.runtime is not None:
        metrics |= latency_metrics(options, architecture, data.num_classes, remarks)
        seconds["latency"] = time.perf_counter() - scored
    if data.lacks_scored_images:
        metrics["num_scored_images"] = float(len(data.scored_rows))
    if weights.start_from is not None:
        metrics["epochs_before"] = epochs_before
    return Evaluation(metrics | known, seconds, curve, tuple(remarks))


def detector_costs(options: EvaluationOptions, architecture: str | ArchSpec) -> Mapping[str, float]:
    """Return what a detector costs at the task's scale; see `ProxyTask.costs`."""
    num_classes = open_data(options.data).num_classes
    try:
        cost = detector_cost(architecture, options.scale, num_classes)
    except ValueError as error:
        raise BadSpecError(str(error)) from error
    return {"macs": float(cost.macs), "params": float(cost.params)}


def _resume(network: nn.Module, weights: Weights, fidelity: Fidelity, remarks: list[str]) -> float:
    """Fill a network from the weights that it is to start from; return the epochs that these were trained for."""
    if weights.start_from is None:
        return 0.0
    try:
        return load_network(network, weights.start_from, fidelity.epochs)
    except UnusableWeightsError as error:
        # Training from scratch takes longer, and is as right.
        remarks.append(f"trained from scratch, as {error}")
        return 0.0


def _keep(network: nn.Module, weights: Weights, fidelity: Fidelity, remarks: list[str]) -> None:
    """Keep a network for a promotion; one that cannot be kept has not been trained in vain."""
    if weights.keep_in is None:
        return
    try:
        save_network(network, weights.keep_in, fidelity.epochs)
    except InputError as error:
        remarks.append(f"a promotion will train from scratch, as its weights are not kept: {error}")


def _open_data(options: EvaluationOptions) -> OpenData:
    """Open the data in a trial, where any fault in it is one of this machine."""
    try:
        return open_data(options.data)
    except InputError as error:
        raise BadDataError(str(error)) from error


def _build(architecture: str | ArchSpec, scale: ModelScale, num_classes: int, device: torch.device) -> RetinaNet:
    """Build the network on the device, in the layout in which convolutions are fastest."""
    try:
        network = build_detector(architecture, scale, num_classes)
    except ValueError as error:
        raise BadSpecError(str(error)) from error
    return network.to(device).to(memory_format=torch.channels_last)
