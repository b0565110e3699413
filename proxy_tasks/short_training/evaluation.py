"""One evaluation of a task that trains networks: a network built, trained briefly, and scored."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from foundation import InputError
from proxy_tasks.base import NO_WEIGHTS, BadDataError, BadSpecError, Evaluation, Fidelity, LossLimit, Weights
from proxy_tasks.coco.batches import training_rows
from proxy_tasks.coco.open_data import OpenData, open_data
from proxy_tasks.networks.cost import network_cost, on_meta
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.torch_file import UnusableWeightsError
from proxy_tasks.networks.weights import load_network, save_network
from proxy_tasks.runtime import pick_device, set_up_training, uses_bf16
from proxy_tasks.short_training.evaluation_options import EvaluationOptions
from proxy_tasks.short_training.head import TrialHead
from proxy_tasks.short_training.latency_metrics import latency_metrics
from proxy_tasks.short_training.normalisation import retake_statistics
from proxy_tasks.short_training.pretrained import start_from
from proxy_tasks.training.gpu_memory import peak_named
from proxy_tasks.training.loop import train
from proxy_tasks.training.loss_curve import loss_curve, share_done
from search_space import ArchSpec

_TO_LOWER = "recipe.batch_size, scale.image_size_px or the number of trials that share the GPU"
_SEEDS = 2**32
"""One more than the largest seed of a run; see `Plan`."""


def evaluate_network(
    options: EvaluationOptions,
    head: TrialHead[Any, Any],
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
        return _evaluate(options, head, architecture, fidelity, seed, weights, loss_limits)


def _evaluate(
    options: EvaluationOptions,
    head: TrialHead[Any, Any],
    architecture: str | ArchSpec,
    fidelity: Fidelity,
    seed: int,
    weights: Weights,
    loss_limits: Sequence[LossLimit],
) -> Evaluation:
    """Train and score one network.

    A network with weights to start from is trained for the epochs that it lacks, under a schedule of its own. The
    metrics then say how many it had before, as `epochs_before`. Where it starts from a trained network of any
    architecture, they have the share of its numbers that are from there, as `pretrained_share`. Where images to score
    on cannot be used, they say how many it was scored on, as `num_scored_images`.
    """
    started = time.perf_counter()
    device = pick_device(options.device)
    bf16 = uses_bf16(options.precision, device.type)
    data = _open_data(options)

    # The seed decides the random weights that the network starts from.
    torch.manual_seed(seed)
    # On the device in the layout in which convolutions are fastest.
    network = _built(options, architecture, data.num_classes).to(device).to(memory_format=torch.channels_last)
    known = _start_pretrained(network, options)
    remarks: list[str] = []
    epochs_before = _resume(network, weights, fidelity, remarks)

    # A network that resumes is trained for the epochs that it lacks. Its seed is one that no run has, so it sees
    # other orders and augmentations than before.
    recipe, rows = options.recipe, data.train_rows[: fidelity.max_train_images]
    num_steps = max(1, round((fidelity.epochs - epochs_before) * len(rows) / recipe.batch_size))
    training_seed = seed + _SEEDS * round(epochs_before * len(rows) / recipe.batch_size)
    batches = head.batches(data.train, training_rows(rows, recipe.batch_size, num_steps, training_seed), device)
    objective = head.objective(network, recipe, bf16=bf16)
    losses = train(network, objective, batches, recipe, num_steps, seed=training_seed, loss_limits=loss_limits)
    trained = time.perf_counter()
    curve = loss_curve(losses, num_steps)
    known |= {"loss": float(losses[-1]), **network_costs(options, architecture)}
    if len(losses) < num_steps:
        seconds = {"train": trained - started}
        return Evaluation(known, seconds, curve, tuple(remarks), stopped_at=share_done(curve, num_steps))

    retake_statistics(
        network, head, data.train, rows, batch_size=recipe.batch_size, seed=seed, device=device, bf16=bf16
    )

    # After the statistics, which belong to the network that a promotion resumes.
    _keep(network, weights, fidelity, remarks)

    metrics = head.metrics(network, data, bf16=bf16)
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


def network_costs(options: EvaluationOptions, architecture: str | ArchSpec) -> Mapping[str, float]:
    """Return what a network costs at the task's scale, head included; see `ProxyTask.costs`."""
    num_classes, size_px = open_data(options.data).num_classes, options.scale.image_size_px
    cost = network_cost(on_meta(lambda: _built(options, architecture, num_classes)), (size_px, size_px))
    return {"macs": float(cost.macs), "params": float(cost.params)}


def _built(options: EvaluationOptions, architecture: str | ArchSpec, num_classes: int) -> nn.Module:
    """Build a network with fresh weights.

    Raises:
        BadSpecError: it cannot be built at this scale.
    """
    try:
        return build_network(architecture, options.scale, head=options.head, num_classes=num_classes)
    except ValueError as error:
        raise BadSpecError(str(error)) from error


def _start_pretrained(network: nn.Module, options: EvaluationOptions) -> dict[str, float]:
    """Fill a network with what agrees of a trained one, where there is one; return the share of it as a metric.

    Raises:
        BadDataError: the file is not there on this machine, or is damaged.
    """
    if options.pretrained is None:
        return {}
    try:
        return {"pretrained_share": start_from(network, options.pretrained, options.head)}
    except InputError as error:
        raise BadDataError(f"task.pretrained: {error}") from error


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
    """Open the data in a trial, where any fault in it is one of this machine, at the image size of its network."""
    try:
        data = open_data(options.data)
    except InputError as error:
        raise BadDataError(str(error)) from error
    try:
        return data.at_size(options.scale.image_size_px)
    except ValueError as error:
        raise BadSpecError(str(error)) from error
