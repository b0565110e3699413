"""Searches in the cells of a notebook, run by a kernel as Jupyter does."""

import asyncio
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from nas.record.journal import FILE_NAME

pytestmark = pytest.mark.long

NBFORMAT: Any = nbformat  # whose functions have no types
EXAMPLES = Path(__file__).parents[3] / "examples"


def executed(notebook: Any, folder: Path) -> Any:  # noqa: ANN401
    """Return a notebook with the outputs of its cells, each of which was run in a folder."""
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, allow_errors=True
    )
    return client.execute()


def notebook_of(*cells: str) -> Any:  # noqa: ANN401
    return NBFORMAT.v4.new_notebook(cells=[NBFORMAT.v4.new_code_cell(cell) for cell in cells])


def outputs_of(cell: Any, kind: str) -> list[Any]:  # noqa: ANN401
    return [output for output in cell.outputs if output.output_type == kind]


def text_of(cell: Any) -> str:  # noqa: ANN401
    return "".join(output.text for output in outputs_of(cell, "stream"))


def test_the_notebook_of_the_examples_runs_from_its_first_cell_to_its_last(tmp_path: Path) -> None:
    notebook = NBFORMAT.read(EXAMPLES / "run_from_python.ipynb", as_version=4)
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []

    cells = {cell.id: cell for cell in executed(notebook, tmp_path).cells if cell.cell_type == "code"}
    assert [outputs_of(cell, "error") for cell in cells.values()] == [[]] * len(cells)
    assert "4 completed" in text_of(cells["start"])
    assert "<svg " in cells["run"].outputs[0].data["text/html"]
    assert "<svg " in cells["spec"].outputs[0].data["image/svg+xml"]
    assert "5 completed" in text_of(cells["resume"])
    assert text_of(cells["mistake"]) == "unknown option num_trails; did you mean num_trials?\n"
    assert 'src="runs/from_python/report.html"' in cells["page"].outputs[0].data["text/html"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return executed cells by name: one kernel for all of them, as it takes a second to start."""
    start = "Run.start(task='landscape', executor='local', tracking='none', run='<a>', num_trials=30)"
    sources = {
        "search": f"from nas import Run\nrun = {start}",
        "verbose": "_ = run.resume(num_trials=31, verbosity='verbose')",
        "mistake": "Run.open('nowhere')",
        "run": "run",
        "trial": "run.best",
        "spec": "run.spec",
        "report": "run.report()",
    }
    notebook = executed(notebook_of(*sources.values()), tmp_path_factory.mktemp("notebook"))
    return dict(zip(sources, notebook.cells, strict=True))


def test_a_mistake_in_a_cell_is_one_line_without_a_traceback(cells: dict[str, Any]) -> None:
    (error,) = outputs_of(cells["mistake"], "error")
    assert len(error.traceback) == 1
    assert error.traceback[0].startswith("InputError: no run at ")


def test_a_search_in_a_cell_writes_over_its_panel_and_leaves_its_last_lines(cells: dict[str, Any]) -> None:
    (panel,) = outputs_of(cells["search"], "display_data")
    lines = panel.data["text/plain"].splitlines()
    numbers = [re.sub(r"\[\d+/30\] trial (\d+) .*", r"\1", line) for line in lines]
    assert numbers == [str(number) for number in range(10, 30)]
    assert max(map(len, lines)) <= 110
    assert "30 completed" in text_of(cells["search"])
    assert "] trial " not in text_of(cells["search"])

    # All that is asked for stays.
    assert "trial 30 starts" in text_of(cells["verbose"])
    assert "[31/31] trial 30" in text_of(cells["verbose"])


def test_runs_trials_and_specs_draw_themselves_and_a_report_is_shown_below_its_cell(cells: dict[str, Any]) -> None:
    for name in ("run", "trial"):
        assert "<svg " in cells[name].outputs[0].data["text/html"]
    assert "<table>" in cells["run"].outputs[0].data["text/html"]
    assert cells["spec"].outputs[0].data["image/svg+xml"].startswith("<svg ")
    assert 'src="%3Ca%3E/report.html"' in cells["report"].outputs[0].data["text/html"]


@pytest.mark.long
def test_a_cell_that_is_interrupted_leaves_a_run_that_the_next_cell_resumes(tmp_path: Path) -> None:
    start = "Run.start(task='landscape', executor='local', tracking='none', run='run', num_trials=100000)"
    resume = "run = Run.open('run')\nn = len(run.trials)\nrun.resume(num_trials=n + 2)\nlen(run.trials) - n"
    notebook = notebook_of(f"from nas import Run\n{start}", resume)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}, allow_errors=True
    )

    async def interrupt() -> None:
        journal = tmp_path / "run" / FILE_NAME
        while not journal.exists() or journal.read_text().count('"told"') < 3:
            await asyncio.sleep(0.1)
        kernel: Any = client.km
        await kernel.interrupt_kernel()

    async def execute() -> None:
        async with client.async_setup_kernel():
            interrupted = asyncio.ensure_future(interrupt())
            for number, cell in enumerate(notebook.cells):
                await client.async_execute_cell(cell, number)
            await interrupted

    asyncio.run(execute())
    first, second = notebook.cells
    (error,) = outputs_of(first, "error")
    assert error.ename == "KeyboardInterrupt"
    assert "stopped by Ctrl-C" in text_of(first)
    assert "Resume:  Run.open('run').resume(num_trials=100000)" in text_of(first)
    assert second.outputs[-1].data["text/plain"] == "2"
