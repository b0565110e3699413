"""A backbone as an image classifier."""

import torch.nn.functional as F
from torch import Tensor, nn

from proxy_tasks.networks.backbone import Backbone


class Classifier(nn.Module):
    """The mean of all features, each resized to the finest, then pooled and read by one linear layer.

    Args:
        backbone: makes the features.
        num_classes: K; the reference counts ImageNet as 1001, with a background class.

    Source: SpineNet (arXiv 1912.05027), section 4.2; tensorflow/tpu heads.py ClassificationHead.
    """

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.predict = nn.Linear(backbone.output_channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, K) logits for (B, 3, H, W) normalised images."""
        *finer, total = self.backbone(images)

        # From the coarsest up, as the reference does: each sum is resized to the next finer feature.
        for feature in reversed(finer):
            total = F.interpolate(total, feature.shape[-2:], mode="nearest") + feature

        mean = total.mean((2, 3)) / (len(finer) + 1)  # (B, C)
        logits: Tensor = self.predict(mean)
        return logits
