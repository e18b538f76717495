import pytest

from poseact.analysis.plan import find_inputs, make_plan, record_plan
from poseact.errors import InputError

MIB = 1024**2


def test_a_pattern_for_nothing_does_not_hide_the_others(make_video, tmp_path):
    path = make_video()

    inputs = find_inputs([str(path), str(tmp_path / "nowhere.mp4")])

    assert inputs.uris == (str(path),)
    assert len(inputs.missing) == 1
    assert "nowhere.mp4" in inputs.missing[0]


def test_nothing_at_all_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.mp4"):
        find_inputs([str(tmp_path / "nowhere.mp4")])


def test_the_limit_keeps_the_first_files_by_name(tmp_path):
    for name in ("c.mp4", "a.mp4", "b.mp4"):
        (tmp_path / name).write_text("")

    assert find_inputs([str(tmp_path)], limit=2).uris == (
        str(tmp_path / "a.mp4"),
        str(tmp_path / "b.mp4"),
    )


def test_files_that_are_no_videos_are_part_of_the_plan(make_video, tmp_path):
    good, text = make_video(), tmp_path / "text.mp4"
    text.write_text("not a video")

    plan = make_plan([str(good), str(text), str(tmp_path / "gone.mp4")], chunk_bytes=MIB)

    assert [video.info.uri for video in plan.videos] == [str(good)]
    assert [video.uri for video in plan.unreadable] == [str(text), str(tmp_path / "gone.mp4")]
    assert len({video.video_id for video in plan.unreadable}) == 2
    assert all(video.error_kind == "VideoError" for video in plan.unreadable)
    assert "text.mp4" in plan.unreadable[0].error


def test_a_finished_video_is_not_planned_again(make_video, make_config, open_run_of):
    uri = str(make_video())
    video_id = make_plan([uri], chunk_bytes=MIB).videos[0].info.video_id
    run = open_run_of(make_config(uri))

    plan = record_plan([uri], run, chunk_bytes=MIB, done_ids={video_id}, read_timeout_s=30)

    assert plan.done_ids == (video_id,)
    assert plan.videos == ()


def test_an_interrupted_run_keeps_its_chunks(make_video, make_config, open_run_of):
    uri = str(make_video())
    [earlier] = make_plan([uri], chunk_bytes=MIB).videos

    run = open_run_of(make_config(uri))
    run.work.save_plan(earlier)
    [video] = record_plan([uri], run, chunk_bytes=100 * MIB, read_timeout_s=30).videos

    assert len(earlier.chunks) > 1
    assert video.pending == tuple(range(len(earlier.chunks)))
    assert video.num_frames == video.num_pending_frames == 40


def test_a_changed_file_is_another_video(make_video):
    uri = str(make_video())
    [before] = make_plan([uri], chunk_bytes=MIB).videos
    make_video(num_frames=20)

    [after] = make_plan([uri], chunk_bytes=MIB).videos

    assert before.info.video_id != after.info.video_id
