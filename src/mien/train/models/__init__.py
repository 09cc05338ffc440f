"""The network architectures, one readable file a family. Importing this registers them all."""

from mien.train.models import (
    dlib_resnet,
    efficientformer,
    emonet,
    inception_v4,
    mien,
    mini_xception,
    mobilenet_v2,
    senet50,
    tian2022,
    xception,
    yang2023,
    yu2023,
)
from mien.train.models.registry import ARCHITECTURES, build, catalogue, count_macs, count_parameters

__all__ = [
    "ARCHITECTURES",
    "build",
    "catalogue",
    "count_macs",
    "count_parameters",
    "dlib_resnet",
    "efficientformer",
    "emonet",
    "inception_v4",
    "mien",
    "mini_xception",
    "mobilenet_v2",
    "senet50",
    "tian2022",
    "xception",
    "yang2023",
    "yu2023",
]
