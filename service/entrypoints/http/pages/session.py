"""Who is logged in, kept in the browser alone: an encrypted cookie, good for half an hour after its last use.

A cookie's content cannot be read or made without the keys of `SIGNERT_SESSION_KEY_FILE`; the newest of them encrypts,
all of them decrypt. Every form carries a token that is bound to the session, or to the browser where nobody is logged
in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from flask import Request
from werkzeug.wrappers import Response as BaseResponse

from service.domain.access import Reader, ReaderRole

__all__ = [
    "FORM_COOKIE",
    "IDLE",
    "LONGEST",
    "SESSION_COOKIE",
    "Session",
    "Vault",
    "drop_cookie",
    "set_cookie",
]

SESSION_COOKIE: Final = "__Host-signert"
FORM_COOKIE: Final = "__Host-signert-form"
IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=4)
"""However much it is used, a session ends after so long."""
_RENEW: Final = timedelta(minutes=1)


@dataclass(frozen=True)
class Session:
    """`id` is random and new with every login; times are Unix seconds."""

    id: str
    reader: Reader
    began: float
    used: float

    @classmethod
    def begin(cls, reader: Reader, now: datetime) -> Session:
        return cls(secrets.token_urlsafe(24), reader, now.timestamp(), now.timestamp())

    def is_over(self, now: datetime) -> bool:
        at = now.timestamp()
        return at - self.used > IDLE.total_seconds() or at - self.began > LONGEST.total_seconds()

    def used_at(self, now: datetime) -> Session | None:
        """The session with its use noted; None when that was noted just before."""
        at = now.timestamp()
        return replace(self, used=at) if at - self.used > _RENEW.total_seconds() else None

    def as_json(self) -> dict[str, Any]:
        reader = self.reader
        return {
            "id": self.id,
            "began": self.began,
            "used": self.used,
            "issuer": reader.issuer,
            "subject": reader.subject,
            "national_id": reader.national_id,
            "ident": reader.ident,
            "organisations": sorted(reader.organisations),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Session:
        """Raises `KeyError`, `TypeError` for what is no session of ours."""
        reader = Reader(
            role=ReaderRole.PARTY,
            issuer=value["issuer"],
            subject=value["subject"],
            national_id=value["national_id"],
            ident=value["ident"],
            organisations=frozenset(value["organisations"]),
        )
        return cls(value["id"], reader, float(value["began"]), float(value["used"]))


class Vault:
    """Encrypts what the browser keeps for us, and makes the tokens of forms."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in keys])
        self._keys = tuple(keys)

    def seal(self, purpose: str, value: Mapping[str, Any]) -> str:
        """Text for a cookie; only `open` with the same purpose has it back."""
        return self._fernet.encrypt(json.dumps({"for": purpose, **value}).encode()).decode()

    def open(self, purpose: str, sealed: str | None) -> dict[str, Any] | None:
        """What was sealed; None for anything else."""
        if not sealed:
            return None
        try:
            value = json.loads(self._fernet.decrypt(sealed.encode("utf-8", "replace")))
        except (InvalidToken, ValueError):
            return None
        return value if isinstance(value, dict) and value.pop("for", None) == purpose else None

    def form_token(self, binding: str) -> str:
        return _token(self._keys[0], binding)

    def is_form_token(self, token: str, binding: str) -> bool:
        given = token.encode()
        return any(hmac.compare_digest(_token(key, binding).encode(), given) for key in self._keys)

    def session(self, request: Request) -> Session | None:
        """The session that the browser has, over or not; None for none, and for one that is not ours."""
        value = self.open("session", request.cookies.get(SESSION_COOKIE))
        try:
            return Session.from_json(value) if value else None
        except (KeyError, TypeError, ValueError):
            return None


def _token(key: bytes, binding: str) -> str:
    return hmac.new(key, b"form\0" + binding.encode(), hashlib.sha256).hexdigest()


def set_cookie(response: BaseResponse, name: str, value: str, *, seconds: int | None = None) -> None:
    """One for us alone, over TLS alone (browsers count loopback as such), and not sent from other sites' forms."""
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="Lax")


def drop_cookie(response: BaseResponse, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="Lax")
