"""Cheap stand-ins for full training: from a spec to metrics."""

from proxy_tasks.base import Evaluation, Fidelity, NonFiniteLossError, ProxyTask, Report, silent

__all__ = ["Evaluation", "Fidelity", "NonFiniteLossError", "ProxyTask", "Report", "silent"]
