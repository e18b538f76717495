"""The people of one or more chunks, as arrays and as the part files between watch and finalize."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poseact.geometry import FloatArray
from poseact.skeleton import NUM_JOINTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class People:
    """One row per frame and person, and one for each frame with nobody.

    Shape letters: N rows, J = 7 joints, A actions. A frame with nobody is NaN throughout.
    """

    frame_index_N: npt.NDArray[np.int64]
    """Rank of the frame in its video."""

    pts_s_N: npt.NDArray[np.float64]
    """Presentation time, seconds."""

    boxes_N4: FloatArray
    """x0, y0, x1, y1 in source pixels."""

    detection_score_N: FloatArray
    """In [0, 1]; NaN also where no detector was asked."""

    joints_NJ3: FloatArray
    """x, y in source pixels and confidence; x and y NaN for a joint that is not seen."""

    scores_NA: FloatArray
    """Probability of each action."""

    @property
    def is_person_N(self) -> npt.NDArray[np.bool_]:
        """Tell the rows that are people from those of frames with nobody."""
        return np.asarray(np.isfinite(self.boxes_N4).all(axis=1))

    def to_table(self) -> pa.Table:
        """Return the content of a part file."""
        return pa.table(
            {
                "frame_index": self.frame_index_N,
                "pts_s": self.pts_s_N,
                "bbox_xyxy_px": list_column(self.boxes_N4),
                "detection_score": self.detection_score_N,
                "joints": list_column(self.joints_NJ3.reshape(-1, 3 * NUM_JOINTS)),
                "scores": list_column(self.scores_NA),
            }
        )

    @staticmethod
    def from_tables(tables: Sequence[pa.Table], num_actions: int) -> "People":
        """Join the parts of a video.

        Args:
            tables: Made by ``to_table``, in order of time; none for a video without frames.
            num_actions: Width of the scores.

        Returns:
            Their rows.
        """
        if not tables:
            return People._nobody_ever(num_actions)
        table = pa.concat_tables(tables)
        return People(
            frame_index_N=table["frame_index"].to_numpy(),
            pts_s_N=table["pts_s"].to_numpy(),
            boxes_N4=_rows(table["bbox_xyxy_px"], 4),
            detection_score_N=table["detection_score"].to_numpy(),
            joints_NJ3=_rows(table["joints"], 3 * NUM_JOINTS).reshape(-1, NUM_JOINTS, 3),
            scores_NA=_rows(table["scores"], num_actions),
        )

    @staticmethod
    def _nobody_ever(num_actions: int) -> "People":
        return People(
            frame_index_N=np.empty(0, np.int64),
            pts_s_N=np.empty(0),
            boxes_N4=np.empty((0, 4), np.float32),
            detection_score_N=np.empty(0, np.float32),
            joints_NJ3=np.empty((0, NUM_JOINTS, 3), np.float32),
            scores_NA=np.empty((0, num_actions), np.float32),
        )


def list_column(values_NK: FloatArray) -> pa.FixedSizeListArray:
    """Return an Arrow column whose every cell is a row of a matrix."""
    flat = pa.array(np.ascontiguousarray(values_NK, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values_NK.shape[1])


def _rows(column: pa.ChunkedArray, width: int) -> FloatArray:
    rows: npt.NDArray[Any] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return rows.reshape(-1, width)
