import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import poseact
from poseact.errors import InputError, OutputError
from poseact.storage import to_path
from poseact.timeline import tables
from poseact.timeline.parquet import write_table
from poseact.timeline.schema import SEGMENTS, VERDICTS, VIDEOS, timeline_schema
from poseact.timeline.segments import Segment, SegmentRules, segment_row

ACTIONS = ["namaste", "hello", "other"]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def timeline_rows(video_id, start_utc, *, actions=("hello", "other")):
    """One person doing each action in turn, one frame per second; the last frame is empty."""
    common = {"video_id": video_id, "config_hash": "c", "model_id": "m"}
    rows = [
        {
            "frame_index": i,
            "pts_s": float(i),
            "track_id": 0,
            "bbox_xyxy_px": [0, 0, 10, 20],
            "detection_score": 1,
            "joints": [1] * 21,
            "action": action,
            "score": 0.8,
            "scores": [0.1, 0.8, 0.1],
        }
        for i, action in enumerate(actions)
    ]
    empty = {
        "frame_index": len(actions),
        "pts_s": float(len(actions)),
        "track_id": None,
        "bbox_xyxy_px": [np.nan] * 4,
        "detection_score": np.nan,
        "joints": [np.nan] * 21,
        "action": "",
        "score": np.nan,
        "scores": [np.nan] * 3,
        "reason": "no_person",
    }
    return [
        {**common, **row, "time_utc": start_utc and start_utc + timedelta(seconds=row["pts_s"])}
        for row in [*rows, empty]
    ]


def write_timeline(out, video_id="v1", camera_id="door", start_utc=NOON, actions=ACTIONS):
    table = pa.Table.from_pylist(
        timeline_rows(video_id, start_utc), schema=timeline_schema(actions)
    )
    return tables.write_timeline(
        out, table, video_id=video_id, camera_id=camera_id, start_utc=start_utc
    )


def segment(start_s=1.0, peak_score=0.8, action="hello"):
    return Segment(action, start_s, start_s + 2, 10, 30, peak_score, 0.7, start_s, "detection")


def write_segments(out, segments, video_id="v1", camera_id="door", start_utc=NOON):
    rows = [
        segment_row(
            found,
            video_id=video_id,
            track_id=0,
            hand="left",
            start_utc=start_utc,
            rules=SegmentRules(),
            config_hash="c",
            model_id="m",
        )
        for found in segments
    ]
    return tables.write_segments(
        out, rows, video_id=video_id, camera_id=camera_id, start_utc=start_utc
    )


def video_row(**changed):
    return {
        "video_id": "v1",
        "uri": "door/a.mp4",
        "frames_analyzed": 0,
        "boxes_too_small": 0,
        "status": "failed",
        "decode_s": 0.0,
        "watch_s": 0.0,
        "run_id": "r",
        **changed,
    }


@pytest.mark.parametrize(
    ("start_utc", "folder"),
    [
        pytest.param(NOON, "date=2024-05-01", id="the day of the start"),
        pytest.param(
            datetime(2024, 5, 1, 23, tzinfo=timezone(-timedelta(hours=3))),
            "date=2024-05-02",
            id="the day in UTC, not where the camera hangs",
        ),
        pytest.param(None, "date=unknown", id="unknown has a folder of its own"),
    ],
)
def test_a_file_lies_in_the_folder_of_its_camera_and_day(tmp_path, start_utc, folder):
    path = write_timeline(tmp_path, start_utc=start_utc)

    assert path == tmp_path / "timeline" / "camera_id=door" / folder / "v1.parquet"
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize("camera_id", ["", "front door", "a/b", "a=b", "café"])
def test_a_camera_id_that_no_folder_can_have_is_refused(tmp_path, camera_id):
    with pytest.raises(ValueError, match="camera_id"):
        write_timeline(tmp_path, camera_id=camera_id)


def test_the_same_rows_in_another_order_give_the_same_bytes(tmp_path):
    rows = timeline_rows("v1", NOON)
    schema = timeline_schema(ACTIONS)
    first, second = (
        tables.write_timeline(
            tmp_path / name,
            pa.Table.from_pylist(ordered, schema=schema),
            video_id="v1",
            camera_id="door",
            start_utc=NOON,
        ).read_bytes()
        for name, ordered in [("a", rows), ("b", rows[::-1])]
    )

    assert first == second


def test_the_order_of_segments_does_not_change_the_bytes(tmp_path):
    found = [segment(1.0), segment(5.0), segment(1.0, action="namaste")]

    forward = write_segments(tmp_path / "a", found).read_bytes()

    assert write_segments(tmp_path / "b", found[::-1]).read_bytes() == forward


def test_writing_again_replaces_the_file(tmp_path):
    write_segments(tmp_path, [segment(1.0), segment(5.0)])
    write_segments(tmp_path, [segment(3.0)])
    tables.write_video_row(tmp_path, video_row())

    assert tables.read_segments(tmp_path)["start_s"].tolist() == [3.0]


def test_a_null_where_none_is_allowed_is_refused(tmp_path):
    rows = [{**row, "action": None} for row in timeline_rows("v1", NOON)]
    table = pa.Table.from_pylist(rows, schema=timeline_schema(ACTIONS))

    with pytest.raises(ValueError, match="action"):
        tables.write_timeline(tmp_path, table, video_id="v1", camera_id="a", start_utc=None)


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "timeline").write_text("a file in the way")

    with pytest.raises(OutputError, match="choose another --out"):
        write_timeline(tmp_path)


def test_a_write_that_fails_leaves_neither_file_nor_rest(tmp_path):
    path = tmp_path / "taken.parquet"
    (path / "inside").mkdir(parents=True)  # a folder in the way makes the rename fail

    with pytest.raises(OutputError, match=r"taken\.parquet"):
        write_table(path, SEGMENTS.empty_table())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("first_is_old", [True, False], ids=["old one first", "new one first"])
def test_a_table_from_before_a_column_was_added_reads_as_null(tmp_path, first_is_old):
    old, new = ("v1", "v2") if first_is_old else ("v2", "v1")
    path = write_timeline(tmp_path, old)
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["reason"]), path)

    only_old = tables.read_timeline(tmp_path)
    write_timeline(tmp_path, new)
    both = tables.read_timeline(tmp_path).set_index("video_id")

    assert only_old.columns.tolist() == both.reset_index().columns.tolist()
    assert only_old["reason"].isna().all()
    assert both.loc[old, "reason"].isna().all()
    assert both.loc[new, "reason"].fillna("").tolist() == ["", "", "no_person"]
    assert only_old.attrs["actions"] == ACTIONS


def test_the_file_of_each_timeline_is_found_with_its_camera(tmp_path):
    first = write_timeline(tmp_path, "v1", "door")
    second = write_timeline(tmp_path, "v2", "1", None)
    write_segments(tmp_path, [])

    assert tables.find_timelines(tmp_path) == {"v1": first, "v2": second}
    assert [tables.camera_of(path) for path in (first, second)] == ["door", "1"]
    assert tables.read_rows(first, ["pts_s"])["pts_s"].to_pylist() == [0, 1, 2]


def test_a_timeline_reads_back_as_written(tmp_path):
    write_timeline(tmp_path)

    frame = tables.read_timeline(tmp_path)

    assert frame["action"].tolist() == ["hello", "other", ""]
    assert frame["track_id"].tolist() == [0, 0, pd.NA]
    assert frame["time_utc"].tolist() == [NOON + timedelta(seconds=i) for i in range(3)]
    assert np.stack(frame["bbox_xyxy_px"])[0].tolist() == [0, 0, 10, 20]
    assert np.stack(frame["joints"]).shape == (3, 21)
    assert np.isnan(np.stack(frame["scores"])[2]).all()
    assert frame["camera_id"].tolist() == ["door"] * 3
    assert frame["date"].tolist() == ["2024-05-01"] * 3
    assert frame.attrs["actions"] == ACTIONS


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({}, [("1", 0), ("1", 1), ("1", 2), ("door", 0), ("door", 1), ("door", 2)],
                     id="everything"),
        pytest.param({"camera": 1}, [("1", 0), ("1", 1), ("1", 2)], id="a camera by its number"),
        pytest.param({"camera": "1"}, [("1", 0), ("1", 1), ("1", 2)], id="a camera by its name"),
        pytest.param({"camera": "2"}, [], id="a camera nobody has"),
        pytest.param({"action": "hello"}, [("1", 0), ("door", 0)], id="one action"),
        pytest.param(
            {"since": NOON + timedelta(seconds=1)}, [("door", 1), ("door", 2)],
            id="since is inclusive and leaves out what has no date",
        ),
        pytest.param({"until": NOON + timedelta(seconds=1)}, [("door", 0)],
                     id="until is exclusive"),
        pytest.param(
            {"since": datetime(2024, 5, 1, 14, tzinfo=timezone(timedelta(hours=2))),
             "until": NOON + timedelta(seconds=2), "action": "other", "camera": "door"},
            [("door", 1)],
            id="all at once, in another timezone",
        ),
    ],
)  # fmt: skip
def test_filters_of_the_timeline(tmp_path, filters, expected):
    write_timeline(tmp_path, "v1", "door", NOON)
    write_timeline(tmp_path, "v2", "1", None)

    frame = tables.read_timeline(tmp_path, **filters)

    rows = zip(frame["camera_id"], frame["frame_index"], strict=True)
    assert sorted(rows) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        pytest.param({}, [1.0, 5.0], id="everything"),
        pytest.param({"min_score": 0.8}, [1.0], id="min_score is inclusive"),
        pytest.param({"since": NOON + timedelta(seconds=5)}, [5.0], id="by the start"),
        pytest.param({"until": NOON + timedelta(seconds=5)}, [1.0], id="until is exclusive"),
        pytest.param({"action": "namaste"}, [5.0], id="one action"),
        pytest.param({"camera": "gate"}, [], id="another camera"),
    ],
)
def test_filters_of_the_segments(tmp_path, filters, expected):
    write_segments(tmp_path, [segment(1.0, 0.8), segment(5.0, 0.7, "namaste")])
    tables.write_video_row(tmp_path, video_row())

    assert tables.read_segments(tmp_path, **filters)["start_s"].tolist() == expected


@pytest.mark.parametrize("reader", [tables.read_timeline, tables.read_segments])
def test_a_time_without_timezone_is_refused(tmp_path, reader):
    write_timeline(tmp_path)

    with pytest.raises(ValueError, match="timezone"):
        reader(tmp_path, since=datetime(2024, 5, 1))  # noqa: DTZ001 - that is the mistake


def test_columns_keep_their_dtypes_without_rows(tmp_path):
    tables.write_video_row(tmp_path, video_row())
    before = tables.read_segments(tmp_path)
    write_segments(tmp_path, [])
    empty = tables.read_segments(tmp_path)
    write_segments(tmp_path, [segment()], video_id="v2")
    full = tables.read_segments(tmp_path)

    assert len(before) == len(empty) == 0
    assert len(full) == 1
    assert before.columns.tolist() == [*SEGMENTS.names, "camera_id", "date"]
    assert before.dtypes.to_dict() == empty.dtypes.to_dict() == full.dtypes.to_dict()


def test_columns_of_a_timeline_keep_their_dtypes_without_rows(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    empty = tables.read_timeline(tmp_path)
    write_timeline(tmp_path)

    assert empty.dtypes.to_dict() == tables.read_timeline(tmp_path).dtypes.to_dict()
    assert empty.attrs["actions"] == []


def test_videos_keep_their_dtypes_when_a_probe_failed(tmp_path):
    tables.write_video_row(tmp_path, video_row(video_id="v2", uri="b.mp4"))
    failed = tables.read_videos(tmp_path)
    tables.write_video_row(tmp_path, video_row(uri="a.mp4", width=640, is_vfr=True))
    both = tables.read_videos(tmp_path)

    assert both.columns.tolist() == VIDEOS.names
    assert both["uri"].tolist() == ["a.mp4", "b.mp4"]
    assert both["width"].tolist() == [640, pd.NA]
    assert failed.dtypes.to_dict() == both.dtypes.to_dict()


def test_verdicts_come_in_order_of_time(tmp_path):
    tables.write_video_row(tmp_path, video_row())
    assert tables.read_verdicts(tmp_path).columns.tolist() == VERDICTS.names
    common = {"segment_id": "s", "reviewer": "ana", "tool_version": "1"}
    for name, verdict, hour in [("a", "dismissed", 14), ("b", "confirmed", 13)]:
        row = {**common, "verdict": verdict, "decided_at_utc": NOON.replace(hour=hour)}
        table = pa.Table.from_pylist([row], schema=VERDICTS)
        write_table(tmp_path / "verdicts" / f"{name}.parquet", table)

    assert tables.read_verdicts(tmp_path)["verdict"].tolist() == ["confirmed", "dismissed"]


@pytest.mark.parametrize(
    "read",
    [poseact.read_timeline, poseact.read_segments, poseact.read_videos, poseact.read_verdicts],
)
@pytest.mark.parametrize("name", ["missing", "."])
def test_a_folder_without_a_run_is_an_input_error(tmp_path, read, name):
    with pytest.raises(InputError, match="holds no run"):
        read(tmp_path / name)


def test_an_unfinished_file_is_not_read(tmp_path):
    path = write_timeline(tmp_path)
    path.with_name(".v2.parquet.abc.tmp").write_bytes(b"PAR1 half")

    assert len(tables.read_timeline(tmp_path)) == 3


@pytest.mark.parametrize(
    ("version", "filters"),
    [
        pytest.param("0", {}, id="older"),
        pytest.param("99", {"camera": "door"}, id="newer"),
    ],
)
def test_another_schema_version_is_refused_with_a_way_out(tmp_path, version, filters):
    path = write_timeline(tmp_path)
    table = pq.read_table(path, partitioning=None)
    pq.write_table(table.replace_schema_metadata({"schema_version": version}), path)

    with pytest.raises(InputError, match=rf"schema_version is {version}.*new --out"):
        tables.read_timeline(tmp_path, **filters)


def test_only_the_files_of_the_camera_asked_for_are_opened(tmp_path):
    write_timeline(tmp_path, "v1", "a")
    write_timeline(tmp_path, "v2", "door", actions=["run", "fall", "other"])

    assert len(tables.read_timeline(tmp_path, camera="a")) == 3
    with pytest.raises(InputError, match="other actions"):
        tables.read_timeline(tmp_path)


def test_a_damaged_file_is_an_input_error(tmp_path):
    write_timeline(tmp_path).write_bytes(b"not parquet")

    with pytest.raises(InputError, match="Remove that file"):
        tables.read_timeline(tmp_path)


def test_a_damaged_file_beside_a_good_one_is_an_input_error(tmp_path):
    write_timeline(tmp_path, "v1")
    write_timeline(tmp_path, "v2").write_bytes(b"not parquet")

    with pytest.raises(InputError, match="Remove that file"):
        tables.read_timeline(tmp_path)


def test_plain_pandas_reads_a_run(tmp_path):
    write_timeline(tmp_path, "v1", "door")
    write_timeline(tmp_path, "v2", "gate", NOON + timedelta(days=1))
    write_segments(tmp_path, [segment()])
    tables.write_video_row(tmp_path, video_row())

    timeline = pd.read_parquet(tmp_path / "timeline")

    assert timeline["camera_id"].tolist() == ["door"] * 3 + ["gate"] * 3
    assert timeline["date"].tolist() == ["2024-05-01"] * 3 + ["2024-05-02"] * 3
    assert len(pd.read_parquet(tmp_path / "segments")) == 1
    assert len(pd.read_parquet(tmp_path / "videos")) == 1


@pytest.mark.parametrize("dates", [[None], [None, NOON]], ids=["all unknown", "some unknown"])
def test_plain_pandas_reads_a_run_with_unknown_dates(tmp_path, dates):
    for i, start_utc in enumerate(dates):
        write_timeline(tmp_path, f"v{i}", "door", start_utc)

    assert len(pd.read_parquet(tmp_path / "timeline")) == 3 * len(dates)


def test_importing_poseact_stays_light():
    code = "import sys, poseact; print({'pandas', 'pyarrow', 'numpy'} & set(sys.modules))"

    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert result.stdout == "set()\n"


def test_a_misspelt_reader_is_an_attribute_error():
    with pytest.raises(AttributeError, match="read_timelines"):
        poseact.read_timelines  # noqa: B018 - the look-up is the test


def test_a_timeline_can_be_read_piece_by_piece(tmp_path):
    write_timeline(tmp_path, "v1")
    write_timeline(tmp_path, "v2", camera_id="yard")

    batches = list(tables.stream_timeline(tmp_path, "v2", ["video_id", "frame_index", "track_id"]))

    rows = pa.Table.from_batches(batches).to_pydict()
    assert rows == {
        "video_id": ["v2"] * 3,
        "frame_index": [0, 1, 2],
        "track_id": [0, 0, None],
    }


def test_a_video_without_a_timeline_is_named(tmp_path):
    write_timeline(tmp_path, "v1")

    with pytest.raises(InputError, match="no timeline of video v2"):
        next(tables.stream_timeline(tmp_path, "v2", ["pts_s"]))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda path: path.write_text("PAR1"), "analyze again", id="no parquet"),
        pytest.param(
            lambda path: pq.write_table(pa.table({"pts_s": [1.0]}), path),
            "schema_version is none",
            id="another version",
        ),
    ],
)
def test_a_timeline_that_cannot_be_streamed_is_named(tmp_path, damage, message):
    path = write_timeline(tmp_path, "v1")
    damage(path)

    with pytest.raises(InputError, match=message) as error:
        next(tables.stream_timeline(tmp_path, "v1", ["pts_s"]))

    assert str(error.value).startswith(str(path))


def write_run(out):
    """Two timelines, one table of segments, one row of videos and two verdicts."""
    verdict = {"segment_id": "s", "reviewer": "r", "tool_version": "1"}
    return [
        write_timeline(out, "v1", "door", NOON),
        write_timeline(out, "v2", "1", None),
        write_segments(out, [segment(), segment(4.0)]),
        tables.write_video_row(out, video_row()),
        *(
            write_table(
                to_path(out) / "verdicts" / f"{name}.parquet",
                pa.Table.from_pylist(
                    [{**verdict, "verdict": name, "decided_at_utc": NOON}], schema=VERDICTS
                ),
            )
            for name in ("confirmed", "dismissed")
        ),
    ]


@pytest.fixture(params=["s3", "memory"])
def store(request, tmp_path):
    """An empty folder in a store."""
    if request.param == "s3":
        return request.getfixturevalue("s3_folder")
    return f"memory://bucket{tmp_path}/out"


def test_tables_are_the_same_bytes_in_a_store(tmp_path, store):
    local, remote = write_run(tmp_path), write_run(store)

    assert [str(path.relative_to(to_path(store))) for path in remote] == [
        str(path.relative_to(tmp_path)) for path in local
    ]
    assert [path.read_bytes() for path in remote] == [path.read_bytes() for path in local]


def test_each_table_is_one_request(s3, s3_folder):
    files = write_run(s3_folder)

    prefix = f"/{s3.bucket}/"
    assert s3.requests() == [f"PUT {prefix}{path.key}" for path in files]


@pytest.mark.parametrize(
    ("read", "filters"),
    [
        pytest.param(poseact.read_timeline, {}, id="timeline"),
        pytest.param(poseact.read_timeline, {"camera": "1"}, id="timeline of a camera"),
        pytest.param(poseact.read_timeline, {"since": NOON}, id="timeline since"),
        pytest.param(poseact.read_segments, {}, id="segments"),
        pytest.param(poseact.read_segments, {"min_score": 0.9}, id="segments of a score"),
        pytest.param(poseact.read_videos, {}, id="videos"),
        pytest.param(poseact.read_verdicts, {}, id="verdicts"),
    ],
)
def test_a_store_reads_as_a_folder_does(tmp_path, store, read, filters):
    write_run(tmp_path)
    write_run(store)
    (to_path(store) / "videos" / ".v2.parquet.abc.tmp").write_bytes(b"PAR1 half")

    expected, got = read(tmp_path, **filters), read(store, **filters)

    pd.testing.assert_frame_equal(got, expected)
    assert got.attrs == expected.attrs


def test_a_timeline_in_a_store_is_found_and_read_piece_by_piece(tmp_path, store):
    write_run(tmp_path)
    first, second, *_ = write_run(store)

    assert tables.find_timelines(store) == {"v1": first, "v2": second}
    assert [tables.camera_of(path) for path in (first, second)] == ["door", "1"]
    assert tables.read_rows(first, ["pts_s"])["pts_s"].to_pylist() == [0, 1, 2]
    assert list(tables.stream_timeline(store, "v2", ["pts_s"])) == list(
        tables.stream_timeline(tmp_path, "v2", ["pts_s"])
    )


@pytest.mark.parametrize(
    "read",
    [poseact.read_timeline, poseact.read_segments, poseact.read_videos, poseact.read_verdicts],
)
def test_a_store_without_a_run_is_named(store, read):
    with pytest.raises(InputError, match=f"^{store}/a: holds no run"):
        read(f"{store}/a")


def test_damaged_and_foreign_files_of_a_store_are_named(store):
    good = write_timeline(store)
    bad = good.with_name("v2.parquet")
    bad.write_bytes(b"damaged")

    with pytest.raises(InputError, match="Remove that file"):
        poseact.read_timeline(store)
    with pytest.raises(InputError, match=f"^{bad}: .*analyze again"):
        tables.read_rows(bad, ["pts_s"])

    old = pa.BufferOutputStream()
    pq.write_table(pa.table({"pts_s": [1.0]}), old)
    bad.write_bytes(old.getvalue().to_pybytes())
    with pytest.raises(InputError, match=f"^{bad}: schema_version is none"):
        poseact.read_timeline(store)


def test_a_store_that_is_down_is_told_in_one_line(monkeypatch, free_port, s3_folder):
    path = write_timeline(s3_folder)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    started = time.perf_counter()
    for read in (
        poseact.read_timeline,
        tables.find_timelines,
        lambda out: next(tables.stream_timeline(out, "v1", ["pts_s"])),
        lambda _: tables.read_rows(path, ["pts_s"]),
    ):
        with pytest.raises(InputError, match=r"(?i)connect.*reachable") as error:
            read(s3_folder)
        assert "\n" not in str(error.value)
    with pytest.raises(OutputError, match=r"(?i)connect.*reachable"):
        write_timeline(s3_folder)
    assert time.perf_counter() - started < 15
