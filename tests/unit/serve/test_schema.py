"""The records of the API take what the pipeline tells."""

import pytest
from observations import face, ok

pytest.importorskip("pydantic")

from mien.report.table import to_dict
from mien.serve.schema import FaceRecord
from mien.types import Smoothed


@pytest.mark.parametrize("uncertain", [False, True])
def test_what_is_uncertain_is_a_field(uncertain):
    smoothed = Smoothed("fear", 0.4, {"fear": 0.4, "neutral": 0.6}, uncertain=not uncertain)
    told = to_dict(ok("a.jpg", face(uncertain=uncertain, smoothed=smoothed)))["faces"][0]
    record = FaceRecord.model_validate(told)
    assert (record.uncertain, record.smoothed.uncertain) == (uncertain, not uncertain)
