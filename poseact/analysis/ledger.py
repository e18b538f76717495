"""What is planned, tried and done: the ``work`` folder of a run.

    work/manifest/<video_id>.json   a video and its chunks, as planned
    work/attempts/<chunk>.<stage>   one byte per start of a stage that did not come to its end
    work/parts/<chunk_id>.parquet   the people of one chunk
    work/receipts/<chunk_id>.json   the chunk is done, well or badly

Files appear whole under their final, deterministic name, so a worker that repeats a chunk replaces
its own work, and whoever finds a receipt may rely on the part.
"""

import dataclasses
import json
import shutil
import uuid
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poseact.errors import OutputError
from poseact.timeline.tables import write_table
from poseact.video.chunks import Chunk
from poseact.video.probe import VideoInfo

MAX_ATTEMPTS = 3
"""Starts of a stage on a chunk; one that killed its worker so often is set aside."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedVideo:
    """A readable video and the units of work it was cut into."""

    info: VideoInfo
    chunks: tuple[Chunk, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of one chunk."""

    chunk_id: str
    video_id: str
    uri: str

    num_planned: int
    """Frames that the plan expects."""

    num_frames: int = 0
    """Frames in the chunk's part; 0 means that there is no part."""

    decode_errors: int = 0
    """Packets that could not be decoded."""

    last_good_pts_s: float | None = None
    """Presentation time of the last decoded frame, seconds; None without frames."""

    error_kind: str | None = None
    """Class of the error that ended the chunk early; None if nothing did."""

    error: str | None = None
    """Its message."""

    num_too_small: int = 0
    """Boxes of people, frame by frame, that are too low for a pose."""

    decode_s: float = 0.0
    detect_s: float = 0.0
    pose_s: float = 0.0
    commit_s: float = 0.0
    """Seconds spent in each stage."""

    def to_json(self) -> str:
        """Write the receipt as one line of JSON."""
        return json.dumps(dataclasses.asdict(self))

    @staticmethod
    def from_json(text: str) -> "Receipt":
        """Read what ``to_json`` wrote."""
        return Receipt(**json.loads(text))


@dataclasses.dataclass(frozen=True)
class Work:
    """The ``work`` folder; every process of a run holds one on the same folder."""

    root: Path

    def prepare(self) -> None:
        """Make the folders and check that they can be written.

        Raises:
            OutputError: If they cannot.
        """
        try:
            for folder in ("manifest", "attempts", "parts", "receipts"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            write_text(self.root / "writable", "")
            (self.root / "writable").unlink()
        except OSError as error:
            raise cannot_write(self.root.parent, error) from error

    def save_plan(self, video: PlannedVideo) -> None:
        """Record a video and its chunks."""
        text = json.dumps(dataclasses.asdict(video), default=str)
        write_text(self._manifest(video.info.video_id), text)

    def load_plan(self, video_id: str) -> PlannedVideo | None:
        """Return the recorded plan of a video, None if there is none."""
        try:
            text = self._manifest(video_id).read_text()
        except FileNotFoundError:
            return None
        return _planned_video(json.loads(text))

    def count_attempt(self, chunk_id: str, stage: str) -> int:
        """Record that a stage starts on a chunk; return how often it has, this time included."""
        path = self.root / "attempts" / f"{chunk_id}.{stage}"
        try:
            with path.open("ab") as ledger:
                ledger.write(b".")
                return ledger.tell()
        except OSError as error:
            raise cannot_write(path, error) from error

    def forget_attempts(self, chunk_id: str, stage: str) -> None:
        """Take back all attempts: the stage came to an end, or was ended by no fault of its own."""
        (self.root / "attempts" / f"{chunk_id}.{stage}").unlink(missing_ok=True)

    def write_part(self, chunk_id: str, people: pa.Table) -> None:
        """Store the people of one chunk."""
        write_table(self._part(chunk_id), people)

    def read_part(self, chunk_id: str) -> pa.Table:
        """Read the people of one chunk."""
        return pq.read_table(self._part(chunk_id))

    def save_receipt(self, receipt: Receipt) -> None:
        """Declare a chunk done; its part must be there."""
        write_text(self._receipt(receipt.chunk_id), receipt.to_json())

    def is_done(self, chunk_id: str) -> bool:
        """Tell whether a chunk has its receipt."""
        return self._receipt(chunk_id).exists()

    def load_receipt(self, chunk_id: str) -> Receipt:
        """Read the receipt of a chunk that is done."""
        return Receipt.from_json(self._receipt(chunk_id).read_text())

    def forget(self, video: PlannedVideo) -> None:
        """Remove everything about a video, the manifest last: until then it can be repeated."""
        for chunk in video.chunks:
            self._part(chunk.chunk_id).unlink(missing_ok=True)
            self._receipt(chunk.chunk_id).unlink(missing_ok=True)
        self._manifest(video.info.video_id).unlink(missing_ok=True)

    def remove_if_done(self) -> None:
        """Remove the folder unless it still holds a video that is not finished."""
        if not any((self.root / "manifest").iterdir()):
            shutil.rmtree(self.root)

    def _manifest(self, video_id: str) -> Path:
        return self.root / "manifest" / f"{video_id}.json"

    def _part(self, chunk_id: str) -> Path:
        return self.root / "parts" / f"{chunk_id}.parquet"

    def _receipt(self, chunk_id: str) -> Path:
        return self.root / "receipts" / f"{chunk_id}.json"


def chunk_from_json(fields: Mapping[str, Any]) -> Chunk:
    """Rebuild a chunk from the JSON of its fields."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Chunk(**values)


def write_text(path: Path, text: str) -> None:
    """Write a file that appears under its name only when complete.

    Raises:
        OutputError: If it cannot be written.
    """
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        try:
            unfinished.write_text(text)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> OutputError:
    """Return the error for a place that cannot be written."""
    return OutputError(
        f"{path}: cannot be written: {error.strerror}. Free some space or choose another --out."
    )


def _planned_video(raw: Mapping[str, Any]) -> PlannedVideo:
    info = raw["info"]
    start_utc = info["start_utc"]
    return PlannedVideo(
        info=VideoInfo(
            **{
                **info,
                "time_base": Fraction(info["time_base"]),
                "start_utc": start_utc and datetime.fromisoformat(start_utc),
            }
        ),
        chunks=tuple(chunk_from_json(chunk) for chunk in raw["chunks"]),
    )
