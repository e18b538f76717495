import pytest

from poseact.analysis.plan import make_outline
from poseact.analysis.resources import (
    CPUS_PER_WORKER,
    DECODED_PX_PER_S,
    Costs,
    Pools,
    duration_s,
    measure_costs,
    peak_memory_bytes,
    pools_for,
)
from poseact.models.detection import load_detector
from poseact.models.runtime import load_pose


@pytest.mark.parametrize(
    ("cpus", "gpus", "chunks", "decoders", "watchers"),
    [
        pytest.param(2, 0, 100, 1, 2, id="two CPUs watch in turn with one decoder"),
        pytest.param(16, 0, 100, 6, 16, id="many CPUs get a decoder for three watchers"),
        pytest.param(1, 0, 100, 1, 1, id="one CPU runs both stages"),
        pytest.param(16, 2, 100, 14, 2, id="each GPU gets one watcher, the CPUs decode"),
        pytest.param(16, 0, 2, 2, 2, id="no more workers than chunks"),
        pytest.param(1, 4, 100, 1, 4, id="a decoder even where GPUs outnumber CPUs"),
    ],
)
def test_each_stage_gets_its_workers(cpus, gpus, chunks, decoders, watchers):
    pools = pools_for(cpus, gpus, chunks)

    assert (pools.num_decoders, pools.num_watchers) == (decoders, watchers)
    assert pools.gpus_per_watcher == bool(gpus)


@pytest.mark.parametrize("cpus", [1, 2, 3, 16, 64])
def test_both_stages_fit_at_once_so_that_neither_waits_for_ever(cpus):
    pools = pools_for(cpus, 0, 1000)

    assert (pools.num_decoders + pools.num_watchers) * CPUS_PER_WORKER <= cpus


def test_memory_grows_with_chunks_and_workers_alone():
    pools = Pools(num_decoders=1, num_watchers=2, gpus_per_watcher=0)

    small, large = (peak_memory_bytes(pools, mib * 1024**2) for mib in (100, 200))

    assert large - small == (2 * 1 + 3 * 2) * 100 * 1024**2


@pytest.mark.parametrize(
    ("every_s", "searches"),
    [
        pytest.param(0.2, 20, id="five times a second, for four seconds"),
        pytest.param(0, 40, id="each frame"),
        pytest.param(0.01, 40, id="no frame twice"),
    ],
)
def test_the_estimate_counts_poses_searches_and_pixels(make_video, every_s, searches):
    infos = make_outline([str(make_video())], chunk_bytes=1024**2).infos

    estimated_s = duration_s(infos, 2, Costs(pose_s=0.5, search_s=3.0), every_s)

    decoding_s = 40 * 320 * 240 / DECODED_PX_PER_S
    assert estimated_s == pytest.approx((40 * 0.5 + searches * 3.0 + decoding_s) / 2)


def test_what_models_take_is_measured(models):
    pose = load_pose(models.pose, "cpu")

    costs = measure_costs(load_detector(models.detector, "cpu"), pose)

    assert 0 < costs.pose_s < 1
    assert 0 < costs.search_s < 5
    assert measure_costs(None, pose).search_s == 0
