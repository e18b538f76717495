"""From scores to what a row of the timeline says: an action, or the reason why there is none.

Shapes: N rows, A actions.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

OTHER: Final = "other"
"""The action of everybody who does none of the others."""

Reason: TypeAlias = Literal["no_person", "low_pose_confidence", "low_score"]
"""Why a row names no action:

    no_person            nobody is in the frame
    low_pose_confidence  shoulders or head cannot be made out, so that nothing can be told
    low_score            an action scored best, but too low to be named
"""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decisions:
    """What each row says."""

    action_N: npt.NDArray[np.object_]
    """Name of the action; ``other`` where none is named, empty in a frame with nobody."""

    score_N: npt.NDArray[np.float32]
    """Score of that action; NaN in a frame with nobody."""

    reason_N: npt.NDArray[np.object_]
    """A ``Reason``; None where the action is what the model found, ``other`` included."""


def decide(
    scores_NA: npt.NDArray[np.float32],
    is_clear_N: npt.NDArray[np.bool_],
    actions: Sequence[str],
    *,
    min_score: float,
) -> Decisions:
    """Decide what to say of each row.

    The best action stands if it scores at least ``min_score``, also where the body is not clear:
    scores are smoothed, so its neighbours vouch for it.

    Args:
        scores_NA: Probability of each action, smoothed over time, (N, A); NaN where nobody is.
        is_clear_N: Whether shoulders and head are made out, (N,).
        actions: Name of each score column, length A; ``OTHER`` is one of them.
        min_score: Score below which an action is not named.
    """
    other = actions.index(OTHER)
    best_N = np.nan_to_num(scores_NA, nan=-1.0).argmax(axis=1)
    rows_N = np.arange(len(scores_NA))
    is_person_N = np.isfinite(scores_NA).all(axis=1)
    is_low_N = (best_N != other) & (scores_NA[rows_N, best_N] < min_score)
    chosen_N = np.where(is_low_N, other, best_N)

    action_N = np.array(actions, np.object_)[chosen_N]
    action_N[~is_person_N] = ""
    reason_N = np.full(len(scores_NA), None, np.object_)
    reason_N[is_low_N] = "low_score"
    reason_N[~is_clear_N & (chosen_N == other)] = "low_pose_confidence"
    reason_N[~is_person_N] = "no_person"
    return Decisions(action_N=action_N, score_N=scores_NA[rows_N, chosen_N], reason_N=reason_N)
