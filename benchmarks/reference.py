"""A reference's code, on TensorFlow, as a process beside this one: tensorflow/models, or tensorflow/tpu."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import JsonValue

from search_space import ArchSpec, ModelScale
from search_space.spec_file import spec_to_json

ROOT = Path(__file__).parent.parent
_SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "TF_USE_LEGACY_KERAS": "1"}
PYTHON = Path(os.environ.get("REFERENCE_PYTHON", ROOT / ".venv-reference" / "bin" / "python"))


class Reference:
    """Starts a worker in its own environment and asks it; the worker's class lists what it can do.

    Use as a context manager; the worker ends with it.

    Args:
        worker: name of its module, in `benchmarks`.
        arguments: for it.
        code: folders whose modules it can import, beside what its environment has.

    Attributes:
        folder: holds arrays that go to the worker and come back; deleted at the end.
        version: TensorFlow's.
    """

    def __init__(
        self, worker: str = "reference_worker", arguments: Sequence[str] = (), code: Sequence[Path] = ()
    ) -> None:
        if not PYTHON.exists():
            sys.exit(f"error: the reference is not installed ({PYTHON} is missing): run make reference first")

        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)

        # A file, as a pipe that nobody reads would fill up and stop the worker.
        self._log = (self.folder / "worker.log").open("w+")
        self._process = subprocess.Popen(
            [PYTHON, "-m", f"benchmarks.{worker}", *arguments],
            cwd=ROOT,
            env=os.environ | _SETTINGS | {"PYTHONPATH": os.pathsep.join(map(str, code))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the reference's process was started without pipes")
        self._requests, self._answers = self._process.stdin, self._process.stdout

        # The worker says this much unasked, once it is up.
        self.version: str = self._answer()["tensorflow"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
        self._temporary.cleanup()

    def build(self, name: str, spec: ArchSpec, scale: ModelScale, size_px: int, precision: str = "float32") -> None:
        """Build a backbone with fresh weights."""
        self.ask("build", name=name, spec=spec_to_json(spec), scale=asdict(scale), size_px=size_px, precision=precision)

    def build_detector(self, name: str, spec: ArchSpec, scale: ModelScale, num_classes: int) -> None:
        """Build a RetinaNet with fresh weights."""
        self.ask("build_detector", name=name, spec=spec_to_json(spec), scale=asdict(scale), num_classes=num_classes)

    def ask(self, do: str, **arguments: JsonValue) -> Any:  # noqa: ANN401  # what the worker's method returns
        """Call a method of the worker.

        Raises:
            RuntimeError: the worker failed; the message holds its last words.
        """
        print(json.dumps({"do": do, "with": arguments}), file=self._requests, flush=True)
        return self._answer()["result"]

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError("the reference failed:\n" + self._log.read()[-3000:])
        answer: dict[str, Any] = json.loads(line)
        return answer
