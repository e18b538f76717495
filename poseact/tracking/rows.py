"""Which rows of a table of people belong together.

Shape letters: N rows (people found).
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def rows_of_tracks(
    track_N: npt.NDArray[np.integer], pts_s_N: npt.NDArray[np.float64]
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the rows of each track in order of time, tracks by number.

    Args:
        track_N: Track of each row, (N,), in any order.
        pts_s_N: Presentation time of each row, (N,), seconds.
    """
    order = np.lexsort((pts_s_N, track_N))
    borders = np.flatnonzero(np.diff(track_N[order])) + 1
    for start, end in zip([0, *borders], [*borders, len(order)], strict=True):
        if start < end:
            yield order[start:end]
