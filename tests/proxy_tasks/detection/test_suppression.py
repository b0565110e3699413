"""Suppression is held against torchvision's, which is its measure, and against a call for each group."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torchvision.ops import batched_nms, nms

from proxy_tasks.detection.suppression import suppress

MAX_IOU = 0.5


class Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it so
    """Counts how often suppression itself is called."""

    num_nms: int = 0

    def __torch_dispatch__(
        self,
        operator: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  # whatever the operator returns
        self.num_nms += str(operator).startswith("torchvision.nms")
        return operator(*args, **(kwargs or {}))


def num_calls(of: Callable[[Tensor, Tensor, Tensor, float], Tensor], given: tuple[Tensor, Tensor, Tensor]) -> int:
    calls = Calls()  # type: ignore[no-untyped-call]  # torch leaves it so
    with calls:
        of(*given, MAX_IOU)
    return calls.num_nms


def candidates(seed: int, num_images: int, num_each: int, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes, scores and groups as 512 px have: around some objects, frequent classes and rare ones."""
    generator = torch.Generator().manual_seed(seed)
    num = num_images * num_each
    shares = 1 / torch.arange(1.0, num_classes + 1)
    labels = torch.multinomial(shares, num, replacement=True, generator=generator)
    image = torch.arange(num_images).repeat_interleave(num_each)

    objects = torch.rand(num_images, 40, 2, generator=generator) * 512
    centres = objects[image, torch.randint(40, (num,), generator=generator)]
    centres = centres + 12 * torch.randn(num, 2, generator=generator)  # (N, 2)
    sides = 10 + 150 * torch.rand(num, 2, generator=generator)  # (N, 2)
    boxes = torch.cat((centres - sides / 2, centres + sides / 2), dim=1).clamp(0, 512)
    return boxes.double(), torch.rand(num, generator=generator).double(), image * num_classes + labels


def with_ties(boxes: Tensor, scores: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes on a grid of 16 px with one of eight scores: overlaps of exactly a half, and equal everything."""
    return (boxes / 16).round() * 16, (scores * 8).ceil() / 8, groups


def one_group_at_a_time(boxes: Tensor, scores: Tensor, groups: Tensor) -> set[int]:
    kept: set[int] = set()
    for group in set(groups.tolist()):
        mine = torch.where(groups == group)[0]
        kept |= set(mine[nms(boxes[mine], scores[mine], MAX_IOU)].tolist())
    return kept


@pytest.mark.parametrize(
    ("num_images", "num_each", "num_classes"), [(32, 8, 80), (16, 300, 80), (3, 2000, 2), (8, 400, 1)]
)
@pytest.mark.parametrize("are_tied", [False, True])
def test_suppression_equals_torchvision_s_to_the_last_index(
    num_images: int, num_each: int, num_classes: int, are_tied: bool
) -> None:
    given = candidates(num_each, num_images, num_each, num_classes)
    if are_tied:
        given = with_ties(*given)
    assert torch.equal(suppress(*given, MAX_IOU), batched_nms(*given, MAX_IOU))


def test_groups_share_a_call_where_torchvision_calls_once_a_group() -> None:
    given = candidates(0, 8, 300, 80)
    num_groups = len(set(given[2].tolist()))

    # 2,400 boxes, and two parts that lie side by side hold more than 256.
    assert num_calls(batched_nms, given) == num_groups > 400
    assert num_calls(suppress, given) <= 2 * 2400 // 256 + 1


@pytest.mark.parametrize("corner", [1e-5, 1e-20, float("nan")])
def test_corners_that_cannot_be_moved_exactly_are_compared_where_they_are(corner: float) -> None:
    # Two equal boxes so thin that they would have no area, and so no overlap, once they were moved.
    boxes, scores, groups = candidates(0, 8, 300, 80)
    thin = torch.tensor([0.0, 0.0, corner, 200.0], dtype=torch.float64)
    boxes[-2:], groups[-2:] = thin, groups[-1]
    kept = suppress(boxes, scores, groups, MAX_IOU)
    assert set(kept.tolist()) == one_group_at_a_time(boxes, scores, groups)
    assert torch.equal(kept, batched_nms(boxes, scores, groups, MAX_IOU))


@pytest.mark.gpu
@pytest.mark.parametrize("num_each", [100, 5000])
def test_a_gpu_keeps_the_boxes_that_a_processor_keeps(num_each: int) -> None:
    boxes, scores, groups = candidates(0, 8, num_each, 80)
    kept = suppress(boxes.cuda(), scores.cuda(), groups.cuda(), MAX_IOU)
    assert set(kept.tolist()) == one_group_at_a_time(boxes, scores, groups)
    assert (scores[kept.cpu()].diff() <= 0).all()
