"""Top-1 and top-5, counted as torch ranks logits."""

import numpy as np
import pytest
import torch

from proxy_tasks.classification.scoring import Answers, ranks_of, score


def test_figures_are_those_of_torch_s_largest_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((200, 12)).astype(np.float32)
    classes = rng.integers(0, 12, 200)
    ranks = ranks_of(logits, classes)
    best = torch.from_numpy(logits).topk(5).indices.numpy()
    figures = score([Answers(classes[:90], ranks[:90]), Answers(classes[90:], ranks[90:])])
    assert figures["top1"] == pytest.approx((best[:, 0] == classes).mean())
    assert figures["top5"] == pytest.approx((best == classes[:, None]).any(axis=1).mean())


def test_a_network_that_says_the_same_of_all_classes_or_nothing_is_right_about_none() -> None:
    logits = np.array([[1, 1, 1], [np.nan, 0, 0], [0, np.nan, 0]], np.float32)
    assert ranks_of(logits, np.array([0, 0, 0])).tolist() == [2, 2, 2]
