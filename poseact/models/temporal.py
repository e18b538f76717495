"""The temporal action model: a small network over a window of one person's motion.

Shapes: B windows, S samples of each, T frames, Q times, J = 7 joints in skeleton order, P = 21
pairs of joints, C channels, A actions.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from poseact.geometry import FloatArray
from poseact.models.features import NUM_DISTANCES
from poseact.skeleton import HEAD, L_SHOULDER, NUM_JOINTS, R_SHOULDER

MAX_GAP_S: Final = 0.5
"""Longest time between two frames across which a joint is taken to move evenly."""

CHANNELS: Final = 32
DROPOUT: Final = 0.5

_FIRST, _SECOND = np.triu_indices(NUM_JOINTS, k=1)
_BODY: Final = [L_SHOULDER, HEAD, R_SHOULDER]


def resample(
    joints_TJ3: FloatArray,
    pts_s_T: npt.NDArray[np.float64],
    times_s_Q: npt.NDArray[np.float64],
) -> FloatArray:
    """Tell where one person's joints are at any time.

    Args:
        joints_TJ3: x, y and confidence, (T, 7, 3), T >= 1; x and y NaN where not seen.
        pts_s_T: Time of each frame, (T,), seconds, increasing.
        times_s_Q: Times asked for, (Q,), seconds.

    Returns:
        Joints at those times, (Q, 7, 3), float32: on the line between the two frames around each.
        Those of the nearest frame where the two are more than ``MAX_GAP_S`` apart, where one of
        them does not see the joint, and before the first frame and after the last.
    """
    after_Q = np.searchsorted(pts_s_T, times_s_Q).clip(0, len(pts_s_T) - 1)
    before_Q = np.maximum(after_Q - 1, 0)
    gap_s_Q = pts_s_T[after_Q] - pts_s_T[before_Q]
    way_s_Q = (times_s_Q - pts_s_T[before_Q]).clip(0, gap_s_Q)
    share_Q = np.divide(way_s_Q, gap_s_Q, out=np.ones_like(gap_s_Q), where=gap_s_Q > 0)
    nearest_Q = np.where(share_Q < 0.5, before_Q, after_Q)  # noqa: PLR2004 - the middle
    share_Q11 = share_Q[:, None, None].astype(np.float32)
    between_QJ3 = joints_TJ3[before_Q] * (1 - share_Q11) + joints_TJ3[after_Q] * share_Q11
    is_bridged_QJ = (gap_s_Q <= MAX_GAP_S)[:, None] & np.isfinite(between_QJ3).all(axis=2)
    return np.where(is_bridged_QJ[..., None], between_QJ3, joints_TJ3[nearest_Q])


def windows(
    joints_TJ3: FloatArray,
    pts_s_T: npt.NDArray[np.float64],
    *,
    window_s: float,
    samples: int,
    causal: bool,
) -> FloatArray:
    """Cut a window of real time out of one person's motion for every frame.

    Args:
        joints_TJ3: x, y and confidence, (T, 7, 3); x and y NaN where not seen.
        pts_s_T: Time of each frame, (T,), seconds, increasing.
        window_s: Length of the window, first to last sample.
        samples: Samples of each window, evenly spaced, at least 2.
        causal: The window ends at the frame, so that a score needs no frame after its own;
            otherwise the frame is in its middle.

    Returns:
        Windows, (T, S, 7, 3), float32, made by ``resample``.
    """
    start_s = -window_s if causal else -window_s / 2
    offsets_s_S = start_s + np.linspace(0, window_s, samples)
    times_s_TS = pts_s_T[:, None] + offsets_s_S
    windows_QJ3 = resample(joints_TJ3, pts_s_T, times_s_TS.ravel())
    return windows_QJ3.reshape(len(pts_s_T), samples, NUM_JOINTS, 3)


def has_body(windows_BSJ3: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell in which windows both shoulders and the head are ever seen together, (B,)."""
    is_unseen_BSJ = np.isnan(windows_BSJ3[..., _BODY, :2]).any(axis=3)
    is_known_B: npt.NDArray[np.bool_] = ~np.any(is_unseen_BSJ, axis=2).all(axis=1)
    return is_known_B


class TemporalNet(nn.Module):
    """Reads posture, slow motion and fast motion of a window, then one short convolution stack.

    Place and size of the person in the picture change nothing, nor does how they stand on the
    whole; which way they move does. Windows of any number of samples, at least 16, fit; those
    trained on fit best.

    Source:
        The three streams are those of DD-Net: Yang et al., Make skeleton-based action recognition
        model smaller, faster and better, 2019.
    """

    def __init__(self, num_classes: int, channels: int = CHANNELS) -> None:
        super().__init__()
        coordinates = 2 * NUM_JOINTS
        self.posture = _stream(coordinates + NUM_DISTANCES + NUM_JOINTS, channels, pool=True)
        self.slow_motion = _stream(coordinates, channels, pool=True)
        self.fast_motion = _stream(coordinates, channels, pool=False)
        self.body = nn.Sequential(
            *_block(3 * channels, 2 * channels),
            *_block(2 * channels, 2 * channels),
            nn.MaxPool1d(2, ceil_mode=True),
            *_block(2 * channels, 4 * channels),
            *_block(4 * channels, 4 * channels),
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.head = nn.Linear(8 * channels, num_classes)

    def forward(self, windows_BSJ3: Tensor) -> Tensor:
        """Return logits (B, A) for windows (B, S, 7, 3); x and y NaN is "not seen".

        The confidence is not used. A window without ``has_body`` has meaningless logits.
        """
        xy_BSJ2 = in_body_scales(windows_BSJ3[..., :2])
        xy_BCS = xy_BSJ2.flatten(2).transpose(1, 2)
        apart_BSP = (xy_BSJ2[:, :, _FIRST] - xy_BSJ2[:, :, _SECOND]).norm(dim=3)
        seen_BSJ = xy_BSJ2[..., 0].isfinite().float()
        posture_BCS = torch.cat([xy_BCS, apart_BSP.mT, seen_BSJ.mT], dim=1)
        rate = xy_BCS.shape[2] / 8  # motion per eighth of a window is about as large as a posture
        slow_BCS = nn.functional.pad(xy_BCS.diff(dim=2), (1, 0)) * rate
        fast_BCS = nn.functional.pad(xy_BCS[..., ::2].diff(dim=2), (1, 0)) * rate / 2
        streams_BCS = [
            self.posture(posture_BCS.nan_to_num()),
            self.slow_motion(slow_BCS.nan_to_num()),
            self.fast_motion(fast_BCS.nan_to_num()),
        ]
        body_BCS = self.body(torch.cat(streams_BCS, dim=1))
        pooled_BC = torch.cat([body_BCS.amax(dim=2), body_BCS.mean(dim=2)], dim=1)
        logits_BA: Tensor = self.head(self.dropout(pooled_BC))
        return logits_BA


def in_body_scales(xy_BSJ2: Tensor) -> Tensor:
    """Place and measure a window by the middle of its shoulders and its body scale (medians)."""
    middle_BS2 = (xy_BSJ2[:, :, L_SHOULDER] + xy_BSJ2[:, :, R_SHOULDER]) / 2
    width_BS = (xy_BSJ2[:, :, L_SHOULDER] - xy_BSJ2[:, :, R_SHOULDER]).norm(dim=2)
    neck_BS = (xy_BSJ2[:, :, HEAD] - middle_BS2).norm(dim=2)
    scale_B = (width_BS + neck_BS).nanmedian(dim=1).values.clamp(min=1e-9)
    middle_B2 = middle_BS2.nanmedian(dim=1).values
    placed_BSJ2: Tensor = (xy_BSJ2 - middle_B2[:, None, None]) / scale_B[:, None, None, None]
    return placed_BSJ2


def _stream(in_channels: int, channels: int, *, pool: bool) -> nn.Sequential:
    return nn.Sequential(
        *_block(in_channels, 2 * channels, kernel=1),
        *_block(2 * channels, channels),
        *([nn.MaxPool1d(2, ceil_mode=True)] if pool else []),
    )


def _block(in_channels: int, out_channels: int, *, kernel: int = 3) -> tuple[nn.Module, ...]:
    return (
        nn.Conv1d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(out_channels),
        nn.LeakyReLU(0.2),
    )
