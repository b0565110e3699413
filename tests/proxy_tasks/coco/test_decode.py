"""Images as they come: every kind of file that a data set may hold."""

import re
import struct
import zlib
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


def ramp(largest: float, smallest: float = 0) -> np.ndarray:
    return np.linspace(smallest, largest, 40 * 30).reshape(30, 40)


def test_floating_images_from_0_to_1_are_scaled_by_255_and_never_black(tmp_path: Path) -> None:
    Image.fromarray(ramp(1).astype(np.float32)).save(tmp_path / "a.tif")
    image, repair = decode_image(tmp_path / "a.tif", (30, 40))
    assert np.array_equal(np.asarray(image)[..., 0], np.rint(ramp(1).astype(np.float32) * 255).astype(np.uint8))
    assert repair == "images converted from floating-point grey of 0 to 1 to RGB"


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (ramp(1.5), "0 to 1.5"),
        (ramp(255), "0 to 255"),
        (ramp(1, -0.25), "-0.25 to 1"),
        (np.full((30, 40), np.nan), "nan to nan"),
        (np.full((30, 40), np.inf), "inf to inf"),
    ],
)
def test_floating_images_of_another_range_cannot_be_used(tmp_path: Path, values: np.ndarray, found: str) -> None:
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(UnusableImageError, match=re.escape(f"a.tif has floating-point values of {found}; ")):
        decode_image(tmp_path / "a.tif", (30, 40))


@pytest.mark.parametrize("largest", [4095, 4000, 1023])
def test_of_sixteen_bits_whose_largest_value_is_stated_that_value_becomes_white(tmp_path: Path, largest: int) -> None:
    values = ramp(largest).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={281: largest})
    image, repair = decode_image(tmp_path / "a.tif", (30, 40))
    assert np.array_equal(np.asarray(image)[..., 0], values.astype(int) * 256 // (largest + 1))
    assert np.asarray(image).max() == 255
    assert repair == "images converted from 16-bit grey by the largest value that their files state to RGB"


def test_twelve_bits_a_sample_become_eight(tmp_path: Path) -> None:
    values = ramp(4095).astype(np.uint16)
    pairs = values.reshape(-1, 2).astype(int)
    packed = np.stack((pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255), axis=1)
    (tmp_path / "a.tif").write_bytes(tiff(40, 30, 12, packed.astype(np.uint8).tobytes()))
    image, _ = decode_image(tmp_path / "a.tif", (30, 40))
    assert np.array_equal(np.asarray(image)[..., 0], (values >> 4).astype(np.uint8))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_twelve_bits_in_sixteen_that_nothing_states_cannot_be_used(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(ramp(4095).astype(np.uint16)).save(tmp_path / f"a.{suffix}")
    with pytest.raises(UnusableImageError, match=rf"a\.{suffix} has 16-bit values of 0 to 4095, .* their scale is not"):
        decode_image(tmp_path / f"a.{suffix}", (30, 40))


def test_a_stated_largest_value_that_is_exceeded_cannot_be_used(tmp_path: Path) -> None:
    Image.fromarray(ramp(5000).astype(np.uint16)).save(tmp_path / "a.tif", tiffinfo={281: 4095})
    with pytest.raises(UnusableImageError, match=r"values of 0 to 5000, but states that they reach 4095"):
        decode_image(tmp_path / "a.tif", (30, 40))


def test_a_black_image_of_sixteen_bits_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((30, 40), np.uint16)).save(tmp_path / "a.png")
    assert not pixels_of(tmp_path / "a.png", (30, 40)).any()


@pytest.mark.parametrize(("smallest", "largest"), [(0, 70_000), (-5, 20_000)])
def test_whole_numbers_beyond_sixteen_bits_cannot_be_used(tmp_path: Path, smallest: int, largest: int) -> None:
    Image.fromarray(ramp(largest, smallest).astype(np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(UnusableImageError, match=f"values of {smallest} to {largest}, which are not 16-bit"):
        decode_image(tmp_path / "a.tif", (30, 40))


def test_a_portable_map_of_twelve_bits_is_scaled_as_its_head_says(tmp_path: Path) -> None:
    values = ramp(4095).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5\n40 30\n4095\n" + values.tobytes())
    assert np.abs(pixels_of(tmp_path / "a.pgm", (30, 40))[..., 0].astype(int) - (values.astype(int) >> 4)).max() <= 1


@pytest.mark.parametrize("num_channels", [2, 3, 4], ids=["grey and alpha", "colours", "colours and alpha"])
def test_sixteen_bits_a_channel_keep_their_high_byte_and_are_counted(tmp_path: Path, num_channels: int) -> None:
    values = np.repeat(ramp(65535).astype(np.uint16)[..., None], num_channels, axis=2)
    (tmp_path / "a.png").write_bytes(png(values))
    image, repair = decode_image(tmp_path / "a.png", (30, 40))
    assert np.array_equal(np.asarray(image)[..., 0], (values[..., 0] >> 8).astype(np.uint8))
    assert repair == "images converted from 16-bit channels to RGB"


@pytest.mark.parametrize("num_channels", [2, 3, 4], ids=["grey and alpha", "colours", "colours and alpha"])
def test_twelve_bits_in_channels_of_sixteen_cannot_be_used(tmp_path: Path, num_channels: int) -> None:
    values = np.repeat(ramp(4095).astype(np.uint16)[..., None], num_channels, axis=2)
    if num_channels != 3:
        values[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(png(values))
    with pytest.raises(UnusableImageError, match=r"a\.png has 16-bit values below 4096, "):
        decode_image(tmp_path / "a.png", (30, 40))


def tiff(width: int, height: int, num_bits: int, data: bytes) -> bytes:
    """An uncompressed grey TIFF of one strip; Pillow reads 12 bits a sample, but writes none."""
    short, long = 3, 4
    entries = [
        (256, short, width), (257, short, height), (258, short, num_bits), (259, short, 1), (262, short, 1),
        (273, long, 8), (277, short, 1), (278, short, height), (279, long, len(data)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHII", tag, kind, 1, value)
    return struct.pack("<2sHI", b"II", 42, 8 + len(data)) + data + directory + struct.pack("<I", 0)


def png(values: np.ndarray) -> bytes:
    """A PNG of (H, W, C) 16-bit values; Pillow reads such files, but writes none."""
    height, width, num_channels = values.shape
    color_type = {2: 4, 3: 2, 4: 6}[num_channels]
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, color_type, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    written = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        written += struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return written


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
