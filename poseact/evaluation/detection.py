"""How well people are found: average precision, and what a threshold costs and gives.

A find is a hit if its IoU with a person is at least 0.5; the surest find goes first and takes the
person that it overlaps most, and each person is taken once. Crowd regions, and people lower than
6 % of the picture's longer side, are ignored: a find that hits nobody and has half its area inside
one of them is dropped.

Shape letters: F finds and P people of all pictures; N and M boxes of one picture; K thresholds.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from poseact.datasets.scenes import LabelledScene
from poseact.geometry import FloatArray, box_iou
from poseact.models.detection import Detections

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

HIT_IOU = 0.5
"""IoU from which a find is the person."""

DROPPED_SHARE = 0.5
"""Share of a find's area inside an ignored region from which it does not count."""

MIN_HEIGHT = 0.06
"""Height over the picture's longer side from which a person counts."""

HEIGHT_CLASSES: Final = {
    "6-12": (MIN_HEIGHT, 0.12),
    "12-25": (0.12, 0.25),
    "25-50": (0.25, 0.5),
    ">50": (0.5, np.inf),
}
"""Heights over the picture's longer side, half-open; the names are in percent."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curve:
    """What each threshold gives, from one above every score downwards."""

    thresholds_K: FloatArray
    """Score from which a find counts: every score that occurs, once."""

    num_finds_K: IntArray
    num_hits_K: IntArray
    num_on_empty_K: IntArray
    """Finds in pictures that hold nobody."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matches:
    """The finds that count, the people who count, and which find is whom."""

    scores_F: FloatArray
    is_hit_F: BoolArray

    is_on_empty_F: BoolArray
    """Whether the picture holds nobody."""

    heights_F: FloatArray
    """Height over the picture's longer side: the person's for a hit, else the find's own."""

    heights_P: FloatArray
    """Height of everybody who counts, over the picture's longer side."""

    num_empty: int
    """Pictures that hold nobody."""

    def curve(self) -> Curve:
        """Return what each threshold gives; finds of equal score come together."""
        order = np.argsort(-self.scores_F)
        scores_F = self.scores_F[order]
        last_of_K = np.flatnonzero(np.diff(scores_F, append=-np.inf))
        above_all = np.nextafter(scores_F.max(initial=0), np.float32(np.inf))

        def counted(is_counted_F: BoolArray) -> IntArray:
            return np.concatenate([[0], np.cumsum(is_counted_F)[last_of_K]]).astype(np.int64)

        return Curve(
            thresholds_K=np.append(above_all, scores_F[last_of_K]),
            num_finds_K=counted(np.ones(len(order), np.bool_)),
            num_hits_K=counted(self.is_hit_F[order]),
            num_on_empty_K=counted(self.is_on_empty_F[order]),
        )

    def average_precision(self) -> float | None:
        """Return the area below precision over recall in percent; None if there is nobody.

        Precision at a recall is the best at that recall or a higher one, at every point.

        Source:
            Everingham et al., The Pascal visual object classes challenge: a retrospective, 2015.
        """
        if not len(self.heights_P):
            return None
        curve = self.curve()
        precision_K = curve.num_hits_K / np.maximum(curve.num_finds_K, 1)
        best_K = np.maximum.accumulate(precision_K[::-1])[::-1]
        gained_K = np.diff(curve.num_hits_K, prepend=0)
        return 100 * float(gained_K @ best_K) / len(self.heights_P)

    def best_threshold(self, *, max_false_per_100_empty: float = np.inf) -> float:
        """Return the threshold of the best F1.

        Args:
            max_false_per_100_empty: People that may be found in 100 pictures that hold nobody.

        Returns:
            A score that occurs; one above all of them if even the surest find is too much.
        """
        curve = self.curve()
        f1_K = 2 * curve.num_hits_K / np.maximum(curve.num_finds_K + len(self.heights_P), 1)
        is_allowed_K = 100 * curve.num_on_empty_K <= max_false_per_100_empty * max(
            self.num_empty, 1
        )
        return float(curve.thresholds_K[np.where(is_allowed_K, f1_K, -1).argmax()])

    def at(self, threshold: float) -> dict[str, float | None]:
        """Return precision and recall in percent, and false people per 100 empty pictures.

        A figure is None where there is nothing to divide by.
        """
        is_found_F = self.scores_F >= threshold
        num_hits = int(self.is_hit_F[is_found_F].sum())
        num_on_empty = int(self.is_on_empty_F[is_found_F].sum())
        return {
            "precision": _percent(num_hits, int(is_found_F.sum())),
            "recall": _percent(num_hits, len(self.heights_P)),
            "threshold": threshold,
            "false_per_100_empty": _percent(num_on_empty, self.num_empty),
        }

    def of_heights(self, low: float, high: float) -> "Matches":
        """Return the finds and people of a height in ``[low, high)``."""
        is_in_F = (self.heights_F >= low) & (self.heights_F < high)
        return dataclasses.replace(
            self,
            scores_F=self.scores_F[is_in_F],
            is_hit_F=self.is_hit_F[is_in_F],
            is_on_empty_F=self.is_on_empty_F[is_in_F],
            heights_F=self.heights_F[is_in_F],
            heights_P=self.heights_P[(self.heights_P >= low) & (self.heights_P < high)],
        )

    def report(self, threshold: float) -> dict[str, Any]:
        """Return all figures, ready for JSON: shares in percent."""
        return {
            **self._figures(threshold),
            "best_f1": self.at(self.best_threshold()),
            "by_height": {
                name: {
                    "num_people": len(part.heights_P),
                    **part._figures(threshold),  # noqa: SLF001 - a part of the same class
                }
                for name, (low, high) in HEIGHT_CLASSES.items()
                for part in [self.of_heights(low, high)]
            },
        }

    def _figures(self, threshold: float) -> dict[str, float | None]:
        return {"ap50": self.average_precision(), **self.at(threshold)}


def match_finds(scenes: Sequence[LabelledScene], found: Sequence[Detections]) -> Matches:
    """Tell hits from false finds.

    Args:
        scenes: The pictures.
        found: What was found in each, the surest first.

    Raises:
        ValueError: If the numbers of pictures differ, or there are none.
    """
    parts = [_match_scene(scene, one) for scene, one in zip(scenes, found, strict=True)]
    scores, hits, on_empty, heights, true_heights = zip(*parts, strict=True)
    return Matches(
        scores_F=np.concatenate(scores),
        is_hit_F=np.concatenate(hits),
        is_on_empty_F=np.concatenate(on_empty),
        heights_F=np.concatenate(heights),
        heights_P=np.concatenate(true_heights),
        num_empty=sum(scene.is_empty for scene in scenes),
    )


def _match_scene(
    scene: LabelledScene, found: Detections
) -> tuple[FloatArray, BoolArray, BoolArray, FloatArray, FloatArray]:
    true_heights_N = _heights(scene.boxes_N4, scene)
    counts_N = true_heights_N >= MIN_HEIGHT
    person_F = _persons(box_iou(found.boxes_N4, scene.boxes_N4[counts_N]))
    heights_F = _heights(found.boxes_N4, scene)
    is_hit_F = np.asarray(person_F >= 0, np.bool_)
    heights_F[is_hit_F] = true_heights_N[counts_N][person_F[is_hit_F]]
    ignored_M4 = np.concatenate([scene.ignored_M4, scene.boxes_N4[~counts_N]])
    stays_F = is_hit_F | (_share_inside(found.boxes_N4, ignored_M4) < DROPPED_SHARE)
    return (
        found.scores_N[stays_F],
        is_hit_F[stays_F],
        np.full(int(stays_F.sum()), scene.is_empty),
        heights_F[stays_F],
        true_heights_N[counts_N],
    )


def _persons(iou_FN: FloatArray) -> IntArray:
    """Return which person each find is, (F,), the surest find first; -1 for nobody."""
    person_F = np.full(len(iou_FN), -1)
    free_FN = iou_FN.copy()
    for find, iou_N in enumerate(free_FN):
        if len(iou_N) and iou_N.max() >= HIT_IOU:
            person_F[find] = iou_N.argmax()
            free_FN[:, person_F[find]] = 0
    return person_F


def _share_inside(boxes_F4: FloatArray, regions_M4: FloatArray) -> FloatArray:
    """Return the largest share of each box's area inside one of the regions, (F,)."""
    shared_FM = _shared_area(boxes_F4, regions_M4)
    share_FM = shared_FM / np.maximum(_area(boxes_F4)[:, None], 1e-9)
    return np.asarray(share_FM.max(axis=1, initial=0), np.float32)


def _shared_area(first_N4: FloatArray, second_M4: FloatArray) -> FloatArray:
    low_NM2 = np.maximum(first_N4[:, None, :2], second_M4[:, :2])
    high_NM2 = np.minimum(first_N4[:, None, 2:], second_M4[:, 2:])
    return np.asarray((high_NM2 - low_NM2).clip(min=0).prod(axis=2), np.float32)


def _area(boxes_N4: FloatArray) -> FloatArray:
    return np.asarray((boxes_N4[:, 2:] - boxes_N4[:, :2]).prod(axis=1), np.float32)


def _heights(boxes_N4: FloatArray, scene: LabelledScene) -> FloatArray:
    """Return heights over the picture's longer side, (N,)."""
    return np.asarray((boxes_N4[:, 3] - boxes_N4[:, 1]) / max(scene.size_px), np.float32)


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None
