"""Where an agreement stands in the index: which keys, and in what order.

    index/card/{agreement}                                             what search answers with (JSON)
    index/all/{day}/{time}-{agreement}                                 empty, as are the following
    index/case/{system}/{reference}/{day}/{time}-{agreement}
    index/party/{pseudonym}/{day}/{time}-{agreement}
    index/kind/{system}.{template}.{status}/{day}/{time}-{agreement}-{seq}
    index/organisation/{number}/{system}.{template}.{status}/{day}/{time}-{agreement}-{seq}

What stands before the day is a *shelf*, the rest a *place*. Day and time are those of the agreement's opening, turned
round (each digit is nine less what it was), so that in byte order the newest comes first: an agreement has the same
place on every shelf and keeps it for ever. Only a change of status (or template) moves it, from one shelf of a kind to
another; `seq` is the entry of the log with which it came there, so that what a slow worker takes away is never what
another has just put there. The day is a segment of its own for stores that are folders: no folder grows without end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from service.domain.agreement import Status
from service.domain.summary import Query, Summary

__all__ = [
    "CARD",
    "INDEX",
    "KEY",
    "PLACE",
    "Card",
    "Found",
    "card_key",
    "kind_matches",
    "place_of",
    "place_of_time",
]

INDEX: Final = "index/"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ALL_DIGITS: Final = 10**17 - 1
_DAY: Final = 8
_TIME: Final = _DAY + 1 + 9
"""Characters of `{day}/{time}`."""

PLACE: Final = re.compile(rf"[0-9]{{8}}/[0-9]{{9}}-(?P<agreement>{_UUID})")
_KIND: Final = r"[a-z0-9-]+\.[a-z0-9-]+\.[a-z]+"
_SHELF: Final = (
    rf"all|case/[^/]+/[^/]+|party/[0-9a-f]{{40}}|(?P<kind>kind/{_KIND}|organisation/[0-9]{{9}}/{_KIND})"
)
CARD: Final = re.compile(rf"index/card/(?P<agreement>{_UUID})")
KEY: Final = re.compile(rf"(?P<shelf>index/(?:{_SHELF}))/{PLACE.pattern}(?(kind)-(?P<seq>[0-9]{{8}}))")


@dataclass(frozen=True)
class Card:
    """What the index knows of one agreement, as of the log's entry `seq`.

    `organisations` and `parties` (pseudonyms) are of all its versions. `status_seq` is the entry with which it came to
    its status. `read` counts the versions whose data were read for this, and `key_id` tells with which key pseudonyms
    were made; None when there was no key.
    """

    seq: int
    status_seq: int
    summary: Summary
    organisations: frozenset[str] = frozenset()
    parties: frozenset[str] = frozenset()
    read: int = 0
    key_id: str | None = None

    @property
    def keys(self) -> frozenset[str]:
        """All keys of the agreement's places."""
        told = self.summary
        place = place_of(told)
        kind = f"{told.case_system}.{told.template}.{told.status}"
        shelves = [
            "all",
            f"case/{told.case_system}/{told.reference}",
            *(f"party/{party}" for party in self.parties),
        ]
        moving = [f"kind/{kind}", *(f"organisation/{number}/{kind}" for number in self.organisations)]
        return frozenset(
            [f"{INDEX}{shelf}/{place}" for shelf in shelves]
            + [f"{INDEX}{shelf}/{place}-{self.status_seq:08d}" for shelf in moving]
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "v": 1,
            "seq": self.seq,
            "status_seq": self.status_seq,
            "summary": vars(self.summary),
            "organisations": sorted(self.organisations),
            "parties": sorted(self.parties),
            "read": self.read,
            "key_id": self.key_id,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Card:
        """Raises `KeyError`, `TypeError` or `ValueError` for what is no card."""
        told = dict(raw["summary"])
        told["status"] = Status(told["status"])
        return cls(
            raw["seq"],
            raw["status_seq"],
            Summary(**told),
            frozenset(raw["organisations"]),
            frozenset(raw["parties"]),
            raw["read"],
            raw["key_id"],
        )


def card_key(agreement_id: str) -> str:
    return f"{INDEX}card/{agreement_id}"


def place_of(summary: Summary) -> str:
    return f"{place_of_time(datetime.fromisoformat(summary.opened_at))}-{summary.agreement_id}"


def place_of_time(moment: datetime) -> str:
    """Where agreements that were opened in that millisecond stand: `{day}/{time}`."""
    told = moment.astimezone(UTC)
    digits = int(f"{told:%Y%m%d%H%M%S}{told.microsecond // 1000:03d}")
    turned = f"{_ALL_DIGITS - digits:017d}"
    return f"{turned[:_DAY]}/{turned[_DAY:]}"


@dataclass(frozen=True)
class Found:
    """One entry of a shelf, with `seq` where the shelf is one of those that agreements are moved on."""

    place: str
    agreement_id: str
    seq: int | None

    @classmethod
    def parse(cls, key: str) -> Found | None:
        """None for a key that is no entry of a shelf."""
        found = KEY.fullmatch(key)
        if found is None:
            return None
        place = key[len(found["shelf"]) + 1 :]
        seq = found["seq"]
        return cls(place[: -len(seq) - 1] if seq else place, found["agreement"], int(seq) if seq else None)

    @property
    def time(self) -> str:
        return self.place[:_TIME]


def kind_matches(query: Query, kind: str) -> bool:
    """Whether agreements of that kind (`{system}.{template}.{status}`) may be what is asked for."""
    asked = (query.case_system, query.template, query.status)
    return all(want in {None, has} for want, has in zip(asked, kind.split("."), strict=True))
