"""Classifiers: their file, what they say of pictures, and released weights as such a file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from foundation import InputError
from proxy_tasks.classification.classifier_file import ClassifierInfo, read_classifier, save_classifier
from proxy_tasks.classification.image_classifier import ImageClassifier, build_classifier, load_classifier
from proxy_tasks.classification.released import import_released, load_released
from proxy_tasks.coco.annotations import NO_CATEGORY
from proxy_tasks.networks.released.garden_names import GRAPH
from proxy_tasks.networks.released.tpu_names import classifier_slots
from proxy_tasks.networks.released.zoo import RELEASED, ReleasedNetwork
from proxy_tasks.networks.torch_file import write_torch_file
from search_space import ModelScale, published_spec
from tests.proxy_tasks.networks.released.checkpoint_writer import write_checkpoint

SPEC = published_spec("spinenet-49")
SCALE = ModelScale(width_multiplier=0.125, endpoint_width=16, image_size_px=64)
INFO = ClassifierInfo("tiny", SPEC, SCALE, (NO_CATEGORY, "red", "green", "blue"), "raw")


def untrained() -> ImageClassifier:
    torch.manual_seed(0)
    return ImageClassifier(build_classifier(INFO), INFO).eval()


def tiny_checkpoint(folder: Path, num_classes: int = 4) -> dict[str, NDArray[np.generic]]:
    """Write a checkpoint of random variables of a small classifier, and return them."""
    info = dataclasses.replace(INFO, class_names=tuple(f"{k}" for k in range(num_classes)))
    with torch.device("meta"):
        slots = classifier_slots(build_classifier(info), SPEC)
    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, slot in slots.items():
        # Features stay near 1 through all layers.
        scale = np.prod(slot.shape[:-1]) ** -0.5 if name.endswith("kernel") else 0.2
        is_positive = name.endswith(("gamma", "variance"))
        values = rng.uniform(0.5, 1.5, slot.shape) if is_positive else rng.normal(0, scale, slot.shape)
        arrays[name] = values.astype(np.float32)
    write_checkpoint(folder / "model.ckpt", arrays | {"global_step": np.array(7)})
    return arrays


@pytest.fixture
def is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the small classifier be one that weights were released of: the real ones have 22 million."""
    monkeypatch.setitem(RELEASED, "classifier-tiny", ReleasedNetwork("classifier", SPEC, SCALE))


def test_a_classifier_names_the_likeliest_classes_and_never_the_background() -> None:
    classifier = untrained()
    with torch.no_grad():
        classifier.network.predict.weight.zero_()
        classifier.network.predict.bias.copy_(torch.tensor([9.0, 1, 3, 2]))
    guesses = classifier.classify([Image.new("L", (30, 50)), Image.new("RGB", (100, 20), "red")], top=2)
    expected = torch.tensor([1.0, 3, 2]).softmax(0)
    for of_image in guesses:
        assert [(guess.label, guess.name) for guess in of_image] == [(2, "green"), (3, "blue")]
        assert [guess.score for guess in of_image] == pytest.approx([float(expected[1]), float(expected[2])])

    assert [guess.label for guess in classifier.classify([Image.new("RGB", (9, 9))], top=9)[0]] == [2, 3, 1]
    assert classifier.classify([]) == []
    with pytest.raises(ValueError, match="top must be 1 or more, got 0"):
        classifier.classify([Image.new("L", (9, 9))], top=0)


def test_a_classifier_looks_at_the_middle_of_a_picture() -> None:
    classifier, seen = untrained(), []
    classifier.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    # 64 of 73 rows and columns are looked at, which need not be scaled; the red frame is outside.
    image = Image.new("RGB", (200, 73), "red")
    image.paste((10, 20, 30), (68, 4, 132, 68))
    classifier.classify([image])
    mean, std = torch.tensor(INFO.normalisation.mean), torch.tensor(INFO.normalisation.std)
    expected = (torch.tensor([10.0, 20, 30]) / 255 - mean) / std
    assert seen[0].shape == (1, 3, 64, 64)
    assert torch.allclose(seen[0], expected.view(1, 3, 1, 1).expand(1, 3, 64, 64))


@pytest.mark.long
def test_a_file_gives_the_same_classifier_and_bad_ones_are_one_line(tmp_path: Path) -> None:
    classifier = untrained()
    info = dataclasses.replace(INFO, norm_epsilon=1e-5)
    save_classifier(tmp_path / "a.pt", info, raw=classifier.network.state_dict())
    loaded = load_classifier(tmp_path / "a.pt", device="cpu", precision="float32")
    assert loaded.info == info
    assert {m.eps for m in loaded.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-5}
    for name, tensor in classifier.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)

    content = torch.load(tmp_path / "a.pt", weights_only=True)
    for change, message in (
        ({"kind": "trained detector"}, "holds no trained classifier"),
        ({"format": 2}, "is of format 2, this version reads format 1: update spinenet-search"),
        ({"states": {}}, "holds no weights"),
        ({"info": 7}, "b.pt: "),
        ({"info": {**content["info"], "class_names": []}}, "class_names must be two or more"),
        ({"info": {**content["info"], "norm_epsilon": 0.0}}, "norm_epsilon must be above 0 and at most 1"),
        ({"info": {**content["info"], "class_names": ["a", "b"]}}, "weights of another network than it says: predict"),
        ({"info": {**content["info"], "architecture": "nothing"}}, "unknown network 'nothing'"),
    ):
        write_torch_file(tmp_path / "b.pt", content | change)
        with pytest.raises(InputError, match=message):
            load_classifier(tmp_path / "b.pt", device="cpu")
    with pytest.raises(InputError, match=r"absent.pt is not there"):
        load_classifier(tmp_path / "absent.pt", device="cpu")


@pytest.mark.long
@pytest.mark.usefixtures("is_released")
def test_released_weights_become_a_classifier_with_every_tensor_in_its_place(tmp_path: Path) -> None:
    arrays = tiny_checkpoint(tmp_path)
    info = import_released(tmp_path, "classifier-tiny", tmp_path / "tiny.pt")
    assert (info.norm_epsilon, info.reference) == (1e-5, "tpu")
    assert info.class_names == (NO_CATEGORY, "class 1", "class 2", "class 3")

    state = read_classifier(tmp_path / "tiny.pt").states["raw"]
    assert np.array_equal(state["predict.weight"].numpy(), arrays["classification_head/dense/kernel"].T)
    assert np.array_equal(state["predict.bias"].numpy(), arrays["classification_head/dense/bias"])
    stem = arrays["spinenet/conv2d/kernel"].transpose(3, 2, 0, 1)
    assert np.array_equal(state["backbone.stem_conv.0.weight"].numpy(), stem)

    at_once = load_released(tmp_path, "classifier-tiny", norm_epsilon=1e-3, device="cpu", precision="float32")
    assert at_once.info.norm_epsilon == 1e-3
    assert all(torch.equal(tensor, state[name]) for name, tensor in at_once.network.state_dict().items())


@pytest.mark.usefixtures("is_released")
def test_checkpoints_of_other_networks_are_one_line(tmp_path: Path) -> None:
    arrays = tiny_checkpoint(tmp_path)
    (tmp_path / "out").mkdir()
    bias = {"classification_head/dense/bias": np.zeros((2, 2), np.float32)}
    more = {"mask_head/bias": np.zeros(3, np.float32)}
    less = {name: array for name, array in arrays.items() if "dense" not in name}
    for name, content, message in (
        ("more", arrays | more, "it has mask_head/bias, for which classifier-tiny has no place"),
        ("less", less, "it lacks classification_head/dense/kernel and 1 more"),
        ("bias", arrays | bias, r"classification_head/dense/bias of \(2, 2\) is of no 2 to 100,000 classes"),
        ("garden", {GRAPH: b""}, "is of tensorflow/models, whose classifier reads the coarsest feature alone"),
    ):
        write_checkpoint(tmp_path / name, content)
        with pytest.raises(InputError, match=message):
            import_released(tmp_path / name, "classifier-tiny", tmp_path / "out" / "made.pt")
    with pytest.raises(InputError, match=r"no released weights of 'spinenet-49' are known; known are classifier-"):
        load_released(tmp_path / "more", "spinenet-49")
    assert list((tmp_path / "out").iterdir()) == []
