import json

import pyarrow as pa
import pytest

from poseact.timeline.schema import SEGMENTS, VERDICTS, VIDEOS, actions_of, timeline_schema


def test_columns_of_the_timeline():
    schema = timeline_schema(["namaste", "other"])
    types = {field.name: str(field.type) for field in schema}

    assert types == {
        "video_id": "string",
        "frame_index": "int64",
        "pts_s": "double",
        "time_utc": "timestamp[us, tz=UTC]",
        "track_id": "int32",
        "bbox_xyxy_px": "fixed_size_list<item: float>[4]",
        "detection_score": "float",
        "joints": "fixed_size_list<item: float>[21]",
        "action": "string",
        "score": "float",
        "scores": "fixed_size_list<item: float>[2]",
        "config_hash": "string",
        "model_id": "string",
    }
    assert [field.name for field in schema if field.nullable] == ["time_utc", "track_id"]


def test_the_names_of_the_actions_travel_with_the_file():
    schema = timeline_schema(["namaste", "other"])

    assert json.loads(schema.metadata[b"actions"]) == ["namaste", "other"]
    assert actions_of(schema) == ("namaste", "other")


@pytest.mark.parametrize("schema", [timeline_schema([]), SEGMENTS, VIDEOS, VERDICTS])
def test_every_table_says_its_version(schema):
    assert schema.metadata[b"schema_version"] == b"1"


@pytest.mark.parametrize(
    ("schema", "columns"),
    [
        pytest.param(
            SEGMENTS,
            "segment_id video_id track_id action hand start_s end_s start_utc end_utc start_frame "
            "end_frame peak_score mean_score peak_s severity rule config_hash model_id",
            id="segments",
        ),
        pytest.param(
            VIDEOS,
            "video_id uri start_utc duration_s width height fps_nominal is_vfr codec "
            "frames_expected frames_analyzed boxes_too_small status error_kind error "
            "last_good_pts_s decode_s watch_s run_id",
            id="videos",
        ),
        pytest.param(
            VERDICTS,
            "segment_id verdict note reviewer decided_at_utc tool_version supersedes",
            id="verdicts",
        ),
    ],
)
def test_columns_of_the_other_tables(schema, columns):
    assert schema.names == columns.split()


def test_a_name_with_other_letters_survives():
    assert actions_of(timeline_schema(["se lever", "tomber à terre"])) == (
        "se lever",
        "tomber à terre",
    )
    assert timeline_schema(["a"]).field("scores").type == pa.list_(pa.float32(), 1)
