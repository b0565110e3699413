"""Trees that are grown without a part of the rows each."""

import numpy as np

from proxy_tasks.surrogate.forest import Features, Floats, Forest, Ints, grow_forest

NUM_FOLDS = 5


def rows_of(number: int, seed: int = 0) -> tuple[Features, Floats, Ints]:
    """Return features of which two matter, two figures, and folds."""
    rng = np.random.default_rng(seed)
    features = rng.integers(0, 5, (number, 12)).astype(np.float32)
    first = 0.1 * features[:, 3] + np.where(features[:, 7] > 2, 0.5, 0.0)
    figures = np.stack([first, 10 - 4 * first], axis=1)
    return features, figures, rng.permutation(np.arange(number) % NUM_FOLDS)


def share_explained(true: Floats, predicted: Floats) -> float:
    return float(1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def test_what_features_decide_is_predicted_of_rows_that_were_held_out_and_of_new_ones() -> None:
    features, figures, folds = rows_of(200)
    forest = grow_forest(features, figures, folds, trees_per_fold=4)
    held_out = forest.held_out(features, folds)
    assert share_explained(figures[:, 0], held_out[:, 0]) > 0.9

    new_features, new_figures, _ = rows_of(100, seed=1)
    predicted = np.array([forest.predict(row) for row in new_features])
    assert share_explained(new_figures[:, 0], predicted[:, 0]) > 0.9
    # Figures that go together stay together: all are means of the same rows.
    np.testing.assert_allclose(predicted[:, 1], 10 - 4 * predicted[:, 0])


def test_of_features_that_decide_nothing_nothing_is_predicted() -> None:
    features, figures, folds = rows_of(200)
    figures = np.random.default_rng(2).random(figures.shape)
    held_out = grow_forest(features, figures, folds, trees_per_fold=4).held_out(features, folds)
    assert share_explained(figures[:, 0], held_out[:, 0]) < 0.1


def test_a_held_out_answer_does_not_depend_on_the_row_itself() -> None:
    features, figures, folds = rows_of(60)
    before = grow_forest(features, figures, folds, trees_per_fold=3).held_out(features, folds)
    changed = figures.copy()
    # Not the highest or the lowest, by which the first figure is counted.
    row = int(np.argsort(figures[:, 0])[30])
    changed[row] = (figures[:, 0].max() + figures[:, 0].min()) / 2 + 0.013
    after = grow_forest(features, changed, folds, trees_per_fold=3).held_out(features, folds)
    np.testing.assert_array_equal(after[row], before[row])
    assert not np.array_equal(after, before)


def test_equal_rows_grow_equal_trees_in_whatever_units_and_memory_order() -> None:
    features, figures, folds = rows_of(80)

    def thresholds(forest: Forest) -> list[object]:
        return [forest.feature.tolist(), forest.threshold.tolist(), forest.children.tolist()]

    grown = thresholds(grow_forest(features, figures, folds, trees_per_fold=2))
    assert thresholds(grow_forest(np.asfortranarray(features), figures, folds, trees_per_fold=2)) == grown
    assert thresholds(grow_forest(features, 1024 * figures, folds, trees_per_fold=2)) == grown
    assert thresholds(grow_forest(features, figures, folds, trees_per_fold=2, seed=1)) != grown


def test_rows_that_do_not_differ_are_one_leaf() -> None:
    features, figures, folds = rows_of(30)
    for alike in ((np.ones_like(features), figures), (features, np.ones_like(figures))):
        forest = grow_forest(*alike, folds, trees_per_fold=1)
        assert len(forest.feature) == NUM_FOLDS
        assert np.isfinite(forest.predict(features[0])).all()
