"""An upper bound of the width of a text, whichever sans-serif font shows it."""

_NARROW, _WIDE = set("fijlrtI.,:;'|![]()/- "), set("mwMW@%")


def text_width(text: str, size: float, is_bold: bool = False) -> float:
    """Return an upper bound of a text's width; `size` is the font's.

    Letters are taken as wide as those of DejaVu Sans, the widest of the usual fonts.
    """
    width = 0.0
    for character in text:
        if ord(character) > 0x2FF:
            width += 1.0
        elif character in _NARROW:
            width += 0.42
        elif character in _WIDE:
            width += 1.0
        else:
            width += 0.79 if character.isupper() else 0.64
    return width * size * (1.1 if is_bold else 1.0)
