import pytest

from poseact.analysis.resources import CPUS_PER_WORKER, Pools, peak_memory_bytes, pools_for


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
