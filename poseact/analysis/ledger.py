"""What is planned, tried and done: the ``work`` folder of a run.

    work/<run_id>/manifest/<video_id>.json               a video and its chunks, as planned
    work/<run_id>/attempts/                              see ``attempts``
    work/<run_id>/parts/<video_id>/<chunk_id>.parquet    the people of one chunk
    work/<run_id>/receipts/<video_id>/<chunk_id>.json    the chunk is done, well or badly

Files appear whole under their final, deterministic name, so a worker that repeats a chunk replaces
its own work, and whoever finds a receipt may rely on the part. The id keeps apart what the workers
of another run, which died or still dies, may write.
"""

import dataclasses
import json
from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from poseact.analysis.attempts import Attempts
from poseact.errors import OutputError
from poseact.storage import (
    AnyPath,
    cannot_write,
    remove_file,
    remove_tree,
    write_bytes,
    write_text,
)
from poseact.timeline.parquet import parquet_bytes
from poseact.video.chunks import Chunk
from poseact.video.probe import VideoInfo


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

    first_lost_pts_s: float | None = None
    """Presentation time of the first frame that did not come, or came damaged; None if all came."""

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
    """The ``work`` folder of a run; every process of the run holds one on the same folder."""

    root: AnyPath
    """``<run_id>`` in the folder ``work`` of the results."""

    @property
    def attempts(self) -> Attempts:
        """Who died at what."""
        return Attempts(self.root / "attempts")

    def prepare(self) -> None:
        """Make the folders and check that they can be written.

        Raises:
            OutputError: If they cannot.
        """
        try:
            for folder in ("manifest", "attempts", "parts", "receipts"):
                (self.root / folder).mkdir(parents=True, exist_ok=True)
            write_text(self.root / "writable", "")
            (self.root / "writable").unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.root.parent.parent, error) from error

    def save_plan(self, video: PlannedVideo) -> None:
        """Record a video and its chunks."""
        try:
            self._parts(video.info.video_id).mkdir(exist_ok=True)
            self._receipts(video.info.video_id).mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(self.root, error) from error
        text = json.dumps(dataclasses.asdict(video), default=str)
        write_text(self._manifest(video.info.video_id), text)

    def load_plan(self, video_id: str) -> PlannedVideo | None:
        """Return the recorded plan of a video, None if there is none that can be read."""
        try:
            return _planned_video(json.loads(self._manifest(video_id).read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # not ours, or damaged: plan it again
            return None

    def require_plan(self, video_id: str) -> PlannedVideo:
        """Return the recorded plan of a video.

        Raises:
            OutputError: If it is gone or damaged.
        """
        return _require_plan(self, video_id)

    def write_part(self, video_id: str, chunk_id: str, people: pa.Table) -> None:
        """Store the people of one chunk, in the folder that ``save_plan`` made."""
        write_bytes(self._part(video_id, chunk_id), parquet_bytes(people))

    def read_part(self, receipt: Receipt) -> pa.Table:
        """Read the people of a chunk that is done.

        Raises:
            OutputError: If they are gone or damaged; the chunk is no longer done then.
        """
        path = self._part(receipt.video_id, receipt.chunk_id)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise self._undone(receipt, path, error) from error
        try:
            return pq.read_table(pa.BufferReader(content))
        except (OSError, pa.ArrowException) as error:  # pyarrow has both for a damaged file
            raise self._undone(receipt, path, error) from error

    def _undone(self, receipt: Receipt, path: AnyPath, error: Exception) -> OutputError:
        remove_file(self._receipt(receipt.video_id, receipt.chunk_id))
        return _damaged(path, error)

    def save_receipt(self, receipt: Receipt) -> None:
        """Declare a chunk done; its part must be there."""
        write_text(self._receipt(receipt.video_id, receipt.chunk_id), receipt.to_json())

    def done_ids(self, video_id: str) -> set[str]:
        """Return the chunks of a video that have their receipt."""
        return {path.stem for path in self._receipts(video_id).glob("[!.]*.json")}

    def is_complete(self, video_id: str) -> bool:
        """Tell whether the plan of a video, and the receipts of all its chunks, are there."""
        video = self.load_plan(video_id)
        done = self.done_ids(video_id)
        return video is not None and all(chunk.chunk_id in done for chunk in video.chunks)

    def load_receipt(self, video_id: str, chunk_id: str) -> Receipt:
        """Read the receipt of a chunk that is done.

        Raises:
            OutputError: If it is gone or damaged; the chunk is no longer done then.
        """
        path = self._receipt(video_id, chunk_id)
        try:
            return Receipt.from_json(path.read_text())
        except (FileNotFoundError, ValueError, TypeError) as error:
            remove_file(path)
            raise _damaged(path, error) from error

    def forget(self, video_id: str) -> None:
        """Remove everything about a video, the manifest last: until then it can be repeated."""
        remove_tree(self._parts(video_id))
        remove_tree(self._receipts(video_id))
        remove_file(self._manifest(video_id))

    def unfinished_ids(self) -> set[str]:
        """Return the videos that are planned and not finished."""
        return {path.stem for path in (self.root / "manifest").glob("[!.]*.json")}

    def _manifest(self, video_id: str) -> AnyPath:
        return self.root / "manifest" / f"{video_id}.json"

    def _parts(self, video_id: str) -> AnyPath:
        return self.root / "parts" / video_id

    def _part(self, video_id: str, chunk_id: str) -> AnyPath:
        return self._parts(video_id) / f"{chunk_id}.parquet"

    def _receipts(self, video_id: str) -> AnyPath:
        return self.root / "receipts" / video_id

    def _receipt(self, video_id: str, chunk_id: str) -> AnyPath:
        return self._receipts(video_id) / f"{chunk_id}.json"


@lru_cache(maxsize=4)  # a worker mostly gets the chunks of one video after the other
def _require_plan(work: Work, video_id: str) -> PlannedVideo:
    video = work.load_plan(video_id)
    if video is None:
        raise OutputError(
            f"{work.root}: the plan of video {video_id} is gone or damaged. Was something removed "
            "there? Give the same command again; it goes on where it stopped."
        )
    return video


def _damaged(path: AnyPath, error: Exception) -> OutputError:
    reason = " ".join(str(error).split())
    return OutputError(
        f"{path}: is gone or damaged ({reason}). Was something removed there? Give the same "
        "command again; that chunk is analysed anew."
    )


def chunk_from_json(fields: Mapping[str, Any]) -> Chunk:
    """Rebuild a chunk from the JSON of its fields."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return Chunk(**values)


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
