"""Check that our backbones compute what the reference's do, given the same weights.

make reference                                 once: installs tensorflow/models beside this project, about 2 GB
python -m benchmarks.reference_parity [number of random specs]

Builds SpineNet-49, 96, 49S, SpineNet-Mobile-49 and random specs of the SpineNet space in tensorflow/models with random
weights and normalisation statistics, copies these into our networks built with reference="model_garden", and compares
every endpoint of random images: the largest difference, relative to the endpoint's largest value. Evaluation is
compared in float32. Training, where normalisation uses the batch's own statistics, is compared in float64: level 7 is
normalised over sixteen values here, some of them nearly equal, which makes float32's rounding visible on both sides.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.reference import Reference
from proxy_tasks.networks.released.order import layer_groups
from proxy_tasks.networks.released.variables import layer_slots
from proxy_tasks.networks.spinenet import SpineNet
from search_space import (
    ArchSpec,
    BlockSpec,
    ModelScale,
    ScalePermutedSpace,
    published_scale,
    published_spec,
    resnet_seed,
)

TOLERANCES = {"evaluation": 1e-4, "training": 1e-9}
SIZE_PX = 256
BATCH_SIZE = 4
_NARROW = ModelScale(width_multiplier=0.25, resample_alpha=0.5, endpoint_width=64, activation="silu")
"""Small enough for a run of minutes, wide enough that every width differs from its neighbours'."""


def cases(num_random: int) -> Iterator[tuple[str, ArchSpec, ModelScale]]:
    """Yield a name, a spec and a scale for each comparison."""
    spinenet = published_spec("spinenet-49")
    yield "SpineNet-49", spinenet, ModelScale(activation="silu")
    yield "SpineNet-49, ReLU", spinenet, ModelScale()
    yield "SpineNet-96", spinenet, replace(published_scale("spinenet-96"), activation="silu")

    # What tensorflow/models ships adds an output at level 2 that the paper does not have.
    extra = BlockSpec(2, "bottleneck", (2, 13), is_output=True)
    yield "SpineNet-49, level 2 too", ArchSpec(spinenet.stem, (*spinenet.blocks, extra)), ModelScale(activation="silu")

    yield "SpineNet-49S", spinenet, replace(published_scale("spinenet-49s"), activation="silu")
    yield "SpineNet-Mobile-49", published_spec("spinenet-mobile-49"), published_scale("spinenet-mobile-49")
    yield "R0-SP53", published_spec("r0-sp53"), _NARROW

    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    for i in range(num_random):
        scale = replace(_NARROW, resample_alpha=(0.25, 0.5, 1.0)[i % 3], block_repeats=1 + i % 2)
        yield f"random {i}", space.decode(space.sample(np.random.default_rng([2026, i]))).spec, scale


def copy_weights(arrays: Mapping[str, NDArray[np.floating]], backbone: SpineNet, spec: ArchSpec) -> None:
    """Copy the reference's weights and statistics into a backbone.

    Args:
        arrays: named "LAYER.KIND.NUMBER", which sorts in the order of the layers and of the arrays in each.
        backbone: every layer must have its counterpart, of the same kind and shape.
        spec: the backbone's.

    Raises:
        ValueError: the layers, their number of arrays or the shapes differ.
    """
    theirs: dict[str, list[NDArray[np.floating]]] = {}
    for name in sorted(arrays):
        theirs.setdefault(name.rpartition(".")[0], []).append(arrays[name])

    # Both sides' layers come in the order in which the reference creates them.
    ours = [layer for group in layer_groups(backbone, spec, "model_garden") for layer in group.layers]
    for layer, (name, values) in zip(ours, theirs.items(), strict=True):
        try:
            for slot, value in zip(layer_slots(layer).values(), values, strict=True):
                slot.fill(value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None


def difference(ours: Tensor, theirs: NDArray[np.floating]) -> float:
    """Return the largest difference, relative to the largest value."""
    expected = torch.from_numpy(theirs).permute(0, 3, 1, 2)  # (B, C, H, W)
    if ours.shape != expected.shape:
        raise ValueError(f"expected an endpoint of {tuple(expected.shape)}, got {tuple(ours.shape)}")
    return float((ours - expected).abs().max() / expected.abs().max())


def compare(
    reference: Reference,
    spec: ArchSpec,
    scale: ModelScale,
    images: NDArray[np.floating],
    *,
    seed: int,
    is_training: bool,
) -> list[float]:
    """Build both networks in the precision of the images and return how far each endpoint is off."""
    # Arrays go through files: as text on a pipe they would be huge.
    weights, inputs, outputs = (str(reference.folder / name) for name in ("weights.npz", "images.npy", "out.npz"))
    np.save(inputs, images)

    reference.build("model", spec, scale, SIZE_PX, str(images.dtype))
    reference.ask("draw", name="model", seed=seed, path=weights)
    reference.ask("endpoints", name="model", images=inputs, path=outputs, training=is_training)
    reference.ask("forget", name="model")

    tensor = torch.from_numpy(images).permute(0, 3, 1, 2)  # (B, 3, H, W)
    backbone = SpineNet(spec, scale, reference="model_garden").to(tensor.dtype).train(is_training)
    copy_weights(np.load(weights), backbone, spec)
    with torch.no_grad():
        ours = backbone(tensor)

    theirs = np.load(outputs)
    return [difference(x, theirs[str(level)]) for level, x in zip(backbone.output_levels, ours, strict=True)]


def main() -> None:
    num_random = int(sys.argv[1]) if len(sys.argv) > 1 else 20

    # Keras takes images as float32 whatever the network's precision.
    images = np.random.default_rng(0).normal(size=(BATCH_SIZE, SIZE_PX, SIZE_PX, 3)).astype(np.float32)

    worst = {"evaluation": 0.0, "training": 0.0}
    with Reference() as reference:
        print(f"TensorFlow {reference.version}, PyTorch {torch.__version__}; {BATCH_SIZE} images of {SIZE_PX} px")
        print("largest relative difference of each endpoint, finest first; evaluation in float32, training in float64")

        for i, (name, spec, scale) in enumerate(cases(num_random)):
            print(f"{name:<25}", end="", flush=True)
            for mode, precision in (("evaluation", "float32"), ("training", "float64")):
                found = compare(
                    reference, spec, scale, images.astype(precision), seed=i, is_training=mode == "training"
                )
                worst[mode] = max(worst[mode], *found)
                print(f" {mode}", *(f"{value:.0e}" for value in found), end="", flush=True)
            print()

    print(
        "largest of all:",
        ", ".join(f"{mode} {value:.1e} (tolerance {TOLERANCES[mode]:.0e})" for mode, value in worst.items()),
    )
    # Written so that a NaN is out of tolerance too.
    if any(not value <= TOLERANCES[mode] for mode, value in worst.items()):
        sys.exit("error: an endpoint differs by more than the tolerance")


if __name__ == "__main__":
    main()
