"""Training samples in one picture, in rows, with their boxes."""

import math
from collections.abc import Sequence

from PIL import Image

from nas.drawing.found_boxes import FoundBox, draw_found
from proxy_tasks.training_sample import TrainingSample

_TILE_PX = 480
_GAP_PX = 8
_BACKGROUND = "#ffffff"


def sample_sheet(samples: Sequence[TrainingSample]) -> Image.Image:
    """Return one RGB picture of one or more samples: as many in a row as there are rows, or one more."""
    num_columns = math.ceil(math.sqrt(len(samples)))
    num_rows = math.ceil(len(samples) / num_columns)
    width, height = (number * (_TILE_PX + _GAP_PX) - _GAP_PX for number in (num_columns, num_rows))

    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    for number, sample in enumerate(samples):
        row, column = divmod(number, num_columns)
        sheet.paste(_tile(sample), (column * (_TILE_PX + _GAP_PX), row * (_TILE_PX + _GAP_PX)))
    return sheet


def _tile(sample: TrainingSample) -> Image.Image:
    """Return a sample with its boxes, in a square of `_TILE_PX`."""
    boxes = [
        FoundBox((left, top, right, bottom), label, name)
        for (left, top, right, bottom), label, name in zip(
            sample.boxes_xyxy.tolist(), sample.labels.tolist(), sample.names, strict=True
        )
    ]
    drawn = draw_found(Image.fromarray(sample.pixels), boxes)
    return drawn.resize((_TILE_PX, _TILE_PX), Image.Resampling.LANCZOS)
