import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from foundation import InputError
from proxy_tasks.networks.released.checkpoint import Checkpoint
from proxy_tasks.networks.released.crc32c import crc32c
from proxy_tasks.networks.released.table import uncompress

DATA = Path(__file__).parent / "data"
SECOND_SHARD = "model.ckpt-7.data-00001-of-00002"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Return a folder with a copy of TensorFlow's checkpoint."""
    for file in DATA.glob("model.ckpt-7.*"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_a_checkpoint_of_two_shards_that_tensorflow_wrote_is_read_to_the_last_bit() -> None:
    checkpoint = Checkpoint(DATA / "model.ckpt-7")

    # Text is no variable; what cannot be read is one all the same.
    assert len(checkpoint) == 47
    assert "net/words" not in checkpoint
    assert checkpoint["global_step"].tolist() == 450_000
    kernel = checkpoint["net/conv2d/kernel"]
    assert kernel.dtype == np.float32
    assert np.array_equal(kernel, np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5) / 7)
    for k in range(40):
        assert checkpoint[f"net/block_{k}/gamma"].tolist() == [k, k, k]

    assert checkpoint["net/dense/bias"].tolist() == np.linspace(-1, 1, 7).tolist()
    assert checkpoint["net/dense/half"].tolist() == [0.5, -2]
    assert checkpoint["net/empty"].shape == (0, 3)
    assert checkpoint.shape("net/conv2d/kernel") == (2, 3, 4, 5)


def test_variables_of_a_kind_that_is_not_read_are_named() -> None:
    checkpoint = Checkpoint(DATA / "model.ckpt-7")
    with pytest.raises(InputError, match="net/parted is partitioned into slices"):
        checkpoint["net/parted"]
    with pytest.raises(InputError, match="net/brain is of TensorFlow's type 14"):
        checkpoint["net/brain"]


def test_checksums_are_those_of_the_standard() -> None:
    # RFC 3720, appendix B.4; the last from its polynomial, by hand.
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_a_checksum_does_not_depend_on_how_the_bytes_are_cut_into_lanes() -> None:
    content = np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8).tobytes()
    for size in (1, 2, 3, 4, 5, 11, 12, 13, 252, 253, 1020, 1021, 4092, 4093, 5000):
        register = 0xFFFFFFFF
        for byte in content[:size]:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
        assert crc32c(content[:size]) == register ^ 0xFFFFFFFF


def test_snappy_is_read_as_it_was_written_by_another_program() -> None:
    text = uncompress((DATA / "names_49s.tsv.snappy").read_bytes())
    assert hashlib.sha256(text).hexdigest() == "dcd75d291ee6a381d6dce16fd6d186903852918458d7a4531fd87917fa7e5e9b"


@pytest.mark.parametrize(("size", "name"), [(0, "net/dense/bias"), (55, "net/dense/bias"), (59, "net/dense/half")])
def test_a_shard_that_was_cut_short_is_named_with_the_variable(copied: Path, size: int, name: str) -> None:
    shard = copied / SECOND_SHARD
    shard.write_bytes(shard.read_bytes()[:size])
    checkpoint = Checkpoint(copied / "model.ckpt-7")
    assert checkpoint["net/block_0/gamma"].tolist() == [0, 0, 0]
    with pytest.raises(InputError, match=rf"{SECOND_SHARD} is cut short: it ends after {size} bytes.* {name};"):
        checkpoint[name]


def test_a_shard_with_any_byte_changed_is_found_and_the_variable_named(copied: Path) -> None:
    shard = copied / SECOND_SHARD
    whole = shard.read_bytes()
    for place in range(2, 58):  # two bytes of another variable stand before
        shard.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(InputError, match=rf"{SECOND_SHARD} is damaged: .* of the variable net/dense/bias differs"):
            Checkpoint(copied / "model.ckpt-7")["net/dense/bias"]


def test_a_missing_shard_is_named_with_the_variable(copied: Path) -> None:
    (copied / SECOND_SHARD).unlink()
    with pytest.raises(InputError, match=f"cannot read .*{SECOND_SHARD}, which holds the variable net/dense/bias"):
        Checkpoint(copied / "model.ckpt-7")["net/dense/bias"]


def test_an_index_with_any_byte_changed_or_cut_anywhere_is_refused_in_one_line(copied: Path) -> None:
    index = copied / "model.ckpt-7.index"
    whole = index.read_bytes()
    for place in range(0, 1500, 37):
        for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]):
            index.write_bytes(damaged)
            with pytest.raises(InputError, match=r"model.ckpt-7.index is damaged, or no index of a TensorFlow"):
                Checkpoint(copied / "model.ckpt-7")


def test_damaged_snappy_is_an_error_and_nothing_else() -> None:
    whole = (DATA / "names_49s.tsv.snappy").read_bytes()
    for place in range(0, len(whole), 211):
        with pytest.raises(ValueError, match=r"bytes|copy|does not end"):
            uncompress(whole[:place])


def test_a_file_far_larger_than_any_index_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.index").open("wb") as file:
        file.truncate(300 * 2**30)
    with pytest.raises(InputError, match=r"huge.index is damaged, or no index of a TensorFlow checkpoint"):
        Checkpoint(tmp_path / "huge")
