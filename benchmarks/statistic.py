"""Medians, spreads, and ratios with an interval; the same numbers in give the same numbers out."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Ratio", "Sample", "percentile", "ratio", "slope"]

_DRAWS = 2000


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share (0 to 1) lies, between neighbours in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below, above = math.floor(place), math.ceil(place)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(frozen=True)
class Sample:
    """Measurements of one thing, all in one unit."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def at(self, share: float) -> float:
        return percentile(self.values, share)

    def shown(self, scale: float = 1.0, digits: int = 0) -> str:
        """`median (10th–90th percentile)`."""
        low, high = (self.at(share) * scale for share in (0.1, 0.9))
        return f"{self.median * scale:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"

    def as_json(self) -> dict[str, object]:
        return {"median": self.median, "p10": self.at(0.1), "p90": self.at(0.9), "values": list(self.values)}


@dataclass(frozen=True)
class Ratio:
    """How many times the one is the other, and between what it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f}× [{self.low:.2f}–{self.high:.2f}]"

    def as_json(self) -> dict[str, float]:
        return {"value": self.value, "low": self.low, "high": self.high}


def ratio(of: Sample, to: Sample) -> Ratio:
    """Median over median, the interval by drawing rounds again (bootstrap).

    Where both were measured in the same rounds, a round is drawn whole: what slowed it down slowed both.
    """
    chance = random.Random(1)
    paired = len(of.values) == len(to.values)
    drawn = []
    for _ in range(_DRAWS):
        first = chance.choices(range(len(of.values)), k=len(of.values))
        second = first if paired else chance.choices(range(len(to.values)), k=len(to.values))
        drawn.append(
            statistics.median(of.values[i] for i in first) / statistics.median(to.values[i] for i in second)
        )
    return Ratio(of.median / to.median, percentile(drawn, 0.025), percentile(drawn, 0.975))


def slope(values: Sequence[float]) -> float:
    """Growth from one value to the next: the median over all pairs (Theil–Sen), which a few outliers do not move."""
    step = max(1, len(values) // 200)
    kept = list(enumerate(values))[::step]
    slopes = [(b - a) / (j - i) for n, (i, a) in enumerate(kept) for j, b in kept[n + 1 :]]
    return statistics.median(slopes) if slopes else 0.0
