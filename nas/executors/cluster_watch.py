"""The watch over somebody else's cluster: a search that loses it ends with words of ours."""

import os
import socket
import time
from threading import Event, Thread
from types import TracebackType
from typing import NoReturn, Self

import ray

from nas.options.command_line import EXIT_USER_ERROR
from nas.options.invocation import how_to_continue

LOOK_EVERY_S = 1.0
"""Time between two looks."""
MAX_SILENCE_S = 45.0
"""Longest time that the head may be out of reach; after 60 s Ray ends the search itself, without a word of ours."""
MAX_SILENCE_HERE_S = 2.0
"""The same of Ray on this machine, which no network can keep from answering."""
ANSWER_WITHIN_S = 5.0
"""Longest time for one answer."""


class ClusterWatch:
    """A watch over the head of a cluster, and over Ray on this machine, for as long as it is entered.

    It is a thread of its own, which ends the process: once one of them is gone, calls to Ray do not return, and Ray
    then ends the process itself. Every result is on disk by then, and trackers get later what they have missed.
    """

    def __init__(self) -> None:
        self._is_over = Event()
        # Asked for here: another thread knows nothing of a call from Python.
        self._how_to_continue = how_to_continue()
        self._thread = Thread(target=self._watch, name="cluster watch", daemon=True)

    def __enter__(self) -> Self:
        self._head = ray.get_runtime_context().gcs_address
        self._here = _address_here()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        last_answers = {self._head: time.monotonic(), self._here: time.monotonic()}
        watched = (
            (self._head, MAX_SILENCE_S, "the head of the cluster"),
            (self._here, MAX_SILENCE_HERE_S, "Ray on this machine"),
        )

        while not self._is_over.wait(LOOK_EVERY_S):
            for address, max_silence_s, what in watched:
                if _answers(address):
                    last_answers[address] = time.monotonic()
                elif time.monotonic() - last_answers[address] > max_silence_s and not self._is_over.is_set():
                    _end_process(
                        f"the cluster was lost: {what} at {address} does not answer any more; {self._how_to_continue}"
                    )


def _address_here() -> str:
    """Return the address of Ray's own process on this machine."""
    own_id = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]  # Ray leaves it so
    (here,) = (node for node in nodes if node["NodeID"] == own_id)
    return f"{here['NodeManagerAddress']}:{here['NodeManagerPort']}"


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_WITHIN_S).close()
    except OSError:
        return False
    return True


def _end_process(why: str) -> NoReturn:
    """Say why as the last line, and end the process; a live panel hid the terminal's cursor."""
    shown_again = "\n\x1b[?25h" if os.isatty(2) else ""
    try:
        os.write(2, f"{shown_again}error: {why}\n".encode())
    finally:
        os._exit(EXIT_USER_ERROR)
