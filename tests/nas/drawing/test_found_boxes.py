"""Found objects in a picture: each name can be read, wherever its box lies."""

import numpy as np
import pytest
from PIL import Image

from nas.drawing.found_boxes import FoundBox, Rectangle, draw_found

RED, GREEN = (0xE6, 0x19, 0x4B), (0x3C, 0xB4, 0x4B)


def num_pixels(picture: Image.Image, colour: tuple[int, int, int]) -> int:
    return int((np.asarray(picture) == colour).all(axis=-1).sum())


@pytest.mark.parametrize("box", [(100.0, 100.0, 400.0, 400.0), (0.0, 0.0, 500.0, 500.0), (490.0, 0.0, 500.0, 300.0)])
def test_names_of_boxes_at_one_corner_do_not_cover_each_other(box: Rectangle) -> None:
    empty = Image.new("RGB", (500, 500))
    first, second = FoundBox(box, 0, "circle", 0.9), FoundBox(box, 1, "square", 0.8)
    alone, both = draw_found(empty, [second]), draw_found(empty, [first, second])

    # The second's box is covered, but its name, whose ground is most of what is left, is not.
    box_alone = num_pixels(draw_found(empty, [second._replace(name="", score=0.8)]), GREEN)
    assert num_pixels(both, GREEN) > 0.6 * (num_pixels(alone, GREEN) - box_alone)
    assert num_pixels(both, RED) > 1000


def test_a_small_picture_is_enlarged_and_a_large_one_is_not() -> None:
    assert draw_found(Image.new("RGB", (100, 50)), []).size == (500, 250)
    assert draw_found(Image.new("RGB", (481, 50)), []).size == (481, 50)


def test_a_mask_colours_what_it_covers_and_lets_the_picture_show_through() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (600, 600, 3), np.uint8))
    mask = np.zeros((600, 600), np.uint8)
    mask[300:500, 200:400] = 1
    box = FoundBox((200, 300, 400, 500), 1, "thing", 0.5)
    plain, masked = (np.asarray(draw_found(picture, [one])).astype(int) for one in (box, box._replace(mask=mask)))
    inside = np.zeros((600, 600), bool)
    inside[310:490, 210:390] = True
    assert (plain != masked).any(axis=-1)[inside].mean() > 0.99
    outside = np.ones((600, 600), bool)
    outside[300:500, 200:400] = False
    assert np.array_equal(plain[outside], masked[outside])
    # Two pixels that differed still do.
    assert np.corrcoef(plain[inside].ravel(), masked[inside].ravel())[0, 1] > 0.8
