"""The file of a trained detector: what was saved is what is read, and nothing else is taken for it."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from foundation import InputError
from proxy_tasks.detection.detector_file import Category, DetectorInfo, read_detector, save_detector
from search_space import ModelScale, published_spec

RAW = {"weight": torch.arange(6.0).view(2, 3), "num_batches": torch.tensor(5)}
AVERAGED = {"weight": torch.ones(2, 3), "num_batches": torch.tensor(5)}
INFO = DetectorInfo(
    name="quickstart-10",
    architecture=published_spec("spinenet-49"),
    scale=ModelScale(width_multiplier=0.125, image_size_px=64),
    categories=(Category(3, "circle"), Category(7, "square")),
    weights="averaged",
    recipe={"learning_rate": 0.28, "jitter": [0.5, 2.0], "protocol": "b"},
    metrics={"ap": 0.25, "ap_large": -1.0, "loss": float(np.float32(0.5))},
    run="full",
    search="quickstart",
    trial=10,
    versions={"torch": "2.15"},
)


def test_a_saved_detector_is_read_as_it_was_without_running_anything(tmp_path: Path) -> None:
    # Numbers of NumPy's and parts of a larger tensor, as they come out of a training.
    info = dataclasses.replace(INFO, metrics={**INFO.metrics, "ap": np.float64(0.25)})
    large = torch.zeros(100_000)
    large[:6] = torch.arange(6.0)
    save_detector(tmp_path / "run" / "detector.pt", info, raw=RAW | {"weight": large[:6].view(2, 3)}, averaged=AVERAGED)

    found = read_detector(tmp_path / "run" / "detector.pt")
    assert found.info == INFO
    for state, saved in ((found.states["raw"], RAW), (found.states["averaged"], AVERAGED)):
        assert list(state) == list(saved)
        assert all(torch.equal(state[name], saved[name]) for name in saved)
    assert (tmp_path / "run" / "detector.pt").stat().st_size < 20_000


def test_a_detector_without_an_average_does_not_name_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="info names averaged weights, but none were given"):
        save_detector(tmp_path / "detector.pt", INFO, raw=RAW)
    save_detector(tmp_path / "detector.pt", dataclasses.replace(INFO, weights="raw"), raw=RAW)
    assert list(read_detector(tmp_path / "detector.pt").states) == ["raw"]


def test_categories_have_ids_of_their_own() -> None:
    with pytest.raises(ValueError, match=r"the ids of categories must differ, got \[1, 1\]"):
        dataclasses.replace(INFO, categories=(Category(1, "a"), Category(1, "b")))
    with pytest.raises(ValueError, match="categories must hold one category or more"):
        dataclasses.replace(INFO, categories=())


def changed(**parts: Any) -> Callable[[Path], None]:  # noqa: ANN401  # any content of the file
    def change(path: Path) -> None:
        torch.save(torch.load(path, weights_only=True) | parts, path)

    return change


def changed_info(**parts: Any) -> Callable[[Path], None]:  # noqa: ANN401  # as above
    def change(path: Path) -> None:
        content = torch.load(path, weights_only=True)
        torch.save(content | {"info": content["info"] | parts}, path)

    return change


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zeroed_in_part(path: Path) -> None:
    content = path.read_bytes()
    weights = RAW["weight"].numpy().tobytes()
    assert content.count(weights) == 1
    path.write_bytes(content.replace(weights, bytes(len(weights))))


def a_network_of_a_search(path: Path) -> None:
    state: dict[str, Tensor] = RAW
    torch.save({"epochs": 1.0, "network": state}, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Path.unlink, "{path} is not there"),
        (cut_short, "{path} is damaged"),
        (zeroed_in_part, "{path} is damaged"),
        (a_network_of_a_search, "{path} holds no trained detector: needed is a file that nas.train has written"),
        (changed(format=2), "{path} is of format 2, this version reads format 1: update spinenet-search"),
        (changed(states={}), "{path} holds no weights"),
        (changed(info=torch.zeros(1)), "{path} says nothing of its weights that can be read"),
        (changed_info(trial="ten"), "{path}: trial: Input should be a valid integer, got 'ten'"),
        (
            changed_info(scale={"image_size_px": 9}),
            "{path}: scale: image_size_px must be from 32 to 8192 (an image of 8192 px takes 200 MB), got 9",
        ),
    ],
)
def test_a_file_that_is_no_sound_detector_is_named_with_the_reason(
    tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    path = tmp_path / "detector.pt"
    save_detector(path, INFO, raw=RAW, averaged=AVERAGED)
    change(path)
    with pytest.raises(InputError) as caught:
        read_detector(path)
    assert str(caught.value) == message.format(path=path)


def test_a_full_disk_leaves_the_file_that_was_there(small_disk: Path) -> None:
    path = small_disk / "detector.pt"
    save_detector(path, INFO, raw=RAW, averaged=AVERAGED)
    with pytest.raises(InputError, match=r"cannot write .*detector\.pt: No space left on device"):
        save_detector(path, INFO, raw={"weight": torch.zeros(100_000)}, averaged=AVERAGED)
    assert read_detector(path).info == INFO
    assert [file.name for file in small_disk.iterdir()] == ["detector.pt"]
