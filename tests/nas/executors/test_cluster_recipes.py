"""The recipes for clusters do what they say, with real Ray nodes on one machine."""

import ipaddress
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nas.record.journal import FILE_NAME, read_record
from tests.conftest import start

PROJECT = Path(__file__).parents[3]
RECIPES = PROJECT / "cluster"
SCRIPTS = Path(sysconfig.get_path("scripts"))
STARTS_WITHIN_S = 60
ENDS_WITHIN_S = 60


# ---- Processes and their sockets ----


def pids_of_session(leader: int) -> list[int]:
    """Return the processes in the session that a process began: all that Ray starts for it, whatever their parents."""
    pids = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if os.getsid(int(folder.name)) == leader:
                    pids.append(int(folder.name))
            except ProcessLookupError:
                continue
    return pids


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} within {timeout_s} s"
        time.sleep(0.05)


def has_ended(leader: int) -> bool:
    return all(is_zombie(pid) for pid in pids_of_session(leader))


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@contextmanager
def ended_afterwards(process: subprocess.Popen[Any]) -> Iterator[None]:
    """End the process and all of its session, and nothing else; complain if it takes more than a SIGTERM."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
            wait_for(lambda: has_ended(process.pid), "all processes end", ENDS_WITHIN_S)
        finally:
            for pid in pids_of_session(process.pid):
                os.kill(pid, signal.SIGKILL)


def listening_addresses(pids: Sequence[int]) -> dict[str, set[str]]:
    """Return the addresses of listening TCP sockets, each with the names of the processes that hold one."""
    found: dict[str, set[str]] = {}
    for pid in pids:
        proc = Path(f"/proc/{pid}")
        try:
            name = (proc / "cmdline").read_text().replace("\0", " ").strip()
            inodes = {link[8:-1] for link in map(os.readlink, (proc / "fd").iterdir()) if link.startswith("socket:[")}
            rows = [row.split() for table in ("tcp", "tcp6") for row in (proc / "net" / table).read_text().splitlines()]
        except OSError:
            continue  # it ended meanwhile
        for row in rows:
            # Columns as in proc_pid_net(5); state 0A is LISTEN.
            if row[3] == "0A" and row[9] in inodes:
                found.setdefault(readable_address(row[1].partition(":")[0]), set()).add(name)
    return found


def readable_address(in_hex: str) -> str:
    """Return the address that the kernel shows as 32-bit words in the machine's byte order."""
    words = [int(in_hex[i : i + 8], 16) for i in range(0, len(in_hex), 8)]
    address = ipaddress.ip_address(struct.pack(f"={len(words)}I", *words))
    return str(getattr(address, "ipv4_mapped", None) or address)


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="module")
def short_folder() -> Iterator[Path]:
    """A folder for Ray, whose sockets have long names below it; a socket's path may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a node: this Python comes first, no Ray is known, and nodes end at once."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = f"{SCRIPTS}{os.pathsep}{kept['PATH']}"
    settings = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0"}
    return kept | {"PATH": path} | settings | more


# ---- A cluster by hand ----


@dataclass(frozen=True, slots=True)
class Cluster:
    address: str
    dashboard: str
    environment: Mapping[str, str]


@pytest.fixture(scope="module")
def cluster(short_folder: Path) -> Iterator[Cluster]:
    """A head without trials and a worker with one core, started as docs/cluster.md has it."""
    token = short_folder / "token"
    token.write_text("0123456789abcdef" * 4)
    token.chmod(0o600)
    shell = environment(RAY_AUTH_TOKEN_PATH=str(token))
    gcs, dashboard, client, *agents = free_ports(5)

    def ray_start(log: Path, agent: int, *arguments: str) -> subprocess.Popen[bytes]:
        ports = (f"--dashboard-agent-listen-port={agent}", f"--temp-dir={short_folder}")
        with log.open("wb") as output:
            return subprocess.Popen(
                [SCRIPTS / "ray", "start", "--block", *ports, *arguments],
                env=shell,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(process: subprocess.Popen[bytes], log: Path) -> None:
        def is_up() -> bool:
            assert process.poll() is None, log.read_text()
            return "Ray runtime started" in log.read_text()

        wait_for(is_up, f"a node that is up\n{log.read_text()}", STARTS_WITHIN_S)

    logs = [short_folder / "head.log", short_folder / "worker.log"]
    head = ray_start(logs[0], agents[0], "--head", "--num-cpus=0", "--num-gpus=0", f"--port={gcs}",
                     "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
                     f"--ray-client-server-port={client}")  # fmt: skip
    with ended_afterwards(head):
        wait_until_up(head, logs[0])
        worker = ray_start(logs[1], agents[1], f"--address=127.0.0.1:{gcs}", "--num-cpus=1", "--num-gpus=0")
        with ended_afterwards(worker):
            wait_until_up(worker, logs[1])
            yield Cluster(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", shell)


def assert_is_complete(run: Path, num_trials: int) -> None:
    record = read_record(run)
    assert sorted(record.told) == list(range(num_trials))
    assert {trial.status for trial in record.trials.values()} <= {"completed", "reused"}


@pytest.mark.ray
@pytest.mark.long
def test_a_search_runs_on_nodes_started_by_hand(cluster: Cluster, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nas.search", "task=landscape", f"executor.address={cluster.address}", "num_trials=20",
         "run=run"],
        cwd=tmp_path, env=cluster.environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert_is_complete(tmp_path / "run", 20)


@pytest.mark.ray
@pytest.mark.long
def test_a_submitted_job_runs_an_experiment_of_the_working_folder(cluster: Cluster, tmp_path: Path) -> None:
    mine = tmp_path / "work" / "mine" / "experiment"
    mine.mkdir(parents=True)
    (mine / "ours.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /task: landscape\n  - override /controller: random\n"
    )
    search = ("python", "-m", "nas.search", "--config-dir", "mine", "experiment=ours", "num_trials=20",
              f"run={tmp_path / 'run'}", "executor.address=auto")  # fmt: skip
    done = subprocess.run(
        [SCRIPTS / "ray", "job", "submit", "--address", cluster.dashboard, "--working-dir", "work", "--", *search],
        cwd=tmp_path, env=cluster.environment, capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 completed" in done.stdout
    assert_is_complete(tmp_path / "run", 20)


@pytest.mark.ray
@pytest.mark.long
def test_jobs_without_the_token_are_refused(cluster: Cluster) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{cluster.dashboard}/api/jobs/", timeout=10)
    with refusal.value:
        assert refusal.value.code == 401


# ---- One machine ----


@pytest.mark.ray
@pytest.mark.long
def test_a_search_that_starts_ray_listens_on_loopback_alone(tmp_path: Path) -> None:
    search = start("nas.search", ("task=landscape", "executor=ray", "num_trials=1000000", "run=run"), tmp_path)
    journal = tmp_path / "run" / FILE_NAME
    with ended_afterwards(search):

        def is_running() -> bool:
            assert search.poll() is None, search.communicate()
            return journal.exists() and '"event":"told"' in journal.read_text()

        wait_for(is_running, "the first trial", STARTS_WITHIN_S)
        found = listening_addresses(pids_of_session(search.pid))
        os.killpg(search.pid, signal.SIGINT)
        search.communicate(timeout=ENDS_WITHIN_S)
    everybody = set().union(*found.values())
    for part in ("nas.search", "gcs_server", "raylet", "ray::"):
        assert any(part in name for name in everybody), f"{part} listens nowhere: the sockets were not found"
    reachable = {address: names for address, names in found.items() if not ipaddress.ip_address(address).is_loopback}
    assert reachable == {}


# ---- Slurm ----

FAKE_SRUN = """\
#!/usr/bin/env bash
# Runs a step here, in place of the node it is meant for.
echo "$*" >> "$STEPS"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
FAKE_SCONTROL = """\
#!/usr/bin/env bash
[[ $* == "show hostnames node-[1-2]" ]] && printf 'node-1\\nnode-2\\n'
"""
FAKE_MPS_CONTROL = """\
#!/usr/bin/env bash
[[ $* == -d ]] && touch "$CUDA_MPS_PIPE_DIRECTORY/control" && [[ -d $CUDA_MPS_LOG_DIRECTORY ]]
"""


@pytest.fixture
def slurm(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start cluster/slurm.sh as sbatch does, on two nodes that are both this machine."""
    fakes = (("srun", FAKE_SRUN), ("scontrol", FAKE_SCONTROL), ("nvidia-cuda-mps-control", FAKE_MPS_CONTROL))
    for name, content in fakes:
        fake = tmp_path / "bin" / name
        fake.parent.mkdir(exist_ok=True)
        fake.write_text(content)
        fake.chmod(0o755)
    (tmp_path / "home").mkdir()

    def submit(*arguments: str, **variables: str) -> subprocess.Popen[str]:
        shell = environment(
            **variables,
            HOME=str(tmp_path / "home"),
            STEPS=str(tmp_path / "steps"),
            SLURM_SUBMIT_DIR=str(tmp_path),
            SLURM_JOB_ID=str(os.getpid()),
            SLURM_JOB_NODELIST="node-[1-2]",
            SLURM_CPUS_PER_TASK="1",
        )
        shell["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{shell['PATH']}"
        return subprocess.Popen(
            ["bash", RECIPES / "slurm.sh", *arguments],
            env={name: value for name, value in shell.items() if name != "RAY_AUTH_MODE"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return submit


@pytest.mark.ray
@pytest.mark.long
def test_a_slurm_job_whose_time_is_up_resumes_when_submitted_again(
    slurm: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    journal = tmp_path / "run" / FILE_NAME
    options = ("task=landscape", "controller=random", "run=run")

    job = slurm(*options, "num_trials=1000000")
    with ended_afterwards(job):

        def has_results() -> bool:
            assert job.poll() is None, job.communicate()
            return journal.exists() and journal.read_text().count('"event":"told"') >= 3

        wait_for(has_results, "three trials", STARTS_WITHIN_S)
        # --signal=B:TERM: to the script alone.
        job.terminate()
        stdout, stderr = job.communicate(timeout=ENDS_WITHIN_S)
    assert job.returncode == 130, stderr
    assert "Best of run" in stdout
    assert "Traceback" not in stderr
    told = read_record(tmp_path / "run").told
    assert (tmp_path / "home" / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600

    job = slurm(*options, f"num_trials={len(told) + 10}", MPS="1")
    with ended_afterwards(job):
        stdout, stderr = job.communicate(timeout=STARTS_WITHIN_S)
    assert job.returncode == 0, stderr
    assert f"{len(told)} trials on record" in stdout
    assert_is_complete(tmp_path / "run", len(told) + 10)

    steps = (tmp_path / "steps").read_text().splitlines()
    assert len(steps) == 4
    for head, worker in (steps[:2], steps[2:]):
        assert "--nodelist=node-1 " in head
        assert " --head " in head
        assert "--dashboard-host=127.0.0.1 " in head
        assert "--node-ip-address=127." not in head
        assert "--nodelist=node-2 " in worker
        assert "--head" not in worker

    # Only the second job asked for MPS: its daemon ran before Ray did, in each step, with the folders that it names.
    assert [" mps ray start " in step for step in steps] == [False, False, True, True]
    for folder in (f"/tmp/mps-{os.getpid()}", f"/tmp/mps-log-{os.getpid()}"):
        assert (Path(folder) / "control").exists() == ("log" not in folder)
        shutil.rmtree(folder)
    shutil.rmtree(f"/tmp/ray-{os.getpid()}")
