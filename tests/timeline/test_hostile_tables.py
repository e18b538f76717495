"""Tables of another version, damaged ones, and folders that somebody has been in."""

import os
import shutil
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import poseact
from poseact.errors import InputError
from poseact.timeline import tables
from poseact.timeline.schema import timeline_schema

pytestmark = pytest.mark.faults

ACTIONS = ["hello", "other"]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
NUM_ROWS = 3


def timeline_table(video_id="v1"):
    row = {
        "video_id": video_id,
        "track_id": 0,
        "time_utc": NOON,
        "bbox_xyxy_px": [0, 0, 10, 20],
        "detection_score": 1,
        "joints": [1] * 21,
        "action": "hello",
        "score": 0.8,
        "scores": [0.8, 0.2],
        "config_hash": "c",
        "model_id": "m",
    }
    rows = [{**row, "frame_index": i, "pts_s": float(i)} for i in range(NUM_ROWS)]
    return pa.Table.from_pylist(rows, schema=timeline_schema(ACTIONS))


def write(out, video_id="v1"):
    return tables.write_timeline(
        out, timeline_table(video_id), video_id=video_id, camera_id="door", start_utc=NOON
    )


@pytest.fixture
def out(tmp_path):
    write(tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def file(out):
    return next((out / "timeline").rglob("v1.parquet"))


def read_all(out):
    return poseact.read_timeline(out)


def read_some(out):
    return poseact.read_timeline(out, camera="door", action="hello", since=NOON)


def read_files(out):
    found = tables.find_timelines(out).values()
    return pa.concat_tables([tables.read_rows(path, ["pts_s", "action"]) for path in found])


def read_stream(out):
    batches = tables.stream_timeline(out, "v1", ["pts_s", "action"])
    return pa.Table.from_batches(list(batches))


EVERY_READER = pytest.mark.parametrize("read", [read_all, read_some, read_files, read_stream])
EACH_FRAME = pytest.mark.parametrize("read", [read_all, read_some])


def refused(read, out):
    with pytest.raises(InputError) as error:
        read(out)
    assert str(error.value).startswith(f"{out}/timeline")
    return str(error.value)


def put_metadata(file, **changes):
    """Change what the file says of itself; None removes it."""
    table = pq.read_table(file, partitioning=None)
    metadata = {**table.schema.metadata, **{k.encode(): v for k, v in changes.items()}}
    kept = {name: value for name, value in metadata.items() if value is not None}
    pq.write_table(table.replace_schema_metadata(kept), file)


def put_column(file, name, values):
    """Replace a column, whatever its type; None removes it."""
    table = pq.read_table(file, partitioning=None)
    index = table.schema.get_field_index(name)
    changed = table.remove_column(index)
    if values is not None:
        changed = changed.add_column(index, name, values)
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), file)


@EVERY_READER
@pytest.mark.parametrize(
    ("version", "said"),
    [
        pytest.param(b"2", "schema_version is 2", id="of tomorrow"),
        pytest.param(b"", "schema_version is ", id="empty"),
        pytest.param(None, "schema_version is none", id="missing"),
        pytest.param(b"\xff\xfe", "schema_version is", id="no text"),
    ],
)
def test_another_version_is_refused_by_every_reader(out, file, read, version, said):
    put_metadata(file, schema_version=version)

    assert f"{file}: {said}" in refused(read, out)


@EACH_FRAME
def test_a_file_without_any_metadata_is_refused(out, file, read):
    put_metadata(file, schema_version=None, actions=None)

    assert "schema_version is none" in refused(read, out)


@EVERY_READER
@pytest.mark.parametrize(
    "version",
    [
        pytest.param(b"\x1b[2J\nerror: no", id="what a terminal obeys"),
        pytest.param(b"9" * 100_000, id="a long one"),
    ],
)
def test_a_version_is_quoted_as_one_short_line(out, file, read, version):
    put_metadata(file, schema_version=version)

    message = refused(read, out)
    assert message.isprintable()
    assert len(message) < 1000


@EACH_FRAME
@pytest.mark.parametrize(
    "actions",
    [
        pytest.param(None, id="missing"),
        pytest.param(b"hello, other", id="no JSON"),
        pytest.param(b"\xff", id="no text"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"3", id="a number"),
        pytest.param(b'"ab"', id="one word of two letters"),
        pytest.param(b'{"hello": 1, "other": 2}', id="a mapping"),
        pytest.param(b"[1, 2]", id="numbers"),
        pytest.param(b'["hello", "wave", "other"]', id="more than scores"),
    ],
)
def test_actions_that_do_not_name_the_scores_are_refused(out, file, read, actions):
    put_metadata(file, actions=actions)

    assert str(file) in refused(read, out)


def cut(file, size):
    file.write_bytes(file.read_bytes()[:size])


@EVERY_READER
@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda file: file.write_bytes(b""), id="empty"),
        pytest.param(lambda file: file.write_bytes(b"hello" * 1000), id="text"),
        pytest.param(lambda file: cut(file, -1), id="the last byte lost"),
        pytest.param(lambda file: cut(file, 300), id="the first bytes only"),
        pytest.param(
            lambda file: file.write_bytes(b"PAR1\xff\xff\xff\x7fPAR1"), id="a footer of 2 GiB"
        ),
    ],
)
def test_a_file_that_is_no_parquet_is_refused_by_name(out, file, read, harm):
    harm(file)

    message = refused(read, out)
    assert str(file) in message
    assert "Remove that file and analyze again." in message


@EVERY_READER
def test_damage_in_the_data_is_found_when_it_is_read(out, file, read):
    """The footer, and with it the schema, is whole."""
    content = np.frombuffer(file.read_bytes(), np.uint8).copy()
    content[8:2000] ^= 0xFF
    file.write_bytes(content.tobytes())

    assert str(out / "timeline") in refused(read, out)


@EACH_FRAME
def test_another_file_that_is_damaged_is_named(out, file, read):
    (file.parent / "v2.parquet").write_bytes(b"PAR1")

    assert "v2.parquet" in refused(read, out)


TEXT = pa.array(["x"] * NUM_ROWS)


@EACH_FRAME
@pytest.mark.parametrize("name", ["v1", "v2"], ids=["the first file", "the second file"])
@pytest.mark.parametrize(
    ("column", "values"),
    [
        pytest.param("pts_s", TEXT, id="text for a time"),
        pytest.param("track_id", TEXT, id="text for a number"),
        pytest.param("action", pa.array(range(NUM_ROWS)), id="numbers for text"),
        pytest.param("joints", pa.array([[0.0]] * NUM_ROWS), id="lists of any length"),
        pytest.param("frame_index", None, id="a column that must be there"),
    ],
)
def test_a_column_that_has_another_type_is_refused_by_name(out, read, name, column, values):
    file = write(out, name)
    put_column(file, column, values)

    message = refused(read, out)
    assert str(file) in message
    assert column in message


def test_a_column_that_is_new_is_left_out(out, file):
    """A later version may add one without a new schema_version."""
    table = pq.read_table(file, partitioning=None)
    pq.write_table(table.append_column("mood", TEXT), file)

    assert len(read_all(out)) == NUM_ROWS


@EVERY_READER
@pytest.mark.parametrize(
    "add",
    [
        pytest.param(lambda path: path.mkdir(), id="a folder"),
        pytest.param(lambda path: path.symlink_to(path.name), id="a link to itself"),
        pytest.param(lambda path: path.symlink_to("/nowhere"), id="a link to nothing"),
        pytest.param(os.mkfifo, id="a pipe"),
    ],
)
def test_what_is_no_file_is_passed_over(out, file, read, add):
    add(file.parent / "x.parquet")

    assert len(read(out)) == NUM_ROWS
    assert list(tables.find_timelines(out).values()) == [file]


@EVERY_READER
@pytest.mark.parametrize("to", ["", "camera_id=door"], ids=["the whole table", "one camera"])
def test_a_link_in_a_circle_repeats_no_row(out, read, to):
    (out / "timeline" / "camera_id=door" / "loop").symlink_to(out / "timeline" / to)

    assert len(read(out)) == NUM_ROWS


@pytest.mark.parametrize(
    ("folder", "camera"),
    [
        pytest.param("camera_id=a%2Fb", "a/b", id="an escaped slash"),
        pytest.param("camera_id=<b onclick='x'>", "<b onclick='x'>", id="markup"),
        pytest.param("camera_id=a b;rm -rf ~", "a b;rm -rf ~", id="what a shell would run"),
        pytest.param("camera_id=\x1b[2J\n", "\x1b[2J\n", id="what a terminal obeys"),
        pytest.param("camera_id=süd 北", "süd 北", id="letters of any script"),
    ],
)
def test_odd_folder_names_are_cameras_by_that_name(out, file, folder, camera):
    odd = out / "timeline" / folder / "date=unknown"
    odd.mkdir(parents=True)
    shutil.move(file, odd / file.name)

    assert read_all(out)["camera_id"].unique().tolist() == [camera]
    assert len(poseact.read_timeline(out, camera=camera)) == NUM_ROWS
    assert len(read_stream(out)) == len(read_files(out)) == NUM_ROWS


@EACH_FRAME
@pytest.mark.parametrize("name", [b"camera_id=\xff\xfe", b"camera_id=%FF"], ids=["raw", "escaped"])
def test_a_folder_name_that_is_no_text_is_refused(out, file, read, name):
    shutil.copytree(file.parent, out / "timeline" / os.fsdecode(name))

    assert "not valid UTF-8" in refused(read, out)


def test_a_file_below_a_name_that_is_no_text_is_refused_by_the_other_readers(out, file):
    file.rename(file.with_name(os.fsdecode(b"\xff.parquet")))

    refused(read_files, out)
