"""python -m nas.export: networks as files, checked before they are written, and mistakes in one line."""

import dataclasses
import json
import re
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from foundation import InputError
from nas.exporting.networks import NetworkExport
from proxy_tasks.detection.detector_file import save_detector
from proxy_tasks.exporting.checked import Checked
from proxy_tasks.exporting.formats import Variant
from proxy_tasks.exporting.subject import Subject
from search_space import ModelScale
from tests.conftest import TINY_DETECTOR, TINY_LANDSCAPE, Run
from tests.proxy_tasks.detection.test_detector import INFO, untrained

SCALE = (*(option for option in TINY_DETECTOR if option.startswith("scale.")), "scale.resample_alpha=0.5")


class Noise(nn.Module):
    """Computes something else each time: no file can agree with it."""

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (images + torch.rand_like(images),)


class OneConvolution(nn.Module):
    """The least that has a normalisation to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.SiLU())

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.layers(images),)


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    path = tmp_path / "full" / "detector.pt"
    save_detector(path, INFO, raw=untrained(0).network.state_dict())
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of run=FOLDER, for the architectures of a search, and weights=FILE_OR_RUN is needed"),
        (("run=run", "weights=full"), "one of run=FOLDER, .* and weights=FILE_OR_RUN is needed"),
        (("run=run", "format=torchscript"), r"format.*'json', 'onnx', 'pt2' or 'python'.*"),
        (("run=run", "format=[]"), "format needs one or more of .*, got none"),
        (("run=run", "boxes=true"), "boxes=true needs weights=.*"),
        (("run=run", "use=raw"), "use needs weights=.*"),
        (("weights=full", "format=json"), "format=json needs run=FOLDER: .*"),
        (("run=run", "suppression=true"), "suppression=true needs weights=.*"),
        (("weights=full", "boxes=true", "suppression=true"), "boxes and suppression exclude each other: .*"),
        (("weights=full", "top=2"), "top needs run=FOLDER: .*"),
        (("run=run", "top=2", "trial=1"), "top and trial exclude each other: .*"),
        (("run=run", "overwrite=true"), "overwrite=true is of networks, .*"),
        (("weights=full", "dynamic=[batch,size]", "suppression=true"), r"dynamic=\[size\] is of logits and codes: .*"),
        (("weights=full", "dynamic=[size]", "image_size_px=256"), r"image_size_px and dynamic=\[size\] exclude .*"),
        (("weights=full", "dynamic=[size]", "format=pt2", "aot=true"), r"dynamic=\[size\] is not for aot=true: .*"),
        (("weights=full", "format=pt2", "aot=true", "suppression=true"), "aot=true is not for suppression=true: .*"),
        (("weights=full", "aot=true"), "aot=true is of format=pt2: .*"),
        (("weights=full", "format=python", "dynamic=[]"), "dynamic is of format=onnx and pt2: .*"),
        (("run=run", "dynamic=[]"), "dynamic is of format=onnx and pt2: .*"),
        (("weights=full", "image_size_px=16"), r"image_size_px must be from 32 to 8192 .*, got 16"),
        (("weights=full", "out=damaged.pt"), r"\S*damaged.pt is no folder: name a folder .*"),
        (("weights=full", "trial=5"), "trial needs run=FOLDER: .*"),
        (("run=run", "image_size_px=64"), "image_size_px is of networks, .*"),
        (("weights=full", "dynamic=[height]"), "dynamic.*'batch'.*"),
        (("weights=absent.pt", "format=pt2"), r"\S*absent.pt is not there"),
        (("weights=damaged.pt", "format=pt2"), r"\S*damaged.pt is damaged"),
        (("weights=full",), r"full/export/detector.onnx exists: .* overwrite=true"),
        (
            ("weights=full", "format=onnx", "out=elsewhere"),
            r"format=onnx needs the packages .*'spinenet-search\[onnx\]'",
        ),
    ],
)
@pytest.mark.usefixtures("detector")
def test_mistakes_are_one_line_and_write_nothing(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    (tmp_path / "damaged.pt").write_bytes(b"PK")
    (tmp_path / "full" / "export").mkdir()
    (tmp_path / "full" / "export" / "detector.onnx").write_bytes(b"mine")
    if "packages" in message:
        # As Python has it where a module was not installed.
        monkeypatch.setitem(sys.modules, "onnxscript", None)
    before = sorted(tmp_path.rglob("*"))

    done = call("nas.export", *arguments)
    assert done.returncode == 2
    assert re.fullmatch(f"error: {message}\n", done.stderr), done.stderr
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "full" / "export" / "detector.onnx").read_bytes() == b"mine"


def test_what_does_not_agree_with_its_network_is_not_written(tmp_path: Path) -> None:
    how = NetworkExport(("pt2",), image_size_px=32, dynamic_size=False, variant=Variant(), overwrite=False, inside=None)
    with pytest.raises(InputError, match=r"format=pt2: what torch \S+ computes differs by \d.*: nothing was written"):
        how.write(Subject(Noise(), "", ModelScale(), 32, ("p3",), {}), tmp_path / "noise")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("num_boxes", "said"),
    [
        (None, ""),
        (7, ", keeps the 7 boxes that nas.detect does"),
        (0, ", finds no box in noise, so that which boxes it keeps has not been compared"),
    ],
)
def test_what_was_not_compared_is_said(num_boxes: int | None, said: str) -> None:
    checked = Checked(b"", 0.0, "torch 9", num_boxes)
    assert checked.in_words == f"differs by at most 0.0e+00 in torch 9{said}"


@pytest.mark.usefixtures("detector")
def test_compilation_without_a_compiler_is_one_line(call: Run, tmp_path: Path) -> None:
    with torch._inductor.config.patch({"cpp.cxx": ("absent-compiler",)}):
        done = call("nas.export", "weights=full", "format=pt2", "aot=true")
    assert done.returncode == 2
    assert done.stderr == "error: aot=true needs a C++ compiler: install g++, or name yours in the variable CXX\n"
    assert not (tmp_path / "full" / "export").exists()


@pytest.mark.long
def test_a_compiled_program_agrees_with_its_network(tmp_path: Path) -> None:
    network = OneConvolution().eval()
    how = NetworkExport(
        ("pt2",), image_size_px=32, dynamic_size=False, variant=Variant(compiled=True), overwrite=False, inside=None
    )
    (path,) = how.write(Subject(network, "", ModelScale(), 32, ("p3",), {"name": "tiny"}), tmp_path / "tiny")

    loaded = torch._inductor.aoti_load_package(str(path))
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        assert torch.allclose(loaded(images)[0], network(images)[0], atol=1e-5)
    assert json.loads(loaded.loader.get_metadata()["about"]) == {"name": "tiny"}


@pytest.mark.long
def test_the_best_of_a_search_are_written_in_every_format(call: Run, tmp_path: Path) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, *SCALE).returncode == 0
    arguments = ("run=run", "top=2", "out=mine", "format=[json,onnx,pt2,python]")
    done = call("nas.export", *arguments)
    assert done.returncode == 0, done.stderr

    names = [Path(line).name for line in done.stdout.split()]
    keys = [name.removesuffix(".json")[3:] for name in names if name.endswith(".json")]
    stems = [f"spinenet_{i:02d}_{key}" for i, key in enumerate(keys, start=1)]
    assert names[2:] == [f"{stem}{suffix}" for stem in stems for suffix in (".onnx", ".pt2", ".py")]
    assert len(re.findall(r"differs by at most \d\S+ in (onnxruntime|torch) \d", done.stderr)) == 6
    assert all("fresh" in (tmp_path / "mine" / name).read_bytes().decode(errors="ignore") for name in names[2:])

    refused = call("nas.export", *arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "exists: name another folder" in refused.stderr
    assert call("nas.export", "run=run", "top=1", "out=mine", "format=python", "overwrite=true").returncode == 0


@pytest.mark.long
@pytest.mark.usefixtures("detector")
def test_a_detector_is_written_with_and_without_boxes(call: Run, tmp_path: Path) -> None:
    import onnxruntime

    done = call("nas.export", "weights=full", "format=[onnx,pt2,python]", "image_size_px=96")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"full/export/detector.{suffix}" for suffix in ("onnx", "pt2", "py")]

    session = onnxruntime.InferenceSession((tmp_path / "full" / "export" / "detector.onnx").read_bytes())
    assert [output.name for output in session.get_outputs()] == ["class_logits", "box_codes"]
    assert session.get_inputs()[0].shape[1:] == [3, 96, 96]
    about = json.loads(session.get_modelmeta().custom_metadata_map["about"])
    assert about["detector"]["categories"] == [{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]

    done = call("nas.export", "weights=full", "format=[onnx,pt2]", "boxes=true", "dynamic=[]", "out=boxes")
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession((tmp_path / "boxes" / "detector.onnx").read_bytes())
    images = torch.randn(1, 3, 64, 64)
    boxes, labels, scores = session.run(None, {"images": images.numpy()})
    assert (boxes.shape, labels.shape, scores.shape) == ((1, 1548, 4), (1, 1548), (1, 1548))
    assert (scores[0, 1:] <= scores[0, :-1]).all()


@pytest.mark.long
@pytest.mark.usefixtures("detector")
def test_a_detector_is_written_with_its_suppression(call: Run, tmp_path: Path) -> None:
    import onnxruntime

    done = call("nas.export", "weights=full", "format=[onnx,pt2,python]", "suppression=true")
    assert done.returncode == 0, done.stderr
    kept = re.findall(r"differs by at most \S+ in .*, keeps the (\d+) boxes that nas.detect does\n", done.stderr)
    assert len(kept) == 3
    assert int(kept[0]) > 4

    session = onnxruntime.InferenceSession((tmp_path / "full" / "export" / "detector.onnx").read_bytes())
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}
    assert shapes == {"boxes_xyxy": [100, 4], "labels": [100], "scores": [100], "num_boxes": []}
    inputs = {"images": torch.zeros(2, 3, 64, 64).numpy(), "sizes_px": torch.full((2, 2), 64.0).numpy()}
    assert session.run(["num_boxes"], inputs)[0].shape == (2,)


@pytest.mark.long
def test_the_source_code_takes_the_file_of_its_training_and_of_no_other(
    call: Run, detector: Path, command: Run, tmp_path: Path
) -> None:
    assert call("nas.export", "weights=full", "format=python", "out=.").returncode == 0
    torch.save(torch.randn(1, 3, 64, 64), tmp_path / "images.pt")
    (tmp_path / "use.py").write_text(
        "import torch, detector\n"
        f"network = detector.build({str(detector)!r})\n"
        "print(float(network(torch.load('images.pt', weights_only=True))[0].detach().double().sum()))\n"
    )
    done = command("use")
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        wanted = untrained(0)(torch.load(tmp_path / "images.pt", weights_only=True)).class_logits.double().sum()
    assert float(done.stdout) == pytest.approx(float(wanted), abs=1e-6)

    # Its weights have the same shapes.
    other = dataclasses.replace(INFO, scale=dataclasses.replace(INFO.scale, activation="silu"))
    save_detector(detector, other, raw=untrained(0).network.state_dict())
    refused = command("use")
    assert refused.stderr.endswith("ValueError: these weights are of another network: scale.activation\n")
