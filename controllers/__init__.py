"""Search algorithms: from rewards to the next decisions. Those that need torch are imported from their own files."""

from controllers.base import Controller, Proposal
from controllers.evolution import RegularizedEvolution
from controllers.local_search import LocalSearch
from controllers.pareto_evolution import ParetoEvolution
from controllers.random_search import RandomSearch

__all__ = [
    "Controller",
    "LocalSearch",
    "ParetoEvolution",
    "Proposal",
    "RandomSearch",
    "RegularizedEvolution",
]
