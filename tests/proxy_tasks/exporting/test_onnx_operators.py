"""Operators of the networks in ONNX: resampling between any two levels, for images of even and of odd sizes."""

import math

import pytest
import torch
from torch import Tensor, nn

from proxy_tasks.networks.layers import LayerStyle, Reference, ceil_divided
from proxy_tasks.networks.onnx_file import onnx_bytes, run_onnx
from proxy_tasks.networks.resample import Resample, SeparableResample
from proxy_tasks.networks.tracing import traced

LEVELS = range(1, 8)


class EveryResampling(nn.Module):
    """A parent of each level brought to children of each level, as a sum, which ONNX's own shapes must allow."""

    def __init__(self, size_px: tuple[int, int], reference: Reference, pairs: list[tuple[int, int]]) -> None:
        super().__init__()
        style = LayerStyle("relu", reference)
        self._pairs = pairs
        self._sizes = {level: (math.ceil(size_px[0] / 2**level), math.ceil(size_px[1] / 2**level)) for level in LEVELS}
        self.dense = nn.ModuleList(Resample(1, 1, child - parent, style) for parent, child in pairs)
        self.separable = nn.ModuleList(SeparableResample(1, 1, child - parent, style) for parent, child in pairs)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        # Noise is another number everywhere: another window or another nearest pixel is seen.
        grey = images.sum(1, keepdim=True)
        features = {level: grey[..., :rows, :columns] for level, (rows, columns) in self._sizes.items()}

        sums = []
        for (parent, child), dense, separable in zip(self._pairs, self.dense, self.separable, strict=True):
            size = self._sizes[child]
            sums.append(dense(features[parent], size) + separable(features[parent], size) + features[child])
        return tuple(sums)


def _check(size_px: tuple[int, int], reference: Reference, pairs: list[tuple[int, int]]) -> None:
    torch.manual_seed(0)
    network = EveryResampling(size_px, reference, pairs).eval()
    names = tuple(f"{parent}to{child}" for parent, child in pairs)

    side = max(size_px)
    images = torch.randn(2, 3, side, side)
    content = onnx_bytes(network, (side, side), output_names=names, about={}, batch_size=None)
    (answer,) = run_onnx(content, [(images,)])
    with torch.no_grad():
        wanted = network(images)
    for name, want, got in zip(names, wanted, answer, strict=True):
        assert want.shape == got.shape, name
        assert float((want - got).abs().max()) < 1e-4, name


@pytest.mark.long
def test_parents_of_any_level_reach_their_child_in_onnxruntime() -> None:
    # The finest parent for children near and far, and the coarsest, where sizes divide and where they do not.
    _check((128, 96), "tpu", [(1, 3), (1, 5), (1, 7), (7, 3)])


class ChildrenOfLevel2(nn.Module):
    """A parent of level 2 brought to children of all levels, for images of any size."""

    def __init__(self) -> None:
        super().__init__()
        style = LayerStyle("relu")
        self.resamples = nn.ModuleList(Resample(1, 1, level - 2, style) for level in LEVELS)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        height, width = images.shape[-2:]
        feature = images.sum(1, keepdim=True)[..., ::4, ::4]
        sizes = [(ceil_divided(height, 2**level), ceil_divided(width, 2**level)) for level in LEVELS]
        return tuple(resample(feature, size) for resample, size in zip(self.resamples, sizes, strict=True))


@pytest.mark.long
def test_one_parent_reaches_all_its_children_where_the_size_is_not_fixed() -> None:
    network = ChildrenOfLevel2().eval()
    batches = [(torch.randn(1, 3, 256, 256),), (torch.randn(2, 3, 384, 512),)]
    content = onnx_bytes(network, (256, 384), output_names=None, about={}, batch_size=None, size_step_px=128)
    program = traced(network, (256, 384), None, size_step_px=128).module()

    for (images,), in_onnx in zip(batches, run_onnx(content, batches), strict=True):
        with torch.no_grad():
            wanted, in_torch = network(images), program(images)
        assert all(map(torch.equal, wanted, in_torch))
        assert all(torch.allclose(want, got, atol=1e-5) for want, got in zip(wanted, in_onnx, strict=True))


@pytest.mark.long
@pytest.mark.parametrize("reference", ["tpu", "model_garden"])
@pytest.mark.parametrize("size_px", [(128, 128), (640, 640), (128, 96), (97, 97), (101, 128), (128, 300), (33, 65)])
def test_every_pair_of_levels_agrees_at_every_size(size_px: tuple[int, int], reference: Reference) -> None:
    _check(size_px, reference, [(parent, child) for parent in LEVELS for child in LEVELS])
