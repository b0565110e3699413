"""The code in docs/use-elsewhere.md: what can be executed here is, and the rest at least is Python."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

TEXT = (Path(__file__).parents[3] / "docs" / "use-elsewhere.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", TEXT, re.M | re.S))


def code_of(section: str) -> list[str]:
    return re.findall(r"^```python\n(.+?)^```$", SECTIONS[section], re.M | re.S)


def test_the_code_for_torchvision_builds_its_detectors() -> None:
    (code,) = code_of("torchvision")
    names: dict[str, list[nn.Module]] = {}
    with torch.device("meta"):
        exec(code, names)
    assert [type(detector).__name__ for detector in names["detectors"]] == [
        "RetinaNet",
        "FCOS",
        "FasterRCNN",
        "MaskRCNN",
    ]


def test_the_code_in_timm_s_manner_prints_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = code_of("timm's manner")
    names: dict[str, nn.Module] = {}
    exec(code, names)
    assert capsys.readouterr().out == "[48, 48, 48] [8, 16, 32]\n"
    with torch.no_grad():
        features = [names[name].eval()(torch.zeros(1, 3, 64, 64)) for name in ("network", "selected")]
    assert [[x.shape[-1] for x in one] for one in features] == [[8, 4, 2]] * 2


@pytest.mark.parametrize("section", ["mmdetection", "detectron2", "ultralytics"])
def test_code_that_was_not_run_says_so_and_is_python(section: str) -> None:
    assert SECTIONS[section].lstrip().startswith("Not run.")
    assert [compile(code, section, "exec") for code in code_of(section)]


def test_the_code_for_ray_tune_is_python() -> None:
    # The tests of nas/interop run it.
    assert [compile(code, "Ray Tune", "exec") for code in code_of("Ray Tune")]
