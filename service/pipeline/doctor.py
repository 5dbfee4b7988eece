"""`signert doctor`: whether everything that an agreement needs is there and works, and how to mend what does not.

    for found in examine([("store", partial(store, ...)), ("keys", partial(keys, ...))]): ...

Each check does the real thing: it writes to the store, renders a document, asks each authority for a timestamp, signs
with each key. What it finds has no personal data in it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from service.domain.agreement import SEAL, KeyPlace
from service.domain.ports import ObjectStore
from service.domain.presentation import ROLES
from service.domain.template import Finding as TemplateFinding
from service.domain.template import Template
from service.errors import SignertError, StoreError
from service.pipeline.drive import unforeseen
from service.pipeline.preview import Preview
from service.pipeline.services import Keys
from service.pipeline.signers import place_of
from signing import (
    TIMESTAMPS,
    Credential,
    SigningError,
    TimestampClient,
    TrustStore,
    check_path,
    check_revocation,
    is_at_hand,
)

__all__ = [
    "Check",
    "Finding",
    "Said",
    "State",
    "check_anchors",
    "check_fonts",
    "check_keys",
    "check_office",
    "check_store",
    "check_templates",
    "check_timestamps",
    "examine",
    "file_readable",
]

_SOON: Final = timedelta(days=60)
"""A certificate that ends within this time is told of: a new one takes weeks to be had."""
_CLOCK_WARNING: Final = timedelta(seconds=5)
_CLOCK_ERROR: Final = timedelta(minutes=1)


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """It works, and will not for long; or it is not as it should be in production."""
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """What one check says of one thing. `subject` is what was looked at, of the kind that `check` names."""

    check: str
    state: State
    subject: str
    message: str
    remedy: str = ""

    def as_json(self) -> dict[str, str]:
        return {**vars(self), "state": str(self.state)}


@dataclass(frozen=True)
class Said:
    """A finding before it is known which check it is of."""

    subject: str
    message: str
    state: State = State.OK
    remedy: str = ""


Check = Callable[[], Iterable[Said]]


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[Finding]:
    """Make all the checks, in order; one that breaks off is an error, and the others are made all the same."""
    for name, check in checks:
        try:
            for said in check():
                yield Finding(name, said.state, said.subject, said.message, said.remedy)
        except Exception as exc:  # noqa: BLE001 (whatever is wrong is what is asked for)
            known = exc if isinstance(exc, (SignertError, SigningError)) else unforeseen(exc)
            yield Finding(name, State.ERROR, name, known.message, known.remedy)


def check_store(store: ObjectStore, *, locks: bool, retained: bool) -> Iterator[Said]:
    """Write, read and erase an object. `locks`: whether the store locks; `retained`: whether anybody asks it to."""
    key, body = f"probe/{secrets.token_hex(16)}", secrets.token_bytes(1024)
    store.create(key, body)
    try:
        if store.get(key) != body or key not in store.list("probe/"):
            raise StoreError(
                "the store gave back something else than was written",
                remedy="Look for a cache or a gateway before it.",
            )
    finally:
        store.delete(key)
    yield Said("store", "written, read, listed and deleted")
    if retained and not locks:
        yield Said(
            "locks",
            "templates or SIGNERT_RETENTION_DAYS ask for what is signed to be kept, and this store locks nothing",
            State.WARNING,
            "In production use a bucket with Object Lock, and SIGNERT_S3_LOCK=compliance.",
        )


def check_templates(
    versions: Iterable[tuple[str, str, Iterable[str]]], get: Callable[[str, str, str], Template]
) -> Iterator[Said]:
    """Every published template in every language, held against the hash that was fixed when it was published."""
    for name, version, languages in versions:
        for language in languages:
            get(name, version, language)
        yield Said(f"{name} {version}", "as it was published")


def check_fonts(
    templates: Iterable[Template], faults: Callable[[Template], Iterable[TemplateFinding]]
) -> Iterator[Said]:
    """That the fonts which the templates use are installed where documents are rendered."""
    for template in templates:
        found = list(faults(template))
        subject = f"{template.name} {template.version} {template.language}"
        for fault in found:
            yield Said(subject, fault.message, State.ERROR, fault.remedy)
        if not found:
            yield Said(subject, "all fonts are installed")


def file_readable(path: Path, remedy: str) -> Said:
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as exc:
        return Said(str(path), f"cannot be read: {exc.strerror}", State.ERROR, remedy)
    return Said(str(path), "can be read")


def check_office(
    make: Callable[[Template, Mapping[str, Any]], Preview], template: Template, sample: Mapping[str, Any]
) -> Iterator[Said]:
    """One document rendered, from the Word file to the PDF with its signature fields."""
    made = make(template, sample)
    subject = f"{template.name} {template.version} {template.language}"
    if made.lost:
        yield Said(
            subject, f"the PDF lacks the values of: {', '.join(made.lost)}", State.ERROR,
            "Compare the installed LibreOffice and fonts with the ones that the templates were published with.",
        )  # fmt: skip
        return
    yield Said(subject, f"rendered, {len(made.pdf) // 1024} KiB")


def check_anchors(trust: TrustStore, now: datetime) -> Iterator[Said]:
    """Every list of trust anchors has one that is valid."""
    for name in (SEAL, *KeyPlace, TIMESTAMPS):
        certificates = trust.of(str(name)).certificates
        valid = [c for c in certificates if c.not_valid_before <= now <= c.not_valid_after]
        if not valid:
            which = "none" if not certificates else "none that is valid now"
            yield Said(
                str(name), f"{which} among {len(certificates)}", State.ERROR,
                "Set SIGNERT_TRUST, or SIGNERT_TRUST_… for this list, to the issuers' root certificates.",
            )  # fmt: skip
            continue
        yield _with_end(str(name), f"{len(valid)} valid", min(c.not_valid_after for c in valid), now)


def check_keys(keys: Keys, now: datetime) -> Iterator[Said]:
    """Every key that is configured: opened, its certificate in force, trusted and not revoked, and a signature made."""
    for role in (SEAL, *ROLES):
        try:
            credential = keys.credential(role)
            if credential is not None:
                yield from _check_key(keys, role, credential, now)
            elif role == SEAL:
                yield Said(role, "no key is configured", State.ERROR, "Set SIGNERT_SEAL.")
        except SigningError as exc:
            remedy = exc.remedy or "Give the role another key and certificate."
            yield Said(role, exc.message, State.ERROR, remedy)


def _check_key(keys: Keys, role: str, credential: Credential, now: datetime) -> Iterator[Said]:
    identity, place = credential.identity, place_of(credential)
    anchors = keys.trust.of(SEAL if role == SEAL else place)
    identity.check_validity(now)
    check_path(identity, anchors, at=now)
    check_revocation(identity, anchors, keys.evidence, at=now)
    told = f"{place}, issued by {identity.issuer}, trusted and not revoked"
    if is_at_hand(credential):
        credential.sign(b"signert doctor")
        told += "; signs"
    yield _with_end(role, told, identity.parsed.not_valid_after, now)


def check_timestamps(keys: Keys, now: Callable[[], datetime]) -> Iterator[Said]:
    """A timestamp from each authority, its certificate's end, and how far our clock is from its."""
    working = 0
    for url in keys.timestamps.urls:
        client = TimestampClient((url,), trust=keys.trust)
        try:
            before = now()
            token = client.timestamp(hashlib.sha256(secrets.token_bytes(32)).digest(), "sha256")
            after = now()
        except SigningError as exc:
            yield Said(url, exc.message, State.ERROR, exc.remedy)
            continue
        finally:
            client.close()
        working += 1
        yield _with_end(url, f"answers as {token.name}", token.authority.not_valid_after, after)
        # The token has whole seconds, and was made at some moment between the two.
        off = max(before - timedelta(seconds=1) - token.time, token.time - after, timedelta())
        if off > _CLOCK_WARNING:
            yield Said(
                "clock", f"{off.total_seconds():.0f} s away from the authority's at {url}",
                State.ERROR if off > _CLOCK_ERROR else State.WARNING,
                "Set this machine's clock by NTP: signatures and access tokens go by it.",
            )  # fmt: skip
        else:
            yield Said("clock", f"agrees with {url}")
    if not working:
        yield Said(
            "all", "no authority gives timestamps: nothing can be signed", State.ERROR, "Check SIGNERT_TSA."
        )
    elif len(keys.timestamps.urls) == 1:
        yield Said(
            "all", "there is one authority: while it is away, agreements wait", State.WARNING,
            "Name a second one in SIGNERT_TSA.",
        )  # fmt: skip


def _with_end(subject: str, told: str, ends: datetime, now: datetime) -> Said:
    """Until when a certificate can be used."""
    if ends < now:
        return Said(
            subject, f"{told}; ended {ends:%Y-%m-%d}", State.ERROR, "Take a new certificate into use."
        )
    if ends - now < _SOON:
        return Said(subject, f"{told}; ends {ends:%Y-%m-%d}", State.WARNING, "Order a new certificate now.")
    return Said(subject, f"{told}; until {ends:%Y-%m-%d}")
