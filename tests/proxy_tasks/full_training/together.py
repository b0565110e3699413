"""Processes that train together, as tests start them: each runs one function of a test module."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_together(path: Path, function: str, count: int, *arguments: str, timeout_s: float = 300) -> None:
    """Run `function(Processes(rank, count), *arguments)` of a test module in `count` processes, joined by gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    root = Path(__file__).parents[3]
    script = (
        "import runpy, sys, torch, torch.distributed as dist\n"
        "from proxy_tasks.training.processes import Processes\n"
        "torch.set_num_threads(1)\n"
        f"rank = int(sys.argv[1]); functions = runpy.run_path({str(path)!r})\n"
        f"dist.init_process_group('gloo', init_method='tcp://127.0.0.1:{port}', rank=rank, world_size={count})\n"
        f"functions[{function!r}](Processes(rank, {count}), *sys.argv[2:])\n"
        "dist.barrier(); dist.destroy_process_group()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", script, str(rank), *arguments], cwd=root, env=environment)
        for rank in range(count)
    ]
    try:
        assert [process.wait(timeout_s) for process in started] == [0] * count
    finally:
        for process in started:
            process.kill()
            process.wait()
