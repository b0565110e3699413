"""NVIDIA's MPS, by which processes that share a GPU run on it at the same time instead of in turns."""

import os
from pathlib import Path

_DEFAULT_FOLDER = "/tmp/nvidia-mps"  # NVIDIA's, not ours


def has_mps() -> bool:
    """Return whether processes that this one's environment is given to find the pipe of MPS on this machine.

    Its daemon makes the pipe as it starts. Where it was killed the pipe may still be there.
    """
    return Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY") or _DEFAULT_FOLDER, "control").exists()


def turns_line(where: str) -> str:
    """Return a line that says that trials do not gain from sharing a GPU.

    Args:
        where: names the machine, as `on node3`.
    """
    return (
        f"trials that share a GPU take turns {where}, and gain little by it: MPS, which runs them at the same time, is "
        "not on there; see docs/cluster.md"
    )
