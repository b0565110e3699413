"""The GPU of a worker's process, and what of its memory is free."""

import sys

from nas.engine.workers import Gpu


def current_gpu() -> Gpu | None:
    """Return the GPU that this process uses, as it is now; None where it uses none."""
    # A task that has not loaded torch uses none by it, and should not wait for torch.
    if "torch" not in sys.modules:
        return None
    from proxy_tasks.runtime import gpu_memory

    memory = gpu_memory()
    return None if memory is None else Gpu(*memory)
