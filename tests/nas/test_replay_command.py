"""Replays with several seeds: what is trained, what is counted, and which architectures can be told apart."""

import re
import statistics
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from nas.record.journal import read_record
from nas.record.replays import comparable_replays
from nas.record.trial import best_trials
from search_space.spec import short_key
from tests.conftest import TINY_LANDSCAPE, Run

MODULE = '''
import os
import pathlib
import signal

from proxy_tasks.landscape import Landscape


class Counted(Landscape):
    """A landscape that notes each evaluation, and is killed in its eighth while there is a file named kill."""

    def evaluate(self, spec, *, seed, **more):
        with open("evaluations", "a") as file:
            file.write(f"{spec.key} {seed}\\n")
        if pathlib.Path("kill").exists() and len(pathlib.Path("evaluations").read_text().splitlines()) == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().evaluate(spec, seed=seed, **more)
'''

EXACT = '''
from dataclasses import dataclass, replace

from proxy_tasks.landscape import Landscape


@dataclass(frozen=True, slots=True)
class Exact(Landscape):
    """A landscape with options that a replay may set otherwise, as those of an arithmetic."""

    precision: str = "auto"
    device: str = "auto"

    @property
    def option_rules(self):
        return replace(Landscape.option_rules.fget(self), replay=("precision", "device"))
'''


def replays_in(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "replays").iterdir())


def test_a_replay_that_trains_as_its_search_did_never_counts_the_training_that_chose(call: Run, tmp_path: Path) -> None:
    search = (*TINY_LANDSCAPE, "task.noise=0.2", "tracking=none", "seed=1", "num_trials=20")
    assert call("nas.search", *search).returncode == 0
    run = tmp_path / "run"
    best = best_trials(read_record(run).trials, 4)

    # Its seeds begin behind that of the search, or where they are told to, and leave it out.
    done = call("nas.replay", "run=run", "top=4", "seeds=3")
    assert (done.returncode, done.stderr) == (0, "")
    assert replays_in(run) == ["epochs5.0-seed2", "epochs5.0-seed3", "epochs5.0-seed4"]
    assert call("nas.replay", "run=run", "top=1", "seeds=2", "seed=0").returncode == 0
    assert replays_in(run)[:2] == ["epochs5.0-seed0", "epochs5.0-seed2"]
    # Another amount of training is no repetition, and its folder has the name that it has always had.
    assert call("nas.replay", "run=run", "top=1", "fidelity.epochs=10").returncode == 0
    assert replays_in(run)[0] == "epochs10.0-seed1"

    rewards: dict[str, list[float]] = {}
    for seed in (2, 3, 4):
        for trial in read_record(run / "replays" / f"epochs5.0-seed{seed}").trials.values():
            rewards.setdefault(trial.key, []).append(trial.reward or 0.0)
    assert {trial.key: trial.reward in rewards[trial.key] for trial in best} == dict.fromkeys(rewards, False)

    # By hand: means, deviations, and the difference that the pooled deviation allows to tell.
    means = {key: statistics.fmean(own) for key, own in rewards.items()}
    deviation = np.sqrt(np.mean([np.var(own, ddof=1) for own in rewards.values()]))
    least = stats.t.ppf(0.975, 8) * deviation * np.sqrt(2 / 3)
    lines = [line.split() for line in done.stdout[done.stdout.index("rank  search") :].splitlines()[1:5]]
    sentence = (
        f"The standard deviation between seeds is {deviation:.2g} (degrees of freedom: 8): to be told apart, two "
    )
    assert f"{sentence}means of 3 must differ by {least:.2g}" in done.stdout
    for rank, (line, key) in enumerate(zip(lines, sorted(means, key=lambda key: -means[key]), strict=True), start=1):
        is_marked = rank > 1 and max(means.values()) - means[key] <= least
        assert line[0] == f"{rank}{'~' if is_marked else ''}"
        assert line[4:7] == [f"{means[key]:.4f}", f"{statistics.stdev(rewards[key]):.4f}", "3"]
        assert line[-1] == short_key(key)


def test_a_replay_that_is_killed_trains_each_seed_once_and_more_seeds_add_to_it(
    command: Run, call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "counted.py").write_text(MODULE)
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "counted.yaml").write_text("# C.\n_target_: counted.Counted\nnoise: 0.1\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = ("--config-dir", "mine", "task=counted", "executor=local", "tracking=none", "run=run")
    assert call("nas.search", *own, "num_trials=9").returncode == 0

    (tmp_path / "evaluations").write_text("")
    (tmp_path / "kill").touch()
    replay = ("--config-dir", "mine", "run=run", "top=5", "seeds=2")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    assert command("nas.replay", *replay).returncode < 0
    (tmp_path / "kill").unlink()

    # The one that was under way is trained once more, and no other.
    resumed = call("nas.replay", *replay)
    trained = (tmp_path / "evaluations").read_text().splitlines()
    assert (resumed.returncode, len(trained), len(set(trained))) == (0, 5 * 2 + 1, 5 * 2)
    assert "seed 2: 2 of 5 trainings are on record" in resumed.stdout

    assert call("nas.replay", *replay[:3], "top=6", "seeds=3").returncode == 0
    trained = (tmp_path / "evaluations").read_text().splitlines()
    assert (len(trained), len(set(trained))) == (6 * 3 + 1, 6 * 3)
    assert {line.split()[1] for line in trained} == {"1", "2", "3"}


def test_a_replay_in_another_arithmetic_has_a_folder_of_its_own_and_says_that_it_does_not_rank(
    call: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "exact.py").write_text(EXACT)
    (tmp_path / "mine" / "task").mkdir(parents=True)
    options = "noise: 0.1\nfailure_rate: 0.0\nseed: 0\nprecision: auto\ndevice: auto\n"
    (tmp_path / "mine" / "task" / "exact.yaml").write_text(f"# E.\n_target_: exact.Exact\n{options}")
    monkeypatch.syspath_prepend(tmp_path)
    own = ("--config-dir", "mine")
    begun = call("nas.search", *own, "task=exact", "executor=local", "tracking=none", "run=run", "num_trials=4")
    assert begun.returncode == 0, begun.stderr

    replay = (*own, "run=run", "top=2")
    assert "leave it out" not in call("nas.replay", *replay).stdout
    line = "This command alone shows the replay; leaderboard and report leave it out, as it does not compare with the "
    for more, reason in (
        (("task.precision=float32",), "task.precision=float32"),
        (("task.device=cuda:1",), "task.device=cuda:1"),
        (("fidelity.epochs=10", "seed=1"), "fidelity.epochs=10"),
    ):
        done = call("nas.replay", *replay, *more)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines()[0] == f"{line}search: {reason}"
    others = ["epochs5.0-device_cuda1-seed0", "epochs5.0-precision_float32-seed0"]
    assert replays_in(tmp_path / "run") == ["epochs10.0-seed1", *others, "epochs5.0-seed1"]
    assert len(comparable_replays(tmp_path / "run", read_record(tmp_path / "run"))) == 1

    # Where an older version trained in another arithmetic under the plain name, that is resumed.
    folder = tmp_path / "run" / "replays"
    (folder / others[1]).rename(folder / "epochs5.0-seed0")
    resumed = call("nas.replay", *replay, "task.precision=float32")
    assert (resumed.returncode, "Kept in run/replays: epochs5.0-seed0\n" in resumed.stdout) == (0, True)
    assert not (folder / others[1]).exists()


def test_seeds_that_there_are_not_are_refused_in_one_line(call: Run) -> None:
    assert call("nas.search", *TINY_LANDSCAPE, "tracking=none").returncode == 0
    for options, message in (
        (("seeds=0",), r"seeds must be from 1 to 1000 \(each architecture is trained as often\), got 0"),
        (
            ("seeds=3", "seed=4294967294"),
            r"seeds=3: they are counted from seed=4294967294 on, and seed must be 0 to \d+, got \d+",
        ),
    ):
        refused = call("nas.replay", "run=run", *options)
        assert refused.returncode == 2
        assert re.fullmatch(rf"error: {message}\n", refused.stderr)
