"""A candidate: all that a search proposes at once, and a task evaluates."""

import hashlib
from dataclasses import dataclass, fields

from search_space.scale import ModelScale
from search_space.spec import ArchSpec, short_form


@dataclass(frozen=True, slots=True)
class Candidate:
    """A topology and, where the space searches scales, the scale that it is to be built at.

    Attributes:
        spec: the topology.
        scale: its own scale, which wins over that of a task; None where the space searches none.
    """

    spec: ArchSpec
    scale: ModelScale | None = None

    @property
    def key(self) -> str:
        """Canonical name of what would be built: equal keys mean the same network. 16 hexadecimal digits.

        Without a scale it is the spec's own.
        """
        if self.scale is None:
            return self.spec.key

        # Keys are on record in journals and spec files: this text must stay as it is. Fields at their defaults are left
        # out, so that a later version may add some, and numbers are of one type, as JSON has no other.
        words = [self.spec.key]
        for field in fields(ModelScale):
            value = getattr(self.scale, field.name)
            if value != field.default:
                words.append(f"{field.name}={value if isinstance(value, str) else float(value)}")
        return hashlib.sha256(" ".join(words).encode()).hexdigest()[:16]

    @property
    def short_form(self) -> str:
        """The blocks in one line and, behind them, what the scale has that networks of one family differ in.

        >>> from search_space import published_spec
        >>> Candidate(published_spec("r0-sp53"), ModelScale(width_multiplier=0.8, image_size_px=512)).short_form
        '2 3 3 4 4 3 5 4 4 4|3 4 5 7 6 at 512px w0.8 a0.5 r1 e256 h4x256'
        """
        blocks = short_form(self.spec.blocks)
        return blocks if self.scale is None else f"{blocks} at {self.scale.short_form}"
