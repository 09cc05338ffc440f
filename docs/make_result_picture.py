"""Make docs/images/result.jpg: the two example photos, analysed, side by side.

python docs/make_result_picture.py
"""

from pathlib import Path

import numpy as np
from PIL import Image

import mien

ROOT = Path(__file__).resolve().parents[1]
HEIGHT = 520


def main() -> None:
    """Analyse, draw, put side by side."""
    pictures = []
    for name in ("obama.jpg", "biden.jpg"):
        drawn = Image.fromarray(mien.analyze(ROOT / "examples" / name).draw())
        pictures.append(drawn.resize((round(drawn.width * HEIGHT / drawn.height), HEIGHT)))
    both = Image.fromarray(np.hstack([np.asarray(picture) for picture in pictures]))
    both.save(ROOT / "docs" / "images" / "result.jpg", quality=88)


if __name__ == "__main__":
    main()
