"""The network architectures, one readable file a family. Importing this registers them all."""

from mien.train.models import mien, tian2022
from mien.train.models.registry import ARCHITECTURES, build, catalogue, count_macs, count_parameters

__all__ = [
    "ARCHITECTURES",
    "build",
    "catalogue",
    "count_macs",
    "count_parameters",
    "mien",
    "tian2022",
]
