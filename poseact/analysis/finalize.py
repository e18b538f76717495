"""From the parts of one video to its tables: the only place where state spans frames."""

import dataclasses
import time

from poseact.analysis.actions import ActionModel, find_actions
from poseact.analysis.footage import Footage, write_tables
from poseact.analysis.outcome import VideoOutcome, video_row
from poseact.analysis.people import People
from poseact.analysis.run import Run
from poseact.analysis.tracks import follow
from poseact.timeline.tables import read_video_row, write_video_row


def finalize(video_id: str, run: Run, action: ActionModel) -> VideoOutcome:
    """Write the tables of a video whose chunks are all done, and forget its chunks.

    The ``videos`` row goes last, then the receipts. Whoever dies in here is repeated; a video on
    which that happens time and again has its row, which says so, and empty tables.

    Args:
        video_id: Of a planned video.
        run: The run.
        action: Scores what people do.

    Returns:
        What became of the video.

    Raises:
        OutputError: If a table cannot be written, or what the chunks left is gone.
    """
    started = time.perf_counter()
    work = run.work
    row = read_video_row(run.out, video_id)
    if row is not None and row["run_id"] == run.run_id and not work.is_complete(video_id):
        work.forget(video_id)  # its last table was written, and forgetting it had begun
        return VideoOutcome(row=row, finalize_s=time.perf_counter() - started)

    video = work.require_plan(video_id)
    receipts = [work.load_receipt(video_id, chunk.chunk_id) for chunk in video.chunks]
    with work.attempts.start(video_id, "finalizing") as attempt:
        if attempt.poison:
            failure = attempt.poison.of_file(video.info.uri)
            receipts = [dataclasses.replace(one, num_frames=0, **failure) for one in receipts]
        tables = [work.read_part(receipt) for receipt in receipts if receipt.num_frames]
        tracks = follow(People.from_tables(tables), run.min_detection_score)
        findings = find_actions(tracks, action, run)
        row = video_row(video, receipts, run.run_id)

        run.require_current()
        write_tables(findings, Footage.from_info(video.info), run)
        run.require_current()  # large tables take their time
        write_video_row(run.out, row)
    work.forget(video_id)
    return VideoOutcome(
        row=row,
        num_people=findings.tracks.num_tracks,
        segments=findings.num_segments,
        peaks=findings.peaks(run.actions),
        finalize_s=time.perf_counter() - started,
    )
