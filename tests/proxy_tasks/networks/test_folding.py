import pytest
import torch
from torch import nn

from proxy_tasks.networks.folding import fold_norms
from proxy_tasks.networks.layers import ConvNorm, Reference
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ModelScale, published_spec

SMALL = ModelScale(width_multiplier=0.25, endpoint_width=16, num_head_convs=2, head_width=8, activation="silu")


def trained(network: nn.Module) -> nn.Module:
    """Give every normalisation statistics, scales and offsets of its own."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.normal_(0, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, 0, 0.2, generator=generator)
    return network


@pytest.mark.parametrize("name", ["spinenet-49", "r0-sp53", "r23-sp30", "spinenet-mobile-49", "r50-fpn"])
def test_a_folded_network_computes_the_same(name: str) -> None:
    torch.manual_seed(0)
    network = trained(build_network(name, SMALL, head="classifier", num_classes=5)).double().eval()
    images = torch.randn(2, 3, 97, 128, dtype=torch.float64)
    with torch.no_grad():
        expected = network(images)
        found = fold_norms(network)(images)
    # Rounding in float64 only; the outputs are of the order of one.
    assert (found - expected).abs().max() < 1e-9 * expected.abs().max()


@pytest.mark.parametrize("name", ["spinenet-49", "spinenet-mobile-49", "r50-fpn"])
def test_folding_leaves_no_normalisation_that_it_could_take(name: str) -> None:
    for head in ("none", "classifier"):
        folded = fold_norms(build_network(name, SMALL, head=head))
        assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    detector = fold_norms(build_network(name, SMALL, head="mask_rcnn"))
    kept = [key for key, module in detector.named_modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
    # One convolution before the proposals, shared by five levels.
    assert len(kept) == 5
    assert all(key.startswith("rpn.head.shared.norms") for key in kept)


def test_folded_mask_heads_compute_the_same() -> None:
    torch.manual_seed(0)
    network = trained(build_network("spinenet-49", SMALL, head="mask_rcnn", num_classes=3)).double().eval()
    heads, folded = network.get_submodule("roi_heads"), fold_norms(network).get_submodule("roi_heads")
    for names, px in ((("box_head", "box_predictor"), 7), (("mask_head", "mask_predictor"), 14)):
        plain = found = torch.randn(4, 16, px, px, dtype=torch.float64)
        with torch.no_grad():
            for name in names:
                plain, found = heads.get_submodule(name)(plain), folded.get_submodule(name)(found)
        for x, y in zip(plain, found, strict=True):
            assert torch.allclose(x, y, atol=1e-9)


def test_a_folded_detector_computes_the_same() -> None:
    torch.manual_seed(0)
    network = trained(build_network("spinenet-49", SMALL, num_classes=3)).double().eval()
    images = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        for expected, found in zip(network(images), fold_norms(network)(images), strict=True):
            assert torch.allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("reference", ["tpu", "model_garden"])
@pytest.mark.parametrize("name", ["spinenet-49", "spinenet-mobile-49"])
def test_folding_keeps_the_reference(name: str, reference: Reference) -> None:
    torch.manual_seed(0)
    network = trained(SpineNet(published_spec(name), SMALL, reference)).double().eval()
    images = torch.randn(1, 3, 128, 128, dtype=torch.float64)
    with torch.no_grad():
        for expected, found in zip(network(images), fold_norms(network)(images), strict=True):
            assert torch.allclose(found, expected, atol=1e-9)


def test_folding_leaves_the_network_as_it_was() -> None:
    network = SpineNet(published_spec("spinenet-49"), SMALL).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    folded = fold_norms(network)
    assert network.training
    assert not folded.training
    assert not any(isinstance(module, ConvNorm | nn.BatchNorm2d) for module in folded.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
