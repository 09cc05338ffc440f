"""Tiny copies of FER2013, CK+48 and AffectNet in one folder, as `mien reproduce` looks for them."""

import numpy as np
from PIL import Image
from synthetic_faces import SIDE, write_fer2013

CK_CLASSES = ("anger", "contempt", "disgust", "fear", "happy", "sadness", "surprise")

#: Valence and arousal of AffectNet's classes 0-7 that EmoNet's rule lets pass.
AFFECT = (
    (0.05, 0.02),
    (0.7, 0.2),
    (-0.6, -0.3),
    (0.2, 0.8),
    (-0.3, 0.7),
    (-0.6, 0.4),
    (-0.5, 0.7),
    (-0.5, 0.1),
)


def bar(code, seed):
    """A dim noisy picture (48, 48) with a bar whose height stands for `code`, 0 to 7."""
    picture = np.random.default_rng(seed).integers(20, 60, (SIDE, SIDE))
    picture[1 + 6 * code : 6 + 6 * code, 8:40] += 150
    return picture.astype(np.uint8)


def write_ckplus(folder, subjects=10, frames=3):
    """Write CK+48 with every class of every subject; returns the folder."""
    for code, label in enumerate(CK_CLASSES):
        (folder / label).mkdir(parents=True)
        for subject in range(subjects):
            for frame in range(frames):
                name = f"S{10 + subject:03d}_{code + 1:03d}_{frame + 1:08d}.png"
                picture = bar(code, 100 * subject + 10 * code + frame)
                Image.fromarray(picture).save(folder / label / name)
    return folder


def write_affectnet(folder, n=64):
    """Write AffectNet's small form, val_set only, of `n` faces; every ninth breaks the rule."""
    images, annotations = folder / "val_set" / "images", folder / "val_set" / "annotations"
    images.mkdir(parents=True)
    annotations.mkdir()
    for i in range(n):
        code = i % 8
        valence, arousal = AFFECT[code] if i % 9 else (0.0, -0.95)
        Image.fromarray(bar(code, i)).convert("RGB").save(images / f"{i}.jpg", quality=90)
        for kind, value in (("exp", str(code)), ("val", str(valence)), ("aro", str(arousal))):
            np.save(annotations / f"{i}_{kind}.npy", np.array(value))
        np.save(annotations / f"{i}_lnd.npy", np.linspace(5, 40, 136))
    return folder


def write_sets(folder):
    """Write all three under `folder` and return it."""
    write_fer2013(folder / "fer2013", 70, ("Training", "PublicTest"))
    write_ckplus(folder / "CK+48")
    write_affectnet(folder / "affectnet")
    return folder
