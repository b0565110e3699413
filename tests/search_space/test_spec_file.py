import json
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation import InputError
from search_space import ModelScale, ScalePermutedSpace, SpecFile, published_spec, read_spec, resnet_seed, write_spec
from search_space.spec_file import Provenance, json_schema

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def document(name: str = "mine") -> SpecFile:
    return SpecFile(schema_version=1, name=name, spec=published_spec("spinenet-49"), scale=ModelScale())


@given(seed=st.integers(0, 2**32), metric=st.floats(0, 1), width=st.floats(0.1, 2))
def test_written_spec_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, seed: int, metric: float, width: float
) -> None:
    spec = SPACE.decode(SPACE.sample(np.random.default_rng(seed))).spec
    provenance = Provenance(
        run="r",
        trial=1,
        seed=0,
        reward=metric,
        metrics={"ap": metric},
        fidelity={"epochs": 5.0, "max_train_images": None},
        versions={"torch": "2"},
    )
    written = SpecFile(
        schema_version=1,
        name="mine",
        key=spec.key,
        spec=spec,
        scale=ModelScale(width_multiplier=width),
        provenance=provenance,
    )
    path = tmp_path_factory.mktemp("specs") / "spec.json"
    write_spec(path, written)
    assert read_spec(path) == written


@pytest.mark.parametrize(
    ("break_it", "place"),
    [
        (lambda d: d.update(schema_version=2), "schema_version: Input should be 1"),
        (lambda d: d.update(extra=1), "extra: Extra inputs are not permitted"),
        (lambda d: d["spec"]["blocks"][3].update(levle=3), "spec.blocks[3].levle: Unexpected keyword argument"),
        (lambda d: d["spec"]["blocks"][3].update(level=9), "spec.blocks[3]: level must be 1 to 7, got 9"),
        (lambda d: d["spec"]["blocks"][3].update(level="4"), "spec.blocks[3].level: Input should be a valid integer"),
        (lambda d: d["spec"]["blocks"][3].update(parents=[2, 9]), "spec: block 3: parents must be features 0 to 4"),
        (lambda d: d["spec"]["blocks"][0].pop("kind"), "spec.blocks[0].kind: "),
        (lambda d: d["scale"].update(wdith=1), "scale.wdith: Unexpected keyword argument"),
        (lambda d: d.pop("spec"), "spec: Field required"),
        (lambda d: d.update(key="0" * 16), "key: the spec's own key is 82264a797d252ebb, got 0000000000000000"),
    ],
)
def test_broken_spec_file_is_refused_with_the_place(tmp_path: Path, break_it, place: str) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  # a lambda
    path = tmp_path / "spec.json"
    data = json.loads(document().model_dump_json())
    break_it(data)
    path.write_text(json.dumps(data))
    with pytest.raises(InputError) as caught:
        read_spec(path)
    assert str(caught.value).startswith(f"{path}: {place}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 100, 500])
def test_truncated_spec_file_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "spec.json"
    path.write_text(document().model_dump_json()[:length])
    with pytest.raises(InputError, match="Invalid JSON: EOF"):
        read_spec(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("image_size_px", str(2**62)),
        ("endpoint_width", "1e30"),
        ("resample_alpha", "1e300"),
        ("block_repeats", "9" * 5000),
    ],
)
def test_a_spec_file_with_an_absurd_number_is_refused_in_one_line(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / "absurd.json"
    content = document().model_dump(mode="json")
    content["scale"][name] = "NUMBER"
    path.write_text(json.dumps(content).replace('"NUMBER"', text))
    with pytest.raises(InputError, match=r"absurd\.json: ") as caught:
        read_spec(path)
    assert len(str(caught.value)) < 400


def test_missing_spec_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read spec .*absent\.json: No such file"):
        read_spec(tmp_path / "absent.json")


def test_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    write_spec(path, document("old"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Like a disk that is full after a few bytes.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*spec\.json"):
            write_spec(path, document("new"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_spec(path).name == "old"


def test_published_schema_is_the_one_in_docs() -> None:
    committed = Path(__file__).parents[2] / "docs" / "spec.schema.json"
    assert json.loads(committed.read_text()) == json_schema(), "run make schema"
