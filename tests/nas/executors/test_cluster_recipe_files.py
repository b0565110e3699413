"""The recipes for clusters, line by line: what they ask for exists, and what they run can be run."""

import copy
import re
import shlex
import shutil
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest
import yaml

from nas.options.command_line import compose

PROJECT = Path(__file__).parents[3]
RECIPES = PROJECT / "cluster"
GUIDE = PROJECT / "docs" / "cluster.md"
SCRIPTS = Path(sysconfig.get_path("scripts"))
RAY_VERSION = re.findall(r"^ray==(.+)$", (PROJECT / "constraints.txt").read_text(), re.M)[0]


def test_the_slurm_script_is_sound_shell() -> None:
    subprocess.run(["bash", "-n", RECIPES / "slurm.sh"], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, "--severity=warning", RECIPES / "slurm.sh"], check=True)


def test_the_slurm_script_asks_for_one_task_a_node_and_a_signal_before_the_end() -> None:
    lines = (RECIPES / "slurm.sh").read_text().splitlines()
    # Slurm reads its options up to the first command.
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first_command:])
    asked = [line.removeprefix("#SBATCH ") for line in lines[:first_command] if line.startswith("#SBATCH")]
    options = {}
    for option in asked:
        matched = re.fullmatch(r"--([a-z-]+)(?:=(\S+))?", option)
        assert matched is not None, option
        options[matched[1]] = matched[2]
    assert options["ntasks-per-node"] == "1"
    assert options["signal"] == "B:TERM@120"
    assert int(options["nodes"]) > 1
    assert int(options["gpus-per-node"]) > 1


# ---- Images, Kubernetes and AWS ----


def parts_of_the_package() -> set[str]:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    packages = settings["tool"]["setuptools"]["packages"]["find"]["include"]
    return {name.removesuffix("*") for name in packages} | {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"}


def test_the_image_holds_the_package_in_the_pinned_versions() -> None:
    text = (RECIPES / "Dockerfile").read_text()
    copied = [line.split()[1:-1] for line in text.splitlines() if line.startswith("COPY ")]
    assert {name for names in copied for name in names} == parts_of_the_package()
    assert '--constraint constraints.txt ".[cluster]"' in text
    oldest_python = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert f"\nFROM python:{oldest_python.removeprefix('>=')}-slim\n" in text
    assert f"spinenet-search:ray-{RAY_VERSION} " in text


def test_the_kubernetes_recipe_is_a_job_on_an_autoscaling_cluster_with_one_volume() -> None:
    claim, job = yaml.safe_load_all((RECIPES / "kuberay.yaml").read_text())
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]["rayClusterSpec"]
    assert spec["rayVersion"] == RAY_VERSION
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["authOptions"] == {"mode": "token"}
    head, workers = spec["headGroupSpec"], spec["workerGroupSpecs"][0]
    assert head["rayStartParams"]["num-cpus"] == "0"
    # Values of rayStartParams are strings in the schema.
    assert all(isinstance(v, str) for group in (head, workers) for v in group["rayStartParams"].values())
    assert workers["minReplicas"] == 0 < workers["maxReplicas"]
    for group, name in ((head, "ray-head"), (workers, "ray-worker")):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["name"] == name
        assert container["image"] == f"spinenet-search:ray-{RAY_VERSION}"
        assert container["resources"]["limits"] == container["resources"]["requests"]
        assert container["volumeMounts"] == [{"name": "shared", "mountPath": "/shared"}]
        (volume,) = pod["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (search,) = searches(job["spec"]["entrypoint"])
    executor = compose("config", search)["executor"]
    limits = workers["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert executor["address"] == "auto"
    assert executor["max_concurrent"] == workers["maxReplicas"]
    assert executor["gpus_per_trial"] == int(limits["nvidia.com/gpu"])
    assert executor["cpus_per_trial"] <= int(limits["cpu"])


def test_the_aws_recipe_is_valid_for_this_ray() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((RECIPES / "ray_up.yaml").read_text())
    # As `ray up` does: fill in defaults, then validate against the schema that Ray comes with.
    prepared = prepare_config(copy.deepcopy(config))
    validate_config(prepared)
    for name, commands in config.items():
        if name.endswith("_commands"):
            assert prepared[name][-len(commands) :] == commands
    head, workers = (config["available_node_types"][name] for name in ("head", "gpu_worker"))
    assert config["head_node_type"] == "head"
    assert head["resources"] == {"CPU": 0}
    assert workers["resources"]["GPU"] == 1
    assert workers["min_workers"] == 0 < workers["max_workers"] <= config["max_workers"]
    assert head["node_config"]["ImageId"] == workers["node_config"]["ImageId"]


def test_the_aws_recipe_sends_the_package_and_the_token_to_each_node() -> None:
    config = yaml.safe_load((RECIPES / "ray_up.yaml").read_text())
    mounts = dict(config["file_mounts"])
    assert mounts.pop("~/.ray/auth_token") == "~/.ray/auth_token"
    assert set(mounts.values()) == parts_of_the_package()
    assert all(remote == f"~/spinenet-search/{local}" for remote, local in mounts.items())
    for role, is_head in (("head", True), ("worker", False)):
        start_ray = config[f"{role}_start_ray_commands"][-1]
        assert "RAY_AUTH_MODE=token" in start_ray
        assert ("ray start --head --num-cpus=0 " in start_ray) is is_head
        assert ("--dashboard-host=127.0.0.1" in start_ray) is is_head


def test_options_of_the_aws_recipe_are_options_that_ray_start_has() -> None:
    known = subprocess.run([SCRIPTS / "ray", "start", "--help"], capture_output=True, text=True, check=True).stdout
    config = yaml.safe_load((RECIPES / "ray_up.yaml").read_text())
    used = {
        option
        for role in ("head", "worker")
        for command in config[f"{role}_start_ray_commands"]
        for option in re.findall(r" (--[a-z-]+)", command)
    }
    assert used == {"--head", "--num-cpus", "--port", "--dashboard-host", "--autoscaling-config", "--address"}
    assert used <= set(re.findall(r"--[a-z-]+", known))


# ---- Commands, in recipes and in the guide ----


def searches(text: str) -> list[list[str]]:
    """Return the options of each search in a text: those of `python -m nas.search` and of `sbatch cluster/slurm.sh`."""
    return [words for module, words in commands(text) if module == "nas.search"]


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return the modules and options of the project's commands in a text, in comments as well."""
    joined = re.sub(r"\\\n[ #]*", " ", text)
    found = []
    for module, options in re.findall(r"(?:python -m |sbatch .*?cluster/)([a-z_.]+)([^\n`]*)", joined):
        words = shlex.split(re.split(r" [&|;>#]| {4}", options)[0])
        found.append(("nas.search" if module == "slurm.sh" else module, [w for w in words if "$" not in w]))
    return found


ALL_COMMANDS = [
    pytest.param(module, options, id=f"{path.name}-{i}")
    for path in (GUIDE, *sorted(RECIPES.iterdir()))
    for i, (module, options) in enumerate(commands(path.read_text()))
    if path.name != "kuberay.yaml"  # its entrypoint is one line only when YAML has read it
]


@pytest.mark.parametrize(("module", "options"), ALL_COMMANDS)
def test_commands_of_recipes_and_guide_can_be_run(
    module: str, options: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    if module == "nas.prepare":
        compose("prepare", options)
    elif module == "nas.search":
        compose("config", options)
    else:
        assert options == []
        assert (PROJECT / Path(*module.split("."))).with_suffix(".py").exists()


def test_the_guide_has_every_recipe_and_its_links_lead_somewhere() -> None:
    guide = GUIDE.read_text()
    assert {path.name for path in RECIPES.iterdir()} == set(re.findall(r"cluster/([A-Za-z_.]+\w)", guide))
    for target in re.findall(r"\]\(([^)]+)\)", guide):
        assert (GUIDE.parent / target).exists(), target
    sections = re.findall(r"^## (.+)$", guide, re.M)
    assert sections[1:7] == ["1. One machine", "2. Several machines, by hand", "3. `ray job submit`", "4. Slurm",
                             "5. Kubernetes, with KubeRay", "6. `ray up`"]  # fmt: skip
    one_machine = guide.partition("## 1. One machine")[2].partition("## 2.")[0]
    (options,) = searches(one_machine)
    assert compose("config", options)["executor"]["address"] is None


def test_each_recipe_says_first_how_to_run_it() -> None:
    for path in RECIPES.iterdir():
        head = path.read_text().partition("\n\n")[0]
        assert re.search(r"^#   (sbatch|docker|kubectl|ray|export) ", head, re.M), path.name
