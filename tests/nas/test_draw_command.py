"""python -m nas.draw, as a user has it."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from search_space import SpecFile, published_spec, write_spec
from tests.conftest import Run


def test_draw_writes_both_files_here(call: Run, tmp_path: Path) -> None:
    done = call("nas.draw", "spec=spinenet-96", "width_px=300")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["spinenet-96.svg", "spinenet-96.png"]
    assert "spinenet-96: stem of levels 2 2" in (tmp_path / "spinenet-96.svg").read_text(encoding="utf-8")
    with Image.open(tmp_path / "spinenet-96.png") as image:
        assert image.width == 300


def test_draw_of_a_spec_file_takes_its_name(call: Run, tmp_path: Path) -> None:
    document = SpecFile(schema_version=1, name="<b>&amp;", spec=published_spec("r0-sp53"))
    write_spec(tmp_path / "01-mine.json", document)
    done = call("nas.draw", "spec=01-mine.json", "out=new/folder", "format=svg")
    assert done.stdout.split() == ["new/folder/01-mine.svg"]
    root = ElementTree.parse(tmp_path / "new/folder/01-mine.svg").getroot()
    assert "<b>&amp;" in [element.text for element in root]


@pytest.mark.parametrize(
    ("out", "arguments"), [("a.svg", []), ("b.png", ["format=png"]), ("deep/c.png", ["compact=true"])]
)
def test_draw_into_one_file(call: Run, tmp_path: Path, out: str, arguments: list[str]) -> None:
    done = call("nas.draw", "spec=r23-sp30", f"out={out}", "width_px=100", *arguments)
    assert done.stdout.split() == [out]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / out]


@pytest.mark.parametrize(("title", "is_shown"), [("title=Found in 2026", True), ("title=none", False)])
def test_titles_can_be_given_and_left_out(call: Run, tmp_path: Path, title: str, is_shown: bool) -> None:
    assert call("nas.draw", "out=a.svg", title).returncode == 0
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert (">Found in 2026<" in text) == is_shown
    assert ">spinenet-49<" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("spec=spinenet-94",), "; did you mean spinenet-96?"),
        (("spec=spinet",), "unknown published spec 'spinet'; known are r0-sp53, r23-sp30"),
        (("spec=absent.json",), "cannot read spec absent.json: No such file"),
        (("spec=broken.json",), "broken.json: Invalid JSON"),
        (("format=gif",), "format: Input should be 'svg', 'png' or 'both', got 'gif'"),
        (("out=a.png", "format=both"), "format=both does not go into one file that ends in .png, as a.png"),
        (("out=a.svg", "format=png"), "format=png does not go into one file that ends in .svg, as a.svg"),
        (("width_px=99",), "width_px must be 100 to 8000, got 99"),
        (("width_px=9000",), "width_px must be 100 to 8000, got 9000"),
        (("width_px=wide",), "width_px: Input should be a valid integer"),
        (("title=",), "title: needs a value"),
        (("out=broken.json/x",), "cannot write broken.json/x/spinenet-49.svg: Not a directory"),
        (("out=folder.svg",), "cannot write folder.svg: Is a directory"),
        (("colour=red",), "unknown option colour; --help lists them"),
    ],
)
def test_mistakes_are_one_line(call: Run, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "folder.svg").mkdir()
    done = call("nas.draw", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"broken.json", "folder.svg"}


def test_help_explains_the_options(call: Run) -> None:
    done = call("nas.draw", "--help")
    assert done.returncode == 0
    assert re.search(r"width_px=1600 +Width of the PNG, in pixels\.", done.stdout)
    assert "python -m nas.draw spec=spinenet-49\n" in done.stdout
