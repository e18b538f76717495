import cv2
import numpy as np
import pytest

from poseact.errors import OutputError
from poseact.evaluation.config import EvaluatePoseConfig
from poseact.evaluation.pose import evaluate_pose
from poseact.evaluation.samples import PoseSamples
from poseact.evaluation.subjects import Subjects
from poseact.evaluation.worst import COLUMNS, TILE_PX, worst_sheet, write_worst

GREYS = (40, 80, 120, 160, 200, 240, 20)
ERRORS_PX = (1, 9, 3, 8, 0, 2, 7)
WORST_FIRST = (80, 160, 20, 120, 240, 40, 200)


@pytest.fixture
def samples():
    """People in pictures of one grey each, with a label in the middle; the list of rows read."""
    count = len(GREYS)
    rows_read = []

    def read(rows):
        for row in rows:
            rows_read.append(row)
            yield row, np.full((100, 100, 3), GREYS[row], np.uint8)

    true = np.full((count, 7, 2), np.nan, np.float32)
    true[:, :2] = 50
    found = np.full((count, 7, 3), 50, np.float32)
    found[:, 0, 0] += 2 * np.float32(ERRORS_PX)
    subjects = Subjects(
        description="greys",
        data_hash="",
        group_kind="film",
        groups=["a film with a name so long that it must be written in smaller letters"] * count,
        names=[f"{grey}.png" for grey in GREYS],
        squares=[(50, 50, 80)] * count,
        true_PJ2=true,
        torso_P=np.full(count, 10, np.float32),
        to_crop_P23=np.zeros((count, 2, 3), np.float32),
        mean_pose_J2=np.zeros((7, 2), np.float32),
        read=read,
    )
    return PoseSamples(subjects=subjects, found_PJ3=found), rows_read


def tile_greys(sheet):
    """The grey of each tile's corner, row by row, without the blank places of the last row."""
    is_grey = (sheet == sheet[:, :, :1]).all(axis=2) & (sheet[..., 0] < 255)
    starts = np.flatnonzero(np.diff(np.pad(is_grey[:, 0], 1).astype(int)) == 1)
    starts = [y for y in starts if (sheet[y : y + 20, 0, 0] == sheet[y, 0, 0]).all()]
    width = (sheet.shape[1]) // COLUMNS
    greys = [int(sheet[y + 3, column * width + 3, 0]) for y in starts for column in range(COLUMNS)]
    return [grey for grey in greys if grey < 255]


def test_the_sheet_shows_the_largest_errors_worst_first(samples):
    assert tile_greys(worst_sheet(samples[0], 7)) == list(WORST_FIRST)


def test_only_the_pictures_that_are_shown_are_read(samples):
    sheet = worst_sheet(samples[0], 6)

    assert tile_greys(sheet) == list(WORST_FIRST[:6])
    assert sorted(samples[1]) == [0, 1, 2, 3, 5, 6]


def test_more_than_there_are_shows_everybody(samples):
    assert len(tile_greys(worst_sheet(samples[0], 100))) == 7


def test_captions_leave_a_margin_on_every_side(samples):
    sheet = worst_sheet(samples[0], 1)
    caption = sheet[-(sheet.shape[0] - TILE_PX) // 2 :]

    assert (caption < 128).any()
    assert (sheet[:, TILE_PX:] == 255).all()
    assert (caption[-2:] == 255).all()


def test_true_joints_are_rings_and_found_ones_discs(samples):
    sheet = worst_sheet(samples[0], 1)
    top = np.flatnonzero((sheet[:, 0] == WORST_FIRST[0]).all(axis=1))[0]
    scale, middle = TILE_PX / 80, TILE_PX // 2
    found_x = int(middle + 2 * 9 * scale)

    orange = sheet[top + middle, found_x].astype(int)
    assert orange[0] > orange[2] + 100
    ring = sheet[top + middle - 10 : top + middle + 11, middle - 10 : middle + 11]
    assert (ring.max(axis=2) < 30).any()  # its dark rim


def test_a_sheet_that_cannot_be_written_is_an_output_error(samples, tmp_path):
    with pytest.raises(OutputError, match=r"worst\.png"):
        write_worst(tmp_path / "no" / "worst.png", samples[0], 1)


def test_the_worst_of_real_recordings_are_decoded_again(data_dir, tmp_path):
    config = EvaluatePoseConfig(data=data_dir / "videos", worst=7, out=tmp_path / "worst.png")

    assert evaluate_pose(config) == 0

    height, width = cv2.imread(str(tmp_path / "worst.png")).shape[:2]
    assert width // TILE_PX == COLUMNS
    assert height // TILE_PX == 2
