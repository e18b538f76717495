"""From the parts of one video to its tables: the only place where state spans frames."""

import time

from poseact.analysis.actions import ActionModel, find_actions
from poseact.analysis.footage import Footage, write_tables
from poseact.analysis.ledger import PlannedVideo
from poseact.analysis.outcome import VideoOutcome, video_row
from poseact.analysis.people import People
from poseact.analysis.run import Run
from poseact.analysis.tracks import follow
from poseact.timeline.tables import write_video_row


def finalize(video: PlannedVideo, run: Run, action: ActionModel) -> VideoOutcome:
    """Write the tables of a video whose chunks are all done, and forget its chunks.

    The ``videos`` row goes last: a video that has one is finished.

    Args:
        video: The video and its chunks.
        run: The run.
        action: Scores what people do.

    Returns:
        What became of the video.

    Raises:
        OutputError: If a table cannot be written.
    """
    started = time.perf_counter()
    work = run.work
    receipts = [work.load_receipt(chunk.chunk_id) for chunk in video.chunks]
    tables = [work.read_part(receipt.chunk_id) for receipt in receipts if receipt.num_frames]
    tracks = follow(People.from_tables(tables), run.min_detection_score)
    findings = find_actions(tracks, action, run)

    write_tables(findings, Footage.from_info(video.info), run)
    row = video_row(video, receipts, run.run_id)
    write_video_row(run.out, row)
    work.forget(video)
    return VideoOutcome(
        row=row,
        num_people=findings.tracks.num_tracks,
        segments=findings.num_segments,
        peaks=findings.peaks(run.actions),
        finalize_s=time.perf_counter() - started,
    )
