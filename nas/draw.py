"""python -m nas.draw: draw an architecture."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from foundation import short_path, write_whole
from nas.drawing import draw, to_png, to_svg
from nas.options.builder import build
from nas.options.command_line import run_command
from nas.options.output import print_aside
from nas.record.architecture import find_architecture, is_run

HELP = """\
python -m nas.draw spec=NAME_OR_FILE_OR_RUN [out=FOLDER_OR_FILE] [name=value ...]

Draw an architecture: blocks from left to right in order of computation, one row a level, outputs outlined in red,
arrows from the blocks that each one reads. Published names are spinenet-49, spinenet-mobile-49, r0-sp53, r23-sp30 and
the other scales of SpineNet, which look alike. Spec files are written by nas.search and nas.export; of a run the best
is drawn, or the trial of a number. Numbers on blocks are those that nas.profile shows and that parents in spec files
refer to.

  python -m nas.draw spec=spinenet-49
  python -m nas.draw spec=runs/quickstart out=best.svg
  python -m nas.draw spec=runs/quickstart trial=7
  python -m nas.draw spec=r0-sp53 out=pictures format=png width_px=3200 title="R0-SP53, published in 2020"
"""

MIN_WIDTH_PX, MAX_WIDTH_PX = 100, 8000
ENDINGS = (".svg", ".png")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of the command; names as in `experiments/draw.yaml`."""

    spec: str
    out: Path
    format: Literal["svg", "png", "both"] | None
    width_px: int
    title: str | None
    compact: bool
    trial: int | None = None

    def __post_init__(self) -> None:
        if not MIN_WIDTH_PX <= self.width_px <= MAX_WIDTH_PX:
            raise ValueError(f"width_px must be {MIN_WIDTH_PX} to {MAX_WIDTH_PX}, got {self.width_px}")
        ending = self.out.suffix
        if ending in ENDINGS and self.format not in (None, ending[1:]):
            raise ValueError(
                f"format={self.format} does not go into one file that ends in {ending}, as {self.out.name}"
            )

    def files(self, name: str) -> list[Path]:
        """Return what to write, where the architecture is called `name`."""
        if self.out.suffix in ENDINGS:
            return [self.out]
        formats = ("svg", "png") if self.format in (None, "both") else (self.format,)
        return [self.out / f"{name}.{ending}" for ending in formats]


def main(config: dict[str, Any]) -> None:
    """Draw what the configuration asks for."""
    options = build(Options, config, "")
    found = find_architecture(options.spec, options.trial, print_aside)
    title = found.name
    if options.title is not None:
        title = "" if options.title == "none" else options.title
    picture = draw(found.spec, title, compact=options.compact)

    name = found.name if is_run(options.spec) else Path(options.spec).stem
    for path in options.files(name):
        content = to_svg(picture).encode() if path.suffix == ".svg" else to_png(picture, options.width_px)
        write_whole(path, content)
        print(short_path(path))


if __name__ == "__main__":
    run_command("draw", HELP, main)
