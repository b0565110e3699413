"""A task of somebody's own, found on Python's path: its metrics and costs are as good as the package's everywhere."""

from pathlib import Path

import pytest

from tests.conftest import Run

MODULE = '''
from proxy_tasks import Evaluation
from proxy_tasks.landscape import Landscape


class Metered(Landscape):
    """The landscape, which also says what a block costs in energy, and calls its score mIoU."""

    metric_names = ("miou", "macs", "params", "energy_j")
    cost_names = ("macs", "params", "energy_j")

    def costs(self, candidate):
        blocks = candidate.spec.blocks
        return {**super().costs(candidate), "energy_j": 0.25 * len(blocks) + 0.5 * blocks[0].level}

    def evaluate(self, candidate, **how):
        found = super().evaluate(candidate, **how)
        return Evaluation({"miou": found.metrics["ap"], **self.costs(candidate)})
'''
YAML = """
# The landscape, metered.
_target_: metered.Metered
"""
SEARCH = ("--config-dir", "mine", "task=metered", "executor=local", "tracking=none", "run=run", "num_trials=30")


@pytest.fixture(autouse=True)
def own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metered.py").write_text(MODULE)
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "metered.yaml").write_text(YAML)
    # Where a command is called in this process; one of its own finds the module in the folder that it starts in.
    monkeypatch.syspath_prepend(tmp_path)


def test_limits_and_targets_take_what_the_task_offers_and_tables_show_it(command: Run, call: Run) -> None:
    own = ("reward=targets", "reward.metric=miou", "reward.energy_j.target=4", "limits.energy_j=5.5")
    done = command("nas.search", *SEARCH, *own)
    assert done.returncode == 0, done.stderr
    # 15 blocks cost 3.75 J; the first one's level, drawn from 1 to 7, decides whether the whole is over the limit.
    assert "rejected" in done.stdout
    assert "energy_j 5.75, limit 5.5" in done.stdout

    table = call("nas.leaderboard", "run=run", "sort=energy_j", "where=miou>0.1")
    assert table.returncode == 0, table.stderr
    head = next(line for line in table.stdout.splitlines() if "reward" in line)
    assert "miou" in head
    assert "energy_j" in head


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("limits.energy=3", "limits: no cost energy; the task has macs, params, energy_j"),
        ("reward.metric=ap", "reward: no metric ap; the task has miou, macs, params, energy_j"),
    ],
)
def test_a_figure_that_the_task_lacks_is_one_line_with_those_it_has(call: Run, option: str, message: str) -> None:
    done = call("nas.search", *SEARCH, "reward.metric=miou", option)
    assert done.returncode == 2
    assert done.stderr.strip() == f"error: {message}"
