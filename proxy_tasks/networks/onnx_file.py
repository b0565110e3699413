"""ONNX files: a network as onnxruntime and other engines read it, with its normalisation folded."""

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from foundation import InputError
from proxy_tasks.networks.folding import fold_norms
from proxy_tasks.networks.tracing import traced

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OPSET = 20
"""Version of ONNX's operators; onnxruntime has it since 1.17."""
ABOUT = "about"
"""Key, among the model's metadata, of what it says of its network."""
IMAGES = "images"
INPUTS = (IMAGES, "sizes_px")
"""Names of what a file reads; most read images alone."""
TOLERANCE = 1e-4
"""Largest difference of another engine's outputs, whose sums are in another order."""


def onnx_bytes(
    network: nn.Module,
    image_size_px: tuple[int, int],
    *,
    output_names: Sequence[str] | None,
    about: Mapping[str, JsonValue],
    batch_size: int | None,
    reads_sizes: bool = False,
    size_step_px: int | None = None,
    translations: Mapping[Callable[..., Any], Callable[..., Any]] | None = None,
) -> bytes:
    """Return the file of a network in inference mode, which reads `images`.

    Args:
        network: maps (B, 3, H, W) images to one tensor or several.
        image_size_px: H and W.
        output_names: a name for each output; None where nobody reads them.
        about: what the file says of its network.
        batch_size: B; None for any number.
        reads_sizes: see `traced`.
        size_step_px: see `traced`.
        translations: functions of onnxscript to write for operators of torch that ONNX has another one for.

    Raises:
        InputError: it cannot be exported.
    """
    folded = fold_norms(network)
    program = traced(folded, image_size_px, batch_size, reads_sizes=reads_sizes, size_step_px=size_step_px)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                input_names=INPUTS[: 2 if reads_sizes else 1],
                output_names=None if output_names is None else list(output_names),
                opset_version=OPSET,
                custom_translation_table=None if translations is None else dict(translations),
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"torch.onnx cannot export this network: {reason}") from error
    if exported is None:
        raise RuntimeError("torch.onnx.export returned no program")

    model = exported.model_proto
    model.metadata_props.add(key=ABOUT, value=json.dumps(dict(about)))
    content: bytes = model.SerializeToString()
    return content


def open_onnx(content: bytes) -> "InferenceSession":
    """Load the file of a network in onnxruntime, on this processor and with as many threads as torch has.

    Raises:
        InputError: onnxruntime does not take it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise _refused(error) from error


def run_onnx(content: bytes, batches: Sequence[tuple[Tensor, ...]]) -> list[tuple[Tensor, ...]]:
    """Load the file of a network in onnxruntime, and return its outputs for the inputs of each batch.

    Raises:
        InputError: onnxruntime does not take it.
    """
    session = open_onnx(content)
    try:
        answers = [
            session.run(None, {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=False)})
            for inputs in batches
        ]
    except Exception as error:
        raise _refused(error) from error
    return [tuple(torch.from_numpy(value) for value in answer) for answer in answers]


def runtime() -> str:
    """Return the name and version of the engine that checks the files."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"


def difference_of(wanted: Sequence[Tensor], got: Sequence[Tensor]) -> float:
    """Return the largest difference of outputs to those of a network, relative to the largest value where above 1.

    Infinity where shapes or types differ, or something is not a number.
    """
    if not have_same_forms(wanted, got):
        return float("inf")
    return max(_difference(want, own) for want, own in zip(wanted, got, strict=True))


def have_same_forms(wanted: Sequence[Tensor], got: Sequence[Tensor]) -> bool:
    """Return whether outputs are as many as those of a network, with their shapes and types."""
    return [(tensor.shape, tensor.dtype) for tensor in wanted] == [(tensor.shape, tensor.dtype) for tensor in got]


def _difference(want: Tensor, got: Tensor) -> float:
    difference = float((want - got).abs().max() / want.abs().max().clamp(min=1))
    return float("inf") if difference != difference else difference


def _refused(error: Exception) -> InputError:
    """Return the one line of an error of onnxruntime, whose errors have no class in common."""
    reason = next(iter(str(error).strip().splitlines()), "")
    return InputError(f"{runtime()} does not take the file: {reason}")
