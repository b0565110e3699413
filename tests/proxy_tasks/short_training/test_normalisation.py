"""Statistics of batch normalisation, taken again after a training."""

from pathlib import Path

import pytest
import torch
from torch.optim.swa_utils import update_bn

from proxy_tasks.base import silent
from proxy_tasks.coco.batch_reading import read_batches
from proxy_tasks.coco.open_data import DataOptions, OpenData, open_data, prepare_data
from proxy_tasks.coco.shapes import Shapes
from proxy_tasks.detection.trial_head import BoxTrialHead
from proxy_tasks.networks.named_networks import build_network
from proxy_tasks.short_training.normalisation import retake_statistics, statistics_batches
from search_space import ModelScale

CPU = torch.device("cpu")
SIZE_PX = 48


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> OpenData:
    folder: Path = tmp_path_factory.mktemp("data")
    shapes = Shapes(folder / "shapes", num_train_images=40, num_val_images=1, image_size_px=SIZE_PX, num_held_out=8)
    options = DataOptions(
        data=shapes,
        image_size_px=SIZE_PX,
        score_on="held_out",
        classes="dense",
        cache_dir=folder / "cache",
        cache_format="raw",
        content=None,
    )
    prepare_data(options, silent)
    return open_data(options)


def test_a_network_trained_on_small_batches_sees_in_inference_what_all_images_together_show_it(data: OpenData) -> None:
    torch.manual_seed(0)
    scale = ModelScale(width_multiplier=0.125, endpoint_width=16, num_head_convs=0, image_size_px=SIZE_PX)
    network = build_network("r0-sp53", scale, num_classes=3)
    backbone = network.get_submodule("backbone")
    images = next(iter(read_batches(data.train, [data.train_rows], CPU))).images

    def difference() -> float:
        with torch.no_grad():
            in_training = backbone.train()(images)
            in_inference = backbone.eval()(images)
        pairs = zip(in_training, in_inference, strict=True)
        return sum(float((a - b).abs().mean()) for a, b in pairs)

    update_bn((images[start : start + 4] for start in range(0, len(images), 4)), network)
    of_small_batches = difference()
    head = BoxTrialHead(scale, per_class=False)
    retake_statistics(network, head, data.train, data.train_rows, batch_size=4, seed=1, device=CPU, bf16=False)
    assert difference() < of_small_batches / 2


@pytest.mark.parametrize(
    ("batch_size", "image_size_px", "num_images", "expected"),
    [(8, 96, 720, (160, 2)), (8, 128, 50, (50, 1)), (8, 512, 10_000, (8, 40)), (256, 512, 100_000, (256, 20))],
)
def test_batches_for_statistics_are_large_where_images_are_small(
    batch_size: int, image_size_px: int, num_images: int, expected: tuple[int, int]
) -> None:
    assert statistics_batches(batch_size, image_size_px, num_images) == expected
