"""Networks in timm's manner: a list of features, and what they are."""

from typing import Any

import pytest
import torch

from proxy_tasks.networks.feature_list import FeatureList
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.networks.spinenet import SpineNet
from search_space import ModelScale, published_spec

SCALE = ModelScale(width_multiplier=0.0625, endpoint_width=16)


def build(name: str, *out_indices: int, **options: Any) -> FeatureList:  # noqa: ANN401  # of build_network
    network = build_network(name, SCALE, head="none", out_indices=out_indices, **options)
    assert isinstance(network, FeatureList)
    return network


@pytest.mark.parametrize("name", ["spinenet-49", "r50-fpn"])
def test_features_are_a_list_as_their_info_describes_it(name: str) -> None:
    network = build(name, 0, 2, -1).eval()
    assert network.feature_info.channels() == [16, 16, 16]
    assert network.feature_info.reduction() == [8, 32, 128]
    with torch.no_grad():
        features = network(torch.zeros(2, 3, 256, 128))
    assert isinstance(features, list)
    assert [tuple(x.shape) for x in features] == [(2, 16, 32, 16), (2, 16, 8, 4), (2, 16, 2, 1)]


def test_features_of_a_whole_backbone_are_selected_in_the_order_asked_for() -> None:
    whole = SpineNet(published_spec("spinenet-49"), SCALE).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        selected, features = FeatureList(whole, (5, 3))(images), whole(images)
    assert [torch.equal(selected[0], features[2]), torch.equal(selected[1], features[0])] == [True, True]


def test_blocks_that_feed_no_selected_feature_are_not_built() -> None:
    blocks = build("spinenet-49", 0).get_submodule("backbone.blocks")
    whole = SpineNet(published_spec("spinenet-49"), SCALE)
    assert set(dict(blocks.named_children())) < set(whole.blocks)


def test_every_parameter_of_selected_features_gets_a_gradient() -> None:
    network = build("spinenet-49", 0, 1, 2)
    sum(x.square().sum() for x in network(torch.randn(2, 3, 64, 64))).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_mistakes_in_positions_name_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"positions from 0 to 4, of the levels 3, 4, 5, 6, 7; got \(2, 5\)"):
        build("spinenet-49", 2, 5)
    with pytest.raises(ValueError, match=r"must be different positions .* got \(4, -1\)"):
        build("r50-fpn", 4, -1)
    with pytest.raises(ValueError, match=r"got \(\)"):
        build("r50-fpn")
    with pytest.raises(ValueError, match="which head=\"none\" gives; got 'retinanet'"):
        build_network("spinenet-49", SCALE, out_indices=(0,))
