"""Videos against videos: what is compared, and what cannot be."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from drawn_face import drawn_face
from gray_videos import gray_video

from talkinghead.errors import VideoError
from talkinghead.evaluation.files import judge_file, pairs_in
from talkinghead.evaluation.landmark_motion import gaze_degrees, pose_degrees, turn_degrees
from talkinghead.evaluation.metrics import LEFT_CORNERS
from talkinghead.evaluation.networks import Networks
from talkinghead.face import FaceTracker
from talkinghead.media.video import VideoWriter

COUNT = 12


def video(file, pictures, fps=Fraction(25)):
    with VideoWriter(file, fps, pictures[0].shape[:2], None, crf=1) as writer:
        for picture in pictures:
            writer.write(picture)
    return file


def figures_of(generated, real):
    return judge_file(generated, real, Networks()).figures()


@pytest.fixture(scope="module")
def speaking():
    """A drawn face whose mouth opens and closes."""
    return [drawn_face(256, mouth) for mouth in 0.5 - 0.5 * np.cos(np.arange(COUNT))]


@pytest.fixture(scope="module")
def real(speaking, tmp_path_factory):
    return video(tmp_path_factory.mktemp("real") / "a.mp4", speaking)


def test_a_video_is_perfect_against_itself(real):
    figures = figures_of(real, real)
    assert figures["l1"] == 0 and figures["ssim"] == pytest.approx(1) and figures["faces"] == 1
    assert figures["aed"] == figures["apd deg"] == figures["gaze deg"] == figures["landmarks"] == 0
    assert figures["lip r"] == pytest.approx(1) and figures["lag"] == 0 and figures["amplitude"] == pytest.approx(1)


def test_turned_and_late_faces_are_seen(real, speaking, tmp_path):
    turn = cv2.getRotationMatrix2D((128, 128), 8, 1)
    turned = [cv2.warpAffine(p, turn, (256, 256), borderMode=cv2.BORDER_REPLICATE) for p in speaking]
    assert figures_of(video(tmp_path / "t.mp4", turned), real)["apd deg"] == pytest.approx(8 / 3, abs=1)
    late = figures_of(video(tmp_path / "l.mp4", [speaking[max(n - 2, 0)] for n in range(COUNT)]), real)
    assert late["lip r"] < 0.9


def test_gaze_follows_the_iris():
    points = FaceTracker().track(drawn_face(256))
    moved = points.copy()
    width = np.linalg.norm(points[LEFT_CORNERS[0], :2] - points[LEFT_CORNERS[1], :2])
    moved[468:478, 0] += 0.1 * width
    right = (gaze_degrees(moved) - gaze_degrees(points))[:, 0]
    assert (right > 8).all() and (right < 25).all()


def test_heads_turn_by_angles():
    points = FaceTracker().track(drawn_face(256))
    turn = np.array([[np.cos(0.3), np.sin(0.3), 0], [-np.sin(0.3), np.cos(0.3), 0], [0, 0, 1]], np.float32)
    turned = points @ turn
    assert turn_degrees(points, points) == pytest.approx(0, abs=0.1)
    assert turn_degrees(points, turned) == pytest.approx(np.degrees(0.3), abs=0.3)
    angles = pose_degrees(np.stack([points, turned]))
    assert np.abs(angles[1] - angles[0]).max() == pytest.approx(np.degrees(0.3), abs=0.5)


def test_what_cannot_be_compared_is_refused(real, tmp_path):
    with pytest.raises(VideoError, match="have 30 and 25 frames a second"):
        figures_of(gray_video(tmp_path / "f.mp4", [90] * 5, Fraction(30), size=(256, 256)), real)
    with pytest.raises(VideoError, match="show 64×48 and 256×256 pixels"):
        figures_of(gray_video(tmp_path / "s.mp4", [90] * 5), real)
    with pytest.raises(VideoError, match="shows no face"):
        figures_of(tmp_path / "s.mp4", tmp_path / "s.mp4")
    with pytest.raises(VideoError, match="no file has the name"):
        list(pairs_in(tmp_path, real.parent))
    assert list(pairs_in(real.parent, real.parent)) == [(real, real)]
