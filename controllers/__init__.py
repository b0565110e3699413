"""Search algorithms: from rewards to the next decisions."""

from controllers.base import Controller, Proposal
from controllers.evolution import RegularizedEvolution
from controllers.random_search import RandomSearch

__all__ = ["Controller", "Proposal", "RandomSearch", "RegularizedEvolution"]
