"""Released Mask R-CNNs: every variable in its place, and boxes and regions read as the reference reads them."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from foundation import InputError
from proxy_tasks.detection.anchors import decode_boxes
from proxy_tasks.detection.detector_file import read_detector
from proxy_tasks.full_training.starting_weights import read_start
from proxy_tasks.networks.last_pixel_coder import LastPixelCoder
from proxy_tasks.networks.mask_rcnn import mask_heads, mask_rcnn
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.released.garden_names import GRAPH
from proxy_tasks.networks.released.mask_names import mask_rcnn_slots
from proxy_tasks.networks.released.zoo import RELEASED, ReleasedNetwork
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.segmentation.mask_detector import MaskDetector, load_any_detector
from proxy_tasks.segmentation.released import import_released, load_released
from search_space import ModelScale, published_spec
from tests.proxy_tasks.networks.released.checkpoint_writer import write_checkpoint

DATA = Path(__file__).parents[1] / "networks" / "released" / "data"
SPEC = published_spec("spinenet-49")
SCALE = ModelScale(width_multiplier=0.125, endpoint_width=8, num_head_convs=1, head_width=4, image_size_px=128)


@pytest.fixture
def is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a small Mask R-CNN be one that weights were released of."""
    monkeypatch.setitem(RELEASED, "mask-rcnn-tiny", ReleasedNetwork("mask_rcnn", SPEC, SCALE))


def variables(num_classes: int) -> dict[str, NDArray[Any]]:
    with torch.device("meta"):
        network = mask_rcnn(SpineNet(SPEC, SCALE), mask_heads(SCALE), num_classes, 128)
    rng = np.random.default_rng(0)
    slots = mask_rcnn_slots(network, SPEC)
    return {name: rng.uniform(0.5, 1.5, slot.shape).astype(np.float32) for name, slot in slots.items()}


def test_names_and_shapes_are_those_that_the_reference_builds() -> None:
    lines = gzip.decompress((DATA / "names_mask_rcnn_49.tsv.gz").read_bytes()).decode().splitlines()[1:]
    with torch.device("meta"):
        network = build_network("spinenet-49", head="mask_rcnn", num_classes=90)
    slots = mask_rcnn_slots(network, SPEC)
    assert {name: str(list(slot.shape)) for name, slot in slots.items()} == dict(line.split("\t") for line in lines)
    counted = sum(slot.tensor.numel() for slot in slots.values())
    assert counted == sum(x.numel() for name, x in network.state_dict().items() if "num_batches" not in name)


@pytest.mark.usefixtures("is_released")
def test_heads_compute_what_tensorflow_does_with_its_variables(tmp_path: Path) -> None:
    arrays = variables(num_classes=3)
    write_checkpoint(tmp_path / "model.ckpt-7", arrays | {"global_step": np.array(7)})
    detector = load_released(tmp_path, "mask-rcnn-tiny", device="cpu", precision="float32")
    network = detector.network
    heads, rng = network.roi_heads, np.random.default_rng(1)

    # A region is read by row, column and channel.
    region = rng.normal(size=(1, 7, 7, 4)).astype(np.float32)
    linear = heads.box_head[4]
    ours = linear(torch.from_numpy(region).permute(0, 3, 1, 2).flatten(1)).detach().numpy()
    theirs = region.reshape(1, -1) @ arrays["fast_rcnn_head/fc6/kernel"] + arrays["fast_rcnn_head/fc6/bias"]
    assert np.allclose(ours, theirs, atol=1e-3)

    # Codes are y before x and height before width, of each class and of each anchor.
    for bias, name in (
        (heads.box_predictor.bbox_pred.bias, "fast_rcnn_head/box-predict/bias"),
        (network.rpn.head.box.bias, "rpn_head/rpn-box/bias"),
    ):
        assert np.array_equal(bias.detach().view(3, 4).numpy(), arrays[name].reshape(3, 4)[:, [1, 0, 3, 2]])

    # A transposed convolution puts each pixel of its kernel beside the next.
    pixel = rng.normal(size=(1, 4, 1, 1)).astype(np.float32)
    ours = heads.mask_predictor[0](torch.from_numpy(pixel)).detach().numpy()[0]  # (C_out, 2, 2)
    kernel = arrays["mask_head/conv5-mask/kernel"]  # (2, 2, C_out, C_in)
    theirs = np.einsum("hwoi,i->ohw", kernel, pixel[0, :, 0, 0]) + arrays["mask_head/conv5-mask/bias"][:, None, None]
    assert np.allclose(ours, theirs, atol=1e-5)

    # Normalisations have no names: that of the last layer is counted last.
    for norm, scope in ((heads.box_head[5], "fast_rcnn_head"), (heads.mask_predictor[1], "mask_head")):
        assert np.array_equal(norm.weight.detach().numpy(), arrays[f"{scope}/batch_normalization_1/gamma"])
    assert [pool.sampling_ratio for pool in (heads.box_roi_pool, heads.mask_roi_pool)] == [1, 1]
    assert not network.training


@pytest.mark.usefixtures("is_released")
def test_a_file_of_it_finds_the_same_and_says_how_it_reads(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    arrays = variables(num_classes=3)
    # With such kernels features stay near 1 through all layers.
    for name, array in arrays.items():
        if name.endswith("kernel"):
            arrays[name] = rng.normal(0, np.prod(array.shape[:-1]) ** -0.5, array.shape).astype(np.float32)
    write_checkpoint(tmp_path / "model.ckpt-7", arrays | {"global_step": np.array(7)})
    info = import_released(tmp_path, "mask-rcnn-tiny", tmp_path / "tiny.pt", classes=("a", "b"))
    assert read_detector(tmp_path / "tiny.pt").info == info
    assert [(category.id, category.name) for category in info.categories] == [(1, "a"), (2, "b")]
    assert (info.head, info.counts_last_pixel, info.region_samples) == ("mask_rcnn", True, 1)
    start = read_start(tmp_path / "tiny.pt")
    assert (start.counts_last_pixel, start.region_samples) == (True, 1)

    ours = load_any_detector(tmp_path / "tiny.pt", device="cpu", weights=None, precision="float32")
    assert isinstance(ours, MaskDetector)
    heads = ours.network.roi_heads
    assert [pool.sampling_ratio for pool in (heads.box_roi_pool, heads.mask_roi_pool)] == [1, 1]
    assert isinstance(heads.box_coder, LastPixelCoder)
    assert isinstance(ours.network.rpn.box_coder, LastPixelCoder)

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))
    theirs = load_released(tmp_path, "mask-rcnn-tiny", classes=("a", "b"), device="cpu", precision="float32")
    (found,), (expected,) = (one.detect([picture], min_score=0.0) for one in (ours, theirs))
    assert len(found.scores) > 0
    for name in ("boxes_xyxy", "labels", "scores"):
        assert torch.equal(getattr(found, name), getattr(expected, name))
    assert found.labels.max() < 2


def test_codes_count_the_last_pixel_when_boxes_are_read_and_of_regions_when_targets_are_made() -> None:
    torch.manual_seed(0)
    anchors = torch.tensor([[10.0, 20, 60, 90], [5, 5, 30, 40]])
    codes = torch.randn(2, 3, 4) / 4  # (N, K, 4) x, y, width, height
    coder = LastPixelCoder((10.0, 10.0, 5.0, 5.0), encodes=True)
    decoded = coder.decode_single(codes.flatten(1), anchors).view(2, 3, 4)
    ordered = (codes / torch.tensor([10.0, 10, 5, 5]))[..., [1, 0, 3, 2]]
    expected = decode_boxes(ordered, anchors[:, None].expand(-1, 3, -1), counts_last_pixel=True)
    assert torch.allclose(decoded, expected, atol=1e-4)
    assert torch.allclose(coder.encode_single(decoded[:, 0], anchors), codes[:, 0], atol=1e-5)

    plain = LastPixelCoder((1.0, 1.0, 1.0, 1.0), encodes=False).encode_single(decoded[:, 0], anchors)
    widths = (decoded[:, 0, 2] - decoded[:, 0, 0]) / (anchors[:, 2] - anchors[:, 0])
    assert torch.allclose(plain[:, 2], widths.log(), atol=1e-5)


@pytest.mark.usefixtures("is_released")
def test_other_checkpoints_are_one_line(tmp_path: Path) -> None:
    arrays = variables(num_classes=3)
    less = {name: array for name, array in arrays.items() if "fc6" not in name}
    for name, content, message in (
        ("less", less, "it lacks fast_rcnn_head/fc6/kernel and 1 more"),
        ("more", arrays | {"a/kernel": np.zeros(3, np.float32)}, "it has a/kernel, for which mask-rcnn-tiny has no"),
        ("garden", {GRAPH: b""}, "is of tensorflow/models, of which no Mask R-CNN was released"),
    ):
        write_checkpoint(tmp_path / name, content)
        with pytest.raises(InputError, match=message):
            load_released(tmp_path / name, "mask-rcnn-tiny", device="cpu")
    with pytest.raises(InputError, match=r"no released weights of 'spinenet-49' are known; known are mask-rcnn-"):
        load_released(tmp_path / "more", "spinenet-49", device="cpu")
