"""The recurrent policy over the decisions of a space, which REINFORCE and PPO train."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from controllers.base import Proposal
from controllers.one_thread import one_thread
from search_space import Decisions, SearchSpace

_State: TypeAlias = tuple[Tensor, Tensor]
"""Hidden and cell state of the LSTM, each (B, hidden width)."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The likelihood of B proposals under a policy.

    Attributes:
        log_prob: (B,) natural logarithm of the probability of each.
        entropy: (B,) the sum over a proposal's decisions of the entropy, in nats, of each given those before it. Its
            mean over proposals drawn from the policy is the entropy of the policy.
    """

    log_prob: Tensor
    entropy: Tensor


class RecurrentPolicy(nn.Module):
    """An LSTM that takes the decisions of a space one after another.

    Each step sees the option chosen before and which decision it is. Options that the space rules out after the
    choices so far have probability zero. At first every legal option is equally likely. Shapes: N is the largest number
    of options that any decision has.

    Args:
        space: its decisions, and which options are legal.
        hidden_width: units of the LSTM and of the embeddings; 1 or more.
        seed: seed of the first weights.

    Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning (arXiv 1611.01578), section 3.1.
    Differs: one softmax layer serves all decisions, which the input tells apart, so that what is learnt of one block
        helps with the next.
    """

    def __init__(self, space: SearchSpace, hidden_width: int, seed: int) -> None:
        super().__init__()
        self._space = space
        self._num_options = max(decision.num_options for decision in space.decisions)

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # The last embedding stands for "nothing was chosen yet".
            self.option_embedding = nn.Embedding(self._num_options + 1, hidden_width)
            self.decision_embedding = nn.Embedding(len(space.decisions), hidden_width)
            self.cell = nn.LSTMCell(hidden_width, hidden_width)
            self.head = nn.Linear(hidden_width, self._num_options)

        # Equal logits make every legal option equally likely.
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def draw(self, rng: np.random.Generator) -> Proposal:
        """Draw decisions, with the logarithm of their probability."""
        decisions: list[int] = []
        log_prob = 0.0
        state: _State | None = None

        with torch.inference_mode(), one_thread():
            for threshold in rng.random(len(self._space.decisions)).tolist():
                legal = self._space.legal(decisions)
                previous = decisions[-1] if decisions else self._num_options
                logits, state = self._step(len(decisions), torch.tensor([previous]), state)  # (1, N)

                # Take the option whose stretch of the cumulative distribution holds the threshold.
                log_probs = logits[0, list(legal)].double().log_softmax(0)  # (legal options,)
                num_below = int((log_probs.exp().cumsum(0) <= threshold).sum())
                # Rounding may leave the whole sum just below a threshold near 1.
                chosen = min(num_below, len(legal) - 1)

                decisions.append(legal[chosen])
                log_prob += float(log_probs[chosen])
        return Proposal(tuple(decisions), log_prob)

    def forward(self, decisions: Tensor, is_legal: Tensor) -> Likelihood:
        """Return how likely proposals are.

        Args:
            decisions: (B, D) chosen options.
            is_legal: (B, D, N) which options were legal at each decision, as `legal_options` has them.
        """
        previous = torch.full_like(decisions[:, 0], self._num_options)  # (B,)
        state: _State | None = None
        steps: list[Tensor] = []
        for index in range(decisions.shape[1]):
            logits, state = self._step(index, previous, state)  # (B, N)
            steps.append(logits)
            previous = decisions[:, index]  # (B,)

        log_probs = torch.stack(steps, 1).masked_fill(~is_legal, -torch.inf).log_softmax(2)  # (B, D, N)
        chosen = log_probs.gather(2, decisions[:, :, None])  # (B, D, 1)

        # An illegal option counts nothing: 0 times the logarithm of 0 would be NaN.
        surprise = -log_probs.exp() * log_probs.masked_fill(~is_legal, 0.0)  # (B, D, N)
        return Likelihood(log_prob=chosen.sum((1, 2)), entropy=surprise.sum((1, 2)))

    def legal_options(self, proposals: Sequence[Decisions]) -> Tensor:
        """Return which options were legal at each decision of B proposals, as (B, D, N) booleans."""
        is_legal = torch.zeros(len(proposals), len(self._space.decisions), self._num_options, dtype=torch.bool)
        # Written through NumPy's view of the same memory: indexing a tensor option by option is slow.
        for is_legal_here, decisions in zip(is_legal.numpy(), proposals, strict=True):  # (D, N)
            for index in range(len(decisions)):
                is_legal_here[index, list(self._space.legal(decisions[:index]))] = True
        return is_legal

    def _step(self, index: int, previous: Tensor, state: _State | None) -> tuple[Tensor, _State]:
        """Return (B, N) logits of decision `index` after (B,) previous choices, and the LSTM's state."""
        inputs = self.option_embedding(previous) + self.decision_embedding.weight[index]  # (B, hidden width)
        hidden, cell = self.cell(inputs, state)
        return self.head(hidden), (hidden, cell)
