"""Search algorithms: from rewards to the next decisions."""

from controllers.base import Controller, NothingLeftError, Proposal
from foundation import lazy_class

__all__ = ["Controller", "NothingLeftError", "Proposal"]

_MODULES = {
    "GridSearch": "grid",
    "Guided": "guided",
    "LocalSearch": "local_search",
    "ParetoEvolution": "pareto_evolution",
    "RandomSearch": "random_search",
    "RegularizedEvolution": "evolution",
}


def __getattr__(name: str) -> type[Controller]:
    """Import a controller when YAML names it: algorithms that are not used are not loaded."""
    return lazy_class(__name__, _MODULES, name)
