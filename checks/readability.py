"""python -m checks.readability [--table]: find walls of code, and docstrings that begin as a fragment.

A function of 25 lines and more needs a blank line between its phases, and a docstring begins with a whole statement.
Exit status 1 where one does not; --table prints how dense each package is written instead.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

PACKAGES = ("nas", "controllers", "proxy_tasks", "search_space", "foundation", "benchmarks", "checks")
WALL_LINES = 25
"""Lines of a function's body from which on it needs a paragraph."""
COUNTED_LINES = 12
"""Lines of a function's body from which on the table counts it."""
FRAGMENTS = frozenset({"Of", "So", "Whose", "Who", "Whom", "Whether", "Them", "Which", "Where", "What", "How"})
"""Words that begin a riddle or half a sentence, never a statement."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Density:
    """Air in the functions of a package that have `COUNTED_LINES` lines and more."""

    num_functions: int
    num_lines: int
    num_blank: int
    num_comments: int

    def __str__(self) -> str:
        blank, comments = (100 * number / max(self.num_lines, 1) for number in (self.num_blank, self.num_comments))
        return (
            f"{self.num_functions:4} functions {self.num_lines:5} lines {blank:5.1f} % blank {comments:5.1f} % comments"
        )


def main(arguments: list[str]) -> int:
    """Print what is found, or the table; return the exit status."""
    paths = {package: sorted(Path(package).rglob("*.py")) for package in PACKAGES}
    if arguments == ["--table"]:
        for package, files in paths.items():
            print(f"{package:<14} {density(files)}")
        return 0

    problems = [problem for files in paths.values() for path in files for problem in problems_of(path)]
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


def problems_of(path: Path) -> Iterator[str]:
    """Yield a line for each wall and each fragment in a file."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)

    for function, body in _functions(tree, text):
        if len(body) >= WALL_LINES and all(line.strip() for line in body):
            yield f"{path}:{function.lineno}: {function.name} is {len(body)} lines without a blank one"

    for line, docstring in _docstrings(tree):
        first_word = docstring.split(maxsplit=1)[0].rstrip(",.:") if docstring.strip() else ""
        if first_word in FRAGMENTS:
            yield f"{path}:{line}: a docstring begins as a fragment: {docstring.splitlines()[0][:80]}"


def density(paths: list[Path]) -> Density:
    """Return how much of the longer functions in some files is blank or comment."""
    bodies: list[list[str]] = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        bodies += [body for _, body in _functions(ast.parse(text), text) if len(body) >= COUNTED_LINES]

    lines = [line.strip() for body in bodies for line in body]
    num_blank = sum(not line for line in lines)
    num_comments = sum(line.startswith("#") for line in lines)
    return Density(len(bodies), len(lines), num_blank, num_comments)


def _functions(tree: ast.Module, text: str) -> Iterator[tuple[Function, list[str]]]:
    """Yield every function with the lines of its body, its docstring aside."""
    lines = text.split("\n")
    for node in ast.walk(tree):
        if isinstance(node, Function):
            statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if statements:
                yield node, lines[statements[0].lineno - 1 : node.end_lineno]


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and text of every docstring, those below constants and attributes included."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for statement in body:
            is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
            if is_text and isinstance(statement.value.value, str):
                yield statement.lineno, statement.value.value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
