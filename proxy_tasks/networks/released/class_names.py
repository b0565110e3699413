"""The names of the classes of released weights, whose checkpoints number classes and do not name them."""

from collections.abc import Sequence
from pathlib import Path

from foundation import InputError, short_path
from proxy_tasks.networks.released.checkpoint import Checkpoint

MAX_CLASSES = 100_000
"""Most classes that a checkpoint is believed to have."""


def num_classes_of(checkpoint: Checkpoint, bias: str, published: int) -> int:
    """Return the number of classes of a checkpoint, the background among them.

    Args:
        checkpoint: the checkpoint.
        bias: name of the variable that has a value for each of them.
        published: the number where it lacks that variable, which is then found missing.

    Raises:
        InputError: the variable has no such shape.
    """
    if bias not in checkpoint:
        return published
    shape = checkpoint.shape(bias)
    if len(shape) != 1 or not 1 < shape[0] <= MAX_CLASSES:
        raise InputError(f"{checkpoint.prefix}: {bias} of {shape} is of no 2 to {MAX_CLASSES:,} classes")
    return shape[0]


def named_classes(names: Sequence[str], num_classes: int, prefix: Path) -> tuple[str, ...]:
    """Return the names of classes 1 to K - 1, in order; class 0 is the background.

    Args:
        names: the names that a person gave; none for their numbers.
        num_classes: K, as the checkpoint has it.
        prefix: of the checkpoint, for messages.

    Raises:
        InputError: there are not as many names as classes, or two are the same, or one is empty.
    """
    if not names:
        return tuple(f"class {k}" for k in range(1, num_classes))
    if len(names) != num_classes - 1:
        raise InputError(
            f"classes has {len(names)} names, and {short_path(prefix)} {num_classes - 1} classes beside the background"
        )

    doubled = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if doubled is not None:
        raise InputError(f"classes has {doubled!r} twice")
    if not all(name.strip() for name in names):
        raise InputError("classes has an empty name")
    return tuple(names)


def read_class_names(path: Path) -> tuple[str, ...]:
    """Return the lines of a text file, each the name of a class.

    Raises:
        InputError: it cannot be read, or is no text.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"classes: cannot read {short_path(path)}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"classes: {short_path(path)} is no text, needed is one name a line") from None
    return tuple(line.strip() for line in text.splitlines())
