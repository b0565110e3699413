"""The options of a latency: the program that runs a network to be timed, in words that are checked without torch."""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from foundation import check_range

Runtime: TypeAlias = Literal["torch", "onnxruntime", "command"]
"""The program that runs a network: torch itself, or one that reads its ONNX file."""
FILE = "{file}"
"""The place in a command where the path of the ONNX file is to stand."""

_DEVICE_NAME = re.compile(r"[\w.:-]+( [\w.:-]+)*", re.ASCII)
"""A name that stands as it is in the name of a metric: without what no tracker takes, no two become one."""


@dataclass(frozen=True, slots=True)
class LatencyOptions:
    """The manner in which networks are timed.

    Attributes:
        runtime: program that runs the network; None times none.
        command: line for the shell, with `{file}` where the path of the ONNX file is to stand. It prints milliseconds,
            one number, and nothing else on standard output.
        device_name: name of the device that the command measures on: letters of English, digits, _ . : - and spaces.
        num_calls: times that the command is called; the median counts.
        timeout_s: longest that one call may take; others on the device are waited for as long as all calls may.

    Raises:
        ValueError: options that do not go together, or out of range.
    """

    runtime: Runtime | None = None
    command: str | None = None
    device_name: str | None = None
    num_calls: int = 3
    timeout_s: float = 600

    def __post_init__(self) -> None:
        if self.runtime is not None and self.runtime not in get_args(Runtime):
            raise ValueError(f"runtime must be {', '.join(get_args(Runtime))} or null, got {self.runtime!r}")
        if self.runtime == "command":
            self._check_command()
        elif self.command is not None or self.device_name is not None:
            raise ValueError(f"command and device_name are for runtime=command, got runtime={self.runtime or 'null'}")

        check_range("num_calls", self.num_calls, 1, 1000, "each call may take minutes")
        check_range("timeout_s", self.timeout_s, 0.01, 1e6, "a command that hangs is to be ended")

    def _check_command(self) -> None:
        if self.command is None:
            raise ValueError(f"runtime=command needs a command, as command='ssh nano bench {FILE}'")
        if FILE not in self.command:
            raise ValueError(f"command needs {FILE} where the path of the ONNX file is to stand, got {self.command!r}")
        if not (self.device_name or "").strip():
            raise ValueError("runtime=command needs a device_name, by which results on several devices are told apart")
        if not _DEVICE_NAME.fullmatch(self.device_name or ""):
            raise ValueError(
                "device_name takes letters of English, digits, _ . : - and single spaces between them, "
                f"got {self.device_name!r}"
            )

    @property
    def needs_onnx(self) -> bool:
        """True where networks are written as ONNX files to be timed."""
        return self.runtime in ("onnxruntime", "command")

    @property
    def longest_s(self) -> float:
        """The longest that all calls of a command may take; 0 where none is called."""
        return self.num_calls * self.timeout_s if self.runtime == "command" else 0


def latency_options(given: LatencyOptions | bool) -> LatencyOptions:
    """Return the options, for which true is short for `runtime=torch`, and false for none."""
    if isinstance(given, LatencyOptions):
        return given
    return LatencyOptions(runtime="torch" if given else None)
