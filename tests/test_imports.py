"""Libraries that may be loaded where a person waits for an answer."""

import subprocess
import sys
from pathlib import Path

from nas.options.commands import COMMANDS


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(' '.join(sys.modules))"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_search_space_loads_no_heavy_library() -> None:
    assert not {"torch", "ray", "hydra", "rich", "pandas"} & modules_after("import search_space")


def test_importing_nas_loads_nothing_and_run_no_heavy_library() -> None:
    assert not {"foundation", "controllers", "search_space", "numpy", "rich"} & modules_after("import nas")
    assert not {"torch", "ray", "hydra", "pandas", "IPython"} & modules_after("from nas import Run")


def modules_after_commands(*commands: tuple[str, ...]) -> set[str]:
    """Return what `python -m MODULE ARGUMENTS` has loaded when it ends, one after another in one process."""
    return modules_after(
        f"import runpy, sys\n"
        f"for module, *arguments in {commands!r}:\n"
        f"    sys.argv = ['x', *arguments]\n"
        f"    try: runpy.run_module(module, run_name='__main__')\n"
        f"    except SystemExit as end: assert end.code == 0, (module, end.code)"
    )


def test_help_of_no_command_loads_a_heavy_library() -> None:
    helps = [(f"nas.{command.name}", "--help") for command in COMMANDS]
    assert not {"torch", "ray", "hydra", "pandas"} & modules_after_commands(*helps)


def test_preparing_data_loads_no_heavy_library_and_builds_the_task_alone(tmp_path: Path) -> None:
    heavy_or_not_asked_for = {"torch", "torchvision", "ray", "tensorboard", "controllers"}
    assert not heavy_or_not_asked_for & modules_after_commands(("nas.prepare", "task=landscape"))

    images = ("data.num_train_images=4", "data.num_val_images=1", "data.num_held_out=2", "scale.image_size_px=64")
    folders = (f"data.root={tmp_path}/shapes", f"task.cache_dir={tmp_path}/cache")
    loaded = modules_after_commands(("nas.prepare", "experiment=quickstart", *images, *folders, "verify=true"))
    assert not heavy_or_not_asked_for & loaded
    assert list((tmp_path / "cache").glob("train2017-*/cache.json"))


def test_a_detection_task_goes_to_a_worker_without_torch() -> None:
    code = (
        "import pickle\nfrom pathlib import Path\n"
        "from proxy_tasks.coco.shapes import Shapes\nfrom proxy_tasks.detection import DetectionProxy\n"
        "from search_space import ModelScale\n"
        "task = DetectionProxy(Shapes(Path('nowhere')), ModelScale())\n"
        "assert pickle.loads(pickle.dumps(task)) == task and task.metric_names and task.cost_names"
    )
    assert not {"torch", "torchvision"} & modules_after(code)


def test_the_proxy_task_and_its_benchmarks_need_neither_ray_nor_hydra() -> None:
    names = ("training", "training_throughput", "loader", "average_precision")
    code = f"import proxy_tasks.detection, {', '.join(f'benchmarks.{name}' for name in names)}"
    assert not {"ray", "hydra", "omegaconf"} & modules_after(code)
