"""The extra `onnx`: the packages that write ONNX files and run them."""

from importlib.util import find_spec

from foundation import InputError

ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_HEADS_WITHOUT_FILE = ("mask_rcnn",)


def check_onnx_packages(needed_by: str) -> None:
    """Check that the packages are installed; none is imported.

    Args:
        needed_by: the option that needs them, as `format=onnx`.

    Raises:
        InputError: one is not.
    """
    if not all(map(find_spec, ONNX_PACKAGES)):
        raise InputError(
            f"{needed_by} needs the packages {', '.join(ONNX_PACKAGES)}: pip install 'spinenet-search[onnx]'"
        )


def check_onnx_head(head: str, where: str = "") -> None:
    """Check that networks with a head can be written as ONNX files to be timed.

    Args:
        head: see `build_network`.
        where: beginning of the message, as `task.latency: `.

    Raises:
        InputError: they cannot.
    """
    if head in _HEADS_WITHOUT_FILE:
        raise InputError(f"{where}head={head} cannot be written as an ONNX file: time it with runtime=torch")
