"""The latency among the metrics of a trial, measured once it is scored, and the rehearsal of it before any trial."""

import math
from collections.abc import Mapping

from foundation import InputError, printable
from proxy_tasks.base import Report
from proxy_tasks.coco.open_data import open_data
from proxy_tasks.short_training.evaluation_options import EvaluationOptions
from proxy_tasks.timing.measured import Timing, network_latency
from proxy_tasks.timing.network import TimedNetwork
from search_space import ArchSpec


def latency_metrics(
    options: EvaluationOptions, architecture: str | ArchSpec, num_classes: int, remarks: list[str]
) -> Mapping[str, float]:
    """Return the latency of a network as metrics: the figure itself, and with the spread under its conditions.

    Where it cannot be measured the figure is no number, and a remark says why: what was trained is not lost.
    """
    try:
        network = _timed(options, architecture, num_classes)
        kept = network_latency(network, _timing(options), options.data.cache_dir, say=remarks.append)
    except Exception as error:
        # Whatever happens in another program, or for lack of memory: the score was paid for, and is known.
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        remarks.append(printable(f"latency_ms was not measured: {reason}"))
        return {"latency_ms": math.nan}

    latency = kept.latency
    label = latency.conditions.label
    return {
        "latency_ms": latency.median_ms,
        f"latency_ms/{label}": latency.median_ms,
        f"latency_spread_ms/{label}": latency.spread_ms,
    }


def rehearse(options: EvaluationOptions, architecture: str, report: Report) -> tuple[str, ...]:
    """Time a network of the task's scale before any is trained; return lines for a person.

    Nothing is timed where the scale does not fit this network: it may fit those of the search.

    Raises:
        InputError: it cannot be timed, and so no other could.
    """
    remarks: list[str] = []
    timing = _timing(options)
    num_runs = options.latency.num_calls if options.latency.runtime == "command" else timing.num_runs
    try:
        kept = network_latency(
            _timed(options, architecture, open_data(options.data).num_classes),
            timing,
            options.data.cache_dir,
            report=lambda run: report(f"timing {architecture}", run, num_runs),
            say=remarks.append,
        )
    except InputError as error:
        raise InputError(f"task.latency: {error}") from None
    except ValueError:
        return ()
    return f"latency of {architecture}: {kept.latency}", *remarks


def _timed(options: EvaluationOptions, architecture: str | ArchSpec, num_classes: int) -> TimedNetwork:
    size = options.scale.image_size_px
    return TimedNetwork(architecture, options.scale, (size, size), options.head, num_classes)


def _timing(options: EvaluationOptions) -> Timing:
    return Timing(options.latency, options.device, options.precision)
