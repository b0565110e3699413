"""The loop of a reference's process, which runs in an environment of its own: it answers requests in lines of JSON."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

NUM_THREADS = 2


def serve(worker: object) -> None:
    """Answer each line of standard input by the method of the worker that it names, until there are no more.

    Standard output carries one answer for each line, after one that says TensorFlow's version; all else that is
    printed goes to standard error.
    """
    # Libraries print as they like; answers keep a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    tf.config.threading.set_intra_op_parallelism_threads(NUM_THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(NUM_THREADS)
    print(json.dumps({"tensorflow": tf.__version__}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        result = getattr(worker, request["do"])(**request["with"])
        print(json.dumps({"result": result}), file=answers, flush=True)


def assign(variables: Sequence[Any], values: Sequence[NDArray[np.generic]], session: Any) -> None:  # noqa: ANN401
    """Give TensorFlow 1's variables their values, all in one call: it looks through the whole graph at each."""
    fed = {one.initializer.inputs[1]: value for one, value in zip(variables, values, strict=True)}
    session.run([one.initializer for one in variables], fed)
