"""ONNX files: a network as onnxruntime and other engines read it, with its normalisation folded."""

import json
import warnings

import torch
from torch import Tensor

from foundation import InputError
from proxy_tasks.exporting.subject import Subject
from proxy_tasks.exporting.torch_program import traced
from proxy_tasks.networks.folding import fold_norms

OPSET = 20
"""Version of ONNX's operators; onnxruntime has it since 1.17."""
ABOUT = "about"
"""Key, among the model's metadata, of what it says of its network."""


def onnx_bytes(subject: Subject, *, dynamic_batch: bool) -> bytes:
    """Return the file of a network, which reads `images` and returns the subject's outputs by their names.

    Raises:
        InputError: it cannot be exported.
    """
    program = traced(fold_norms(subject.network), subject, dynamic_batch=dynamic_batch)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.onnx.export(
                program,
                input_names=["images"],
                output_names=list(subject.output_names),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"torch.onnx cannot export this network: {reason}") from error
    if exported is None:
        raise RuntimeError("torch.onnx.export returned no program")

    model = exported.model_proto
    model.metadata_props.add(key=ABOUT, value=json.dumps(subject.about))
    content: bytes = model.SerializeToString()
    return content


def run_onnx(content: bytes, batches: list[Tensor]) -> list[tuple[Tensor, ...]]:
    """Load the file of a network in onnxruntime, and return its outputs for each batch of images.

    Raises:
        InputError: onnxruntime does not take it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        answers = [session.run(None, {"images": images.numpy()}) for images in batches]
    except Exception as error:
        # Its errors have no class in common; that it refuses the file is what matters.
        reason = next(iter(str(error).strip().splitlines()), "")
        raise InputError(f"onnxruntime {onnxruntime.__version__} does not take the file: {reason}") from error
    return [tuple(torch.from_numpy(value) for value in answer) for answer in answers]


def runtime() -> str:
    """Return the name and version of the engine that checks the files."""
    import onnxruntime

    return f"onnxruntime {onnxruntime.__version__}"
