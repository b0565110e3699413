"""Checked exports: the content of a file that has been loaded back and compared with its network."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple, assert_never

import torch
from torch import Tensor

from foundation import InputError
from proxy_tasks.exporting.agreement import are_equal, largest_difference, random_batches
from proxy_tasks.exporting.compiled_program import compiled_bytes, run_compiled
from proxy_tasks.exporting.formats import NetworkFormat, Variant
from proxy_tasks.exporting.kept import DetectorWithKept
from proxy_tasks.exporting.onnx_suppression import keep_by_operator, suppression_in_onnx
from proxy_tasks.exporting.stand_alone import OWN_PACKAGES, packages_of_units, stand_alone_source
from proxy_tasks.exporting.subject import Subject
from proxy_tasks.exporting.torch_program import program_bytes, run_program
from proxy_tasks.networks.onnx_file import TOLERANCE, onnx_bytes, run_onnx, runtime
from search_space import ArchSpec

# Our packages may be installed beside torch, so that their absence has to be brought about.
_ALONE = """\
import importlib.util, sys
home, file, weights, batches, answers, threads, *packages = sys.argv[1:]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in packages:
            raise ModuleNotFoundError(f"{name} is needed, and a stand-alone file has torch alone")

sys.meta_path.insert(0, Absent())
# Torch may lie where an isolated process does not look, as in a user's own folder.
sys.path.append(home)
import torch
torch.set_num_threads(int(threads))
spec = importlib.util.spec_from_file_location("alone", file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
with torch.no_grad():
    network = module.build(weights)
    results = [tuple(network(*inputs)) for inputs in torch.load(batches, weights_only=True)]
torch.save(results, answers)
"""


class Checked(NamedTuple):
    """A file that agrees with its network.

    Attributes:
        content: what the file holds.
        difference: largest difference of its outputs, relative to the largest value where that is above 1.
        runtime: what ran it, with its version.
        num_boxes: boxes that it kept, of a file that suppresses them.
    """

    content: bytes
    difference: float
    runtime: str
    num_boxes: int | None = None

    @property
    def in_words(self) -> str:
        """The result of the comparison, with what could not be compared."""
        difference = f"differs by at most {self.difference:.1e} in {self.runtime}"
        if self.num_boxes is None:
            return difference
        if self.num_boxes == 0:
            return f"{difference}, finds no box in noise, so that which boxes it keeps has not been compared"
        return f"{difference}, keeps the {self.num_boxes} boxes that nas.detect does"


def export_checked(subject: Subject, form: NetworkFormat, variant: Variant) -> Checked:
    """Return a network as a file, after it was loaded back and compared on random images, at two batch sizes.

    Args:
        subject: the network.
        form: the file's format.
        variant: what can be chosen of it; of a file for one image two single ones are compared.

    Raises:
        InputError: the network cannot be exported, or what was exported does not agree with it.
    """
    takes_several = variant.dynamic_batch or form == "python"
    batches = random_batches(subject, (1, 3) if takes_several else (1, 1))
    match form:
        case "onnx":
            content = subject_onnx(subject, dynamic_batch=variant.dynamic_batch)
            answers, engine = run_onnx(content, batches), runtime()
        case "pt2" if variant.compiled:
            content = compiled_bytes(subject, dynamic_batch=variant.dynamic_batch)
            answers, engine = run_compiled(content, batches), f"AOTInductor of torch {torch.__version__}"
        case "pt2":
            content = program_bytes(subject, dynamic_batch=variant.dynamic_batch)
            answers, engine = run_program(content, batches), f"torch {torch.__version__}"
        case "python":
            content = stand_alone_source(subject).encode()
            answers, engine = run_alone(content, subject, batches), f"torch {torch.__version__} alone"
        case _:
            assert_never(form)

    difference = largest_difference(subject, batches, answers)
    agrees = difference <= TOLERANCE
    if form == "python" or (form == "pt2" and not variant.compiled):
        # The same operators in the same order leave no room for a difference.
        agrees = agrees and are_equal(subject, batches, answers)
    if not agrees:
        raise InputError(f"format={form}: what {engine} computes differs by {difference:.1e}: nothing was written")
    num_boxes = sum(int(answer[-1].sum()) for answer in answers) if subject.reads_sizes else None
    return Checked(content, difference, engine, num_boxes)


def subject_onnx(subject: Subject, *, dynamic_batch: bool) -> bytes:
    """Return the ONNX file of a subject, with its outputs by their names.

    Raises:
        InputError: it cannot be exported.
    """
    network, num_classes = subject.network, subject.num_classes
    if isinstance(network, DetectorWithKept) and num_classes is not None:
        network = DetectorWithKept(network.detector, keep_by_operator(num_classes))

    return onnx_bytes(
        network,
        subject.traced_size_px,
        output_names=subject.output_names,
        about=subject.about,
        batch_size=None if dynamic_batch else 1,
        reads_sizes=subject.reads_sizes,
        size_step_px=subject.size_step_px,
        translations=suppression_in_onnx() if subject.reads_sizes else None,
    )


def run_alone(content: bytes, subject: Subject, batches: list[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Run a stand-alone file in a process without our packages; return its outputs for the inputs of each batch.

    Raises:
        InputError: it does not run; the message ends with the error.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "network.py").write_bytes(content)
        torch.save(subject.bare_network.state_dict(), folder / "weights.pt")
        torch.save(batches, folder / "batches.pt")

        # Whoever runs the file has neither our packages nor, but for the baseline, torchvision.
        absent = {*OWN_PACKAGES, "nas", *packages_of_units(subject)}
        if isinstance(subject.architecture, ArchSpec):
            absent.add("torchvision")
        home = str(Path(torch.__file__).parents[1])
        files = [str(folder / part) for part in ("network.py", "weights.pt", "batches.pt", "answers.pt")]
        done = subprocess.run(
            [sys.executable, "-I", "-c", _ALONE, home, *files, str(torch.get_num_threads()), *sorted(absent)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            last = next(iter(done.stderr.strip().splitlines()[-1:]), "")
            raise InputError(f"format=python: the file does not run alone: {last}")
        answers: list[tuple[Tensor, ...]] = torch.load(folder / "answers.pt", weights_only=True)
    return answers
