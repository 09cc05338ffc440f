"""The papers by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mien.train.reproduce import lee2023, ngo2020, tian2022, yang2023, yu2023
from mien.train.reproduce.budgets import Budget, BudgetName
from mien.train.reproduce.study import Plan


@dataclass(frozen=True)
class Paper:
    """A paper's budgets, and its plan for a folder of data sets and a budget."""

    budgets: Mapping[BudgetName, Budget]
    plan: Callable[[Path, Budget], Plan]


PAPERS: Mapping[str, Paper] = {
    "tian2022": Paper(tian2022.BUDGETS, tian2022.plan),
    "yu2023": Paper(yu2023.BUDGETS, yu2023.plan),
    "yang2023": Paper(yang2023.BUDGETS, yang2023.plan),
    "ngo2020": Paper(ngo2020.BUDGETS, ngo2020.plan),
    "lee2023": Paper(lee2023.BUDGETS, lee2023.plan),
}
