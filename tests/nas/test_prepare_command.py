import json
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from proxy_tasks import silent
from proxy_tasks.coco.shapes import Shapes
from tests.conftest import TINY_SEARCH, Run

OPTIONS = ("source=coco", "image_size_px=64", "num_held_out=8")


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO folder with 24 training and 6 validation images, as the embedded data draws it."""
    root = tmp_path / "coco"
    Shapes(root, num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8).folder(silent)
    return root


def test_a_data_set_is_prepared_once(call: Run, coco: Path) -> None:
    first = call("nas.prepare", *OPTIONS)
    assert first.returncode == 0, first.stderr
    assert "decoding images to 0.00029 GB: 24" in first.stdout
    num_boxes = len(json.loads((coco / "annotations" / "instances_train2017.json").read_text())["annotations"])
    assert f"train: 24 images, 0 of them without a box; {num_boxes} boxes of 3 categories, ids 1 to 3" in first.stdout
    assert "16 images to train on, 8 held out for the reward" in first.stdout
    assert "val: 6 images" in first.stdout
    again = call("nas.prepare", *OPTIONS)
    assert again.returncode == 0
    assert "decoding" not in again.stdout
    assert again.stdout.splitlines() == [line for line in first.stdout.splitlines() if "ing " not in line]


def test_a_search_finds_what_was_prepared(call: Run, coco: Path, tmp_path: Path) -> None:
    assert call("nas.prepare", *OPTIONS, "format=jpeg").returncode == 0
    options = [option for option in TINY_SEARCH if "data." not in option]
    found = ("data=coco", "data.root=coco", "data.num_held_out=8", "task.cache_format=jpeg", "executor=local")
    done = call("nas.search", *options, *found, "num_trials=1")
    assert done.returncode == 0, done.stderr
    assert "decoding" not in done.stdout
    assert "1 completed" in done.stdout
    assert len(list((tmp_path / "data" / "cache").glob("train2017-64px-jpeg-*/cache.json"))) == 1


def test_it_works_without_a_validation_set_and_with_fewer_images(call: Run, coco: Path) -> None:
    shutil.rmtree(coco / "val2017")
    done = call("nas.prepare", *OPTIONS, "max_images=12", "verify=true")
    assert done.returncode == 0, done.stderr
    assert "train: 12 images" in done.stdout
    assert "checksums are right" in done.stdout
    assert "4 images to train on, 8 held out for the reward" in done.stdout
    assert "val: not there, so not prepared" in done.stdout


def test_a_validation_set_of_other_categories_is_refused_before_it_is_decoded(call: Run, coco: Path) -> None:
    path = coco / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    document["categories"].append({"id": 9, "name": "more"})
    path.write_text(json.dumps(document))
    done = call("nas.prepare", *OPTIONS)
    assert done.returncode == 2
    assert "training and validation annotations have different categories" in done.stderr
    assert done.stdout.count("decoding") == 1


def test_repairs_are_counted_in_the_summary(call: Run, coco: Path) -> None:
    image = coco / "train2017" / f"{3:012d}.jpg"
    with Image.open(image) as opened:
        grey = opened.convert("L")
    grey.save(image)
    done = call("nas.prepare", *OPTIONS)
    assert "  1 images converted from grey to RGB" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "source: Field required"),
        (("source=nowhere",), "no data: "),
        (("source=coco", "image_size_px=big"), "image_size_px: Input should be a valid integer"),
        (("source=coco", "image_size_px=8"), "image_size_px: Input should be greater than or equal to 32, got '8'"),
        (("source=coco", "format=png"), "format: Input should be 'raw' or 'jpeg', got 'png'"),
        (("source=coco", "max_images=1"), "max_images must be 2 or more, got 1"),
        (("source=coco",), "data: num_held_out must leave something to train on and to score: 1 to 23 of 24 images"),
        (("source=coco", "size=5"), "unknown option size; --help lists them"),
        (("source=~nobody-here/x",), "~nobody-here/x: there is no such user"),
        (("source=coco", "--fast"), "options are written name=value, got '--fast'; --help lists them"),
        (("source=coco", "num_held_out=8", "image_size_px=64", "cache_dir=coco/shapes.json"), "cannot write"),
    ],
)
def test_mistakes_are_one_line(call: Run, coco: Path, options: tuple[str, ...], message: str) -> None:
    done = call("nas.prepare", *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}")
    assert done.stderr.count("\n") == 1
    assert not (coco.parent / "data").exists() or not list((coco.parent / "data").rglob("cache.json"))


def test_a_damaged_image_in_the_cache_is_found(call: Run, coco: Path, tmp_path: Path) -> None:
    call("nas.prepare", *OPTIONS)
    (images,) = tmp_path.glob("data/cache/train2017-*/images")
    with images.open("r+b") as file:
        file.write(b"\x00\x01\x02\x03")
    done = call("nas.prepare", *OPTIONS, "verify=true")
    assert done.returncode == 2
    assert re.search(r"error: .*: image \d+\.jpg is damaged: delete that folder", done.stderr)


def test_every_option_is_explained(call: Run) -> None:
    from nas.prepare import Options

    shown = call("nas.prepare", "--help").stdout
    for name, field in Options.model_fields.items():
        default = "" if field.is_required() else f"={'' if field.default is None else field.default}"
        assert re.search(
            rf"^  {name}{re.escape(default.lower() if default in ('=True', '=False') else default)}\s", shown, re.M
        )
