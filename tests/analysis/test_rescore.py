import dataclasses
import json

import pyarrow.parquet as pq
import pytest
import torch

from poseact.analysis.outcome import unreadable_row
from poseact.analysis.plan import UnreadableVideo
from poseact.analysis.rescore import rescore
from poseact.analysis.rescore_config import RescoreConfig, RuleChanges
from poseact.analysis.run import open_run
from poseact.errors import EXIT_INCOMPLETE, BundleError, ConfigError, InputError, OutputError
from poseact.models.action import FrameShape
from poseact.models.bundle import write_bundle
from poseact.timeline.segments import SegmentRules
from poseact.timeline.tables import (
    find_timelines,
    read_segments,
    read_timeline,
    read_videos,
    write_video_row,
)

MORE_CLASSES = ("bow", "fall", "hello", "other")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory):
    """Another untrained network, of other classes."""
    torch.manual_seed(8)
    shape = FrameShape(features="graph")
    bundle = write_bundle(
        tmp_path_factory.mktemp("models") / "action",
        manifest={
            "kind": "action",
            "name": "another",
            "architecture": dataclasses.asdict(shape),
            "classes": MORE_CLASSES,
        },
        tensors=shape.new_net(len(MORE_CLASSES)).state_dict(),
    )
    return bundle.path


@pytest.fixture
def videos(make_video):
    """One with a clock and a camera, one without either."""
    return [
        make_video("yard/gate_20240131T235958Z.mp4", num_frames=20),
        make_video("yard/walk.mkv", num_frames=12, fps=7),
    ]


@pytest.fixture
def finished(videos, make_config, analyze_here):
    """Settings of a finished run over both."""
    rules = SegmentRules(  # four classes share 1
        on=0.2, off=0.15, min_mean_score=0.0, min_trunk_confidence=0.0
    )
    config = make_config(*videos, rules=rules)
    analyze_here(config)
    return config


def table_bytes(out):
    return {
        path.relative_to(out): path.read_bytes()
        for table in ("timeline", "segments")
        for path in sorted((out / table).rglob("*.parquet"))
    }


def run_json(out):
    return json.loads((out / "run.json").read_text())


def settings_of(run):
    return {name: run[name] for name in ("config_hash", "decisive", "actions")}


def test_the_tables_become_those_of_a_fresh_analysis(
    finished, other_model, analyze_here, tmp_path, capsys
):
    fresh = dataclasses.replace(finished, out=tmp_path / "fresh", action_model=other_model)
    analyze_here(fresh)
    before = table_bytes(finished.out)

    exit_code = rescore(RescoreConfig(out=finished.out, action_model=other_model))

    assert exit_code == 0
    assert table_bytes(finished.out) == table_bytes(fresh.out) != before
    assert len(read_segments(finished.out)) > 0
    assert read_timeline(finished.out).attrs["actions"] == list(MORE_CLASSES)
    assert settings_of(run_json(finished.out)) == settings_of(run_json(fresh.out))
    assert run_json(finished.out)["config"]["action_model"] == str(other_model)
    assert "rescored: 2 of 2 timelines with untrained" in capsys.readouterr().out


def test_a_new_rule_changes_what_it_should_and_nothing_else(
    finished, models, analyze_here, tmp_path
):
    rules = dataclasses.replace(finished.rules, on=0.34, min_score=0.9)
    fresh = dataclasses.replace(finished, out=tmp_path / "fresh", rules=rules)
    analyze_here(fresh)

    rescore(
        RescoreConfig(
            out=finished.out,
            action_model=models.action,
            rules=RuleChanges(on=0.34, min_score=0.9),
        )
    )

    assert table_bytes(finished.out) == table_bytes(fresh.out)
    assert set(read_timeline(finished.out)["reason"].dropna()) == {"low_score"}
    assert run_json(finished.out)["config"]["rules"] == dataclasses.asdict(rules)


def test_every_rule_can_be_changed():
    rules = {field.name for field in dataclasses.fields(SegmentRules)}

    assert {field.name for field in dataclasses.fields(RuleChanges)} == rules


def test_rescoring_back_gives_the_first_tables_again(finished, models, other_model):
    before, run_before = table_bytes(finished.out), run_json(finished.out)

    rescore(RescoreConfig(out=finished.out, action_model=other_model))
    rescore(RescoreConfig(out=finished.out, action_model=models.action))

    assert table_bytes(finished.out) == before
    assert settings_of(run_json(finished.out)) == settings_of(run_before)


def test_an_interrupted_rescore_goes_on_where_it_stopped(
    finished, other_model, analyze_here, tmp_path, capsys
):
    fresh = dataclasses.replace(finished, out=tmp_path / "fresh", action_model=other_model)
    analyze_here(fresh)
    settings = RescoreConfig(out=finished.out, action_model=other_model)
    first, second = (find_timelines(finished.out)[i] for i in read_videos(finished.out)["video_id"])
    blocked = finished.out / "segments" / second.relative_to(finished.out / "timeline")
    blocked.unlink()
    blocked.mkdir()

    with pytest.raises(OutputError, match=second.name):
        rescore(settings)
    done_at = first.stat().st_mtime_ns
    with pytest.raises(ConfigError, match=r"did not come to its end.*poseact rescore"):
        analyze_here(dataclasses.replace(finished, action_model=other_model))
    blocked.rmdir()
    capsys.readouterr()
    rescore(settings)

    assert first.stat().st_mtime_ns == done_at
    assert table_bytes(finished.out) == table_bytes(fresh.out)
    assert "rescored: 1 of 2 timelines" in capsys.readouterr().out
    assert "rescore" not in run_json(finished.out)


def test_videos_without_people_rows_or_tables_are_no_obstacle(
    videos, other_model, make_config, analyze_here
):
    config = make_config(*videos, min_pose_confidence=1.0)
    analyze_here(config)
    first, second = find_timelines(config.out).values()
    pq.write_table(pq.ParquetFile(first).read().slice(0, 0), first)
    why = UnreadableVideo(video_id="x", uri="/x.mp4", error_kind="VideoError", error="no video")
    write_video_row(config.out, unreadable_row(why, "run"))

    exit_code = rescore(RescoreConfig(out=config.out, action_model=other_model))

    assert exit_code == EXIT_INCOMPLETE
    assert len(pq.ParquetFile(first).read()) == 0
    timeline = read_timeline(config.out)
    assert set(timeline["video_id"]) == {second.stem}
    assert set(timeline["reason"]) == {"no_person"}
    assert timeline.attrs["actions"] == list(MORE_CLASSES)


def test_runs_that_cannot_be_rescored_are_left_alone(finished, other_model, tmp_path):
    before, run_before = table_bytes(finished.out), run_json(finished.out)
    settings = RescoreConfig(out=finished.out, action_model=other_model)

    with pytest.raises(InputError, match="no run of poseact"):
        rescore(dataclasses.replace(settings, out=tmp_path / "nowhere"))
    with pytest.raises(BundleError, match="nowhere"):
        rescore(dataclasses.replace(settings, action_model=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="off <= on"):
        rescore(dataclasses.replace(settings, rules=RuleChanges(on=0.1)))
    (finished.out / "work").mkdir()
    with pytest.raises(InputError, match="not finished"):
        rescore(settings)

    assert table_bytes(finished.out) == before
    assert run_json(finished.out) == run_before


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        pytest.param("videos", "schema_version is 0", id="another version of videos"),
        pytest.param("timeline", "schema_version is 0", id="another version of a timeline"),
        pytest.param("damaged", "analyze again", id="a damaged timeline"),
    ],
)
def test_what_cannot_be_read_is_refused_before_anything_changes(
    finished, other_model, kind, message
):
    if kind == "damaged":
        [*find_timelines(finished.out).values()][-1].write_bytes(b"damaged")
    else:
        path = next((finished.out / kind).rglob("*.parquet"))
        table = pq.ParquetFile(path).read()
        pq.write_table(table.replace_schema_metadata({"schema_version": "0"}), path)
    run_before = run_json(finished.out)

    with pytest.raises(InputError, match=message):
        rescore(RescoreConfig(out=finished.out, action_model=other_model))

    assert run_json(finished.out) == run_before


def test_a_rescored_run_takes_up_new_recordings(finished, other_model, make_video, analyze_here):
    rescore(RescoreConfig(out=finished.out, action_model=other_model))
    more = make_video("yard/more.mp4", num_frames=10)
    config = dataclasses.replace(finished, videos=(str(more),))

    analyze_here(dataclasses.replace(config, action_model=other_model))
    with pytest.raises(ConfigError, match=r"action-model was another.*poseact rescore"):
        open_run(config, detector_id=None, pose_id="p", action_id="untrained", actions=("other",))

    assert read_timeline(finished.out)["video_id"].nunique() == 3
