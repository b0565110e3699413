"""The network that is timed: built with fresh weights, on which its time does not depend, and written as a file."""

from dataclasses import dataclass, replace

import torch
from torch import nn
from torchvision.models.detection import MaskRCNN

from foundation import InputError
from proxy_tasks.networks.folding import fold_norms
from proxy_tasks.networks.named_networks import Head, build_network
from proxy_tasks.networks.onnx_file import TOLERANCE, difference_of, onnx_bytes, run_onnx, runtime
from proxy_tasks.networks.tracing import plain_outputs
from proxy_tasks.onnx_extra import check_onnx_head
from search_space import ArchSpec, ModelScale, published_names, published_spec

_SEED = 0


@dataclass(frozen=True, slots=True)
class TimedNetwork:
    """A network, by all that its time depends on beside the conditions.

    Attributes:
        architecture: see `build_network`.
        scale: how big each part is.
        image_size_px: height and width.
        head: see `build_network`.
        num_classes: classes of the head, without background.
    """

    architecture: str | ArchSpec
    scale: ModelScale
    image_size_px: tuple[int, int]
    head: Head = "retinanet"
    num_classes: int = 80

    @property
    def key(self) -> str:
        """Key of the architecture, also of one with a published name; the name of the baseline."""
        if isinstance(self.architecture, ArchSpec):
            return self.architecture.key
        return published_spec(self.architecture).key if self.architecture in published_names() else self.architecture

    def folded(self) -> nn.Module:
        """Return the network as torch runs it, normalisation folded.

        Mask R-CNN keeps the image's size, and finds 100 objects whatever the image shows, so that its mask head has
        work.
        """
        return fold_norms(self._build())

    def onnx_bytes(self, batch_size: int) -> bytes:
        """Return the network as an ONNX file for batches of one size, after onnxruntime has run it.

        Raises:
            InputError: it cannot be exported, or onnxruntime computes something else of it.
        """
        check_onnx_head(self.head)
        network = self._build()
        about = {"key": self.key, "weights": "fresh: a time does not depend on them"}
        content = onnx_bytes(network, self.image_size_px, output_names=None, about=about, batch_size=batch_size)

        # The time of a file that computes something else would be none of this network.
        generator = torch.Generator().manual_seed(_SEED)
        images = torch.randn(batch_size, 3, *self.image_size_px, generator=generator)
        (answer,) = run_onnx(content, [(images,)])
        with torch.no_grad():
            difference = difference_of(plain_outputs(network(images)), answer)
        if difference > TOLERANCE:
            raise InputError(
                f"what {runtime()} computes of the ONNX file differs by {difference:.1e}: nothing was timed"
            )
        return content

    def _build(self) -> nn.Module:
        scale = self.scale
        if self.head == "mask_rcnn":
            scale = replace(scale, image_size_px=max(self.image_size_px))

        network = build_network(self.architecture, scale, head=self.head, num_classes=self.num_classes).eval()
        # Random weights would find nothing, and leave the mask head without work.
        if isinstance(network, MaskRCNN):
            network.roi_heads.score_thresh = 0.0
        return network
