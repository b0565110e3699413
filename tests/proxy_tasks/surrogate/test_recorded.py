"""Which trainings of a table are taken, and what they say together."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from foundation import InputError
from proxy_tasks import Fidelity, Numerics
from proxy_tasks.surrogate.recorded import Recorded, recorded_in
from proxy_tasks.training_table import TrainingRow, TrainingTable, read_table

SHIPPED = read_table(Path(__file__).parents[3] / "benchmarks" / "tables" / "quickstart.jsonl.gz")
# As many as anything can be said from, and a few more.
FEW = replace(SHIPPED, rows=tuple(row for row in SHIPPED.rows if row.spec is not None and row.seed == 0)[:12])


def taken(rows: tuple[TrainingRow, ...], table: TrainingTable = FEW) -> Recorded:
    return recorded_in(replace(table, rows=rows), Path("table.jsonl.gz"))


def another_seed(row: TrainingRow, ap: float) -> TrainingRow:
    return replace(row, seed=1, metrics={**row.metrics, "ap": row.metrics["ap"] + ap})


def test_figures_are_means_over_seeds_and_the_noise_is_pooled_over_architectures() -> None:
    first, second, *_ = FEW.rows
    found = taken((*FEW.rows, another_seed(first, 0.02), another_seed(second, -0.04)))
    assert (found.num_trainings, len(found.specs), found.num_repeated) == (14, 12, 2)

    by_key = {spec.key: figures for spec, figures in zip(found.specs, found.figures, strict=True)}
    assert found.metric_names[0] == "ap"
    assert by_key[first.key][0] == pytest.approx(first.metrics["ap"] + 0.01)
    assert by_key[FEW.rows[5].key][0] == pytest.approx(FEW.rows[5].metrics["ap"])

    # By hand: squares 2 x 0.01^2 and 2 x 0.02^2, with a degree of freedom each.
    assert found.noise[0] == pytest.approx(((0.0002 + 0.0008) / 2) ** 0.5)
    assert found.noise[1:] == pytest.approx(np.zeros(len(found.noise) - 1))
    # Means of durations come last, and costs are none of the figures.
    assert found.duration_names == ("train", "score")
    assert by_key[FEW.rows[5].key][-2:].tolist() == [FEW.rows[5].seconds[name] for name in found.duration_names]
    assert not {"macs", "params"} & set(found.metric_names)


def test_without_a_second_seed_there_is_no_noise() -> None:
    found = taken(FEW.rows)
    assert found.num_repeated == 0
    assert not found.noise.any()


def test_only_the_largest_part_whose_trainings_compare_is_taken() -> None:
    others = tuple(
        other
        for row in FEW.rows[:3]
        for other in (
            replace(row, fidelity=Fidelity(8)),
            replace(row, numerics=Numerics("bfloat16", "cpu")),
            replace(row, seed=1, is_continued=True),
        )
    )
    baseline = replace(FEW.rows[0], key="r50-fpn", spec=None, space=None, decisions=None, source="baseline")
    found = taken((*others, baseline, *FEW.rows))
    assert (found.num_trainings, found.num_left_out, found.conditions.fidelity) == (12, 10, FEW.rows[0].fidelity)
    np.testing.assert_array_equal(found.figures, taken(FEW.rows).figures)


def test_metrics_that_not_all_trainings_have_are_left_out() -> None:
    row = FEW.rows[3]
    fewer = replace(row, metrics={name: value for name, value in row.metrics.items() if name != "ap_small"})
    found = taken((*FEW.rows[:3], fewer, *FEW.rows[4:]))
    assert set(taken(FEW.rows).metric_names) - set(found.metric_names) == {"ap_small"}


@pytest.mark.parametrize("name", ["ap", "macs", "params"])
def test_trainings_without_ap_or_costs_are_left_out(name: str) -> None:
    row = FEW.rows[3]
    lacking = replace(row, metrics={own: value for own, value in row.metrics.items() if own != name})
    found = taken((*FEW.rows[:3], lacking, *FEW.rows[4:]))
    assert (len(found.specs), found.num_left_out) == (11, 1)


def test_tables_that_say_too_little_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"^table.jsonl.gz: has 9 architectures that task=detection trained alike, and"
    ):
        taken(FEW.rows[:9])
    with pytest.raises(InputError, match="has 0 architectures"):
        taken(())

    (identity, task), *_ = FEW.tasks.items()
    landscape = task.model_copy(update={"options": {"task._target_": "proxy_tasks.landscape.Landscape"}})
    with pytest.raises(InputError, match="has 0 architectures"):
        taken(FEW.rows, replace(FEW, tasks={identity: landscape}))

    wide = task.model_copy(update={"options": {**task.options, "task.scale.width_multiplier": "wide"}})
    with pytest.raises(InputError, match="the scale of its networks: width_multiplier: "):
        taken(FEW.rows, replace(FEW, tasks={identity: wide}))
