"""Moving pictures of the people on the example photos, small enough to be read quickly."""

import numpy as np
from PIL import Image

SIZE = (200, 150)  # width, height


def portrait(photo, width):
    """The head of a portrait photo (h, w, 3), `width` pixels wide."""
    picture = Image.open(photo).convert("RGB")
    side = picture.width
    head = picture.crop((int(0.2 * side), 0, int(0.85 * side), int(0.65 * side)))
    return np.asarray(head.resize((width, width)))


def scene(*placed, size=SIZE):
    """A grey picture with each (picture, x, y) pasted into it."""
    canvas = Image.new("RGB", size, (120, 125, 130))
    for picture, x, y in placed:
        canvas.paste(Image.fromarray(picture), (round(x), round(y)))
    return np.asarray(canvas)


def walk(photo, n, *, step=1.0, gone=()):
    """`n` pictures of a head that moves to the right; on the frames `gone` it is not there."""
    head = portrait(photo, 90)
    return [scene(*([] if i in gone else [(head, 10 + step * i, 30)])) for i in range(n)]
