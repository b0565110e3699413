"""The two-stage detector with masks: torchvision's Mask R-CNN around heads shaped as the reference's."""

from dataclasses import dataclass
from typing import Literal, TypeVar

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor

from proxy_tasks.networks.anchor_grid import ASPECT_RATIOS
from proxy_tasks.networks.backbone import Backbone
from proxy_tasks.networks.last_pixel_coder import LastPixelCoder
from proxy_tasks.networks.layers import NORM_EPSILON, NORM_MOMENTUM, Activation, batch_norm
from proxy_tasks.networks.level_anchors import LevelAnchors
from proxy_tasks.networks.retinanet import SharedConvs, init_conv3x3
from proxy_tasks.networks.torchvision_backbone import TorchvisionBackbone, roi_pool
from search_space import ModelScale

BOX_ROI_PX, MASK_ROI_PX = 7, 14
NUM_PROPOSALS = 1000
_SIZE_DIVISOR = 128
_ANCHOR_SCALE = 3.0

_Conv = TypeVar("_Conv", nn.Conv2d, nn.ConvTranspose2d)


@dataclass(frozen=True, slots=True)
class MaskHeads:
    """Sizes of the heads of Mask R-CNN.

    Attributes:
        width: channels of every convolution.
        num_convs: convolutions before the prediction, of the box head and of the mask head.
        num_proposal_convs: the same of the proposal head.
        fc_width: width of the box head's fully connected layer.
        anchor_scale: side of the anchors in strides of their level.
        activation: after every normalisation.

    Source: tensorflow/tpu configs/spinenet/*_mrcnn.yaml.
    """

    width: int = 256
    num_convs: int = 4
    num_proposal_convs: int = 1
    fc_width: int = 1024
    anchor_scale: float = _ANCHOR_SCALE
    activation: Literal["relu", "silu"] = "relu"


SPINENET_190_HEADS = MaskHeads(width=384, num_convs=7, num_proposal_convs=7, anchor_scale=5.0, activation="silu")
"""Heads that SpineNet-190 was published with, on images of 1536 px."""
_HEAD_OF_190 = (7, 512)
"""Convolutions and width of its RetinaNet's head, which no other published network has."""


def mask_heads(scale: ModelScale) -> MaskHeads:
    """Return the heads that go with a RetinaNet's scale: those published for SpineNet-49S, 49, 96, 143 and 190.

    Of 190 they are no function of the RetinaNet's, and known by its seven convolutions of 512 channels. Anchors of
    other networks have 3 strides, or the scale's where these are fewer, as for images of tiny objects.
    """
    if (scale.num_head_convs, scale.head_width) == _HEAD_OF_190:
        return SPINENET_190_HEADS
    return MaskHeads(
        width=scale.head_width,
        num_convs=scale.num_head_convs,
        fc_width=4 * scale.head_width,
        anchor_scale=min(_ANCHOR_SCALE, scale.anchor_scale),
        activation=scale.activation,
    )


def mask_rcnn(backbone: Backbone, heads: MaskHeads, num_classes: int, image_size_px: int) -> MaskRCNN:
    """Return torchvision's Mask R-CNN on a backbone: proposals, RoIAlign, sampling and losses are its own.

    It takes and returns what torchvision's detectors do: lists of (3, H, W) images in [0, 1], of any sizes; lists of
    dictionaries with `boxes`, `labels`, `scores`, `masks`, and in training losses.

    Args:
        backbone: makes the features.
        heads: how big the heads are.
        num_classes: counted as torchvision and the reference do, label 0 being the background: 91 for COCO.
        image_size_px: longest side to which images are resized; they are padded to a multiple of 128.

    Source: Mask R-CNN (arXiv 1703.06870); tensorflow/tpu maskrcnn_config.py.
    Differs: the box loss turns linear at 1/9 as torchvision has it, the reference's at 1.
    """
    named = TorchvisionBackbone(backbone)
    levels = named.levels
    # Without convolutions the heads read the features themselves.
    width = heads.width if heads.num_convs else backbone.output_channels

    # Built in this order, as each draws its weights: the same seed must give the same network.
    return MaskRCNN(
        named,
        min_size=image_size_px,
        max_size=image_size_px,
        size_divisible=_SIZE_DIVISOR,
        rpn_anchor_generator=LevelAnchors(levels, (heads.anchor_scale,)),
        rpn_head=_ProposalHead(backbone.output_channels, heads, len(levels)),
        rpn_post_nms_top_n_train=NUM_PROPOSALS,
        rpn_post_nms_top_n_test=NUM_PROPOSALS,
        box_roi_pool=roi_pool(named, BOX_ROI_PX),
        box_head=nn.Sequential(
            *_conv_norms(backbone.output_channels, heads),
            nn.Flatten(),
            nn.Linear(width * BOX_ROI_PX**2, heads.fc_width),
            nn.BatchNorm1d(heads.fc_width, eps=NORM_EPSILON, momentum=NORM_MOMENTUM),
            Activation(heads.activation),
        ),
        box_predictor=_box_predictor(heads, num_classes),
        mask_roi_pool=roi_pool(named, MASK_ROI_PX),
        mask_head=nn.Sequential(*_conv_norms(backbone.output_channels, heads)),
        mask_predictor=nn.Sequential(
            _init(nn.ConvTranspose2d(width, heads.width, 2, stride=2)),
            batch_norm(heads.width),
            Activation(heads.activation),
            _init(nn.Conv2d(heads.width, num_classes, 1)),
        ),
    )


def read_regions_as(network: MaskRCNN, *, counts_last_pixel: bool, region_samples: int) -> None:
    """Have a new network decode boxes and pool regions as the one did whose weights it gets.

    Args:
        network: as `mask_rcnn` made it.
        counts_last_pixel: whether box codes are of sizes one pixel larger, as those of tensorflow/tpu are.
        region_samples: samples along each side of a cell that a region is pooled to; tensorflow/tpu takes one.
    """
    if counts_last_pixel:
        network.rpn.box_coder = LastPixelCoder((1.0, 1.0, 1.0, 1.0), encodes=False)
        network.roi_heads.box_coder = LastPixelCoder((10.0, 10.0, 5.0, 5.0), encodes=True)
    for pool in (network.roi_heads.box_roi_pool, network.roi_heads.mask_roi_pool):
        pool.sampling_ratio = region_samples


class _ProposalHead(nn.Module):
    """Objectness and box of every anchor."""

    def __init__(self, c_in: int, heads: MaskHeads, num_levels: int) -> None:
        super().__init__()
        widths = [c_in] + [heads.width] * heads.num_proposal_convs
        self.shared = SharedConvs(widths, num_levels, heads.activation)
        self.objectness = nn.Conv2d(widths[-1], len(ASPECT_RATIOS), 1)
        self.box = nn.Conv2d(widths[-1], 4 * len(ASPECT_RATIOS), 1)
        for conv in (*self.shared.convs, self.objectness, self.box):
            init_conv3x3(conv, std=0.01)

    def forward(self, features: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return for each level (B, 3, H, W) objectness logits and (B, 12, H, W) box codes."""
        shared = self.shared(features)
        return [self.objectness(x) for x in shared], [self.box(x) for x in shared]


def _box_predictor(heads: MaskHeads, num_classes: int) -> FastRCNNPredictor:
    predictor = FastRCNNPredictor(heads.fc_width, num_classes)
    for layer, std in ((predictor.cls_score, 0.01), (predictor.bbox_pred, 0.001)):
        nn.init.normal_(layer.weight, std=std)
        nn.init.zeros_(layer.bias)
    return predictor


def _conv_norms(c_in: int, heads: MaskHeads) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for i in range(heads.num_convs):
        conv = nn.Conv2d(c_in if i == 0 else heads.width, heads.width, 3, padding=1)
        layers += [_init(conv), batch_norm(heads.width), Activation(heads.activation)]
    return layers


def _init(conv: _Conv) -> _Conv:
    """Draw weights so that gradients keep their size (He et al., fan-out); the bias is zero."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv
