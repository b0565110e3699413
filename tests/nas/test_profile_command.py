"""python -m nas.profile, as a user has it."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from foundation import InputError
from nas.options.command_help import help_text
from nas.options.command_line import command_config
from nas.profile import main
from search_space import ModelScale, SpecFile, published_spec, write_spec
from tests.conftest import Run

Profile: TypeAlias = Callable[..., str]


@pytest.fixture
def profile(capsys: pytest.CaptureFixture[str]) -> Profile:
    """Run the command in this process, which spares importing torch each time, and return what it prints."""

    def run(*arguments: str) -> str:
        main(command_config("profile", arguments))
        return capsys.readouterr().out

    return run


def test_profile_shows_every_block_and_the_published_total(call: Run) -> None:
    done = call("nas.profile", "spec=spinenet-49", "num_classes=91", "latency=false")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "spinenet-49, retinanet head, 640 x 640 px"
    rows = {line.split()[0]: line for line in lines[2:] if line}
    assert list(rows) == ["stem", *map(str, range(2, 17)), "endpoints", "class", "box", "total"]
    assert re.search(r"14 -> P5 +5 +bottleneck +7, 12 \+ 11 as it is +20 x 20 ", rows["14"])
    assert re.search(r"total +28\.5M +85\.3B +100\.0$", rows["total"])


def test_profile_measures_the_latency_once(profile: Profile, tmp_path: Path) -> None:
    given = ("spec=spinenet-mobile-49xs", "image_size_px=[64,96]", "device=cpu", "num_runs=3", "head=none")
    first, again = (profile(*given, f"cache_dir={tmp_path}") for _ in range(2))
    assert "spinenet-mobile-49xs, backbone, 64 x 96 px" in first
    assert re.search(
        r"Latency: \S+ ms, median of 3 runs after 5 to warm up \(quartiles \S+ and \S+\); batch 1 of 64 x 96 px, "
        r"float32, torch \S+, .*thread",
        first,
    )
    assert again.startswith(first)
    (path,) = (tmp_path / "latency").glob("*.json")
    assert re.search(r"\nMeasured 20..-..-.. ..:.. UTC and kept: without \S+ it is measured again\n$", again)
    assert str(path.name) in again

    # Under other conditions it is measured, and without the file again.
    assert "and kept" not in profile(*given, f"cache_dir={tmp_path}", "batch_size=2")
    path.unlink()
    assert "and kept" not in profile(*given, f"cache_dir={tmp_path}")
    assert "Latency" not in profile(*given, f"cache_dir={tmp_path}", "latency=false")


@pytest.mark.long
def test_profile_times_an_onnx_file_by_a_command(call: Run) -> None:
    given = ("spec=r50-fpn", "scale=tiny", "image_size_px=64", "head=none", "latency.runtime=command")
    command = "latency.command=head -c 0 {file} && awk 'BEGIN {print 3.5}'"
    done = call("nas.profile", *given, "latency.device_name=my nano", command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(
        "Latency: 3.50 ms, median of 3 calls (quartiles 3.50 and 3.50); batch 1 of 64 x 64 px, float32 in the file, my "
        "nano, warm-up and threads as the command has them, normalisation folded into convolutions\n"
    )


@pytest.mark.long
def test_profile_times_a_detector_in_onnxruntime(profile: Profile, tmp_path: Path) -> None:
    given = ("spec=spinenet-49", "scale=tiny", "latency.runtime=onnxruntime", "num_runs=4", f"cache_dir={tmp_path}")
    text = profile(*given)
    assert re.search(r"Latency: \S+ ms, median of 4 runs after 5 .*, float32, onnxruntime \d\S+, .* thread", text)
    assert "and kept" in profile(*given)


@pytest.mark.parametrize(
    ("arguments", "total"),
    [
        (("spec=spinenet-49", "scale=spinenet-190", "num_classes=91"), "164M 1882B"),
        (("spec=spinenet-190", "num_classes=91"), "164M 1882B"),
        (("spec=r50-fpn", "num_classes=91"), "34.1M 96.9B"),
        (("spec=spinenet-96", "head=classifier", "num_classes=1001", "image_size_px=224"), "36.5M 5.72B"),
        (("spec=spinenet-49", "head=mask_rcnn", "num_classes=90"), "40.8M 215B"),
        (("spec=spinenet-49s", "head=mask_rcnn", "num_classes=90"), "13.9M 59.7B"),
    ],
)
def test_profile_of_a_family(profile: Profile, arguments: tuple[str, ...], total: str) -> None:
    assert profile(*arguments, "latency=false").split("total")[1].split() == [*total.split(), "100.0"]


def test_profile_of_a_spec_file_takes_its_scale(profile: Profile, tmp_path: Path) -> None:
    scale = ModelScale(width_multiplier=0.125, endpoint_width=16, head_width=16, image_size_px=96)
    spec, path = published_spec("r0-sp53"), tmp_path / "mine.json"
    write_spec(path, SpecFile(schema_version=1, name="mine", spec=spec, scale=scale))
    assert "mine.json, retinanet head, 96 x 96 px" in profile(f"spec={path}", "latency=false")
    bigger = profile(f"spec={path}", "scale=spinenet-49", "num_classes=91", "latency=false")
    assert re.search(r"total +26\.1M +94\.8B", bigger)


def test_profile_names_blocks_that_are_not_built(profile: Profile, tmp_path: Path) -> None:
    spec = published_spec("spinenet-49")
    pruned = type(spec)(spec.stem, (*spec.blocks[:10], spec.blocks[11]))
    write_spec(tmp_path / "mine.json", SpecFile(schema_version=1, name="mine", spec=pruned))
    assert "Not built, as they reach no output: 11\n" in profile(f"spec={tmp_path}/mine.json", "latency=false")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spec=r50-fnp",), "r50-fpn; did you mean r50-fpn?"),
        (("spec=spinet",), "unknown network 'spinet'; known are r0-sp53, r23-sp30"),
        (("spec=absent.json",), "cannot read spec absent.json"),
        (("scale=huge",), "unknown choice scale=huge; there are paper_proxy, spinenet-143"),
        (("image_size_px=16",), "image_size_px must be from 32 to 8192 (an image of 8192 px takes 200 MB), got 16"),
        (("image_size_px=[64]",), "image_size_px must be a number or [height,width], got [64]"),
        (("image_size_px=abc",), "image_size_px must be a number or [height,width], got abc"),
        (("image_size_px=600,800",), "image_size_px must be a number or [height,width], got 600,800"),
        (("image_size_px=64.5",), "image_size_px must be a number or [height,width], got 64.5"),
        (("head=fcos",), "head: Input should be 'retinanet', 'mask_rcnn', 'classifier' or 'none', got 'fcos'"),
        (("num_classes=0",), "num_classes must be from 1 to 100000 ("),
        (("num_runs=1",), "num_runs must be from 2 to 1e+06 ("),
        (("device=tpu",), "device must be auto, cpu or cuda, got 'tpu'"),
        (("device=cuda:99",), "device cuda:99: torch finds"),
        (("spec=spinenet-mobile-49", "scale=tiny", "scale.width_multiplier=0.1"), "leaves a block of this spec no"),
    ],
)
def test_mistakes_are_one_line(profile: Profile, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        profile(*arguments, "latency=false")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("latency.runtime=tensorrt",),
            "latency.runtime: Input should be 'torch', 'onnxruntime' or 'command', got 'tensorrt'",
        ),
        (("latency.runtime=command",), "latency: runtime=command needs a command, as command='ssh nano bench {file}'"),
        (
            ("latency.runtime=command", "latency.command=bench"),
            "latency: command needs {file} where the path of the ONNX",
        ),
        (
            ("latency.command=bench {file}",),
            "latency: command and device_name are for runtime=command, got runtime=torch",
        ),
        (("latency=onnxruntime",), "latency.bool: Input should be a valid boolean"),
        (("latency.runtime=onnxruntime", "head=mask_rcnn"), "which head=mask_rcnn cannot be written as"),
        (("latency.runtime=onnxruntime", "precision=bfloat16"), "in float32: leave out precision=bfloat16"),
        (("latency.runtime=onnxruntime", "device=cuda"), "times on the processor: leave out device=cuda"),
        (
            ("latency.runtime=onnxruntime",),
            "latency.runtime=onnxruntime needs the packages onnx, onnxruntime, onnxscript: ",
        ),
    ],
)
def test_mistakes_in_a_latency_are_one_line_and_print_no_profile(
    call: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    # As Python has it where a module was not installed.
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    done = call("nas.profile", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_explains_repeated_options_once() -> None:
    text = help_text("profile", "", width=200)
    assert text.count("Factor on every block width.") == 1
    assert re.search(
        r"scale=spinenet-49s .*\n +options of scale=paper_proxy, with width_multiplier=0\.65, resample_alpha=0\.5,",
        text,
    )
