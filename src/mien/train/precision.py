"""How numbers are rounded while a network is trained, measured, and asked as a teacher."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Precision = Literal["fp32", "bf16"]


def autocast(x: Tensor, precision: Precision) -> torch.autocast:
    """The context in which a network is given crops `x`; "fp32" changes nothing."""
    return torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16")
