"""A recurrent policy over the decisions of a space: what REINFORCE and PPO train."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from controllers.base import Proposal
from search_space import Decisions, SearchSpace


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely B proposals are under a policy.

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
    choices so far have probability zero. At first every legal option is equally likely.

    Args:
        space: its decisions, and which options are legal.
        hidden_width: units of the LSTM and of the embeddings.
        seed: of the first weights.

    Source: Zoph and Le, Neural Architecture Search with Reinforcement Learning (arXiv 1611.01578), section 3.1.
    Differs: one softmax layer serves all decisions, which the input tells apart, so that what is learnt of one block
        helps with the next.
    """

    def __init__(self, space: SearchSpace, hidden_width: int = 64, seed: int = 0) -> None:
        super().__init__()
        if hidden_width < 1:
            raise ValueError(f"hidden_width must be 1 or more, got {hidden_width}")
        if not 0 <= seed < 2**32:
            raise ValueError(f"seed must be 0 to {2**32 - 1}, got {seed}")
        self._space = space
        self._num_options = max(decision.num_options for decision in space.decisions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # The last embedding stands for "nothing was chosen yet".
            self.chosen = nn.Embedding(self._num_options + 1, hidden_width)
            self.place = nn.Embedding(len(space.decisions), hidden_width)
            self.cell = nn.LSTMCell(hidden_width, hidden_width)
            self.head = nn.Linear(hidden_width, self._num_options)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def draw(self, rng: np.random.Generator) -> Proposal:
        """Draw decisions, with the logarithm of their probability."""
        decisions: list[int] = []
        log_prob = 0.0
        with torch.inference_mode(), one_thread():
            state: tuple[Tensor, Tensor] | None = None
            for threshold in rng.random(len(self._space.decisions)).tolist():
                legal = self._space.legal(decisions)
                previous = decisions[-1] if decisions else self._num_options
                logits, state = self._step(len(decisions), torch.tensor([previous]), state)
                log_probs = logits[0, list(legal)].double().log_softmax(0)
                below = int((log_probs.exp().cumsum(0) <= threshold).sum())
                at = min(below, len(legal) - 1)
                decisions.append(legal[at])
                log_prob += float(log_probs[at])
        return Proposal(tuple(decisions), log_prob)

    def forward(self, decisions: Tensor, is_legal: Tensor) -> Likelihood:
        """Return how likely proposals are.

        Args:
            decisions: (B, D) chosen options.
            is_legal: (B, D, N) which options were legal at each decision, as `legal_options` has them.
        """
        previous = torch.full_like(decisions[:, 0], self._num_options)
        state: tuple[Tensor, Tensor] | None = None
        steps = []
        for place in range(decisions.shape[1]):
            logits, state = self._step(place, previous, state)
            steps.append(logits)
            previous = decisions[:, place]
        log_probs = torch.stack(steps, 1).masked_fill(~is_legal, -torch.inf).log_softmax(2)
        chosen = log_probs.gather(2, decisions[:, :, None])
        surprise = -log_probs.exp() * log_probs.masked_fill(~is_legal, 0.0)
        return Likelihood(log_prob=chosen.sum((1, 2)), entropy=surprise.sum((1, 2)))

    def legal_options(self, proposals: Sequence[Decisions]) -> Tensor:
        """Return which options were legal at each decision of B proposals, as (B, D, N) booleans."""
        is_legal = torch.zeros(len(proposals), len(self._space.decisions), self._num_options, dtype=torch.bool)
        for row, decisions in zip(is_legal.numpy(), proposals, strict=True):
            for place in range(len(decisions)):
                row[place, list(self._space.legal(decisions[:place]))] = True
        return is_legal

    def _step(
        self, place: int, previous: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return (B, N) logits of one decision after (B,) previous choices, and the LSTM's state."""
        hidden, cell = self.cell(self.chosen(previous) + self.place.weight[place], state)
        return self.head(hidden), (hidden, cell)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: faster for matrices as small as these, and the same on every number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
