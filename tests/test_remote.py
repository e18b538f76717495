import errno
import os
import pickle
import socket
import time

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from poseact.errors import ConfigError
from poseact.remote import RemotePath

pytestmark = pytest.mark.faults

KINDS = ["s3", "memory", "file"]
MIB = 1024**2
ODD = ["a b", "a%20b", "a#b?c=d", "a'b\"c", "ä€\U0001f600", "a+b&c;d", "[a]*", "-", "a<b>", "..."]


@pytest.fixture(params=KINDS)
def folder(request, tmp_path):
    """An empty place on each kind of file system."""
    if request.param == "s3":
        return RemotePath.from_uri(request.getfixturevalue("s3_folder"))
    if request.param == "memory":
        return RemotePath.from_uri(f"memory://bucket{tmp_path}")
    return RemotePath.from_uri(f"file://{tmp_path}/out")


@pytest.fixture
def s3_place(s3_folder):
    return RemotePath.from_uri(s3_folder)


def made(place, content=b"content"):
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def test_a_place_has_the_parts_of_a_path():
    place = RemotePath.from_uri("s3://bucket/a/b.tar.gz")

    assert (place.name, place.stem, place.suffix) == ("b.tar.gz", "b.tar", ".gz")
    assert str(place.parent) == "s3://bucket/a"
    assert str(place.parent.parent) == "s3://bucket"
    assert place.parent.parent.parent == place.parent.parent
    assert str(place.with_name("c d")) == "s3://bucket/a/c d"
    assert str(place.with_suffix(".mp4")) == "s3://bucket/a/b.tar.mp4"
    assert str(place.parent / "c/d") == "s3://bucket/a/c/d"
    assert str(place.relative_to(RemotePath.from_uri("s3://bucket"))) == "a/b.tar.gz"
    assert place == RemotePath.from_uri("S3://bucket//a/b.tar.gz/")


@pytest.mark.parametrize("other", ["s3://other/a", "gs://bucket/a", "s3://bucket/ab"])
def test_a_place_is_not_relative_to_another_folder(other):
    with pytest.raises(ValueError, match="is not in"):
        RemotePath.from_uri("s3://bucket/a/b").relative_to(RemotePath.from_uri(other))


def test_local_functions_do_not_take_a_place_for_a_path():
    with pytest.raises(TypeError):
        os.fspath(RemotePath.from_uri("s3://bucket/a"))


def test_a_place_is_its_names_alone():
    place = RemotePath.from_uri("memory://bucket/a b")
    place.exists()

    again = pickle.loads(pickle.dumps(place))  # noqa: S301 - our own

    assert (again, hash(again)) == (place, hash(place))
    assert len(pickle.dumps(place)) < 200


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        pytest.param("bucket/a", "is no location", id="no scheme"),
        pytest.param("s3:///a", "names no bucket", id="no bucket"),
        pytest.param("nfs5://host/a", "is not known", id="unknown scheme"),
        pytest.param("abfs://host/a", "needs a package.*adlfs", id="no driver"),
        pytest.param("s3://bucket/a/../b", "without", id="dots"),
        pytest.param("s3://bucket/a//b", "without", id="an empty name"),
    ],
)
def test_a_location_that_cannot_be_meant_is_refused(uri, reason):
    with pytest.raises(ConfigError, match=reason):
        RemotePath.from_uri(uri)


def test_an_endpoint_without_a_scheme_is_refused(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "localhost:9000")

    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL"):
        RemotePath.from_uri("s3://bucket/a").exists()


def test_a_file_is_read_as_it_was_written(folder):
    place = folder / "a" / "b.txt"
    before_ns = time.time_ns()

    assert not place.exists()
    made(place, "ä€".encode())

    assert place.read_text() == "ä€"
    assert place.exists()
    assert place.is_file()
    assert not place.is_dir()
    assert place.parent.is_dir()
    assert not place.parent.is_file()
    assert place.stat().st_size == 5
    assert place.stat().st_mtime_ns == pytest.approx(before_ns, abs=10e9)


def test_writing_again_replaces(folder):
    place = made(folder / "a", b"long before")

    place.write_bytes(b"now")

    assert place.read_bytes() == b"now"
    assert list(folder.iterdir()) == [place]


@pytest.mark.parametrize("name", [*ODD, pytest.param("a\nb", id="newline")])
def test_odd_names_come_back(folder, name):
    if name == "a\nb" and folder.scheme == "s3":
        pytest.skip("moto does not serve such a key")
    place = made(folder / name / name, b"1")
    made(folder / "a1" / "a1", b"2")

    assert RemotePath.from_uri(str(place)) == place
    assert place.read_bytes() == b"1"
    assert place in list(folder.rglob("*"))
    assert list(place.parent.iterdir()) == [place]
    place.unlink()
    assert not place.exists()
    made(place, b"3")
    place.parent.remove_tree()
    assert [str(path.relative_to(folder)) for path in folder.rglob("*")] == ["a1", "a1/a1"]


def test_large_content_comes_back_under_odd_names(s3_place):
    content = os.urandom(11 * MIB)
    name = " ".join(ODD)

    (s3_place / name / name).write_bytes(content)

    assert (s3_place / name / name).read_bytes() == content
    assert list(s3_place.rglob("*")) == [s3_place / name, s3_place / name / name]


def test_an_open_file_fetches_what_is_read(s3, s3_place):
    content = os.urandom(6 * MIB)
    place = made(s3_place / "a", content)
    s3.requests()

    with place.open() as file:
        file.seek(5 * MIB)
        assert file.read(10) == content[5 * MIB : 5 * MIB + 10]
        assert file.tell() == 5 * MIB + 10
        assert file.seekable()

    assert [line.split()[0] for line in s3.requests()] == ["HEAD", "GET"]
    with pytest.raises(ValueError, match="mode"):
        place.open("wb")


def test_what_is_missing_is_told(folder):
    place = folder / "a"

    for call in (place.stat, place.read_bytes, place.open, place.unlink):
        with pytest.raises(FileNotFoundError) as error:
            call()
        assert error.value.strerror
        assert str(error.value.filename) == str(place)
    place.unlink(missing_ok=True)
    place.remove_tree()
    assert list(place.iterdir()) == []
    assert list(place.rglob("*")) == []


def test_a_folder_is_made_once(folder):
    place = made(folder / "a" / "b")

    place.parent.mkdir(parents=True, exist_ok=True)
    with pytest.raises(FileExistsError):
        place.parent.mkdir()


def test_globs_match_as_those_of_a_path(folder, tmp_path):
    names = ["a.parquet", ".b.parquet", "x/c.parquet", "x/y/d.parquet", "x/e.txt", "z=1/f.parquet"]
    local = tmp_path / "local"
    for name in names:
        made(folder / name)
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).touch()

    for pattern in ("*", "[!.]*.parquet", "*/*.parquet", "x", "x/*", "**/d.parquet", "?/[ce].*"):
        for glob in ("glob", "rglob"):
            got = {str(path.relative_to(folder)) for path in getattr(folder, glob)(pattern)}
            expected = {str(path.relative_to(local)) for path in getattr(local, glob)(pattern)}
            assert got == expected, (glob, pattern)
    assert [path.name for path in folder.iterdir()] == [".b.parquet", "a.parquet", "x", "z=1"]


def test_a_tree_is_removed_whole_and_alone(folder):
    kept = made(folder / "work-not" / "a")
    for name in ("a", "b/c", "b/d/e"):
        made(folder / "work" / name)

    (folder / "work").remove_tree()

    assert not (folder / "work").exists()
    assert kept.exists()


def test_a_whole_store_is_not_removed():
    with pytest.raises(ValueError, match="whole store"):
        RemotePath.from_uri("s3://bucket").remove_tree()


def test_pyarrow_reads_and_finds_files(folder):
    table = pa.table({"a": [1, 2]})
    content = pa.BufferOutputStream()
    pq.write_table(table, content)
    place = made(folder / "t" / "c=x" / "a.parquet", content.getvalue().to_pybytes())

    found = ds.dataset(
        (folder / "t").path_in_store, filesystem=folder.filesystem, partitioning="hive"
    )

    assert found.to_table().to_pylist() == [{"a": 1, "c": "x"}, {"a": 2, "c": "x"}]
    assert pq.read_table(place.path_in_store, filesystem=place.filesystem).num_rows == 2


@pytest.mark.parametrize("size", [0, 1, 8 * MIB])
def test_a_small_file_is_one_put(s3, s3_place, size):
    (s3_place / "a").write_bytes(b"1" * size)

    assert s3.requests() == [f"PUT /{s3.bucket}/{s3_place.key}/a"]
    assert s3.keys(str(s3_place)) == [f"{s3_place.key}/a"]


@pytest.mark.parametrize(
    ("size", "refused"),
    [
        pytest.param(1, "PUT", id="small"),
        pytest.param(25 * MIB, "partNumber=2", id="second part"),
        pytest.param(25 * MIB, "partNumber=3", id="last part"),
        pytest.param(25 * MIB, r"POST .*\?uploads", id="start of the upload"),
        pytest.param(25 * MIB, "POST .*uploadId=", id="end of the upload"),
        pytest.param(25 * MIB, "PUT .*/a$", id="move"),
    ],
)
def test_a_refused_write_changes_nothing(s3, s3_place, size, refused):
    place = s3_place / "a"
    with s3.refusing(refused), pytest.raises(PermissionError) as error:
        place.write_bytes(b"1" * size)
    assert error.value.filename == str(place)

    assert s3.keys(str(place)) == []
    assert not [key for key in s3.keys(str(s3_place)) if not key.endswith("/")]
    made(place, b"before")
    with s3.refusing(refused), pytest.raises(PermissionError):
        place.write_bytes(b"2" * size)
    assert place.read_bytes() == b"before"
    assert list(s3_place.iterdir()) == [place]


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_a_file_cannot_be_written_into_a_file(scheme, tmp_path):
    place = made(RemotePath.from_uri(f"{scheme}://{tmp_path}/a"))

    with pytest.raises(OSError, match=r"b\.txt"):
        (place / "b.txt").write_bytes(b"1")

    assert list(place.parent.rglob("*")) == [place]


def test_a_store_that_is_down_is_told_in_seconds(monkeypatch, free_port):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    place = RemotePath.from_uri("s3://bucket/a")

    for call in (place.exists, lambda: place.write_bytes(b"1"), lambda: list(place.iterdir())):
        started = time.perf_counter()
        with pytest.raises(OSError, match="connect") as error:
            call()
        assert time.perf_counter() - started < 10
        assert error.value.errno == errno.EIO
        assert "\n" not in str(error.value)


def test_a_store_that_is_silent_is_told_in_seconds(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.perf_counter()
        with pytest.raises(OSError, match="Timeout"):
            RemotePath.from_uri("s3://bucket/a").exists()

    assert time.perf_counter() - started < 15


def test_a_denial_without_credentials_names_them(s3, s3_place, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")

    with s3.refusing("."), pytest.raises(PermissionError, match="AWS_ACCESS_KEY_ID"):
        (s3_place / "a").write_bytes(b"1")


@pytest.mark.ray
def test_workers_reach_the_same_places(ray_cluster, s3_place):
    import ray

    @ray.remote(num_cpus=1)
    def write(place):
        return place.write_bytes(b"by a worker")

    assert ray.get(write.remote(s3_place / "a")) == 11
    assert (s3_place / "a").read_bytes() == b"by a worker"
