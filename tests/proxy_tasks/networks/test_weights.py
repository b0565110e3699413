"""Files of weights: what a disk, a stranger or another search has left there never gets into a network."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from foundation import InputError
from proxy_tasks.networks.torch_file import UnusableWeightsError
from proxy_tasks.networks.weights import load_network, save_network


def network(seed: int, width: int = 64) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, width), nn.BatchNorm1d(width))


def same(first: nn.Module, second: nn.Module) -> bool:
    states = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in states)


class Exploit:
    """A class whose pickle makes a folder when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("executed",)


def test_a_network_is_filled_with_what_was_saved(tmp_path: Path) -> None:
    save_network(network(0), tmp_path / "weights" / "first.pt", epochs=1.5)
    filled = network(1)
    assert load_network(filled, tmp_path / "weights" / "first.pt", max_epochs=2) == 1.5
    assert same(filled, network(0))


def test_a_run_folder_that_was_moved_away_does_not_come_back_with_weights_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write .*run/weights/first\.pt: No such file or directory"):
        save_network(network(0), tmp_path / "run" / "weights" / "first.pt", epochs=1)
    assert list(tmp_path.iterdir()) == []


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def zeroed_in_part(path: Path) -> None:
    # The weights alone, as a block of the disk that was never written: the file still opens.
    content = path.read_bytes()
    weights = network(0).state_dict()["0.weight"].numpy().tobytes()
    assert content.count(weights) == 1
    path.write_bytes(content.replace(weights, bytes(len(weights))))


def removed(path: Path) -> None:
    path.unlink()


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def of_a_wider_network(path: Path) -> None:
    save_network(network(0, width=65), path, epochs=1)


def without_weights(path: Path) -> None:
    torch.save({"epochs": 1}, path)


def a_tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


def trained_for_too_long(path: Path) -> None:
    save_network(network(0), path, epochs=2)


def code_in_a_pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps(Exploit(), protocol=2))


def code_in_a_file_of_torch(path: Path) -> None:
    torch.save(Exploit(), path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (emptied, "is damaged"),
        (cut_short, "is damaged"),
        (zeroed, "is damaged"),
        (zeroed_in_part, "is damaged"),
        (removed, "is not there"),
        (replaced_by_a_folder, "cannot be read: Is a directory"),
        (of_a_wider_network, "holds another network: 0.weight is 65 x 8, the network's is 64 x 8"),
        (without_weights, "holds no network"),
        (a_tensor, "holds no network"),
        (trained_for_too_long, "was trained for 2 epochs, needed are less than 2"),
        (code_in_a_pickle, "is damaged"),
        (code_in_a_file_of_torch, "holds something other than weights"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_weights_that_cannot_be_used_are_named_with_the_reason_and_change_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "first.pt"
    save_network(network(0), path, epochs=1)
    change(path)

    left = network(1)
    with pytest.raises(UnusableWeightsError) as caught:
        load_network(left, path, max_epochs=2)
    # The whole message: what torch says of such a file is how to have it run its code.
    assert str(caught.value) == f"{path} {reason}"
    assert same(left, network(1))
    assert not (tmp_path / "executed").exists()


def test_weights_that_cannot_be_written_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "weights").touch()
    with pytest.raises(InputError, match=r"cannot write .*first\.pt"):
        save_network(network(0), tmp_path / "weights" / "first.pt", epochs=1)


def test_weights_are_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "weights").symlink_to(tmp_path / "outside")
    with pytest.raises(InputError, match="weights is a link, which is not followed"):
        save_network(network(0), tmp_path / "weights" / "first.pt", epochs=1)
    assert list((tmp_path / "outside").iterdir()) == []
