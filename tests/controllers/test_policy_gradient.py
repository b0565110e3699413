"""REINFORCE, PPO and the learner that they share: which results teach them what."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
import torch

from controllers import Controller, Proposal, ppo, reinforce
from controllers.baseline import MovingBaseline
from controllers.learner import MAX_GRADIENT_NORM, LearnerSettings, PolicyLearner
from controllers.ppo import PPO
from controllers.reinforce import Reinforce
from search_space import ScalePermutedSpace, SearchSpace, published_spec

SPACE = ScalePermutedSpace(published_spec("r23-sp30"), permutation=False, level_offsets=(), kinds=())
SETTINGS = LearnerSettings(
    learning_rate=0.01, entropy_weight=0.0, hidden_width=8, batch_size=2, baseline_decay=0.9, seed=0
)
Make: TypeAlias = Callable[[SearchSpace, LearnerSettings], Controller]
BOTH = [(Reinforce, reinforce.DEFAULT_LEARNER), (PPO, ppo.DEFAULT_LEARNER)]
both = pytest.mark.parametrize(("make", "default"), BOTH, ids=["reinforce", "ppo"])


def rng(trial: int) -> np.random.Generator:
    return np.random.default_rng([0, trial])


def share_of_adjacent(proposal: Proposal) -> float:
    """Return how many of the first parents are the feature just before, which is option 0."""
    return float(np.mean([option == 0 for option in proposal.decisions[::2]]))


def expected_reward(controller: Controller) -> float:
    return float(np.mean([share_of_adjacent(controller.ask(rng(10_000 + i))) for i in range(40)]))


@both
def test_it_learns_what_is_rewarded_from_results_that_come_late(make: Make, default: LearnerSettings) -> None:
    controller = make(SPACE, default)
    before = expected_reward(controller)
    waiting = [controller.ask(rng(trial)) for trial in range(20)]
    for trial in range(20, 400):
        done = waiting.pop(trial % len(waiting))
        controller.tell(done, share_of_adjacent(done))
        waiting.append(controller.ask(rng(trial)))
    assert before < 0.3
    assert expected_reward(controller) > 0.8


@both
def test_what_it_did_not_draw_moves_the_baseline_and_not_the_policy(make: Make, default: LearnerSettings) -> None:
    settings = replace(default, batch_size=4)
    plain, warmed = make(SPACE, settings), make(SPACE, settings)
    for i in range(12):
        warmed.tell(Proposal(SPACE.sample(rng(i))), 0.9)
    assert warmed.ask(rng(0)) == plain.ask(rng(0))
    # The same results are good ones for the first and bad ones for the second, which expects more.
    own = [plain.ask(rng(100 + i)) for i in range(4)]
    for i, proposal in enumerate(own):
        plain.tell(proposal, 0.1 * i)
        warmed.tell(proposal, 0.1 * i)
    assert warmed.ask(rng(0)) != plain.ask(rng(0))


@both
def test_failures_are_skipped_unless_they_are_given_a_reward(make: Make, default: LearnerSettings) -> None:
    settings = replace(default, batch_size=4, entropy_weight=0.0)
    skipping, punishing = make(SPACE, settings), make(SPACE, replace(settings, failure_reward=0.0))
    first = skipping.ask(rng(0))
    for controller in (skipping, punishing):
        for i in range(8):
            proposal = controller.ask(rng(100 + i))
            controller.tell(proposal, None if i % 2 else 0.5)
    # Four results of one reward teach nothing; with failures at 0 among them they do.
    assert skipping.ask(rng(0)) == first
    assert punishing.ask(rng(0)) != first


@pytest.mark.parametrize(
    ("good_ratio", "bad_ratio", "is_moved"),
    [
        (1.0, 1.0, True),
        (1.5, 1 / 1.5, False),  # both have gone where they should by more than the clip of 0.2
        (1 / 1.5, 1 / 1.5, True),  # the good one has gone the wrong way
        (1.5, 1.5, True),  # the bad one has
        (1.5, 3.5, False),  # ... but by more than MAX_RATIO
    ],
)
def test_which_results_have_a_pull_in_ppo(good_ratio: float, bad_ratio: float, is_moved: bool) -> None:
    settings = replace(ppo.DEFAULT_LEARNER, batch_size=2, entropy_weight=0.0)
    controller = PPO(SPACE, settings, num_epochs=1, clip=0.2)
    for i, (reward, ratio) in enumerate(((0.0, bad_ratio), (1.0, good_ratio))):
        proposal = controller.ask(rng(i))
        controller.tell(Proposal(proposal.decisions, (proposal.log_prob or 0.0) - math.log(ratio)), reward)
    assert (controller.ask(rng(2)) != PPO(SPACE).ask(rng(2))) == is_moved


def test_more_epochs_take_more_steps() -> None:
    def entropy(num_epochs: int) -> float:
        controller = PPO(SPACE, replace(ppo.DEFAULT_LEARNER, batch_size=4), num_epochs, clip=0.9)
        for i in range(8):
            proposal = controller.ask(rng(i))
            controller.tell(proposal, share_of_adjacent(proposal))
        return -float(np.mean([controller.ask(rng(100 + i)).log_prob or 0.0 for i in range(20)]))

    assert entropy(6) < entropy(1)


def test_a_batch_holds_the_results_in_order_of_arrival() -> None:
    learner = PolicyLearner(SPACE, SETTINGS)
    proposals = [learner.policy.draw(rng(i)) for i in range(2)]
    assert learner.collect(proposals[1], 0.2) is None
    batch = learner.collect(proposals[0], 0.4)
    assert batch is not None
    assert batch.decisions.tolist() == [list(proposals[1].decisions), list(proposals[0].decisions)]
    assert batch.old_log_prob.tolist() == pytest.approx([proposals[1].log_prob, proposals[0].log_prob])
    # Mean 0.3 and standard deviation 0.1.
    assert batch.advantage.tolist() == pytest.approx([-1, 1])


def test_one_step_makes_a_good_result_likelier_and_a_bad_one_less_likely() -> None:
    learner = PolicyLearner(SPACE, SETTINGS)
    proposals = [learner.policy.draw(rng(i)) for i in range(2)]
    learner.collect(proposals[0], 0.2)
    batch = learner.collect(proposals[1], 0.4)
    assert batch is not None
    learner.improve(batch, lambda log_prob: batch.advantage * log_prob)
    with torch.inference_mode():
        after = learner.policy(batch.decisions, batch.is_legal).log_prob - batch.old_log_prob
    assert after[0] < 0 < after[1]


def test_where_no_result_is_better_than_another_the_bonus_makes_the_policy_more_random() -> None:
    learner, curious = PolicyLearner(SPACE, SETTINGS), PolicyLearner(SPACE, replace(SETTINGS, entropy_weight=1.0))
    learner.collect(learner.policy.draw(rng(0)), 0.5)
    batch = learner.collect(learner.policy.draw(rng(1)), 0.5)
    assert batch is not None

    # A policy that has become surer of itself; a new optimiser has no momentum that would carry it on.
    for _ in range(20):
        learner.improve(batch, lambda log_prob: log_prob)
    curious.policy.load_state_dict(learner.policy.state_dict())
    entropies = []
    for _ in range(2):
        with torch.inference_mode():
            entropies.append(float(curious.policy(batch.decisions, batch.is_legal).entropy.mean()))
        curious.improve(batch, lambda log_prob: batch.advantage * log_prob)
    assert entropies[0] < entropies[1]


def test_no_batch_pulls_harder_than_the_bound_on_the_gradient() -> None:
    learner = PolicyLearner(SPACE, SETTINGS)
    learner.collect(learner.policy.draw(rng(0)), 0.2)
    batch = learner.collect(learner.policy.draw(rng(1)), 0.4)
    assert batch is not None
    learner.improve(batch, lambda log_prob: 1e4 * batch.advantage * log_prob)
    gradients = [p.grad.flatten() for p in learner.policy.parameters() if p.grad is not None]
    assert float(torch.cat(gradients).norm()) == pytest.approx(MAX_GRADIENT_NORM, rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be from 1e-12 to 100 .*, got 0.0"),
        ({"learning_rate": math.nan}, "learning_rate must be from 1e-12 to 100 .*, got nan"),
        ({"entropy_weight": -1.0}, "entropy_weight must be from 0 to .*, got -1.0"),
        ({"hidden_width": 0}, "hidden_width must be from 1 to 4096 .*, got 0"),
        ({"batch_size": 0}, "batch_size must be from 1 to 65536 .*, got 0"),
        ({"baseline_decay": 0.0}, "baseline_decay must be between 0 and 1, got 0.0"),
        ({"baseline_decay": 1.0}, "baseline_decay must be between 0 and 1, got 1.0"),
        ({"seed": -1}, "seed must be 0 to 4294967295, got -1"),
    ],
)
def test_impossible_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SETTINGS, **change)


@pytest.mark.parametrize(("clip", "num_epochs", "message"), [(0, 1, "clip must be"), (0.2, 0, "num_epochs must be")])
def test_impossible_options_of_ppo_are_refused(clip: float, num_epochs: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PPO(SPACE, clip=clip, num_epochs=num_epochs)


def test_the_baseline_begins_with_plain_averages() -> None:
    baseline = MovingBaseline(decay=0.9)
    assert baseline.advantage(0.5) == 0
    for reward in (0.1, 0.2, 0.6):
        baseline.update(reward)
    # Mean 0.3, variance 0.14 / 3, by hand.
    assert baseline.advantage(0.3) == pytest.approx(0)
    assert baseline.advantage(0.6) == pytest.approx(0.3 / math.sqrt(0.14 / 3))


def test_the_baseline_forgets() -> None:
    baseline = MovingBaseline(decay=0.5)
    for reward in (100.0, *(float(i % 2) for i in range(40))):
        baseline.update(reward)
    # The last reward weighs a half, the one before a quarter ...: 1/2 + 1/8 + 1/32 ... = 2/3.
    assert baseline.advantage(2 / 3) == pytest.approx(0, abs=1e-6)
