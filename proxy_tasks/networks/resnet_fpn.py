"""ResNet-50 with a feature pyramid, the baseline that SpineNet is measured against."""

from collections import OrderedDict
from functools import partial

from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

from proxy_tasks.networks.layers import NORM_EPSILON, NORM_MOMENTUM

_STAGE_CHANNELS = (512, 1024, 2048)


class ResNet50FPN(nn.Module):
    """torchvision's ResNet-50, stages 3 to 5, and its pyramid for levels 3 to 7; level 6 comes from 5, 7 from 6.

    Args:
        output_channels: channels of every feature.

    Source: Feature Pyramid Networks (arXiv 1612.03144); RetinaNet (arXiv 1708.02002), section 4.
    Differs: tensorflow/tpu also normalises each pyramid feature, 2,560 parameters in all.
    """

    def __init__(self, output_channels: int = 256) -> None:
        super().__init__()
        resnet = resnet50(weights=None, norm_layer=partial(nn.BatchNorm2d, eps=NORM_EPSILON, momentum=NORM_MOMENTUM))
        self.stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool, resnet.layer1)
        self.stages = nn.ModuleList([resnet.layer2, resnet.layer3, resnet.layer4])
        self.pyramid = FeaturePyramidNetwork(
            list(_STAGE_CHANNELS), output_channels, LastLevelP6P7(output_channels, output_channels)
        )
        self.output_levels = (3, 4, 5, 6, 7)
        self.output_channels = output_channels

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, output_channels, H / 2**l, W / 2**l) feature for each of `output_levels`."""
        x = self.stem(images)  # (B, 256, H / 4, W / 4)
        features = OrderedDict[str, Tensor]()
        for level, stage in zip(self.output_levels, self.stages, strict=False):
            x = stage(x)
            features[str(level)] = x
        return tuple(self.pyramid(features).values())
