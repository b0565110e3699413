"""Commands that time a file, as real lines for a real shell."""

import re
import time
from pathlib import Path

import pytest

from foundation import InputError
from proxy_tasks.latency import Conditions
from proxy_tasks.latency_options import LatencyOptions, latency_options
from proxy_tasks.timing.command import command_ms


@pytest.mark.parametrize(
    ("command", "milliseconds"),
    [
        ("cat {file}", 3.25),
        ("sh -c 'cat \"$FILE\"'; : {file}", 3.25),
        ("echo beside >&2; echo 7 ms; : {file}", 7.0),
        ("printf '\\n 1.5e1ms\\n'; : {file}", 15.0),
        ("awk '{print $1 * 2}' < {file} | tr -d '{}'", 6.5),
    ],
)
def test_a_command_gets_the_path_of_the_file_and_prints_milliseconds(
    tmp_path: Path, command: str, milliseconds: float
) -> None:
    file = tmp_path / "a file's $name.onnx"
    file.write_text("3.25\n")
    assert command_ms(command, file, 10) == milliseconds


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("true {file}", "has to print milliseconds, one number and nothing else; it printed no number: ''"),
        ("echo fast {file}", "it printed no number: 'fast X'"),
        ("echo 3.1 3.2; : {file}", "it printed more than one number: '3.1 3.2'"),
        ("echo 0.003 s; : {file}", "it printed more than a number: '0.003 s'"),
        ("echo -3; : {file}", "has to print milliseconds above 0, it printed -3"),
        ("echo 1e999; : {file}", "has to print milliseconds above 0, it printed 1e999"),
        ("echo 3; echo no such host >&2; exit 255; : {file}", "ended with status 255: no such host"),
        ("echo on standard output; exit 1; : {file}", "ended with status 1: on standard output"),
        ("exit 1; : {file}", "ended with status 1: it printed nothing"),
        ("kill -9 $$; : {file}", "was ended by signal 9"),
        ("no-such-program-here {file}", "ended with status 127: "),
    ],
)
def test_a_command_that_fails_or_prints_no_single_number_is_one_line(command: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        command_ms(command, Path("X"), 10)
    assert "\n" not in str(caught.value)
    assert f"(the command is {command})" in str(caught.value)


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    started = time.monotonic()
    with pytest.raises(InputError, match=r"was still running after 0\.3 s, and was ended"):
        command_ms(f"(sleep 1; touch {alive}) & sleep 60; : {{file}}", Path("X"), 0.3)
    assert time.monotonic() - started < 5
    # Had it lived on, it would have left its mark by now.
    time.sleep(1)
    assert not alive.exists()


def test_a_process_that_a_command_leaves_behind_is_not_waited_for() -> None:
    started = time.monotonic()
    assert command_ms("sleep 20 & echo 3; : {file}", Path("X"), 30) == 3
    assert time.monotonic() - started < 10


def test_the_script_of_the_documentation_prints_the_median_of_tensorrt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / "docs" / "latency.md").read_text()
    (script,) = re.findall(r"^```bash\n(#!/bin/sh\n.+?)^```$", text, re.M | re.S)
    (tmp_path / "nano.sh").write_text(script)
    (tmp_path / "x.onnx").write_text("")

    # The words of TensorRT 8 and 10 stand in for it.
    printed = "[I] GPU Compute Time: min = 3.1 ms, mean = 3.3 ms, median = 3.25 ms, percentile(90%) = 3.9 ms"
    for name, line in (("scp", "true"), ("ssh", f"echo '[I] Latency: median = 9 ms'; echo '{printed}'")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    command = f"sh {tmp_path}/nano.sh {{file}}"
    assert command_ms(command, tmp_path / "x.onnx", 10) == 3.25

    (tmp_path / "scp").write_text("#!/bin/sh\necho 'ssh: Could not resolve hostname nano' >&2; exit 255\n")
    with pytest.raises(InputError, match="ended with status 255: ssh: Could not resolve hostname nano"):
        command_ms(command, tmp_path / "x.onnx", 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"runtime": "command"}, "runtime=command needs a command, as command='ssh nano bench {file}'"),
        (
            {"runtime": "command", "command": "bench"},
            "command needs {file} where the path of the ONNX file is to stand",
        ),
        ({"runtime": "command", "command": "bench {file}"}, "runtime=command needs a device_name"),
        *(
            (
                {"runtime": "command", "command": "bench {file}", "device_name": name},
                "device_name takes letters of English, digits, _ . : - and single spaces between them, got ",
            )
            for name in ("Jetson (nano)", "ナノ", "nano, fp16", "two  spaces", " nano", "nano\n")
        ),
        ({"runtime": "torch", "command": "bench {file}"}, "are for runtime=command, got runtime=torch"),
        ({"device_name": "nano"}, "are for runtime=command, got runtime=null"),
        ({"runtime": "tensorrt"}, "runtime must be torch, onnxruntime, command or null, got 'tensorrt'"),
        ({"num_calls": 0}, "num_calls must be from 1 to 1000 ("),
        ({"timeout_s": 0.0}, "timeout_s must be from 0.01 to 1e+06 ("),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        LatencyOptions(**options)  # type: ignore[arg-type]  # wrong on purpose


def test_a_name_of_a_device_that_is_taken_stands_in_the_label_as_it_is() -> None:
    name = "Jetson_Nano 2.0:fp16-b"
    assert LatencyOptions("command", "bench {file}", name).device_name == name
    label = Conditions("command", name, "float32", 1, (64, 64), 3, None).label
    assert label == f"command float32 on {name} 3 calls"


def test_true_and_false_are_short_for_torch_and_for_nothing() -> None:
    assert latency_options(given=True) == LatencyOptions("torch")
    assert latency_options(given=False) == LatencyOptions()
