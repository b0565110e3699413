"""Mask R-CNN, the classifier, and networks by name: that they train, and that they answer."""

from functools import partial

import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from foundation import InputError
from proxy_tasks.networks.classifier import Classifier
from proxy_tasks.networks.cost import on_meta
from proxy_tasks.networks.layers import NORM_EPSILON, NORM_MOMENTUM, Activation
from proxy_tasks.networks.mask_rcnn import MaskHeads, mask_heads
from proxy_tasks.networks.named_networks import build_network, default_scale
from proxy_tasks.networks.resnet_fpn import ResNet50FPN
from proxy_tasks.networks.spinenet import SpineNet
from proxy_tasks.networks.stochastic_depth import StochasticDepth
from search_space import ModelScale, published_scale, published_spec

# One name of each family: the others are the same specs at other scales.
DIFFERENT = ("spinenet-49", "r0-sp53", "r23-sp30", "spinenet-mobile-49", "r50-fpn")
TINY = ModelScale(
    width_multiplier=0.125, endpoint_width=8, num_head_convs=1, head_width=8, image_size_px=128, activation="silu"
)


def test_mask_rcnn_learns_and_answers() -> None:
    torch.manual_seed(0)
    network = build_network("spinenet-49", TINY, head="mask_rcnn", num_classes=3)
    images = [torch.rand(3, 100, 128), torch.rand(3, 128, 90)]
    masks = torch.zeros(1, 100, 128, dtype=torch.uint8), torch.zeros(1, 128, 90, dtype=torch.uint8)
    masks[0][:, 20:60, 20:80] = 1
    masks[1][:, 10:50, 10:50] = 1
    targets = [
        {"boxes": torch.tensor([[20.0, 20, 80, 60]]), "labels": torch.tensor([1]), "masks": masks[0]},
        {"boxes": torch.tensor([[10.0, 10, 50, 50]]), "labels": torch.tensor([3]), "masks": masks[1]},
    ]
    losses = network.train()(images, targets)
    assert set(losses) == {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness", "loss_rpn_box_reg"}
    sum(losses.values()).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        found = network.eval()(images)
    for image, answer in zip(images, found, strict=True):
        assert answer["boxes"].shape == (len(answer["scores"]), 4)
        assert answer["masks"].shape == (len(answer["scores"]), 1, *image.shape[1:])
        assert set(answer["labels"].tolist()) <= {1, 2, 3}


def test_mask_rcnn_keeps_images_of_its_size() -> None:
    network = build_network("spinenet-49", TINY, head="mask_rcnn")
    images, _ = network.get_submodule("transform")([torch.rand(3, 100, 128), torch.rand(3, 64, 32)])
    # The longest side becomes 128, then both are padded to a multiple of 128.
    assert images.image_sizes == [(100, 128), (128, 64)]
    assert images.tensors.shape == (2, 3, 128, 128)


def test_mask_rcnn_has_the_numbers_of_the_reference() -> None:
    # tensorflow/tpu maskrcnn_config.py: of 2000 proposals in training and 1000 else the best 1000 are kept; pooling to
    # 7 and 14 px.
    network = build_network("spinenet-49", TINY, head="mask_rcnn")
    proposals, heads = network.get_submodule("rpn"), network.get_submodule("roi_heads")
    assert proposals._pre_nms_top_n == {"training": 2000, "testing": 1000}
    assert proposals._post_nms_top_n == {"training": 1000, "testing": 1000}
    assert proposals.nms_thresh == 0.7
    pools = [heads.get_submodule(name) for name in ("box_roi_pool", "mask_roi_pool")]
    assert [pool.output_size for pool in pools] == [(7, 7), (14, 14)]
    assert [heads.score_thresh, heads.nms_thresh, heads.detections_per_img] == [0.05, 0.5, 100]


def test_mask_heads_follow_the_scale() -> None:
    # tensorflow/tpu configs/spinenet/*_mrcnn.yaml: 128 wide with a 512-wide layer for 49S, else 256 and 1024.
    assert mask_heads(published_scale("spinenet-49s")) == MaskHeads(width=128, fc_width=512)
    for name in ("spinenet-49", "spinenet-96", "spinenet-143"):
        assert mask_heads(published_scale(name)) == MaskHeads()


def test_the_classifier_averages_all_features_at_the_finest_size() -> None:
    torch.manual_seed(0)
    network = Classifier(SpineNet(published_spec("spinenet-49"), TINY), 5).eval()
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        features = network.backbone(images)
        # Size by size: 2 to 4 to 7 to 14 to 28, as the reference resizes each running sum to the next feature.
        total = features[4]
        for size, feature in zip((4, 7, 14, 28), reversed(features[:4]), strict=True):
            index = torch.arange(size) * total.shape[-1] // size
            total = total[:, :, index][..., index] + feature
        expected = network.predict((total / 5).mean((2, 3)))
        assert torch.allclose(network(images), expected, atol=1e-6)


def test_the_baseline_has_torchvision_s_pyramid() -> None:
    network = ResNet50FPN(ModelScale(width_multiplier=0.125, endpoint_width=16)).eval()
    with torch.no_grad():
        features = network(torch.zeros(1, 3, 97, 200))
    assert [tuple(x.shape[1:]) for x in features] == [(16, 13, 25), (16, 7, 13), (16, 4, 7), (16, 2, 4), (16, 1, 2)]


def test_at_scale_one_the_baseline_has_the_layers_of_torchvision_s_resnet_in_their_order() -> None:
    def layers(network: nn.Module) -> list[str]:
        found = (
            module for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.MaxPool2d)
        )
        return [f"{module}" for module in found]

    network = on_meta(lambda: ResNet50FPN(ModelScale()))
    expected = on_meta(lambda: resnet50(norm_layer=partial(nn.BatchNorm2d, eps=NORM_EPSILON, momentum=NORM_MOMENTUM)))
    own = [*layers(network.get_submodule("stem")), *layers(network.get_submodule("stages"))]
    assert len(own) == 53 + 53 + 1
    assert own == layers(expected)


def test_the_baseline_follows_the_scale() -> None:
    scale = ModelScale(width_multiplier=0.5, endpoint_width=24, activation="silu", stochastic_depth=0.3)
    network = ResNet50FPN(scale)
    convs = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    # Half of ResNet-50's 64 to 512; the first convolution is as it was, as in SpineNet.
    assert [conv.out_channels for conv in convs[:4]] == [64, 32, 32, 128]
    assert (max(conv.out_channels for conv in convs), network.output_channels) == (4 * 256, 24)
    assert {module.name for module in network.modules() if isinstance(module, Activation)} == {"silu"}
    rates = [module.p for module in network.modules() if isinstance(module, StochasticDepth)]
    assert rates == pytest.approx([0.3 * number / 16 for number in range(1, 17)])


def test_one_pixel_wide_features_of_the_baseline_get_the_gradient_of_float32() -> None:
    # On CPUs torch 2.15 computes that of bfloat16 from memory that it never wrote.
    torch.manual_seed(0)
    network = ResNet50FPN(ModelScale(width_multiplier=0.0625, endpoint_width=8))
    with torch.autocast("cpu", torch.bfloat16):
        features = network(torch.randn(2, 3, 32, 32))
    assert [x.dtype for x in features[3:]] == [torch.float32] * 2
    sum(x.float().sum() for x in features).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.pyramid.parameters())


@pytest.mark.parametrize("name", DIFFERENT)
@pytest.mark.parametrize("head", ["retinanet", "classifier"])
def test_every_parameter_of_a_named_network_gets_a_gradient(name: str, head: str) -> None:
    torch.manual_seed(0)
    network = build_network(name, TINY, head=head, num_classes=2)  # type: ignore[arg-type]  # one of the two
    out = network(torch.randn(2, 3, 64, 96))
    sum(x.sum() for x in (out if isinstance(out, tuple) else (out,))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_names_have_their_published_scale() -> None:
    assert default_scale("spinenet-190") == published_scale("spinenet-190")
    assert default_scale("r50-fpn") == ModelScale()
    network = build_network("spinenet-mobile-49xs", head="none")
    assert isinstance(network, SpineNet)
    assert network.output_channels == 24
    assert isinstance(build_network("r50-fpn", TINY, head="none"), ResNet50FPN)


def test_mistakes_name_what_there_is() -> None:
    with pytest.raises(InputError, match=r"unknown network 'spinet'; known are r0-sp53, .*, r50-fpn"):
        build_network("spinet")
    with pytest.raises(ValueError, match="head must be one of retinanet, mask_rcnn, classifier, none, got 'fcos'"):
        build_network("spinenet-49", head="fcos")  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(ValueError, match=r"width_multiplier 0\.0625 leaves a block of this spec no channel"):
        build_network("spinenet-mobile-49", ModelScale(width_multiplier=0.0625))


def test_separable_heads_have_no_dense_convolution() -> None:
    network = build_network("spinenet-mobile-49", head="retinanet", num_classes=2)
    towers = [network.get_submodule(name) for name in ("class_tower", "box_tower")]
    convs = [m for tower in towers for m in tower.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 2 * 2 * 5
    assert all((m.kernel_size == (1, 1)) != (m.groups == m.in_channels) for m in convs)
    assert all((m.bias is not None) == (m.groups == 1) for m in convs)
