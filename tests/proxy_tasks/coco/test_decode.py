"""Images as they come: every kind of file that a data set may hold."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from proxy_tasks.coco.decode import UnusableImageError, decode_image, fit, fitted_size


def halves(width: int = 40, height: int = 30) -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 200
    pixels[:, width // 2 :, 2] = 200
    return Image.fromarray(pixels)


def with_orientation(image: Image.Image, orientation: int, path: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def pixels_of(path: Path, expected_size: tuple[int, int]) -> np.ndarray:
    image = decode_image(path, expected_size).image
    assert image.mode == "RGB"
    return np.asarray(image)


def test_an_rgb_image_is_what_it_is(tmp_path: Path) -> None:
    halves().save(tmp_path / "a.png")
    image, repair = decode_image(tmp_path / "a.png", (30, 40))
    assert np.array_equal(np.asarray(image), np.asarray(halves()))
    assert repair == ""


@pytest.mark.parametrize(
    ("mode", "name", "suffix"),
    [("L", "grey", "jpg"), ("1", "black and white", "png"), ("P", "palette", "png"), ("RGBA", "RGBA", "png")],
)
def test_images_of_other_modes_become_rgb_and_are_counted(tmp_path: Path, mode: str, name: str, suffix: str) -> None:
    white = Image.new("RGB", (40, 30), (255, 255, 255)).convert(mode)
    white.save(tmp_path / f"a.{suffix}")
    image, repair = decode_image(tmp_path / f"a.{suffix}", (30, 40))
    assert (np.asarray(image) == 255).all()
    assert image.mode == "RGB"
    assert repair == f"images converted from {name} to RGB"


def test_a_palette_with_transparency_becomes_rgb(tmp_path: Path) -> None:
    image = halves().convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    image.save(tmp_path / "a.png", transparency=bytes([0, 255]))
    assert np.abs(pixels_of(tmp_path / "a.png", (30, 40)).astype(int) - np.asarray(halves())).max() < 8


def test_cmyk_keeps_its_colours(tmp_path: Path) -> None:
    halves().convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    image, repair = decode_image(tmp_path / "a.jpg", (30, 40))
    # JPEG blurs the edge in the middle.
    assert np.asarray(image)[15, 5] == pytest.approx([200, 0, 0], abs=6)
    assert np.asarray(image)[15, 35] == pytest.approx([0, 0, 200], abs=6)
    assert repair == "images converted from CMYK to RGB"


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_sixteen_bits_the_high_byte_is_kept(tmp_path: Path, suffix: str) -> None:
    values = np.linspace(0, 65535, 40 * 30).reshape(30, 40).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    image, repair = decode_image(tmp_path / f"a.{suffix}", (30, 40))
    assert np.array_equal(np.asarray(image), np.repeat((values >> 8).astype(np.uint8)[..., None], 3, axis=2))
    assert repair == "images converted from 16-bit grey to RGB"


def test_an_image_annotated_as_stored_is_not_turned(tmp_path: Path) -> None:
    path = with_orientation(halves(), 6, tmp_path / "a.png")
    image, repair = decode_image(path, (30, 40))
    assert np.array_equal(np.asarray(image), np.asarray(halves()))
    assert repair == ""


@pytest.mark.parametrize(("orientation", "is_red_on_top"), [(6, True), (8, False)])
def test_an_image_annotated_upright_is_turned(tmp_path: Path, orientation: int, is_red_on_top: bool) -> None:
    # Orientation 6 is to be turned clockwise: left becomes top. Orientation 8 the other way.
    path = with_orientation(halves(), orientation, tmp_path / "a.png")
    image, repair = decode_image(path, (40, 30))
    assert image.size == (30, 40)
    assert (np.asarray(image)[5, 15].tolist() == [200, 0, 0]) == is_red_on_top
    assert repair == "images turned as their EXIF data says"


def test_a_turned_size_without_exif_is_another_size(tmp_path: Path) -> None:
    halves().save(tmp_path / "a.png")
    with pytest.raises(UnusableImageError, match=r"a\.png is 40x30 px, its annotations say 30x40"):
        decode_image(tmp_path / "a.png", (40, 30))


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "tif", "webp", "avif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_files_that_are_cut_off_cannot_be_used(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, size=(30, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(UnusableImageError, match=rf"cannot decode .*a\.{suffix}: ") as caught:
        decode_image(path, (30, 40))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"no image", b"\xff\xd8\xff\xe0 not really", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_files_that_are_no_images_cannot_be_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnusableImageError, match="cannot decode"):
        decode_image(tmp_path / "a.jpg", (30, 40))


def test_the_long_side_fills_the_square_and_the_rest_is_zero() -> None:
    wide = fit(halves(128, 64), 64)
    assert wide.shape == (64, 64, 3)
    assert wide[10, 5].tolist() == [200, 0, 0]
    assert wide[10, 60].tolist() == [0, 0, 200]
    assert not wide[32:].any()
    assert not fit(halves(32, 64), 64)[:, 32:].any()
    assert fitted_size(64, 128, 64) == (32, 64)
    assert fitted_size(1, 1000, 64) == (1, 64)
