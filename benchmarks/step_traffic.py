"""Bytes that a training step on a GPU moves, and operators that it launches, counted without a GPU.

python -m benchmarks.step_traffic

The step is that of the proxy task at the paper's scale (SpineNet-49 at a quarter of the width, 512 px, 80 classes,
batch 64, bfloat16) on torch's meta device, whose tensors have shapes and no values. Each operator reads its inputs and
writes its results once, but for those that take two passes: the backward pass of a convolution, which reads the
gradient for each of its two results, and torch's normalisation, forward and backward. What a kernel reads more than
once from a cache, and what it fails to, is not counted: a GPU can do no better than this. Nor are clipping and the
optimizer, a dozen operators on two flat tensors.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.generated_coco import MEAN_BOXES, NUM_CLASSES
from benchmarks.training import PAPER_PROXY, SPEC
from proxy_tasks.coco.batches import Batch
from proxy_tasks.detection.anchors import make_anchors
from proxy_tasks.detection.augment import augment, draw_augmentation
from proxy_tasks.detection.losses import detection_loss, match_batch
from proxy_tasks.networks.gpu_operators import fused_operators
from proxy_tasks.networks.named_networks import build_detector
from search_space import ModelScale

BATCH_SIZE = 64
PHASES = ("augmentation", "matching", "filling", "forward", "loss", "backward", "gathering")
REPLAYED = ("forward", "loss", "backward", "gathering")
"""Phases whose operators are launched once, as one CUDA graph."""
_NOTHING_MOVED = ("aten::empty", "aten::new_empty", "aten::detach", "aten::_unsafe_view", "prim::")
_NOTHING_READ = ("aten::new_", "aten::zeros", "aten::ones", "aten::full", "spinenet_search::multiply_gradient")
"""Operators whose inputs are but examples; and one that multiplies by one, without looking."""
_READ_TWICE = {
    "aten::convolution_backward": 1,
    "aten::native_batch_norm": 1,
    "aten::_native_batch_norm_legit": 1,
    "aten::native_batch_norm_backward": 2,
}
"""Inputs, from the first, that an operator reads a second time."""


@dataclass
class Traffic:
    """The counts of a step.

    Attributes:
        num_bytes: read and written in each phase.
        num_operators: launched in each phase, without those that only look at memory in another way.
        by_operator: bytes of each operator in each phase.
    """

    num_bytes: Counter[str] = field(default_factory=Counter)
    num_operators: Counter[str] = field(default_factory=Counter)
    by_operator: Counter[tuple[str, str]] = field(default_factory=Counter)


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # as below
    def __init__(self, traffic: Traffic) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it so
        self._traffic = traffic
        self._phase = ""

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self._phase = name
        with self:
            yield

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket._qualified_op_name if hasattr(func, "overloadpacket") else str(func)
        if name == "aten::convolution":
            # As cuDNN lays it out; the meta device takes the layout of the kernel for it, where that has but one pixel.
            result = result.contiguous(memory_format=torch.channels_last)
        if _looks_only(func, name):
            return result

        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        results = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if name.startswith(_NOTHING_READ):
            inputs = []
        elif name == "aten::copy_":
            inputs = inputs[1:]  # what it writes to
        moved = sum(_bytes(tensor) for tensor in (*inputs, *results))
        moved += sum(_bytes(tensor) for tensor in inputs[: _READ_TWICE.get(name, 0)])

        self._traffic.num_bytes[self._phase] += moved
        self._traffic.num_operators[self._phase] += 1
        self._traffic.by_operator[self._phase, name] += moved
        return result


def _looks_only(func: Any, name: str) -> bool:  # noqa: ANN401  # torch has no type for an operator
    """Return whether an operator moves nothing: it makes a view, or memory without values."""
    is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
    return is_view or name.startswith(_NOTHING_MOVED)


def _bytes(tensor: Tensor) -> int:
    """Return the bytes that are read of a tensor: those of its own values, however often a view repeats them."""
    values = 1
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        values *= size if stride else 1
    return values * tensor.element_size()


def step_traffic(scale: ModelScale = PAPER_PROXY, batch_size: int = BATCH_SIZE, *, fused: bool = True) -> Traffic:
    """Return what one step moves and launches, with the fused operators or with torch's own."""
    traffic = Traffic()
    counting = _Counting(traffic)
    with torch.device("meta"):
        network = build_detector(SPEC, scale, NUM_CLASSES).to(memory_format=torch.channels_last)
        batch = _batch(scale.image_size_px, batch_size)
    anchors = make_anchors(network.output_levels, scale.image_size_px, scale.anchor_scale, torch.device("meta"))

    with counting.phase("augmentation"):
        drawn = draw_augmentation(np.random.default_rng(0), batch_size)
        augmented = augment(batch, drawn, flip=True, jitter=(0.8, 1.2))
    with counting.phase("matching"):
        matched = match_batch(augmented, anchors)
        num_positive = (matched >= 0).sum()

    # Autocast knows no such device: what it would cast is given in bfloat16.
    is_norm = {f"{name}.{own}" for name, module in network.named_modules() if isinstance(module, nn.BatchNorm2d)
               for own in ("weight", "bias")}  # fmt: skip
    given = {
        name: p.detach().to(p.dtype if name in is_norm else torch.bfloat16).requires_grad_()
        for name, p in network.named_parameters()
    }
    with counting.phase("filling"):
        images = torch.empty_like(augmented.images, dtype=torch.bfloat16).copy_(augmented.images)
        torch.empty_like(matched).copy_(matched)
    with fused_operators() if fused else nullcontext():
        with counting.phase("forward"):
            raw = torch.func.functional_call(network, given, (images,))
        with counting.phase("loss"):
            loss = detection_loss(raw, augmented, anchors, matched, num_positive)
    with counting.phase("backward"):
        gradients = torch.autograd.grad(loss, list(given.values()), materialize_grads=True)
    with counting.phase("gathering"):
        for dtype in (torch.bfloat16, torch.float32):
            together = torch.cat([g.flatten() for g in gradients if g.dtype == dtype])
            torch.empty_like(together, dtype=torch.float32).copy_(together)
    return traffic


def _batch(size: int, batch_size: int) -> Batch:
    """Return a batch with as many boxes as in COCO, on average, on the default device."""
    num_boxes = round(MEAN_BOXES * batch_size)
    return Batch(
        images=torch.empty(batch_size, 3, size, size).to(memory_format=torch.channels_last),
        sizes_px=torch.empty(batch_size, 2),
        boxes_xyxy=torch.empty(num_boxes, 4),
        labels=torch.zeros(num_boxes, dtype=torch.long),
        image=torch.zeros(num_boxes, dtype=torch.long),
    )


def main() -> None:
    for fused in (False, True):
        traffic = step_traffic(fused=fused)
        print("with the fused operators" if fused else "with torch's operators alone")
        for phase in PHASES:
            megabytes = traffic.num_bytes[phase] / BATCH_SIZE / 1e6
            print(f"  {phase:<12} {megabytes:8.1f} MB an image  {traffic.num_operators[phase]:6d} operators")
        total = sum(traffic.num_bytes.values()) / BATCH_SIZE
        outside = sum(traffic.num_operators[phase] for phase in PHASES if phase not in REPLAYED)
        print(f"  {'together':<12} {total / 1e6:8.1f} MB an image  {sum(traffic.num_operators.values()):6d} operators")
        print(f"  {outside} of them outside of the graph; at 4.1 TB/s at most {4.1e12 / total:.0f} images/s")
        for (phase, name), moved in traffic.by_operator.most_common(12):
            print(f"    {moved / BATCH_SIZE / 1e6:8.1f} MB  {phase} {name}")


if __name__ == "__main__":
    main()
