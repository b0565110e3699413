"""A picture as SVG text that can stand in a file or inside an HTML page, next to others."""

import re
from html import escape

from nas.drawing.curves import Point
from nas.drawing.picture import Picture, Shape, Text

NAMESPACE = "http://www.w3.org/2000/svg"
FONTS = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_svg(picture: Picture) -> str:
    """Return the picture as SVG text.

    It has no ids, no style sheet and no references, so it clashes with nothing in the page that it stands in.
    """
    width, height = _number(picture.width), _number(picture.height)
    lines = [
        f'<svg xmlns="{NAMESPACE}" role="img" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="{FONTS}" stroke-linejoin="round">',
        f"<title>{_escaped(picture.description)}</title>",
        *(_shape(item) if isinstance(item, Shape) else _text(item) for item in picture.items),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _shape(shape: Shape) -> str:
    commands = [f"M{_point(shape.curve.start)}"]
    for first, second, end in shape.curve.segments:
        is_straight = second == end
        commands.append(f"L{_point(end)}" if is_straight else f"C{_point(first)} {_point(second)} {_point(end)}")
    if shape.is_closed:
        commands.append("Z")

    attributes = [f'd="{"".join(commands)}"', f'fill="{shape.fill or "none"}"']
    if shape.stroke:
        attributes += [f'stroke="{shape.stroke}"', f'stroke-width="{_number(shape.stroke_width)}"']
    if shape.dash:
        attributes.append(f'stroke-dasharray="{_number(shape.dash[0])} {_number(shape.dash[1])}"')
    return f"<path {' '.join(attributes)}/>"


def _text(text: Text) -> str:
    label = text.label
    attributes = [f'x="{_number(label.x)}"', f'y="{_number(label.y)}"', f'font-size="{_number(label.size)}"']
    attributes.append(f'fill="{text.colour}"')
    if label.anchor == "middle":
        attributes.append('text-anchor="middle"')
    if label.is_bold:
        attributes.append('font-weight="bold"')
    return f"<text {' '.join(attributes)}>{_escaped(label.text)}</text>"


def _point(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _escaped(text: str) -> str:
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))
