import jupytext
import nbformat
import pytest

NOTEBOOKS = ("review",)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_and_its_script_hold_the_same_cells(repo, name):
    script = jupytext.read(repo / "notebooks" / f"{name}.py")
    notebook = nbformat.read(repo / "notebooks" / f"{name}.ipynb", as_version=4)

    def cells(book):
        return [(cell.cell_type, cell.source) for cell in book.cells]

    hint = f"run: uv run jupytext --to ipynb notebooks/{name}.py"
    assert cells(notebook) == cells(script), hint


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_is_stored_without_results(repo, name):
    notebook = nbformat.read(repo / "notebooks" / f"{name}.ipynb", as_version=4)

    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code
    assert not any(cell.outputs or cell.execution_count for cell in code)
