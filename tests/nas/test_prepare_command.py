import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from proxy_tasks import silent
from proxy_tasks.coco.shapes import Shapes
from tests.conftest import TINY_SEARCH, Run, start
from tests.proxy_tasks.coco.layouts.small_sets import draw, write_text

# What the tiny search says of its data, for a folder that is there already.
OPTIONS = (
    *(option for option in TINY_SEARCH if not option.startswith("data.")),
    "data=coco",
    "data.root=coco",
    "data.num_held_out=8",
)


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A COCO folder with 24 training and 6 validation images, as the embedded data draws it."""
    root = tmp_path / "coco"
    Shapes(root, num_train_images=24, num_val_images=6, image_size_px=64, num_held_out=8).folder(silent)
    return root


def num_boxes(coco: Path, split: str) -> int:
    return len(json.loads((coco / "annotations" / f"instances_{split}.json").read_text())["annotations"])


def test_a_data_set_is_prepared_once(call: Run, coco: Path) -> None:
    first = call("nas.prepare", *OPTIONS)
    assert first.returncode == 0, first.stderr
    assert "decoding images to 0.00029 GB: 24" in first.stdout
    again = call("nas.prepare", *OPTIONS)
    assert again.returncode == 0
    assert "decoding" not in again.stdout
    assert again.stdout.splitlines() == [
        line for line in first.stdout.splitlines() if not line.startswith(("reading ", "decoding "))
    ]


def test_the_summary_says_what_there_is_and_how_the_validation_set_is_prepared(call: Run, coco: Path) -> None:
    done = call("nas.prepare", *OPTIONS)
    boxes = num_boxes(coco, "train2017")
    assert f"train: 24 images, 0 of them without a box; {boxes} boxes of 3 categories, ids 1 to 3" in done.stdout
    assert re.search(r"data/cache/train2017-64px-raw-\w+ \(0\.\d+ GB\)", done.stdout)
    assert "16 images to train on, 8 held out for the reward" in done.stdout
    assert "task.score_on=val" in done.stdout


def test_a_yolo_data_set_is_searched_with_its_folder_alone(call: Run, tmp_path: Path) -> None:
    root = tmp_path / "yolo"
    draw(root / "images" / "train", [f"{i:02d}.jpg" for i in range(20)])
    write_text(root, {f"labels/train/{i:02d}.txt": "0 0.5 0.5 0.4 0.4\n" for i in range(20)})
    write_text(root, {"data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames: [cat]\n"})
    options = [option for option in OPTIONS if not option.startswith("data.")]

    done = call("nas.prepare", *options, "data.root=yolo")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("reading labels of yolo-train: 20\nreading the sizes of images: 20\nYOLO's layout, ")
    assert "train: 20 images, 0 of them without a box; 20 boxes of 1 categories, ids 1 to 1" in done.stdout
    assert "18 images to train on, 2 held out for the reward" in done.stdout
    assert done.stdout.endswith("val: not there, so not prepared; nas.replay wants it, nas.search does not\n")
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["cache", "converted"]

    done = call("nas.search", *options, "data.root=yolo", "executor=local", "num_trials=1")
    assert done.returncode == 0, done.stderr
    assert "decoding" not in done.stdout
    assert "1 completed" in done.stdout


def test_mistakes_of_a_layout_are_one_line(call: Run, tmp_path: Path) -> None:
    options = [option for option in OPTIONS if not option.startswith("data.")]
    (tmp_path / "empty").mkdir()
    done = call("nas.prepare", *options, "data.root=empty")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("error: no data: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty"]


def test_a_search_finds_what_was_prepared(call: Run, coco: Path, tmp_path: Path) -> None:
    assert call("nas.prepare", *OPTIONS, "task.cache_format=jpeg").returncode == 0
    done = call("nas.search", *OPTIONS, "task.cache_format=jpeg", "executor=local", "num_trials=1")
    assert done.returncode == 0, done.stderr
    assert "decoding" not in done.stdout
    assert "1 completed" in done.stdout
    assert len(list((tmp_path / "data" / "cache").glob("train2017-64px-jpeg-*/cache.json"))) == 1


@pytest.mark.parametrize(("option", "name"), [("show=samples.png", "samples.png"), ("--show", "training-samples.png")])
def test_training_images_are_shown_in_one_picture(
    call: Run, coco: Path, tmp_path: Path, option: str, name: str
) -> None:
    done = call("nas.prepare", *OPTIONS, option)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"{name}: ")
    with Image.open(tmp_path / name) as picture:
        assert picture.size == (4 * 480 + 3 * 8, 4 * 480 + 3 * 8)


@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("show=samples.gif", ".png or .jpg"),
        ("show=a.folder.png", "a.folder.png is a folder"),
        ("show=a.file/below/samples.png", "a.file is no folder: show=... needs another place"),
    ],
)
def test_a_picture_that_cannot_be_drawn_is_said_before_data_is_read(
    call: Run, coco: Path, tmp_path: Path, option: str, word: str
) -> None:
    (tmp_path / "a.folder.png").mkdir()
    (tmp_path / "a.file").touch()
    done = call("nas.prepare", *OPTIONS, option)
    assert done.returncode == 2
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_task_without_images_has_none_to_show(call: Run) -> None:
    done = call("nas.prepare", "task=landscape", "show=samples.png")
    assert done.returncode == 2
    assert "no images to show" in done.stderr


def test_preparing_makes_no_run_folder(call: Run, coco: Path, tmp_path: Path) -> None:
    assert call("nas.prepare", *OPTIONS).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco", "data"]


def test_embedded_data_is_drawn_and_decoded(call: Run, tmp_path: Path) -> None:
    done = call("nas.prepare", *TINY_SEARCH)
    assert done.returncode == 0, done.stderr
    assert "drawing images: 30" in done.stdout
    assert "decoding images" in done.stdout
    assert (tmp_path / "data" / "shapes-64" / "train2017").is_dir()


def test_it_works_without_a_validation_set_and_with_fewer_images(call: Run, coco: Path) -> None:
    shutil.rmtree(coco / "val2017")
    done = call("nas.prepare", *OPTIONS, "data.max_images=12", "verify=true")
    assert done.returncode == 0, done.stderr
    assert "decoding images to 0.00015 GB: 12" in done.stdout
    assert "checksums are right" in done.stdout


def test_fewer_images_are_counted_in_the_summary(call: Run, coco: Path) -> None:
    done = call("nas.prepare", *OPTIONS, "data.max_images=12")
    assert "train: 12 images" in done.stdout
    assert "4 images to train on, 8 held out for the reward" in done.stdout


def test_the_validation_set_is_prepared_where_it_is_scored_on(call: Run, coco: Path, tmp_path: Path) -> None:
    done = call("nas.prepare", *OPTIONS, "task.score_on=val")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "cache").glob("val2017-64px-raw-*/cache.json"))) == 1


def test_a_validation_set_of_other_categories_is_refused_before_the_training_images_are_decoded(
    call: Run, coco: Path
) -> None:
    path = coco / "annotations" / "instances_val2017.json"
    document = json.loads(path.read_text())
    document["categories"].append({"id": 9, "name": "more"})
    path.write_text(json.dumps(document))
    done = call("nas.prepare", *OPTIONS, "task.score_on=val")
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
        (("data.root=null",), "no data: pass data.root=/path/to/coco"),
        (("data.root=nowhere",), "no data: "),
        (("scale.image_size_px=big",), "task.scale.image_size_px: Input should be a valid integer"),
        (("scale.image_size_px=8",), "task.scale: image_size_px must be "),
        (("task.cache_format=png",), "task.cache_format: Input should be 'raw' or 'jpeg', got 'png'"),
        (("data.max_images=1",), "task.data: max_images must be 2 or more, got 1"),
        (
            ("data.num_held_out=24",),
            "data: num_held_out must leave something to train on and to score: 1 to 23 of 24 images",
        ),
        (("source=coco",), "unknown option source; "),
        (("verify=maybe",), "verify: Input should be a valid boolean"),
        (("data.root=~nobody-here/x",), "~nobody-here/x: there is no such user"),
        (("--fast",), "unknown flag --fast; --help lists flags and options"),
        (("task.cache_dir=coco/shapes.json",), "cannot write"),
    ],
)
def test_mistakes_are_one_line(call: Run, coco: Path, options: tuple[str, ...], message: str) -> None:
    done = call("nas.prepare", *OPTIONS, *options)
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
    assert "checksums are right" not in done.stdout


def test_quiet_prints_nothing(call: Run, coco: Path) -> None:
    done = call("nas.prepare", *OPTIONS, "-q")
    assert done.returncode == 0
    assert (done.stdout, done.stderr) == ("", "")


def test_a_task_without_data_is_prepared_at_once(call: Run) -> None:
    done = call("nas.prepare", "task=landscape")
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_stopped_by_a_signal_it_says_so_and_the_same_command_resumes(
    call: Run, tmp_path: Path, number: signal.Signals
) -> None:
    Shapes(tmp_path / "coco", num_train_images=400, num_val_images=1, image_size_px=128, num_held_out=8).folder(silent)
    options = (*OPTIONS, "scale.image_size_px=512")
    process = start("nas.prepare", options, tmp_path)
    while not list(tmp_path.glob("data/cache/*.part/images")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "stopped; the same command resumes\n"

    done = call("nas.prepare", *options)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "data" / "cache").glob("train2017-512px-raw-*/cache.json"))) == 1


def test_help_lists_the_options_of_the_search_and_its_own(call: Run) -> None:
    shown = call("nas.prepare", "--help").stdout
    for option in ("verify=false", "data.root=null", "task.cache_dir=data/cache", "scale.image_size_px="):
        assert re.search(rf"^ +{re.escape(option)}\S* +[A-Z0-9]", shown, re.M), option
