from dataclasses import replace

import numpy as np
import pytest

from proxy_tasks.landscape import true_score
from proxy_tasks.neutral_landscape import NeutralLandscape, _embedding, _weights, neutral_score
from search_space import ArchSpec, BlockSpec, ScalePermutedSpace, StemBlock, published_spec, resnet_seed
from search_space.spec import NUM_STEM_PARENTS, live_blocks

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def specs(count: int) -> list[ArchSpec]:
    return [SPACE.decode(SPACE.sample(np.random.default_rng(i))).spec for i in range(count)]


def test_the_network_by_hand() -> None:
    spec = ArchSpec(
        (StemBlock(2), StemBlock(2)),
        (BlockSpec(3, "bottleneck", (0, 1)), BlockSpec(4, "residual", (1, 2), True)),
    )
    messages, readouts = _weights(0)
    stem = [np.tanh(_embedding(0, f"stem {i}")[2]) for i in range(2)]
    inner = np.tanh(_embedding(0, "bottleneck")[3] + (messages[1] @ stem[0] + messages[1] @ stem[1]) / 2)
    last = np.tanh(_embedding(0, "residual")[4] + (messages[2] @ stem[1] + messages[1] @ inner) / 2)
    assert neutral_score(spec) == pytest.approx(1 / (1 + np.exp(-1.8 * readouts[4] @ last)), abs=1e-12)


def test_the_order_of_parents_and_blocks_that_reach_no_output_change_nothing() -> None:
    for spec in [published_spec("spinenet-49"), *specs(20)]:
        turned = replace(spec, blocks=tuple(replace(block, parents=block.parents[::-1]) for block in spec.blocks))
        assert neutral_score(turned) == pytest.approx(neutral_score(spec), abs=1e-12)

    # Of these seeds some architectures have a block that leads nowhere: its kind may be any.
    num_dead = 0
    for spec in specs(100):
        alive = {live.feature for live in live_blocks(spec)}
        for i, block in enumerate(spec.blocks):
            if NUM_STEM_PARENTS + i not in alive:
                other = replace(block, kind="residual" if block.kind == "bottleneck" else "bottleneck")
                changed = replace(spec, blocks=(*spec.blocks[:i], other, *spec.blocks[i + 1 :]))
                if changed.key == spec.key:
                    assert neutral_score(changed) == neutral_score(spec)
                    num_dead += 1
    assert num_dead > 10


def test_landscapes_of_two_seeds_are_strangers_and_so_is_the_first_landscape() -> None:
    drawn = specs(200)
    scores = np.array([[neutral_score(spec, 0), neutral_score(spec, 1), true_score(spec, 0)] for spec in drawn]).T
    assert np.abs(np.corrcoef(scores)[np.triu_indices(3, 1)]).max() < 0.5
    assert scores[0].std() > 0.05


def test_a_mutant_is_like_its_parent() -> None:
    # Else no search could climb: 0.92 was measured over 500 pairs.
    rng = np.random.default_rng(0)
    parents = [SPACE.sample(rng) for _ in range(100)]
    pairs = [(SPACE.decode(own).spec, SPACE.decode(SPACE.mutate(own, rng)).spec) for own in parents]
    scores = np.array([[neutral_score(spec) for spec in pair] for pair in pairs]).T
    assert np.corrcoef(scores)[0, 1] > 0.7


def test_it_is_a_task_that_differs_from_the_first_in_the_score_alone() -> None:
    spec = published_spec("spinenet-49")
    task = NeutralLandscape(seed=3)
    assert task.score(spec) == neutral_score(spec, 3)
    assert task.baseline_names == ("spinenet-49",)
