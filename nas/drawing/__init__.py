"""Pictures of architectures: from positions to shapes and colours, and to a file format."""

from nas.drawing.picture import Picture, draw
from nas.drawing.png import to_png
from nas.drawing.svg import to_svg
from search_space.spec import ArchSpec

__all__ = ["Picture", "architecture_svg", "draw", "to_png", "to_svg"]


def architecture_svg(spec: ArchSpec, title: str = "", *, compact: bool = False) -> str:
    """Return an architecture's picture as SVG text, to be written to a file or put into an HTML page as it is.

    Its size is that of its attributes `width` and `height`; a page may give it another by CSS, as `width: 100%;
    height: auto`.

    Args:
        spec: architecture to draw.
        title: text above the picture, none if empty; also read out by screen readers.
        compact: blocks and connections alone, for pictures too small to read text in.
    """
    return to_svg(draw(spec, title, compact=compact))
