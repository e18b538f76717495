import math

import numpy as np
import pytest

from poseact.tracking.stitch import stitch
from poseact.tracking.surprise import HEIGHT_RATIO, MOST_FOR_HEIGHT, PLACE, TURN, Ends, surprise

FPS = 25


def rows(tracklet, x, speed, span_s, height=90.0):
    """A tracklet of somebody who walks in a span of time, at x in second 0."""
    times = np.arange(*(round(s * FPS) for s in span_s)) / FPS
    return [
        (t, tracklet, (x + speed * t - 15, 0, x + speed * t + 15, height)) for t in times.tolist()
    ]


def stitched(*tracklets):
    people = sorted(row for tracklet in tracklets for row in tracklet)
    return stitch(
        np.array([tracklet for _, tracklet, _ in people]),
        np.array([t for t, _, _ in people]),
        np.array([box for _, _, box in people]),
    ).tolist()


@pytest.mark.parametrize(
    ("tracklets", "expected"),
    [
        pytest.param([rows(0, 0, 0, (0, 0.04))], [0], id="one row"),
        pytest.param([rows(0, 0, 50, (0, 2)), rows(1, 0, 50, (3.5, 5))], [0, 0], id="walks on"),
        pytest.param(
            [rows(0, 0, 50, (0, 2)), rows(1, 0, 50, (4.2, 6))], [0, 1], id="gone too long"
        ),
        pytest.param([rows(0, 0, 0, (0, 2)), rows(1, 200, 0, (2.2, 4))], [0, 1], id="jumps"),
        pytest.param([rows(0, 0, 0, (0, 2)), rows(1, 9, 0, (1.5, 4))], [0, 1], id="both at once"),
        pytest.param(
            [rows(0, 0, 0, (0, 1)), rows(1, 0, 0, (1.2, 2)), rows(2, 0, 0, (2.1, 3))],
            [0, 0, 0],
            id="a chain is one person",
        ),
        pytest.param(
            [rows(0, 0, 0, (0, 2)), rows(1, 0, 0, (2.2, 4), height=30), rows(2, 9, 0, (2.3, 4))],
            [0, 1, 0],
            id="rather as high a little later than a third of the height",
        ),
    ],
)
def test_stitch(tracklets, expected):
    assert stitched(*tracklets) == expected


def test_people_who_come_out_of_one_box_go_on_as_they_went_in():
    # 0 walks right, 1 walks left, they meet in second 2 as the one box 2; of 3 and 4 the one
    # further right is whoever walked right.
    got = stitched(
        rows(0, 0, 50, (0, 1.8)),
        rows(1, 200, -50, (0, 1.8)),
        rows(2, 100, 0, (1.8, 2.2)),
        rows(3, 200, -50, (2.2, 4)),
        rows(4, 0, 50, (2.2, 4)),
    )

    assert (got[4], got[3]) == (0, 1)
    assert got[2] in (0, 1)


def test_the_total_decides_and_not_the_best_pair():
    # Both go on, each a bit to the right. The nearest to each other are the end at 40 and the
    # start at 40; to join those would leave the other two, 80 px apart, alone.
    standing = [rows(0, 0, 0, (0, 1)), rows(1, 40, 0, (0, 1))]

    assert stitched(*standing, rows(2, 40, 0, (1.5, 3)), rows(3, 80, 0, (1.5, 3))) == [0, 1, 0, 1]


def ends(x=0.0, *, time_s=0.0, speed=0.0, variance=1.0, height=100.0):
    """One end of somebody of size 100."""
    return Ends(
        time_s_K=np.array([time_s]),
        centre_K2=np.array([(x, 0.0)]),
        speed_K2=np.array([(speed, 0.0)]),
        speed_variance_K=np.array([variance]),
        log_size_K=np.log([100.0]),
        log_height_K=np.log([height]),
        log_height_variance_K=np.zeros(1),
    )


def surprise_of(end, start):
    first = np.zeros(1, np.intp)
    return surprise(end, first, start, first)[0]


def test_surprise_by_hand():
    # 30 px, that is 0.3 sizes, off after a second at rest; heights differ by 10 %.
    end, start = ends(variance=2.0), ends(30, time_s=1, variance=2.0, height=110)
    place_variance = PLACE**2 + (TURN**2 + 2 * 0.5) * 1**2
    place = 0.3**2 / place_variance / 2 + math.log(place_variance / PLACE**2)
    speed = math.log((TURN**2 + 2 + 2) / TURN**2)
    height = math.log(1.1) ** 2 / HEIGHT_RATIO**2 / 2

    assert surprise_of(end, start) == pytest.approx(place + speed + height)


@pytest.mark.parametrize(
    ("likely", "unlikely"),
    [
        pytest.param(ends(50, time_s=1), ends(80, time_s=1), id="near rather than far"),
        pytest.param(ends(0, time_s=0.5), ends(0, time_s=1), id="soon rather than late"),
        pytest.param(
            ends(0, time_s=1, height=105), ends(0, time_s=1, height=120), id="as high as before"
        ),
        pytest.param(
            ends(20, time_s=0.1, speed=150, variance=0.1),
            ends(20, time_s=0.1, speed=-150, variance=0.1),
            id="on rather than back",
        ),
    ],
)
def test_what_is_less_surprising(likely, unlikely):
    end = ends(speed=50, variance=0.1)

    assert surprise_of(end, likely) < surprise_of(end, unlikely)


def test_a_table_hides_legs_but_not_who_somebody_is():
    whole, half = ends(time_s=1), ends(time_s=1, height=40)

    more = surprise_of(ends(), half) - surprise_of(ends(), whole)

    assert more == pytest.approx(MOST_FOR_HEIGHT)
