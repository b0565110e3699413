import gzip
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foundation import InputError
from proxy_tasks.detection.released import load_released
from proxy_tasks.networks.released.garden_names import GRAPH
from proxy_tasks.networks.released.table import uncompress
from search_space import published_scale
from tests.proxy_tasks.networks.released.checkpoint_writer import object_graph, write_checkpoint

DATA = Path(__file__).parent / "data"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
AVERAGE = "/.OPTIMIZER_SLOT/optimizer/average" + VALUE


def written_by_the_garden(*, mobile: bool = False) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """Return random variables, and their names in the program, by the names that tensorflow/models gave them."""
    rng = np.random.default_rng(0)
    arrays: dict[str, NDArray[np.generic]] = {}
    program_names: dict[str, str] = {}
    if mobile:
        text = gzip.decompress((DATA / "names_garden_mobile_49.tsv.gz").read_bytes())
    else:
        text = uncompress((DATA / "names_garden_49s.tsv.snappy").read_bytes())
    for line in text.decode().splitlines()[1:]:
        name, program_names[name], shape = line.split("\t")
        sizes = [int(size) for size in shape.strip("[]").split(",") if size]
        arrays[name] = np.array(7) if name.startswith("save_counter") else rng.random(sizes, dtype=np.float32)
    return arrays, program_names


def test_layers_are_told_apart_by_the_order_of_their_creation_and_anchors_are_put_in_ours(tmp_path: Path) -> None:
    arrays, program_names = written_by_the_garden()
    write_checkpoint(tmp_path / "ckpt-1", {**arrays, GRAPH: object_graph(program_names)})
    detector = load_released(tmp_path, "spinenet-49s", device="cpu", precision="float32")
    info, state = detector.info, detector.network.state_dict()
    assert (info.reference, info.norm_epsilon, info.scale.activation) == ("model_garden", 1e-3, "silu")

    assert not info.counts_last_pixel

    # Layers 4 and 5 of the file are alike in shape: they narrow the two parents, 0 and 1, of block 3.
    for parent, number in ((0, 4), (1, 5)):
        theirs = arrays[f"backbone/layer_with_weights-{number}/kernel{VALUE}"][0, 0].T  # (C_out, C_in)
        assert theirs.shape == (20, 164)
        # Block 2, before it, has the same two parents.
        ours = state[f"backbone.narrows.{parent}.0.weight"][20:40, :, 0, 0]
        assert np.array_equal(ours.numpy(), theirs)

    # Anchors of a location: three octaves of aspect ratios 1, 2, 1/2, which are 1/2, 1, 2 in the file.
    theirs = arrays[f"head/_box_regressor/bias{VALUE}"].reshape(3, 3, 4)
    ours = state["box_tower.predict.bias"].reshape(3, 3, 4).numpy()
    assert np.array_equal(ours, theirs[:, [1, 2, 0]])


def test_a_mobile_network_has_its_gates_and_separable_convolutions_in_their_places(tmp_path: Path) -> None:
    arrays, program_names = written_by_the_garden(mobile=True)
    write_checkpoint(tmp_path / "ckpt-1", {**arrays, GRAPH: object_graph(program_names)})
    detector = load_released(tmp_path, "spinenet-mobile-49", device="cpu", precision="float32")
    info, state = detector.info, detector.network.state_dict()
    assert (info.reference, info.scale) == ("model_garden", published_scale("spinenet-mobile-49"))

    # The second block of the stem is the second that was created.
    block = "backbone/layer_with_weights-4"
    for name, path in (
        ("_conv1/depthwise_kernel", "1.0.weight"),
        ("_squeeze_excitation/_se_reduce/kernel", "2.reduce.weight"),
        ("_squeeze_excitation/_se_expand/kernel", "2.expand.weight"),
        ("_conv2/kernel", "3.0.weight"),
    ):
        theirs = arrays[f"{block}/{name}{VALUE}"].transpose(2, 3, 0, 1)
        theirs = theirs if name.endswith("depthwise_kernel") else theirs.swapaxes(0, 1)
        assert np.array_equal(state[f"backbone.stem.1.0.branch.{path}"].numpy(), theirs)

    # What comes before the prediction knows no anchors; the prediction has them in our order.
    predictor, name = "head/_box_regressor", "box_tower.predict"
    depthwise = arrays[f"{predictor}/depthwise_kernel{VALUE}"].transpose(2, 3, 0, 1)
    assert np.array_equal(state[f"{name}.0.weight"].numpy(), depthwise)
    pointwise = arrays[f"{predictor}/pointwise_kernel{VALUE}"][0, 0].T.reshape(3, 3, 4, 48)
    assert np.array_equal(state[f"{name}.1.weight"].reshape(3, 3, 4, 48).numpy(), pointwise[:, [1, 2, 0]])


def test_a_training_gives_its_averages_where_it_has_them(tmp_path: Path) -> None:
    arrays, program_names = written_by_the_garden()
    prefixed = {name: f"model/_{name}" for name in arrays if not name.startswith("save_counter")}
    content: dict[str, NDArray[np.generic] | bytes] = {new: arrays[name] for name, new in prefixed.items()}
    kernel = f"model/_backbone/layer_with_weights-0/kernel{VALUE}"
    content[kernel.removesuffix(VALUE) + AVERAGE] = arrays["backbone/layer_with_weights-0/kernel" + VALUE] + 1
    content["optimizer/iter" + VALUE] = np.array(9)
    names = {new: program_names[name] for name, new in prefixed.items()}
    write_checkpoint(tmp_path / "ckpt-1", {**content, GRAPH: object_graph(names)})

    state = load_released(tmp_path, "spinenet-49s", device="cpu", precision="float32").network.state_dict()
    plain = torch.from_numpy(arrays["backbone/layer_with_weights-0/kernel" + VALUE]).permute(3, 2, 0, 1)
    assert torch.equal(state["backbone.stem_conv.0.weight"], plain + 1)
    mean = arrays["backbone/layer_with_weights-1/moving_mean" + VALUE]
    assert np.array_equal(state["backbone.stem_conv.1.running_mean"].numpy(), mean)

    # Where averages and weights have changed places, the averages are what is asked for so.
    swapped = load_released(tmp_path, "spinenet-49s", averages=False, device="cpu", precision="float32")
    assert torch.equal(swapped.network.state_dict()["backbone.stem_conv.0.weight"], plain)


def test_a_backbone_alone_another_depth_or_a_variable_too_many_is_one_line(tmp_path: Path) -> None:
    arrays, program_names = written_by_the_garden()
    write_checkpoint(tmp_path / "ckpt-1", {GRAPH: object_graph(program_names)})
    with pytest.raises(InputError, match="ckpt-1 holds a backbone alone, without the head that finds objects"):
        load_released(tmp_path / "ckpt-1", "spinenet-49s")

    more: dict[str, NDArray[np.generic] | bytes] = {**arrays, GRAPH: object_graph(program_names)}
    more["decoder/kernel" + VALUE] = np.zeros(3, np.float32)
    write_checkpoint(tmp_path / "ckpt-2", more)
    with pytest.raises(InputError, match=r"it has decoder/kernel/\S+, for which spinenet-49s has no place"):
        load_released(tmp_path / "ckpt-2", "spinenet-49s")
    with pytest.raises(InputError, match=r"ckpt-2 is of another network: it has 80 layers of bottleneck_block, needed"):
        load_released(tmp_path / "ckpt-2", "spinenet-96")

    write_checkpoint(tmp_path / "ckpt-3", {GRAPH: b"\xff" * 40})
    with pytest.raises(InputError, match="ckpt-3: the graph of its objects is damaged"):
        load_released(tmp_path / "ckpt-3", "spinenet-49s")
    write_checkpoint(tmp_path / "ckpt-4", {GRAPH: b""})
    with pytest.raises(InputError, match="ckpt-4 holds no SpineNet of tensorflow/models, or several"):
        load_released(tmp_path / "ckpt-4", "spinenet-49s")
