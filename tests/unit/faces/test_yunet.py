"""Our decoding of YuNet's outputs: by hand, and against OpenCV's own."""

import numpy as np
import pytest
from PIL import Image

from mien.faces import yunet
from mien.faces.selection import Options, finish


def outputs_with_one_face(stride=8, column=3, row=2, columns=4, rows=4):
    """What the network would say of one face, in one cell."""
    cells = columns * rows
    said = {f"{head}_{stride}": np.zeros((1, cells, 1), np.float32) for head in ("cls", "obj")}
    said[f"bbox_{stride}"] = np.zeros((1, cells, 4), np.float32)
    said[f"kps_{stride}"] = np.zeros((1, cells, 10), np.float32)
    i = row * columns + column
    said[f"cls_{stride}"][0, i] = 0.9
    said[f"obj_{stride}"][0, i] = 0.4
    said[f"bbox_{stride}"][0, i] = [0.5, -0.5, np.log(2), np.log(3)]
    said[f"kps_{stride}"][0, i] = np.arange(10) / 10
    return said


def test_decoding_one_cell():
    boxes, scores, points = yunet._decode(outputs_with_one_face(), 8, 4)
    assert scores.tolist() == pytest.approx([0.6])
    assert boxes[0].tolist() == pytest.approx([28 - 8, 12 - 12, 28 + 8, 12 + 12], abs=1e-4)
    assert points[0, 0].tolist() == pytest.approx([24, 16.8])
    assert points[0, 4].tolist() == pytest.approx([30.4, 23.2])


def test_input_is_bgr_padded_to_32():
    blob = yunet._blob(np.full((33, 20, 3), (10, 20, 30), np.uint8))
    assert blob.shape == (1, 3, 64, 32)
    assert blob[0, :, 32, 19].tolist() == [30, 20, 10]
    assert not blob[0, :, 33:].any()
    assert not blob[0, :, :, 20:].any()


def test_same_boxes_and_points_as_opencv(media, yunet_home):
    cv2 = pytest.importorskip("cv2")
    ours = yunet.load()
    theirs = cv2.FaceDetectorYN.create(str(yunet_home), "", (320, 320), 0.6, 0.3, 5000)
    compared = 0
    for path in sorted(media.glob("*.jpg")):
        picture = Image.open(path).convert("RGB")
        picture.thumbnail((320, 320))
        rgb = np.asarray(picture)
        height, width, _ = rgb.shape
        theirs.setInputSize((width, height))
        want = theirs.detect(np.ascontiguousarray(rgb[:, :, ::-1]))[1]
        want = np.zeros((0, 15), np.float32) if want is None else want
        want = want[np.argsort(-want[:, 14], kind="stable")]
        got = finish(ours(rgb), width, height, Options(min_score=0.6))
        assert len(got) == len(want), path.name
        corners = np.clip(
            np.c_[want[:, :2], want[:, :2] + want[:, 2:4]], 0, [width, height, width, height]
        )
        assert np.abs(got.boxes - corners).max(initial=0) < 0.1
        assert np.abs(got.points.reshape(-1, 10) - want[:, 4:14]).max(initial=0) < 0.1
        assert np.abs(got.scores - want[:, 14]).max(initial=0) < 1e-3
        compared += len(got)
    assert compared >= 10
