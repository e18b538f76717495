import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = ("review", "training")


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


def test_the_training_notebook_goes_from_pictures_to_actions(repo, data_dir, monkeypatch):
    monkeypatch.setenv("POSEACT_DATA", str(data_dir.resolve()))
    notebook = nbformat.read(repo / "notebooks" / "training.ipynb", as_version=4)

    NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": str(repo / "notebooks")}}
    ).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    tables = [output for output in outputs if "text/html" in output.get("data", {})]
    assert len(pictures) == 9, "raw, mended, two of views, two of curves, two of found, the worst"
    assert len(tables) == 3, "by joint, by film, by features"
