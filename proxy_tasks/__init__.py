"""Proxy tasks: cheap stand-ins for full training, from a spec to metrics."""

from proxy_tasks.base import (
    NO_WEIGHTS,
    BadDataError,
    BadSpecError,
    Evaluation,
    Fidelity,
    LossLimit,
    NonFiniteLossError,
    Numerics,
    OptionRules,
    ProxyTask,
    Report,
    Weights,
    silent,
)

__all__ = [
    "BadDataError",
    "BadSpecError",
    "Evaluation",
    "Fidelity",
    "LossLimit",
    "NO_WEIGHTS",
    "NonFiniteLossError",
    "Numerics",
    "OptionRules",
    "ProxyTask",
    "Report",
    "Weights",
    "silent",
]
