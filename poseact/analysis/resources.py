"""How the CPUs and GPUs of a cluster are shared out, and what a run will need of them."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import numpy as np

from poseact.models.detection import Detector
from poseact.models.looks import CROPS_PER_CALL, CropModel
from poseact.video.probe import VideoInfo

DECODED_PX_PER_S = 1.5e8
"""Pixels that one core decodes to RGB in a second; measured on H.264 from 360p to 432p."""

PROCESS_BYTES = 600 * 1024**2
"""Memory of a worker that holds its libraries and models, and no frames; measured 435 to 550 MiB of
those that watch, 210 of those that decode."""

CHUNK_COPIES_DECODING = 2
"""A chunk is in memory as decoded and as handed to the object store."""

CHUNK_COPIES_WATCHING = 3
"""A chunk being watched, and two waiting for the same actor."""


FRAME_PX = (640, 360)
"""Width and height of the frame on which the search for people is timed."""

CPUS_PER_WORKER = 0.4
"""CPUs that a worker of either stage claims: one mostly waits for the other, and on a node of one
CPU neither may keep the other, or a task, from starting."""

CPUS_PER_TASK = 0.2
"""CPUs that a task claims which plans or finalizes."""

WATCHERS_PER_FINALIZER = 4
"""Finalizing a video takes far less than watching it."""

DECODERS_PER_CPU = 1 / 3
"""Decoding a frame takes about a third of the time that its pose takes on a CPU."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pools:
    """Workers of the two stages."""

    num_decoders: int
    num_watchers: int
    gpus_per_watcher: int

    @property
    def num_finalizers(self) -> int:
        """Videos that are finalized at once."""
        return max(1, self.num_watchers // WATCHERS_PER_FINALIZER)


def pools_for(num_cpus: float, num_gpus: float, num_chunks: int) -> Pools:
    """Share out a cluster.

    Args:
        num_cpus: Its CPUs.
        num_gpus: Its GPUs: one watcher on each, and the CPUs decode. Without any there are as many
            watchers as CPUs, and some decoders more, so that no CPU waits for work.
        num_chunks: Units of work; there are no more workers than these.

    Returns:
        At least one worker for each stage, given at least one chunk.
    """
    if num_gpus >= 1:
        num_watchers = int(num_gpus)
        num_decoders = max(1, int(num_cpus) - num_watchers)
    else:
        num_watchers = max(1, int(num_cpus))
        num_decoders = math.ceil(num_watchers * DECODERS_PER_CPU)
    return Pools(
        num_decoders=min(num_decoders, num_chunks),
        num_watchers=min(num_watchers, num_chunks),
        gpus_per_watcher=int(num_gpus >= 1),
    )


def store_bytes(pools: Pools, chunk_bytes: int) -> int:
    """Return how much of the object store chunks may take, however slowly results are written."""
    chunks = CHUNK_COPIES_DECODING * pools.num_decoders + CHUNK_COPIES_WATCHING * pools.num_watchers
    return chunks * chunk_bytes


def peak_memory_bytes(pools: Pools, chunk_bytes: int) -> int:
    """Estimate the memory of a run; how long its videos are does not matter."""
    # the driver and Ray's own processes take about as much as two workers
    processes = pools.num_decoders + pools.num_watchers + pools.num_finalizers + 2
    return store_bytes(pools, chunk_bytes) + processes * PROCESS_BYTES


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """Seconds that models take on one CPU."""

    pose_s: float
    """For the joints of a person."""

    search_s: float
    """For finding the people of a frame; 0 without a detector."""


def duration_s(
    infos: Sequence[VideoInfo], num_cpus: int, costs: Costs, detect_every_s: float
) -> float:
    """Estimate how long a run takes on CPUs that are all busy, if each frame shows one person.

    Args:
        infos: Of the videos that are to be analysed.
        num_cpus: CPUs.
        costs: What models take.
        detect_every_s: Time between two frames in which people are looked for.

    Returns:
        Seconds.
    """
    total_s = 0.0
    for info in infos:
        frames = info.frames_expected
        searches = min(frames, info.duration_s / detect_every_s) if detect_every_s else frames
        total_s += frames * (costs.pose_s + info.width * info.height / DECODED_PX_PER_S)
        total_s += searches * costs.search_s
    return total_s / num_cpus


def measure_costs(detector: Detector | None, pose: CropModel) -> Costs:
    """Measure on this machine what models take, in batches as in the job."""
    crops_BHWC = np.zeros((CROPS_PER_CALL, pose.input_px, pose.input_px, 3), np.uint8)
    frame_HWC = np.zeros((*FRAME_PX[::-1], 3), np.uint8)
    return Costs(
        pose_s=_seconds(lambda: pose.predict(crops_BHWC)) / CROPS_PER_CALL,
        search_s=_seconds(lambda: detector.detect([frame_HWC])) if detector else 0.0,
    )


def _seconds(call: Callable[[], object]) -> float:
    call()  # the first one also sets up
    started = time.perf_counter()
    call()
    return time.perf_counter() - started
