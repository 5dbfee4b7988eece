"""Who may send: a command's signature, its age, and whose agreements its producer may touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from service.domain.sender import Sender
from service.errors import CommandRejected, FieldError

__all__ = ["Producers", "SenderPolicy", "check_case_system"]


class Producers(Protocol):
    """The case systems that may send, known by their keys."""

    def identify(
        self, name: str, payload: Mapping[str, object], signature: object, *, now: datetime
    ) -> Sender:
        """Who signed the command. Raises `CommandRejected` for a signature that does not hold."""


@dataclass(frozen=True)
class SenderPolicy:
    """What is asked of a command's sender. Without `producers`, anybody may send who can reach the broker."""

    producers: Producers | None = None
    required: bool = False
    max_age: timedelta = timedelta(days=1)

    def identify(
        self, name: str, payload: Mapping[str, object], signature: object, *, now: datetime
    ) -> Sender | None:
        """The sender, None for an unsigned command where that is allowed. Raises `CommandRejected`."""
        if signature is None:
            if self.required:
                raise _refused(
                    "signature_required",
                    "the command is not signed",
                    "Sign it as docs/integration.md says, with a key that is registered here.",
                )
            return None
        if self.producers is None:
            raise _refused(
                "producer_unknown",
                "the command is signed, but no producers are registered here",
                "Have the producer's key registered (SIGNERT_PRODUCERS), or send it unsigned.",
            )
        return self.producers.identify(name, payload, signature, now=now)

    def check_age(self, sender: Sender | None, *, now: datetime) -> None:
        """Refuse an old signature: it may be a replay. For new commands only: what was accepted stays so."""
        if sender and sender.issued_at < now - self.max_age:
            raise _refused(
                "signature_too_old",
                f"the command was signed more than {self.max_age} ago",
                "Sign and send it again, with a new iat.",
            )


def check_case_system(sender: Sender | None, case_system: str, path: str) -> None:
    """Refuse a producer that touches another system's agreements. `path` is the field that tells whose it is."""
    if sender and case_system not in sender.case_systems:
        raise CommandRejected(
            "the agreement belongs to a case system that this producer may not act for",
            [FieldError(path, "case_system_foreign", "Name your own case system.")],
            code="case_system_foreign",
        )


def _refused(code: str, message: str, way_out: str) -> CommandRejected:
    return CommandRejected(message, [FieldError("signature", code, way_out)], code=code)
