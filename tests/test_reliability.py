"""The table of promises names tests that there are."""

import re
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def test_every_promise_names_a_test_or_a_benchmark_that_exists() -> None:
    text = (PROJECT / "docs" / "reliability.md").read_text()
    rows = re.findall(r"^\| (?!promise|kind|---)(.+?) \| `(.+?)` \|$", text, re.M)
    assert len(rows) > 30
    assert len(rows) == len(re.findall(r"^\| (?!promise|kind|---|`)", text, re.M)), (
        "a row without one test in backticks"
    )
    for _, name in rows:
        if name.startswith("python -m "):
            assert (PROJECT / f"{name.removeprefix('python -m ').replace('.', '/')}.py").is_file()
            continue
        path, _, test = name.partition("::")
        content = (PROJECT / path).read_text()
        assert not test or f"def {test}(" in content, name
