"""The people of one or more chunks, as arrays and as the part files between watch and finalize."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from poseact.analysis.boxes import Boxes
from poseact.geometry import FloatArray
from poseact.skeleton import NUM_JOINTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class People:
    """One row per frame and person, and one for each frame with nobody.

    Shape letters: N rows, J = 7 joints, T frames, K people. A frame with nobody is NaN throughout.
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

    @property
    def is_person_N(self) -> npt.NDArray[np.bool_]:
        """Tell the rows that are people from those of frames with nobody."""
        return np.asarray(np.isfinite(self.boxes_N4).all(axis=1))

    def without(self, is_left_out_N: npt.NDArray[np.bool_]) -> "People":
        """Leave out some people; a frame that has nobody else is one with nobody."""
        is_alone_N = ~np.isin(self.frame_index_N, self.frame_index_N[~is_left_out_N])
        # of several left out in a frame, the first becomes the row of nobody
        _, first_rows = np.unique(self.frame_index_N, return_index=True)
        is_first_N = np.isin(np.arange(len(self.frame_index_N)), first_rows)
        is_kept_N = ~is_left_out_N | (is_alone_N & is_first_N)

        def kept(values_N: FloatArray) -> FloatArray:
            values = values_N[is_kept_N].copy()
            values[is_left_out_N[is_kept_N]] = np.nan
            return values

        return People(
            frame_index_N=self.frame_index_N[is_kept_N],
            pts_s_N=self.pts_s_N[is_kept_N],
            boxes_N4=kept(self.boxes_N4),
            detection_score_N=kept(self.detection_score_N),
            joints_NJ3=kept(self.joints_NJ3),
        )

    def to_table(self) -> pa.Table:
        """Return the content of a part file."""
        return pa.table(
            {
                "frame_index": self.frame_index_N,
                "pts_s": self.pts_s_N,
                "bbox_xyxy_px": list_column(self.boxes_N4),
                "detection_score": self.detection_score_N,
                "joints": list_column(self.joints_NJ3.reshape(-1, 3 * NUM_JOINTS)),
            }
        )

    @staticmethod
    def in_frames(
        boxes: Boxes,
        joints_KJ3: FloatArray,
        *,
        frame_index_T: npt.NDArray[np.int64],
        pts_s_T: npt.NDArray[np.float64],
    ) -> "People":
        """Give every frame its people, and one row to a frame without any.

        Args:
            boxes: The people.
            joints_KJ3: Their joints.
            frame_index_T: Rank of each frame in its video.
            pts_s_T: Presentation time of each frame, seconds.
        """
        nobody_E = np.setdiff1d(np.arange(len(frame_index_T)), boxes.frame_K)
        frame_N = np.concatenate([boxes.frame_K, nobody_E])
        order = np.argsort(frame_N, kind="stable")

        def filled(values_K: FloatArray) -> FloatArray:
            nan = np.full((len(nobody_E), *values_K.shape[1:]), np.nan, np.float32)
            return np.concatenate([values_K, nan])[order]

        return People(
            frame_index_N=frame_index_T[frame_N[order]],
            pts_s_N=pts_s_T[frame_N[order]],
            boxes_N4=filled(boxes.boxes_K4),
            detection_score_N=filled(boxes.scores_K),
            joints_NJ3=filled(joints_KJ3),
        )

    @staticmethod
    def from_tables(tables: Sequence[pa.Table]) -> "People":
        """Join the parts of a video.

        Args:
            tables: Made by ``to_table``, in order of time; none for a video without frames.

        Returns:
            Their rows.
        """
        if not tables:
            return People._nobody_ever()
        table = pa.concat_tables(tables)
        return People(
            frame_index_N=table["frame_index"].to_numpy(),
            pts_s_N=table["pts_s"].to_numpy(),
            boxes_N4=_rows(table["bbox_xyxy_px"], 4),
            detection_score_N=table["detection_score"].to_numpy(),
            joints_NJ3=_rows(table["joints"], 3 * NUM_JOINTS).reshape(-1, NUM_JOINTS, 3),
        )

    @staticmethod
    def _nobody_ever() -> "People":
        return People(
            frame_index_N=np.empty(0, np.int64),
            pts_s_N=np.empty(0),
            boxes_N4=np.empty((0, 4), np.float32),
            detection_score_N=np.empty(0, np.float32),
            joints_NJ3=np.empty((0, NUM_JOINTS, 3), np.float32),
        )


def list_column(values_NK: FloatArray) -> pa.FixedSizeListArray:
    """Return an Arrow column whose every cell is a row of a matrix."""
    flat = pa.array(np.ascontiguousarray(values_NK, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, values_NK.shape[1])


def _rows(column: pa.ChunkedArray, width: int) -> FloatArray:
    rows: npt.NDArray[Any] = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return rows.reshape(-1, width)
