"""Exported networks: each format computes what the network does, for published and for random architectures."""

from typing import Any

import numpy as np
import pytest
import torch

from proxy_tasks.exporting.agreement import are_equal, largest_difference, random_batches
from proxy_tasks.exporting.checked import run_alone, subject_onnx
from proxy_tasks.exporting.stand_alone import stand_alone_source
from proxy_tasks.exporting.subject import Subject, backbone_subject
from proxy_tasks.exporting.torch_program import program_bytes, run_program
from proxy_tasks.networks.onnx_file import run_onnx
from search_space import ArchSpec, ModelScale, ScalePermutedSpace, published_spec, resnet_seed

BATCH_SIZES = (1, 2, 3)
PUBLISHED = ("spinenet-49", "spinenet-mobile-49", "r0-sp53")
RANDOM = tuple(range(20))


def architecture(name: str | int) -> ArchSpec:
    """Return a published architecture by its name, or a random one of the quickstart's kind of space by a number."""
    if isinstance(name, str):
        return published_spec(name)
    space = ScalePermutedSpace(resnet_seed("r0-sp53"))
    return space.decode(space.sample(np.random.default_rng(name))).spec


def backbone(name: str | int) -> Subject:
    scale = ModelScale(
        width_multiplier=0.25,
        endpoint_width=64,
        image_size_px=128,
        activation="silu" if name == "spinenet-mobile-49" else "relu",
    )
    # Every fourth random one reads images of an odd size.
    size_px = 97 if isinstance(name, int) and name % 4 == 3 else scale.image_size_px
    return backbone_subject(architecture(name), scale, size_px, {"name": str(name)})


def test_the_source_code_of_a_random_architecture_computes_the_same_to_the_last_bit() -> None:
    # Here, which is fast; that it does so alone is for the long tests.
    subject = backbone(0)
    names: dict[str, Any] = {"__name__": "alone"}
    exec(stand_alone_source(subject), names)
    network = names["build"]()
    network.load_state_dict(subject.network.state_dict())

    batches = random_batches(subject, BATCH_SIZES)
    with torch.no_grad():
        assert are_equal(subject, batches, [tuple(network(*inputs)) for inputs in batches])


@pytest.mark.long
@pytest.mark.parametrize("name", [*PUBLISHED, *RANDOM])
def test_published_and_random_architectures_agree_in_onnxruntime(name: str | int) -> None:
    subject = backbone(name)
    batches = random_batches(subject, BATCH_SIZES)
    answers = run_onnx(subject_onnx(subject, dynamic_batch=True), batches)
    for (images,), answer in zip(batches, answers, strict=True):
        with torch.no_grad():
            wanted = subject.network(images)
        assert max(float((want - got).abs().max()) for want, got in zip(wanted, answer, strict=True)) < 1e-4


@pytest.mark.long
def test_files_for_several_sizes_agree_at_each() -> None:
    # Without pools: with them it takes minutes to trace, and tests of resampling see to those.
    spec = architecture("spinenet-mobile-49")
    subject = backbone_subject(spec, backbone("spinenet-mobile-49").scale, 64, {}, dynamic_size=True)
    batches = random_batches(subject, (1, 2))
    assert [tuple(images.shape[2:]) for (images,) in batches] == [(256, 256), (384, 512)]

    assert are_equal(subject, batches, run_program(program_bytes(subject, dynamic_batch=True), batches))
    answers = run_onnx(subject_onnx(subject, dynamic_batch=True), batches)
    assert largest_difference(subject, batches, answers) < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("name", [*PUBLISHED, *RANDOM])
def test_programs_and_stand_alone_files_are_equal_to_the_last_bit(name: str | int) -> None:
    subject = backbone(name)
    batches = random_batches(subject, BATCH_SIZES)
    assert are_equal(subject, batches, run_program(program_bytes(subject, dynamic_batch=True), batches))
    assert are_equal(subject, batches, run_alone(stand_alone_source(subject).encode(), subject, batches))
