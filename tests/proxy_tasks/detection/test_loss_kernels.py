"""The kernels on a GPU where there is one, and by Triton's interpreter where there is none; see tests/conftest.py."""

from types import ModuleType

import pytest
import torch
from torch import Tensor

from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import make_anchors, match_anchors
from proxy_tasks.detection.losses import BOX_WEIGHT, HUBER_DELTA, detection_loss
from proxy_tasks.networks.retinanet import RawDetections

pytest.importorskip("triton")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CPU = torch.device("cpu")
SIZE_PX = 64


def boxes_of(rng: torch.Generator, num_images: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes of whole pixels, many of which overlap an anchor equally; labels, of which some are -1; images."""
    nums = torch.randint(0, 9, (num_images,), generator=rng)
    image = torch.repeat_interleave(torch.arange(num_images), nums)
    corner = torch.randint(0, 40, (len(image), 2), generator=rng).float()
    side = torch.randint(2, 30, (len(image), 2), generator=rng).float()
    return torch.cat((corner, corner + side), 1), torch.randint(-1, 3, (len(image),), generator=rng), image


@pytest.fixture(scope="module")
def kernels() -> ModuleType:
    from proxy_tasks.detection import loss_kernels

    return loss_kernels


@pytest.mark.parametrize("seed", range(3))
def test_anchors_are_matched_as_torch_matches_them(seed: int) -> None:
    from proxy_tasks.detection.match_kernels import match

    anchors = make_anchors((3, 4, 5), SIZE_PX, 3.0, CPU)
    boxes, labels, image = boxes_of(torch.Generator().manual_seed(seed), 4)
    boxes[-1] = boxes[-2]  # two boxes that claim the same anchor

    expected = match_anchors(anchors, boxes, labels, image, 4)
    found = match(anchors.to(DEVICE), boxes.to(DEVICE), labels.to(DEVICE), image.to(DEVICE), 4, 0.5)
    assert (expected >= 0).any()
    assert torch.equal(found.cpu(), expected)


def test_loss_and_gradient_are_those_of_double_precision(kernels: ModuleType) -> None:
    anchors = make_anchors((3, 4), SIZE_PX, 3.0, CPU)
    rng = torch.Generator().manual_seed(0)
    boxes, labels, image = boxes_of(rng, 3)
    matched = match_anchors(anchors, boxes, labels, image, 3)
    num_positive = (matched >= 0).sum()

    # Up to where a sigmoid is 0 or 1 in float32.
    logits = torch.rand(3, len(anchors), 3, generator=rng) * 160 - 80
    codes = torch.randn(3, len(anchors), 4, generator=rng)
    raw = RawDetections(logits.double().requires_grad_(), codes.double().requires_grad_())
    batch = Batch(torch.zeros(3, 3, SIZE_PX, SIZE_PX), torch.zeros(3, 2), boxes.double(), labels, image)
    expected = detection_loss(raw, batch, anchors.double(), matched, num_positive)
    expected.backward()  # type: ignore[no-untyped-call]  # torch leaves it so

    scale = 1 / (num_positive.to(DEVICE) + 1.0)
    on_device = [tensor.to(DEVICE) for tensor in (logits, codes, matched, labels, boxes, anchors)]
    logits, codes, matched, labels, boxes, anchors = on_device
    weight = BOX_WEIGHT / 4
    of_classes, of_logits = kernels.class_loss(logits, matched, labels, scale)
    of_boxes, of_codes = kernels.box_loss(codes, matched, boxes, anchors, scale * weight, HUBER_DELTA)

    found = (of_classes + weight * of_boxes) * scale
    torch.testing.assert_close(found.cpu().double(), expected.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(of_logits.cpu().double(), raw.class_logits.grad, rtol=1e-5, atol=1e-9)
    torch.testing.assert_close(of_codes.cpu().double(), raw.box_codes.grad, rtol=1e-5, atol=1e-7)


def test_a_gradient_is_multiplied_by_what_comes_after_the_loss(kernels: ModuleType) -> None:
    gradient = torch.randn(3, 5, device=DEVICE)
    before = gradient.clone()
    kernels.multiply(gradient, torch.tensor(1.0, device=DEVICE))
    assert torch.equal(gradient, before)
    kernels.multiply(gradient, torch.tensor(2.0, device=DEVICE))
    assert torch.equal(gradient, before * 2)
