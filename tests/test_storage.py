import stat
import subprocess
import sys
from pathlib import Path

import pytest

from poseact.errors import InputError, OutputError
from poseact.remote import RemotePath
from poseact.storage import (
    cannot_read,
    cannot_write,
    is_remote,
    remove_tree,
    to_path,
    write_bytes,
    write_text,
)

pytestmark = pytest.mark.faults


@pytest.fixture(params=["local", "s3", "memory"])
def folder(request, tmp_path):
    """An empty folder of each kind."""
    if request.param == "s3":
        return to_path(request.getfixturevalue("s3_folder"))
    return to_path(f"memory://bucket{tmp_path}" if request.param == "memory" else tmp_path)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("s3://bucket/a", True),
        ("memory://a", True),
        (RemotePath.from_uri("s3://bucket/a"), True),
        ("a/b", False),
        ("a:b", False),
        ("a b://c", False),
        (Path("s3:/bucket"), False),
    ],
)
def test_a_location_with_a_scheme_is_in_a_store(location, expected):
    assert is_remote(location) is expected


def test_a_local_location_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert to_path("a") == to_path(Path("a")) == tmp_path / "a"


def test_a_location_in_a_store_stays_as_it_is():
    place = to_path("s3://bucket/a b")

    assert str(place) == "s3://bucket/a b"
    assert to_path(place) is place


def test_files_are_written_and_replaced(folder):
    write_bytes(folder / "a", b"before")
    write_bytes(folder / "a", b"1\r\n2")
    write_text(folder / "b", "ä\n")

    assert (folder / "a").read_bytes() == b"1\r\n2"
    assert (folder / "b").read_bytes() == "ä\n".encode()
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]


def test_a_tree_is_removed_if_it_is_there(folder):
    (folder / "a" / "b").mkdir(parents=True, exist_ok=True)
    write_text(folder / "a" / "b" / "c", "1")
    write_text(folder / "d", "1")

    remove_tree(folder / "a")
    remove_tree(folder / "a")

    assert not (folder / "a").exists()
    assert (folder / "d").exists()


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    (tmp_path / "a").mkdir()

    with pytest.raises(OutputError, match=r"/a: cannot be written: Is a directory\. Free"):
        write_text(tmp_path / "a", "1")
    with pytest.raises(OutputError, match=r"/b/c: cannot be written: No such file"):
        write_text(tmp_path / "b" / "c", "1")

    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


def test_a_refused_file_is_an_output_error(s3, s3_folder):
    place = to_path(s3_folder) / "a"
    with s3.refusing("."):
        with pytest.raises(OutputError, match=r"a: cannot be written: .*may it be written to\?"):
            write_text(place, "1")
        with pytest.raises(OutputError, match="cannot be written"):
            remove_tree(place.parent)


def test_a_written_file_has_the_usual_rights(tmp_path):
    (tmp_path / "by hand").write_text("1")
    write_text(tmp_path / "ours", "1")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


@pytest.mark.parametrize("error", [OSError("two\nlines."), OSError(5, "two\nlines.")])
def test_an_error_is_one_line(error):
    assert str(cannot_read(Path("/a"), error)).startswith("/a: cannot be read: two lines. Is")
    assert str(cannot_write(to_path("s3://b/a"), error)).startswith(
        "s3://b/a: cannot be written: two lines. Is the store reachable"
    )
    assert isinstance(cannot_read(Path("/a"), error), InputError)


def test_naming_a_place_does_not_wait_for_pyarrow():
    code = (
        "import sys, poseact.storage; poseact.storage.to_path('s3://bucket/a') / 'b';"
        "print({'pyarrow', 'fsspec'} & set(sys.modules))"
    )

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "set()\n"
