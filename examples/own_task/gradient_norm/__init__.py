"""A proxy task that trains nothing: the gradient norm of a network with random weights, on random images.

It costs a second an architecture. Whether it ranks detectors is another question: python -m nas.proxy answers it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from proxy_tasks import NO_WEIGHTS, BadSpecError, Evaluation, Fidelity, Numerics, OptionRules, Report, Weights
from search_space import Candidate, ModelScale


@dataclass(frozen=True, slots=True)
class GradientNorm:
    """Scores a backbone by the norm of the gradient of its outputs' mean square, as a fraction.

    Attributes:
        scale: of each network, and of the images.
        batch_size: number of images.

    Source: Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS (ICLR 2021), which calls it grad_norm.
    """

    scale: ModelScale
    batch_size: int = 4

    metric_names = ("score", "macs", "params")
    cost_names = ("macs", "params")
    option_rules = OptionRules(ignores_training=True)

    def prepare(self, report: Report) -> tuple[str, ...]:
        """Return at once: images are drawn in each trial."""
        return ()

    def verify(self, report: Report) -> None:
        """Return at once: there is nothing to read."""

    def load(self) -> None:
        """Import torch, once in each process that evaluates."""
        import torch  # noqa: F401  # for what importing it does

    def numerics(self) -> Numerics | None:
        """Return the arithmetic of this machine."""
        from proxy_tasks.runtime import numerics_on

        return numerics_on("cpu", "float32")

    def costs(self, candidate: Candidate) -> Mapping[str, float]:
        """Return multiply-adds and weights of the backbone."""
        from proxy_tasks.networks.cost import network_cost, on_meta
        from proxy_tasks.networks.named_networks import build_network

        scale = candidate.scale or self.scale
        size_px = (scale.image_size_px, scale.image_size_px)
        cost = network_cost(on_meta(lambda: build_network(candidate.spec, scale, head="none")), size_px)
        return {"macs": float(cost.macs), "params": float(cost.params)}

    def evaluate(
        self, candidate: Candidate, *, fidelity: Fidelity, seed: int, weights: Weights = NO_WEIGHTS
    ) -> Evaluation:
        """Build the network with random weights, and take one gradient. More training changes nothing."""
        import torch

        from proxy_tasks.networks.named_networks import build_network

        scale = candidate.scale or self.scale
        torch.manual_seed(seed)
        try:
            network = build_network(candidate.spec, scale, head="none")
        except ValueError as error:
            raise BadSpecError(str(error)) from error

        images = torch.randn(self.batch_size, 3, scale.image_size_px, scale.image_size_px)
        features = network(images)
        loss = torch.stack([level.square().mean() for level in features]).mean()
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        square = sum(float(gradient.square().sum()) for gradient in gradients)

        # A fraction, as rewards expect: 0 for no gradient, 1 for an endless one.
        norm = math.sqrt(square)
        return Evaluation({"score": norm / (1 + norm), **self.costs(candidate)})
