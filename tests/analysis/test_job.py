"""The whole job on a small local Ray; models are untrained, so only the plumbing is judged."""

import av
import numpy as np
import pytest

from poseact.analysis.job import analyze
from poseact.analysis.plan import make_plan
from poseact.errors import BundleError, ConfigError, InputError, OutputError
from poseact.timeline.tables import read_segments, read_timeline, read_videos

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]  # two busy cores start workers slowly

CHUNK_BYTES = 1024**2


def table_bytes(out):
    return {
        path.relative_to(out): path.read_bytes()
        for table in ("timeline", "segments")
        for path in sorted((out / table).rglob("*.parquet"))
    }


@pytest.mark.parametrize("with_detector", [True, False], ids=["detector", "whole frames"])
@pytest.mark.usefixtures("ray_cluster")
def test_forty_chunks_give_the_tables_of_one(
    with_detector, make_video, make_config, models, tmp_path
):
    path = make_video("yard/gate_20240131T235958Z.mp4", num_frames=200, fps=5, gop_size=5)
    with av.open(path) as container:
        times_s = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    detector = str(models.detector) if with_detector else "none"
    many = make_config(path, out=tmp_path / "many", chunk_mib=1, detector=detector)
    one = make_config(path, out=tmp_path / "one", chunk_mib=100, detector=detector)

    assert analyze(many) == analyze(one) == 0

    timeline = read_timeline(many.out)
    times_of_frames = timeline.groupby("frame_index")["pts_s"].first()
    assert times_of_frames.index.tolist() == [*range(200)]
    assert times_of_frames.tolist() == times_s
    assert (timeline["track_id"].nunique() > 1) == with_detector
    assert len(read_segments(many.out)) > 0
    assert table_bytes(many.out) == table_bytes(one.out)
    assert len(make_plan([str(path)], chunk_bytes=CHUNK_BYTES).videos[0].chunks) == 40
    assert not (many.out / "work").exists()


def test_bad_files_are_told_of_and_good_ones_finished(
    make_video, make_config, tmp_path, ray_cluster, capsys
):
    make_video("yard/good.mp4", num_frames=10)
    (tmp_path / "yard" / "text.mp4").write_text("not a video")
    (tmp_path / "yard" / "zero.mp4").write_text("")
    config = make_config(tmp_path / "yard", tmp_path / "gone.mp4")

    first = analyze(config)
    told = capsys.readouterr()
    second = analyze(config)
    told_again = capsys.readouterr()

    videos = read_videos(config.out).set_index("uri")["status"]
    assert first == second == 5
    assert [videos[str(tmp_path / "yard" / name)] for name in ("good.mp4", "text.mp4")] == [
        "ok",
        "failed",
    ]
    assert "videos: 1 ok, 0 partial, 2 failed" in told.out
    assert "gone.mp4" in told.err
    assert "text.mp4" in told.out
    assert "A score is a prompt" in told.out
    assert told_again.out.startswith(f"nothing to do: {config.out} holds the results.")
    assert "zero.mp4" in told_again.out


def test_a_run_taken_up_again_does_only_what_is_pending(
    make_video, make_config, open_run_of, watch_here, ray_cluster
):
    path = make_video()
    config = make_config(path)
    [video] = make_plan([str(path)], chunk_bytes=CHUNK_BYTES).videos
    run = open_run_of(config)
    watch_here(config, run, video, [0, 1, 2])
    done = run.work.load_receipt(video.info.video_id, video.chunks[0].chunk_id)
    part = run.work.read_part(done)
    marked = np.full(len(part), 0.25, np.float32)  # as no model would have it
    run.work.write_part(
        done.video_id, done.chunk_id, part.set_column(3, "detection_score", [marked])
    )

    assert analyze(config) == 0

    timeline = read_timeline(config.out)
    assert timeline["frame_index"].tolist() == [*range(40)]
    kept = video.chunks[0].num_frames
    assert (timeline["detection_score"] == 0.25).tolist() == [True] * kept + [False] * (40 - kept)


def test_a_run_that_ended_before_its_last_tables_only_writes_these(
    make_video, make_config, open_run_of, watch_here, ray_cluster, capsys
):
    path = make_video(num_frames=10)
    config = make_config(path)
    [video] = make_plan([str(path)], chunk_bytes=CHUNK_BYTES).videos
    watch_here(config, open_run_of(config), video)

    assert analyze(config) == 0
    assert len(read_timeline(config.out)) == 10
    assert "videos: 1 ok" in capsys.readouterr().out


def test_new_recordings_join_the_results(make_video, make_config, tmp_path, ray_cluster):
    make_video("yard/a.mp4", num_frames=10)
    config = make_config(tmp_path / "yard")
    analyze(config)
    before = table_bytes(config.out)
    make_video("yard/b.mp4", num_frames=10)

    assert analyze(config) == 0

    after = table_bytes(config.out)
    assert len(read_videos(config.out)) == 2
    assert len(after) == 2 * len(before)
    assert {path: after[path] for path in before} == before


def test_a_video_that_went_away_in_the_middle_is_tried_again(
    make_video, make_config, open_run_of, watch_here, ray_cluster, capsys
):
    path = make_video(num_frames=10)
    config = make_config(path, make_video("yard/b.mp4", num_frames=10))
    [video] = make_plan([str(path)], chunk_bytes=CHUNK_BYTES).videos
    away = path.rename(path.with_suffix(".away"))
    watch_here(config, open_run_of(config), video)
    away.rename(path)
    assert analyze(config) == 5
    assert "cannot be opened" in capsys.readouterr().out

    assert analyze(config) == 0

    assert read_videos(config.out)["frames_analyzed"].tolist() == [10, 10]


def test_a_video_cut_off_is_partial(make_video, make_config, ray_cluster, capsys):
    path = make_video("yard/cut.mkv")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    config = make_config(path)

    assert analyze(config) == 5

    [video] = read_videos(config.out).to_dict("records")
    assert video["status"] == "partial"
    assert 0 < video["frames_analyzed"] < 40
    assert str(path) in capsys.readouterr().out


def test_nothing_readable_is_an_error_with_its_row(make_config, tmp_path):
    (tmp_path / "text.mp4").write_text("not a video")
    config = make_config(tmp_path / "text.mp4")

    with pytest.raises(InputError, match=r"text\.mp4"):
        analyze(config)

    assert read_videos(config.out)["status"].tolist() == ["failed"]
    assert not (config.out / "work").exists()


def test_a_dry_run_touches_nothing(make_video, make_config, capsys):
    config = make_config(make_video(), dry_run=True)

    assert analyze(config) == 0

    assert not config.out.exists()
    assert "frames: 40, 0:00:04 of video" in capsys.readouterr().out


def test_what_is_wrong_is_found_before_any_work(make_video, make_config, models, tmp_path):
    path = make_video(num_frames=10)
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="nowhere"):
        analyze(make_config(tmp_path / "nowhere"))
    with pytest.raises(OutputError, match="cannot be written"):
        analyze(make_config(path, out=tmp_path / "file" / "out"))
    with pytest.raises(BundleError, match="nowhere"):
        analyze(make_config(path, pose_model=tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="kind"):
        analyze(make_config(path, pose_model=models.action))

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("blocked", ["a part", "a table"])
def test_a_result_that_cannot_be_written_is_one_clear_line(
    blocked, make_video, make_config, open_run_of, ray_cluster
):
    path = make_video(num_frames=10)
    config = make_config(path)
    if blocked == "a part":
        [video] = make_plan([str(path)], chunk_bytes=CHUNK_BYTES).videos
        work = open_run_of(config).work
        work.save_plan(video)
        part = f"{video.chunks[0].chunk_id}.parquet"
        (work.root / "parts" / video.info.video_id / part).mkdir()
    else:
        config.out.mkdir()
        (config.out / "timeline").write_text("")

    with pytest.raises(OutputError, match="cannot be written") as caught:
        analyze(config)

    assert len(str(caught.value).splitlines()) == 1
