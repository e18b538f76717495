import pickle

import pytest

from poseact.video.chunks import plan_chunks
from poseact.video.probe import probe

FRAME_BYTES = 3 * 48 * 64


def _ranges(chunks):
    return [(c.first_frame_index, c.first_frame_index + c.num_frames) for c in chunks]


def _plan(uri, max_frames):
    size = max_frames * FRAME_BYTES
    return plan_chunks(probe(uri), max_bytes=size, max_run_bytes=size)


@pytest.mark.parametrize(
    ("gop_size", "max_frames", "expected"),
    [
        pytest.param(30, 150, [(0, 150)], id="all runs fit in one chunk"),
        pytest.param(30, 60, [(0, 60), (60, 120), (120, 150)], id="two runs fit in one chunk"),
        pytest.param(30, 59, [(0, 30), (30, 60), (60, 90), (90, 120), (120, 150)], id="one does"),
        pytest.param(20, 60, [(0, 40), (40, 80), (80, 120), (120, 150)], id="run of two GOPs"),
        pytest.param(1, 45, [(0, 30), (30, 60), (60, 90), (90, 120), (120, 150)], id="all intra"),
        pytest.param(150, 60, [(0, 60), (60, 120), (120, 150)], id="a long GOP is cut"),
    ],
)
def test_chunks_are_whole_runs_that_fit(make_video, gop_size, max_frames, expected):
    uri = make_video(num_frames=150, height=48, gop_size=gop_size)

    assert _ranges(_plan(uri, max_frames)) == expected


def test_runs_do_not_depend_on_their_grouping(make_video):
    uri = make_video(num_frames=60, fps=20, gop_size=5)

    info = probe(uri)
    plans = [
        plan_chunks(info, max_bytes=n * FRAME_BYTES, max_run_bytes=15 * FRAME_BYTES)
        for n in (60, 40, 1)
    ]

    assert [len(chunks) for chunks in plans] == [1, 2, 6]
    ticks = 1 / info.time_base
    starts = [ticks * second for second in (0, 0.75, 1, 1.75, 2, 2.75)]
    assert [[p for c in chunks for p in c.gop_run_pts] for chunks in plans] == [starts] * 3


def test_chunks_meet_without_gap_or_overlap(make_video):
    chunks = _plan(make_video(num_frames=60, gop_size=30, max_b_frames=3), 20)

    assert [c.end_pts for c in chunks] == [*(c.start_pts for c in chunks[1:]), None]
    assert [c.chunk_id for c in chunks] == [f"{c.video_id}-{c.start_pts}" for c in chunks]


def test_a_piece_of_a_run_is_decoded_from_the_keyframe_of_the_run(make_video):
    chunks = _plan(make_video(num_frames=60, gop_size=30), 20)
    one_second = chunks[2].start_pts

    assert _ranges(chunks) == [(0, 20), (20, 30), (30, 50), (50, 60)]
    assert [c.seek_pts[0] for c in chunks] == [0, 0, one_second, one_second]


def test_a_frame_larger_than_the_bound_is_a_chunk(make_video):
    info = probe(make_video(num_frames=2))

    assert _ranges(plan_chunks(info, max_bytes=1, max_run_bytes=1)) == [(0, 1), (1, 2)]


def test_a_chunk_is_cheap_to_ship(make_video):
    (chunk,) = _plan(make_video(), 60)

    assert len(pickle.dumps(chunk)) < 1000
    assert pickle.loads(pickle.dumps(chunk)) == chunk  # noqa: S301 - our own bytes
