"""Time of suppression beside torchvision's `batched_nms`, on the GPU where there is one.

python -m benchmarks.suppression [rounds]

Boxes lie around 40 objects an image of 512 px, in 80 classes of falling frequency. Both sides take turns, and their
results are compared: on a CPU they are equal to the last index. Prints median and quartiles in milliseconds.
"""

import sys
import time

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from benchmarks.timing import spread
from proxy_tasks.detection.detections import NMS_IOU
from proxy_tasks.detection.suppression import suppress
from proxy_tasks.runtime import pick_device, wait_for

NUM_CLASSES, SIZE_PX, NUM_OBJECTS = 80, 512, 40
BATCHES = ((32, 5000), (32, 1000), (32, 300), (32, 20), (1, 5000), (1, 100))
"""Images of each batch, and boxes of each image."""


def make_boxes(num_images: int, num_each: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return corners, scores and groups of boxes."""
    generator = torch.Generator().manual_seed(0)
    num = num_images * num_each
    labels = torch.multinomial(1 / torch.arange(1.0, NUM_CLASSES + 1), num, replacement=True, generator=generator)
    image = torch.arange(num_images).repeat_interleave(num_each)

    objects = torch.rand(num_images, NUM_OBJECTS, 2, generator=generator) * SIZE_PX
    centres = objects[image, torch.randint(NUM_OBJECTS, (num,), generator=generator)]
    centres = centres + 12 * torch.randn(num, 2, generator=generator)  # (N, 2)
    sides = 10 + 150 * torch.rand(num, 2, generator=generator)  # (N, 2)
    boxes = torch.cat((centres - sides / 2, centres + sides / 2), dim=1).clamp(0, SIZE_PX)
    return boxes.double(), torch.rand(num, generator=generator).double(), image * NUM_CLASSES + labels


def main() -> None:
    """Print a line for each batch."""
    num_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    device = pick_device("auto")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"{name}; milliseconds, median (quartiles) of {num_rounds} turns")

    for num_images, num_each in BATCHES:
        boxes, scores, groups = (values.to(device) for values in make_boxes(num_images, num_each))
        sides = {"torchvision": batched_nms, "here": suppress}
        seconds: dict[str, list[float]] = {side: [] for side in sides}
        kept = {side: function(boxes, scores, groups, NMS_IOU) for side, function in sides.items()}
        wait_for(device)

        for _ in range(num_rounds):
            for side, function in sides.items():
                start = time.perf_counter()
                function(boxes, scores, groups, NMS_IOU)
                wait_for(device)
                seconds[side].append(time.perf_counter() - start)

        are_equal = torch.equal(*(indices.sort()[0] for indices in kept.values()))
        times = "  ".join(f"{side} {spread(values)}" for side, values in seconds.items())
        verdict = "the same boxes" if are_equal else "OTHER BOXES"
        print(f"{num_images:3d} images of {num_each:5d} boxes:  {times}  {verdict}")


if __name__ == "__main__":
    main()
