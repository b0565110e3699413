"""The layer that predicts classes, taken from a trained network for the classes that both have."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from proxy_tasks.coco.annotations import NO_CATEGORY


def with_known_classes(
    own: Mapping[str, Tensor],
    trained: Mapping[str, Tensor],
    layer: str,
    own_names: Sequence[str],
    trained_names: Sequence[str],
) -> dict[str, Tensor]:
    """Return the tensors of a layer that predicts classes: those of the trained one where names of classes agree.

    Rows of other classes stay new. A name that two trained classes have is that of neither.

    Args:
        own: state of the network to fill.
        trained: state of the trained one.
        layer: beginning of the names of the layer's tensors; their rows are the classes, or several times the classes.
        own_names: names of the classes of the network to fill.
        trained_names: the same of the trained one.
    """
    places = [(k, trained_names.index(name)) for k, name in enumerate(own_names) if trained_names.count(name) == 1]
    places = [(k, there) for k, there in places if own_names[k] != NO_CATEGORY]
    here, there = (torch.tensor([pair[i] for pair in places], dtype=torch.long) for i in (0, 1))

    filled: dict[str, Tensor] = {}
    for name in (name for name in own if name.startswith(layer)):
        new, old = own[name], trained.get(name)
        num_anchors, rest = divmod(len(new), len(own_names))
        filled[name] = new
        if old is not None and not rest and old.shape == (num_anchors * len(trained_names), *new.shape[1:]):
            rows = new.clone().view(num_anchors, len(own_names), *new.shape[1:])  # (anchors, K, ...)
            rows[:, here] = old.to(new).view(num_anchors, len(trained_names), *old.shape[1:])[:, there]
            filled[name] = rows.view_as(new)
    return filled
