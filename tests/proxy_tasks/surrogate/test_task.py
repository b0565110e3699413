"""Answers from a table of trainings."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foundation import InputError
from proxy_tasks import BadDataError, BadSpecError, Fidelity, silent
from proxy_tasks.networks.cost import detector_cost
from proxy_tasks.surrogate.distance import Neighbourhood
from proxy_tasks.surrogate.task import TableSurrogate
from proxy_tasks.training_table import TrainingTable, read_table, write_table
from search_space import ArchSpec, BlockSpec, Candidate, ScalePermutedSpace, published_spec, resnet_seed

SHIPPED = read_table(Path(__file__).parents[3] / "benchmarks" / "tables" / "quickstart.jsonl.gz")
SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
# Enough for a model, however many there are; one training of each.
ROWS = tuple(row for row in SHIPPED.rows if row.spec is not None and row.seed == 0)[:40]
EPOCHS = Fidelity(4)


def task_on(folder: Path, table: TrainingTable) -> TableSurrogate:
    write_table(folder / "table.jsonl.gz", table)
    return TableSurrogate(folder / "table.jsonl.gz", SPACE)


@pytest.fixture
def task(tmp_path: Path) -> TableSurrogate:
    return task_on(tmp_path, replace(SHIPPED, rows=ROWS))


@pytest.fixture
def noisy_task(tmp_path: Path) -> TableSurrogate:
    """Answers from twelve architectures, of which all have a second seed with 0.03 more or less."""
    again = [
        replace(row, seed=1, metrics={**row.metrics, "ap": row.metrics["ap"] + (-1) ** i * 0.03})
        for i, row in enumerate(ROWS[:12])
    ]
    return task_on(tmp_path, replace(SHIPPED, rows=(*ROWS[:12], *again)))


def test_answers_are_nearest_to_the_truth_where_trees_have_seen_it(task: TableSurrogate) -> None:
    answers, truth = [], []
    for row in ROWS:
        assert row.spec is not None
        answers.append(task.score(row.spec))
        truth.append(row.metrics["ap"])
    assert np.corrcoef(answers, truth)[0, 1] > 0.9


def test_costs_are_exact_and_durations_are_those_of_trainings(task: TableSurrogate) -> None:
    spec = SPACE.decode(SPACE.mutate(ROWS[3].decisions or (), np.random.default_rng(0))).spec
    found = task.evaluate(Candidate(spec), fidelity=EPOCHS, seed=0)
    scale = task._recorded().scale
    counted = detector_cost(spec, scale, num_classes=1)
    assert (found.metrics["params"], found.metrics["macs"]) == (counted.params, counted.macs)
    for name in ("train", "score"):
        own = [row.seconds[name] for row in ROWS]
        assert min(own) <= found.seconds[name] <= max(own)


def test_noise_is_as_wide_as_the_seeds_of_one_architecture_differ(noisy_task: TableSurrogate) -> None:
    spec = ROWS[0].spec
    assert spec is not None
    answers = [noisy_task.evaluate(Candidate(spec), fidelity=EPOCHS, seed=seed).metrics["ap"] for seed in range(300)]
    assert np.mean(answers) == pytest.approx(noisy_task.score(spec), abs=0.005)
    # Two values 0.03 apart have a standard deviation of 0.03 / sqrt 2; 300 draws know it to some 4 %.
    assert np.std(answers) == pytest.approx(0.03 / 2**0.5, rel=0.15)


def test_what_preparing_says(task: TableSurrogate, noisy_task: TableSurrogate) -> None:
    table, quality, noise, refusal = noisy_task.prepare(silent)
    assert table == "table: 24 trainings of 12 architectures, 4 epochs in float32; 0 others are left out"
    figure = r"(-?\d+\.\d\d \(-?\d+\.\d\d to -?\d+\.\d\d\)|none, as there is nothing to tell apart)"
    assert re.fullmatch(
        f"held out, with 95 % intervals: R2 {figure}, Kendall's tau {figure}, in the better half {figure}", quality
    )
    assert noise == "noise of ap: 0.0212, from 12 architectures with several trainings"
    assert refusal.startswith("refused: what is further than ")

    write_table(noisy_task.table, replace(SHIPPED, rows=ROWS[:11]))
    assert noisy_task.prepare(silent)[2] == "noise of ap: none, as no architecture has two trainings"


def test_what_is_far_outside_the_table_fails_by_name(task: TableSurrogate) -> None:
    # Two blocks, where all of the table have fifteen.
    lean = ArchSpec(
        published_spec("spinenet-49").stem,
        (BlockSpec(4, "bottleneck", (0, 1)), BlockSpec(5, "bottleneck", (1, 2), is_output=True)),
    )
    with pytest.raises(BadSpecError, match=r"^far outside the table: \d+\.\d\d from its nearest architecture, where"):
        task.evaluate(Candidate(lean), fidelity=EPOCHS, seed=0)
    assert replace(task, refuse_outside=False).evaluate(Candidate(lean), fidelity=EPOCHS, seed=0).metrics["ap"] >= 0

    mobile = published_spec("spinenet-mobile-49")
    with pytest.raises(BadSpecError, match=r"no architecture in the table has the feature .*mbconv"):
        replace(task, refuse_outside=False).evaluate(Candidate(mobile), fidelity=EPOCHS, seed=0)


def names(number: int) -> list[str]:
    return [f"depth.level{i}" for i in range(number)]


def test_of_what_is_drawn_as_the_table_was_little_is_refused_and_of_the_table_itself_nothing() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(99, 30)).astype(np.float32)
    around = Neighbourhood(names(30), points)
    assert max(around.distance(point) for point in points) == pytest.approx(0, abs=1e-6)

    # One in a hundred on average: the largest of a hundred distances is any of them alike.
    beyond = [around.distance(point) > around.reach for point in rng.normal(size=(1000, 30)).astype(np.float32)]
    assert np.mean(beyond) < 0.05
    assert around.distance(np.full(30, 5, np.float32)) > around.reach


def test_a_feature_that_never_varies_in_the_table_counts_as_if_it_had_once() -> None:
    points = np.random.default_rng(0).normal(size=(25, 4)).astype(np.float32)
    points[:, 3] = 1
    other = points[0].copy()
    other[3] = 2
    # One of 25 has a standard deviation of about a fifth.
    assert Neighbourhood(names(4), points).distance(other) == pytest.approx(5)
    # Where a block stands is no such matter.
    assert Neighbourhood([*names(3), "place0.level3"], points).distance(other) == pytest.approx(0)


def test_another_space_is_refused_before_anything_starts(task: TableSurrogate) -> None:
    for space, difference in (
        (ScalePermutedSpace(resnet_seed("r0-sp53"), kinds=("bottleneck",)), "70 decisions there, 55 in space"),
        (ScalePermutedSpace(resnet_seed("r0-sp53"), level_offsets=(0, 1)), "block0.level_offset has -1/0/1/2 there"),
    ):
        with pytest.raises(InputError, match=rf"table.jsonl.gz: is of another space than .*: .*{difference}"):
            replace(task, space=space).prepare(silent)

    # A part of the space is no other space.
    replace(task, space=ScalePermutedSpace(resnet_seed("r0-sp53"), resolution_paths=True)).prepare(silent)


def test_a_table_that_is_missing_or_changes_is_named(task: TableSurrogate, tmp_path: Path) -> None:
    tied = task.tied_to_data()
    assert tied.data_content == {"table": task.tied_to_data().content}
    spec = ROWS[0].spec
    assert spec is not None
    assert tied.evaluate(Candidate(spec), fidelity=EPOCHS, seed=0) == task.evaluate(
        Candidate(spec), fidelity=EPOCHS, seed=0
    )

    write_table(task.table, replace(SHIPPED, rows=ROWS[:20]))
    with pytest.raises(BadDataError, match=r"table.jsonl.gz is another table than the search began with"):
        tied.evaluate(Candidate(spec), fidelity=EPOCHS, seed=0)
    task.table.unlink()
    with pytest.raises(BadDataError, match=r"task.table: cannot read .*table.jsonl.gz: No such file .*nas.table makes"):
        tied.evaluate(Candidate(spec), fidelity=EPOCHS, seed=0)
    with pytest.raises(InputError, match=r"task.table: cannot read"):
        _ = task.metric_names


def test_a_table_whose_trainings_all_score_the_same_says_so(tmp_path: Path) -> None:
    rows = [replace(row, metrics={**row.metrics, "ap": 0.0}) for row in ROWS[:12]]
    lines = task_on(tmp_path, replace(SHIPPED, rows=tuple(rows))).prepare(silent)
    none = "none, as there is nothing to tell apart"
    assert lines[1] == (f"held out, with 95 % intervals: R2 {none}, Kendall's tau {none}, in the better half {none}")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("macs", 7e8, r"has 700000000 macs there, and \d+ in this version"),
        # More classes than any data has; a network of them would not fit in memory.
        ("params", 1e300, "has 1e[+]300 params there"),
        ("params", 1.0, "has 1 params there"),
    ],
)
def test_a_table_of_networks_that_cost_otherwise_is_refused(
    tmp_path: Path, name: str, value: float, words: str
) -> None:
    rows = [replace(row, metrics={**row.metrics, name: value}) for row in ROWS[:12]]
    task = task_on(tmp_path, replace(SHIPPED, rows=tuple(rows)))
    with pytest.raises(
        InputError, match=rf"table.jsonl.gz: architecture \w+ {words}.*: the table is of other networks"
    ):
        task.prepare(silent)
