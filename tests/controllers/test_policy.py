from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from controllers.policy import RecurrentPolicy
from controllers.reinforce import Reinforce
from search_space import ArchSpec, BlockSpec, Decisions, ScalePermutedSpace, StemBlock, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))
# Two intermediates and an output, every kind of decision, 9,216 vectors.
SMALL = ScalePermutedSpace(
    ArchSpec(
        (StemBlock(2), StemBlock(2)),
        (
            BlockSpec(3, "bottleneck", (0, 1)),
            BlockSpec(4, "bottleneck", (0, 1)),
            BlockSpec(4, "bottleneck", (1, 2), True),
        ),
    ),
    level_offsets=(0, 1),
    kinds=("bottleneck", "residual"),
)


def every_vector(prefix: Decisions = ()) -> Iterator[Decisions]:
    if len(prefix) == len(SMALL.decisions):
        yield prefix
        return
    for option in SMALL.legal(prefix):
        yield from every_vector((*prefix, option))


VECTORS = list(every_vector())


def trained_policy() -> RecurrentPolicy:
    """Return a policy far from uniform."""
    policy = RecurrentPolicy(SMALL, hidden_width=16, seed=0)
    with torch.no_grad():
        policy.head.weight.normal_(generator=torch.Generator().manual_seed(0))
        policy.head.bias.normal_(generator=torch.Generator().manual_seed(1))
    return policy


def likelihood_of_all(policy: RecurrentPolicy) -> tuple[Tensor, Tensor]:
    """Return log-probability and entropy of every vector."""
    with torch.inference_mode():
        likelihood = policy(torch.tensor(VECTORS), policy.legal_options(VECTORS))
    return likelihood.log_prob, likelihood.entropy


def test_probabilities_of_all_proposals_sum_to_one() -> None:
    log_prob, _ = likelihood_of_all(trained_policy())
    assert float(log_prob.max() - log_prob.min()) > 3
    # Probabilities are float32.
    assert float(log_prob.exp().sum()) == pytest.approx(1, abs=1e-5)


def test_the_mean_entropy_is_that_of_the_whole_distribution() -> None:
    log_prob, entropy = likelihood_of_all(trained_policy())
    expected = -(log_prob.exp() * log_prob).sum()
    assert float((log_prob.exp() * entropy).sum()) == pytest.approx(float(expected), rel=1e-5)


def test_proposals_come_as_often_as_their_probability_says() -> None:
    policy = trained_policy()
    log_prob, _ = likelihood_of_all(policy)
    likeliest = {VECTORS[i] for i in log_prob.topk(100).indices.tolist()}
    expected = float(log_prob.topk(100).values.exp().sum())
    num_draws = 600
    share = sum(policy.draw(np.random.default_rng(i)).decisions in likeliest for i in range(num_draws)) / num_draws
    assert 0.1 < expected < 0.9
    # Four standard deviations of a share.
    assert share == pytest.approx(expected, abs=4 * (expected * (1 - expected) / num_draws) ** 0.5)


def test_a_drawn_proposal_carries_the_probability_that_the_policy_gives_it() -> None:
    policy = trained_policy()
    drawn = [policy.draw(np.random.default_rng(i)) for i in range(20)]
    decisions = [proposal.decisions for proposal in drawn]
    log_prob = policy(torch.tensor(decisions), policy.legal_options(decisions)).log_prob
    assert [proposal.log_prob for proposal in drawn] == pytest.approx(log_prob.tolist(), abs=1e-4)


def test_at_first_every_legal_option_is_equally_likely() -> None:
    policy = RecurrentPolicy(SPACE, hidden_width=64, seed=0)
    proposal = policy.draw(np.random.default_rng(0))
    num_legal = [len(SPACE.legal(proposal.decisions[:i])) for i in range(len(proposal.decisions))]
    assert proposal.log_prob == pytest.approx(-np.log(num_legal).sum())


def test_a_choice_depends_on_the_choices_before() -> None:
    log_prob, _ = likelihood_of_all(trained_policy())
    # Level of the first block against the first parent of the last one.
    joint = np.zeros((2, 4))
    for vector, probability in zip(VECTORS, log_prob.exp().tolist(), strict=True):
        joint[vector[0], vector[7]] += probability
    conditional = joint / joint.sum(1, keepdims=True)
    assert np.abs(conditional[0] - conditional[1]).max() > 1e-3


def test_another_number_of_threads_learns_and_draws_the_same() -> None:
    before = torch.get_num_threads()
    drawn = []
    try:
        for num_threads in (1, 2):
            torch.set_num_threads(num_threads)
            controller = Reinforce(SPACE)
            for i in range(24):
                proposal = controller.ask(np.random.default_rng(i))
                controller.tell(proposal, sum(proposal.decisions) / 100)
            drawn.append([controller.ask(np.random.default_rng(100 + i)) for i in range(5)])
            assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)
    assert drawn[0] == drawn[1]
    assert drawn[0] != [Reinforce(SPACE).ask(np.random.default_rng(100 + i)) for i in range(5)]
