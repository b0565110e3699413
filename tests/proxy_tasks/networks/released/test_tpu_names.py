import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation import InputError
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.named_networks import build_detector
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.filling import fill_slots
from proxy_tasks.networks.released.table import uncompress
from proxy_tasks.networks.released.tpu_names import classifier_slots, is_of_training, retinanet_slots
from proxy_tasks.networks.released.zoo import RELEASED
from proxy_tasks.networks.retinanet import RetinaNet
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ModelScale, published_scale, published_spec
from tests.proxy_tasks.networks.released.checkpoint_writer import write_checkpoint

DATA = Path(__file__).parent / "data"
SPEC = published_spec("spinenet-49")
SMALL = ModelScale(width_multiplier=0.25, endpoint_width=8, head_width=4, num_head_convs=1)


def test_names_and_shapes_are_those_of_a_released_checkpoint_and_nothing_is_left_over() -> None:
    lines = uncompress((DATA / "names_49s.tsv.snappy").read_bytes()).decode().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    released = {name: shape for name, _, shape in rows if not is_of_training(name)}

    with torch.device("meta"):
        network = build_detector(SPEC, published_scale("spinenet-49s"), num_classes=91)
    slots = retinanet_slots(network, SPEC)
    assert {name: str(list(slot.shape)) for name, slot in slots.items()} == released
    assert len(slots) == 830
    # Parameters as the paper counts them, without statistics.
    learned = sum(slot.tensor.numel() for name, slot in slots.items() if "/moving_" not in name)
    assert learned == 11_944_598


@pytest.mark.parametrize("name", ["spinenet-49", "spinenet-96", "spinenet-143", "spinenet-190"])
def test_every_tensor_of_a_larger_network_has_one_variable(name: str) -> None:
    with torch.device("meta"):
        network = build_detector(SPEC, published_scale(name), num_classes=91)
    counted = sum(slot.tensor.numel() for slot in retinanet_slots(network, SPEC).values())
    assert counted == sum(tensor.numel() for key, tensor in network.state_dict().items() if not _is_count(key))


def test_names_and_shapes_of_the_mobile_network_are_those_that_the_reference_builds() -> None:
    spec = published_spec("spinenet-mobile-49")
    with torch.device("meta"):
        network = build_detector(spec, published_scale("spinenet-mobile-49"), num_classes=91)
    slots = retinanet_slots(network, spec)
    assert {name: str(list(slot.shape)) for name, slot in slots.items()} == names_of("names_mobile_49")
    learned = sum(slot.tensor.numel() for name, slot in slots.items() if "/moving_" not in name)
    assert round(learned / 1e6, 2) == 2.34  # as the zoo counts them

    # A mobile unit's gate stands between its convolutions, and is counted with them.
    unit = network.get_submodule("backbone.blocks.2.0.branch")
    scope = "spinenet_mbconv/sub_policy0/scale_permuted_block_2"
    for name, path in (("conv2d_1", "2.reduce"), ("conv2d_2", "2.expand"), ("conv2d_3", "3.0")):
        assert slots[f"{scope}/{name}/kernel"].tensor is unit.get_submodule(path).weight


@pytest.mark.parametrize("name", ["49", "96", "143", "190"])
def test_names_and_shapes_of_a_classifier_are_those_that_the_reference_builds(name: str) -> None:
    released = RELEASED[f"classifier-spinenet-{name}"]
    with torch.device("meta"):
        network = Classifier(SpineNet(released.spec, released.scale), 1001)
    slots = classifier_slots(network, released.spec)
    if name == "49":
        assert {key: str(list(slot.shape)) for key, slot in slots.items()} == names_of("names_classifier_49")

    # As the zoo counts them.
    learned = sum(slot.tensor.numel() for key, slot in slots.items() if "/moving_" not in key)
    assert round(learned / 1e6, 1) == {"49": 22.1, "96": 36.5, "143": 60.5, "190": 127.1}[name]


def names_of(file: str) -> dict[str, str]:
    """Return the shapes of variables by name."""
    lines = gzip.decompress((DATA / f"{file}.tsv.gz").read_bytes()).decode().splitlines()[1:]
    return dict(line.split("\t") for line in lines)


def test_a_checkpoint_fills_every_tensor_with_kernels_turned_and_narrow_layers_joined(tmp_path: Path) -> None:
    network, arrays = small_network(), random_variables(small_network())
    write_checkpoint(tmp_path / "model.ckpt", arrays | {"global_step": np.array(9)})
    for tensor in floats(network).values():
        tensor.fill_(torch.nan)
    fill_slots(retinanet_slots(network, SPEC), Checkpoint(tmp_path / "model.ckpt"), "small", is_of_training)
    assert all(bool(tensor.isfinite().all()) for tensor in floats(network).values())

    # The projection to block 2 as TensorFlow computes a 1x1 convolution: the product over the last axis.
    kernel = arrays["spinenet/sub_policy0/resample_with_alpha_resample_0_0/conv2d_1/kernel"]  # (1, 1, C, C_out)
    x = np.random.default_rng(0).normal(size=(1, 3, 3, kernel.shape[2])).astype(np.float32)  # (B, H, W, C)
    project = network.get_submodule("backbone.fusions.2.resamples.0.project.0")
    ours = project(torch.from_numpy(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (B, H, W, C_out)
    assert np.allclose(ours.detach().numpy(), x @ kernel[0, 0], atol=1e-5)

    # The joined layer of a parent holds its children's in their order.
    first = [(child, block.parents.index(1)) for child, block in enumerate(SPEC.blocks) if 1 in block.parents]
    scopes = [f"spinenet/sub_policy{child}/resample_with_alpha_resample_{child}_{at}" for child, at in first]
    expected = np.concatenate([arrays[f"{scope}/conv2d/kernel"][0, 0].T for scope in scopes])  # (sum of C_out, C_in)
    joined = network.state_dict()["backbone.narrows.1.0.weight"][:, :, 0, 0]
    assert np.array_equal(joined.numpy(), expected)


def test_a_checkpoint_with_more_or_less_than_the_network_is_one_line_that_names_the_first_of_each(
    tmp_path: Path,
) -> None:
    arrays = random_variables(small_network())
    gone = {"spinenet/conv2d_1/kernel", "spinenet/conv2d_2/kernel"}
    some = {name: array for name, array in arrays.items() if name not in gone}
    write_checkpoint(tmp_path / "other.ckpt", some | {"mask_head/bias": np.zeros(3, np.float32)})
    _assert_refused(
        tmp_path / "other.ckpt",
        r"other.ckpt is of another network than small: it lacks spinenet/conv2d_1/kernel and 1 more, "
        r"and has mask_head/bias, for which small has no place",
    )

    wide = {**arrays, "spinenet/conv2d/kernel": np.zeros((7, 7, 3, 65), np.float32)}
    write_checkpoint(tmp_path / "wide.ckpt", wide)
    _assert_refused(tmp_path / "wide.ckpt", r"spinenet/conv2d/kernel is 7 x 7 x 3 x 65, that of small 7 x 7 x 3 x 64")


def _assert_refused(prefix: Path, message: str) -> None:
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(InputError, match=message):
        fill_slots(retinanet_slots(network, SPEC), Checkpoint(prefix), "small", is_of_training)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def small_network() -> RetinaNet:
    with torch.device("meta"):
        network = build_detector(SPEC, SMALL, num_classes=91)
    network.to_empty(device="cpu").load_state_dict(
        {name: torch.zeros_like(x) for name, x in network.state_dict().items()}
    )
    return network


def random_variables(network: RetinaNet) -> dict[str, NDArray[np.generic]]:
    """Return an array for each variable that a checkpoint of this network holds."""
    rng = np.random.default_rng(0)
    slots = retinanet_slots(network, SPEC)
    return {name: rng.uniform(0.5, 1.5, slot.shape).astype(np.float32) for name, slot in slots.items()}


def floats(network: RetinaNet) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in network.state_dict().items() if not _is_count(name)}


def _is_count(name: str) -> bool:
    return name.endswith("num_batches_tracked")
