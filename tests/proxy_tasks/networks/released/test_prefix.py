from pathlib import Path

import pytest

from foundation import InputError
from proxy_tasks.networks.released.prefix import checkpoint_prefix


def test_a_checkpoint_is_found_by_its_prefix_its_files_or_its_folder(tmp_path: Path) -> None:
    prefix = tmp_path / "model.ckpt-187600"
    for suffix in (".index", ".meta", ".data-00000-of-00001"):
        (tmp_path / f"{prefix.name}{suffix}").touch()
        assert checkpoint_prefix(tmp_path / f"{prefix.name}{suffix}") == prefix
    assert checkpoint_prefix(prefix) == prefix
    assert checkpoint_prefix(tmp_path) == prefix

    # Of several it is the one that TensorFlow's own list names, wherever that was written.
    (tmp_path / "model.ckpt-9.index").touch()
    with pytest.raises(InputError, match="holds 2 checkpoints: name one, as checkpoint="):
        checkpoint_prefix(tmp_path)
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "gs://there/model.ckpt-9"\n')
    assert checkpoint_prefix(tmp_path) == tmp_path / "model.ckpt-9"
    assert checkpoint_prefix(tmp_path / "checkpoint") == tmp_path / "model.ckpt-9"


def test_hidden_files_beside_a_checkpoint_are_none(tmp_path: Path) -> None:
    for name in ("model.ckpt-7.index", "._model.ckpt-7.index"):
        (tmp_path / name).touch()
    assert checkpoint_prefix(tmp_path) == tmp_path / "model.ckpt-7"


def test_a_folder_whose_last_checkpoint_is_missing_gives_no_other(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-7.index").touch()
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/there/model.ckpt-187600"\n')
    with pytest.raises(InputError, match=r"checkpoint names model.ckpt-187600, which is not there"):
        checkpoint_prefix(tmp_path)


def test_what_is_no_checkpoint_is_one_line_that_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no checkpoint, which has a file that ends in .index"):
        checkpoint_prefix(tmp_path)
    with pytest.raises(InputError, match=r"spinenet49s.tar.gz is an archive: unpack it"):
        checkpoint_prefix(tmp_path / "spinenet49s.tar.gz")
    (tmp_path / "model.ckpt-7.index").touch()
    with pytest.raises(InputError, match=r"model.ckpt-8.index is not there; there are model.ckpt-7$"):
        checkpoint_prefix(tmp_path / "model.ckpt-8")
