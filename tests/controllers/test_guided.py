import numpy as np
import pytest

from controllers import Proposal
from controllers.feature_scale import SPARSE, feature_scale
from controllers.guided import Guided, Model
from proxy_tasks.landscape import true_score
from proxy_tasks.neutral_landscape import neutral_score
from search_space import Decisions, ScalePermutedSpace, resnet_seed

SPACE = ScalePermutedSpace(resnet_seed("r0-sp53"))


def reward_of(decisions: Decisions, seed: int) -> float:
    return true_score(SPACE.decode(decisions).spec, seed)


def told(controller: Guided, num_results: int, seed: int = 0) -> list[float]:
    """Search with one worker, and return the rewards."""
    rewards = []
    for trial in range(num_results):
        proposal = controller.ask(np.random.default_rng([seed, trial]))
        rewards.append(reward_of(proposal.decisions, seed))
        controller.tell(proposal, rewards[-1])
    return rewards


@pytest.mark.long
def test_the_model_finds_better_architectures_than_mutation_alone() -> None:
    def best(model: Model, seed: int) -> float:
        return max(told(Guided(SPACE, model), 80, seed))

    with_model, without = ([best(model, seed) for seed in range(1000, 1003)] for model in ("gaussian_process", "none"))
    assert np.mean(with_model) > np.mean(without) + 0.01


def test_what_was_asked_between_results_changes_no_proposal() -> None:
    # The hyperparameters are those of the first results, whenever they were needed for the first time.
    results = [SPACE.sample(np.random.default_rng(i)) for i in range(60)]
    asked, silent = Guided(SPACE, num_candidates=8), Guided(SPACE, num_candidates=8)
    for decisions in results:
        for controller in (asked, silent):
            controller.tell(Proposal(decisions), reward_of(decisions, 0))
        asked.ask(np.random.default_rng(1))
    assert asked.ask(np.random.default_rng(2)) == silent.ask(np.random.default_rng(2))


def test_no_known_architecture_is_proposed_again_and_failures_are_known() -> None:
    controller = Guided(SPACE, num_random=4, num_parents=2, num_candidates=6)
    proposed: list[Decisions] = []
    for trial in range(60):
        proposal = controller.ask(np.random.default_rng(trial))
        proposed.append(proposal.decisions)
        controller.tell(proposal, None if trial % 3 == 0 else reward_of(proposal.decisions, 0))
    assert len(set(proposed)) == len(proposed)


def test_a_network_with_a_result_is_not_proposed_again_by_other_decisions() -> None:
    # Mutants that exchange a block's parents, or change what reaches no output, are the network of their parent.
    controller = Guided(SPACE, num_random=4, num_parents=2, num_candidates=8)
    keys = []
    for trial in range(70):
        proposal = controller.ask(np.random.default_rng(trial))
        spec = SPACE.decode(proposal.decisions).spec
        keys.append(spec.key)
        controller.tell(proposal, neutral_score(spec))
    assert len(set(keys)) == len(keys)


def test_a_reused_result_counts_once() -> None:
    once, twice = Guided(SPACE, num_random=2, num_candidates=4), Guided(SPACE, num_random=2, num_candidates=4)
    for i in range(3):
        proposal = Proposal(SPACE.sample(np.random.default_rng(i)))
        for controller, times in ((once, 1), (twice, 2)):
            for _ in range(times):
                controller.tell(proposal, i / 10)
    assert once.ask(np.random.default_rng(9)) == twice.ask(np.random.default_rng(9))


def test_a_reward_counts_though_the_same_was_stopped_or_failed_before() -> None:
    once, again = (Guided(SPACE, "none", num_parents=1, num_random=2) for _ in range(2))
    proposals = [Proposal(SPACE.sample(np.random.default_rng(i))) for i in range(3)]
    again.tell(proposals[2], None)
    for i, proposal in enumerate(proposals):
        for controller in (once, again):
            controller.tell(proposal, i / 10)
    # The last is the best, and so the only parent.
    assert once.ask(np.random.default_rng(9)) == again.ask(np.random.default_rng(9))


def test_of_many_results_the_best_and_the_latest_are_fitted() -> None:
    controller = Guided(SPACE)
    rewards = np.random.default_rng(0).permutation(20) / 20
    for i, reward in enumerate(rewards):
        controller.tell(Proposal(SPACE.sample(np.random.default_rng(i))), float(reward))
    _, fitted = controller._table(20, 6)
    best = sorted(rewards)[-3:]
    latest = [reward for reward in rewards if reward not in best][-3:]
    assert fitted.tolist() == [reward for reward in rewards if reward in {*best, *latest}]
    assert controller._table(20, 20)[1].tolist() == rewards.tolist()


def test_two_architectures_are_apart_by_a_squared_distance_of_two_in_the_mean() -> None:
    features = np.array([SPACE.features(SPACE.sample(np.random.default_rng(i))) for i in range(100)])
    scaled = features * feature_scale(features, SPACE.feature_names)
    between = ((scaled[:, None] - scaled[None]) ** 2).sum(2)
    assert between.mean() == pytest.approx(2, rel=1e-6)

    # Sparse features have a tenth for each sort, and no other feature more than its share.
    for sort in SPARSE:
        own = [name.startswith(sort) for name in SPACE.feature_names]
        assert (scaled[:, own].var(0)).sum() == pytest.approx(0.1, rel=1e-6)
    counts = [not name.startswith(SPARSE) for name in SPACE.feature_names]
    assert scaled[:, counts].var(0).max() < 3 / sum(counts)


def test_features_that_never_change_are_left_out() -> None:
    features = np.array([[1.0, 2.0, 0.0], [1.0, 4.0, 1.0]])
    assert feature_scale(features, ["a", "b", "place0"])[0] == 0
    assert not feature_scale(features[:1], ["a", "b", "place0"]).any()


@pytest.mark.parametrize("options", [{"num_random": 1}, {"num_parents": 0}, {"random_share": 1.5}])
def test_impossible_options_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        Guided(SPACE, **options)  # type: ignore[arg-type]  # wrong on purpose
