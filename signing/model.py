"""What is asked for, what is prepared, and what a validation found."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from types import UnionType
from typing import Any, Final, Literal, Self, Union, cast, get_args, get_origin, get_type_hints

from signing.algorithms import DIGEST_ALGORITHMS, Mechanism
from signing.credentials.base import SignerIdentity
from signing.errors import StaleSignature
from signing.parts import Body, Parts, digest

__all__ = [
    "Appearance",
    "DocumentTimestampResult",
    "FieldPlace",
    "Indication",
    "Level",
    "Modification",
    "PagesCompared",
    "PreparedRevision",
    "PreparedSignature",
    "Revision",
    "RevocationEvidence",
    "SignatureRequest",
    "SignatureResult",
    "SignatureTimestampResult",
    "SignedBytes",
    "ValidationReport",
]

Indication = Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE"]
Level = Literal["B-B", "B-T", "B-LT", "B-LTA"]
PagesCompared = Literal["same", "different", "not-compared"]


@dataclass(frozen=True)
class FieldPlace:
    """A signature field to make.

    With `link`, the field takes the place of the link annotation to that URI: the widget's upper left corner is
    the annotation's, and it is `width` × `height` points. Without, it is invisible, outside the crop box.
    """

    name: str
    tooltip: str
    link: str | None = None
    width: float = 0
    height: float = 0


@dataclass(frozen=True)
class Appearance:
    """What a visible signature shows. Fonts are TrueType or OpenType files; a subset of each is embedded."""

    title: str
    lines: tuple[str, ...]
    font: Path
    bold_font: Path | None = None


@dataclass(frozen=True)
class SignatureRequest:
    """A signature to make in an empty field. `certify` makes it the certification signature, DocMDP P=2."""

    field: str
    certify: bool = False
    appearance: Appearance | None = None
    reason: str | None = None
    name: str | None = None
    location: str | None = None


@dataclass(frozen=True, kw_only=True)
class PreparedRevision:
    """A signature up to the point where a CMS is needed, by a signer not known yet. Holds no secret; can be stored.

    `increment` is what is added to the revision; in it the value of /Contents is still zeros. The document digest is
    over all other bytes, by `digest_algorithm` (as in `hashlib`): it is the message digest the CMS must have.
    """

    field: str
    base_sha256: str
    base_length: int
    increment: bytes
    reserved_start: int
    reserved_end: int
    document_digest: bytes
    digest_algorithm: str
    certifies: bool = False

    def check_base(self, revision: bytes | Parts) -> None:
        """Raise `StaleSignature` when it was prepared for other bytes."""
        if len(revision) != self.base_length or digest(revision).hexdigest() != self.base_sha256:
            raise StaleSignature(
                f"the signature in field {self.field} was prepared for another revision",
                remedy="prepare it again for the newest revision",
            )

    def document(self, revision: Body) -> Body:
        """The whole new revision, unsigned. Raises `StaleSignature`."""
        self.check_base(revision)
        return revision + self.increment

    def content(self, revision: Body) -> Body:
        """The bytes that are digested: the new revision but for the place of the signature. Raises `StaleSignature`."""
        self.check_base(revision)
        start, end = self.reserved_start - self.base_length, self.reserved_end - self.base_length
        return revision + (self.increment[:start] + self.increment[end:])

    def to_bytes(self) -> bytes:
        """UTF-8 JSON that `from_bytes` reads."""
        return json.dumps(self._values(), sort_keys=True).encode()

    def _values(self) -> dict[str, Any]:
        return {
            "format": _PREPARED_FORMAT,
            "field": self.field,
            "base_sha256": self.base_sha256,
            "base_length": self.base_length,
            "increment": _encode(self.increment),
            "reserved_start": self.reserved_start,
            "reserved_end": self.reserved_end,
            "document_digest": _encode(self.document_digest),
            "digest_algorithm": self.digest_algorithm,
            "certifies": self.certifies,
        }

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """What was stored; of a `PreparedRevision`, this may be a `PreparedSignature`.

        Raises `StaleSignature` for bytes that are not one of this format and kind.
        """
        try:
            found = _read_prepared(json.loads(stored))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            found = None
        if not isinstance(found, cls):
            raise StaleSignature(
                "the stored bytes are not a prepared signature of this version", remedy="prepare it again"
            )
        return found


@dataclass(frozen=True, kw_only=True)
class PreparedSignature(PreparedRevision):
    """A signature up to the point where the key is needed.

    The signed attributes (DER of the SET, RFC 5652 5.4) are the bytes the key signs, by the identity's mechanism.
    """

    signed_attributes: bytes
    identity: SignerIdentity

    @property
    def mechanism(self) -> Mechanism:
        return self.identity.mechanism

    def _values(self) -> dict[str, Any]:
        return super()._values() | {
            "signed_attributes": _encode(self.signed_attributes),
            "certificate": _encode(self.identity.certificate),
            "chain": [_encode(item) for item in self.identity.chain],
            "mechanism": self.identity.mechanism.value,
        }


_PREPARED_FORMAT: Final = "signert-prepared/1"


def _read_prepared(values: Any) -> PreparedRevision:
    if values["format"] != _PREPARED_FORMAT:
        raise ValueError(values["format"])
    identity: SignerIdentity | None = None
    if "certificate" in values:
        identity = SignerIdentity(
            certificate=_decode(values["certificate"]),
            chain=tuple(_decode(item) for item in values["chain"]),
            mechanism=Mechanism(values["mechanism"]),
        )
    # The first releases wrote no digest algorithm, as there always was a mechanism.
    digest_algorithm = values["digest_algorithm"] if identity is None else identity.mechanism.digest_algorithm
    if digest_algorithm not in DIGEST_ALGORITHMS:
        raise ValueError(digest_algorithm)
    common: dict[str, Any] = {
        "field": str(values["field"]),
        "base_sha256": str(values["base_sha256"]),
        "base_length": int(values["base_length"]),
        "increment": _decode(values["increment"]),
        "reserved_start": int(values["reserved_start"]),
        "reserved_end": int(values["reserved_end"]),
        "document_digest": _decode(values["document_digest"]),
        "digest_algorithm": digest_algorithm,
        "certifies": bool(values["certifies"]),
    }
    if identity is None:
        return PreparedRevision(**common)
    return PreparedSignature(
        **common, signed_attributes=_decode(values["signed_attributes"]), identity=identity
    )


def _encode(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decode(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


@dataclass(frozen=True)
class Revision:
    """One revision of a PDF: the first `length` bytes of the file."""

    number: int
    length: int
    sha256: str


@dataclass(frozen=True)
class RevocationEvidence:
    """What there is to show that a certificate was not revoked: an OCSP response or a CRL."""

    kind: Literal["ocsp", "crl"]
    this_update: datetime
    next_update: datetime | None
    fresh: bool
    """Whether it speaks for the best signature time: given out after it, or not yet replaced by then."""
    sha256: str


@dataclass(frozen=True)
class SignatureTimestampResult:
    """What validation says of one signature timestamp."""

    authority: str
    time: datetime | None
    indication: Indication
    sub_indication: str | None
    algorithm: str
    certificate_sha256: str
    sha256: str
    """Of the token's DER."""


@dataclass(frozen=True)
class SignedBytes:
    """What was signed, by which a signature is known again (ETSI TS 119 102-2, 4.2.5)."""

    digest_algorithm: str
    """As in `hashlib`."""
    document_digest: str
    """In hex: the message digest attribute."""
    attributes_digest: str
    """In hex: of the signed attributes, which is what the key signed."""
    signature_value: str
    """In hex."""


@dataclass(frozen=True)
class SignatureResult:
    """What validation says of one signature. Indications and sub-indications are ETSI EN 319 102-1's."""

    field: str
    signer: str
    issuer: str
    level: Level | None
    time: datetime | None
    """From the signature timestamp; None without one that verifies."""
    indication: Indication
    sub_indication: str | None
    explanation: str
    algorithm: str
    certificate_sha256: str
    certificate_serial: str
    """In hex, as openssl and browsers print it."""
    certifies: bool = False
    revision: int | None = None
    revision_sha256: str | None = None
    claimed_time: datetime | None = None
    reason: str | None = None
    """What the signer says to sign for (/Reason); no part of the validation."""
    organisation: str | None = None
    """The organisation identifier in the certificate (ETSI EN 319 412-1 5.1.4), as NTRNO-123456789."""
    best_signature_time: datetime | None = None
    """The earliest time at which the signature is proven to have existed; None without a proof."""
    proof: Literal["signature-timestamp", "document-timestamp"] | None = None
    """What proves it."""
    proof_field: str | None = None
    """The field of the document timestamp that proves it."""
    algorithm_accepted: bool | None = None
    """Whether its algorithm was accepted at the best signature time; without a proof, at the time of validation."""
    algorithm_ends: datetime | None = None
    """When the algorithm is no longer accepted, as the policy has it; None when no end is known."""
    trust_anchor: str | None = None
    trust_anchor_sha256: str | None = None
    revocation: tuple[RevocationEvidence, ...] = ()
    timestamps: tuple[SignatureTimestampResult, ...] = ()
    signed: SignedBytes | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        value = _plain(self)
        assert isinstance(value, dict)
        return value


@dataclass(frozen=True)
class DocumentTimestampResult:
    """What validation says of one document timestamp."""

    field: str
    authority: str
    time: datetime | None
    indication: Indication
    sub_indication: str | None
    explanation: str
    algorithm: str
    certificate_sha256: str
    revision: int | None = None
    revision_sha256: str | None = None
    algorithm_accepted: bool | None = None
    """Whether its algorithms are accepted when it is proven to have existed, or now."""
    algorithm_ends: datetime | None = None
    certificate_ends: datetime | None = None
    trust_anchor: str | None = None
    trust_anchor_sha256: str | None = None
    revocation: tuple[RevocationEvidence, ...] = ()
    sha256: str | None = None
    """Of the token's DER."""


@dataclass(frozen=True)
class Modification:
    """A change made after a signature that is neither a later signature nor validation material."""

    code: str
    text: str
    permitted: bool
    after_field: str
    page: int | None = None
    field: str | None = None


@dataclass(frozen=True)
class ValidationReport:
    """The outcome for a whole document: the worst of its parts."""

    indication: Indication
    sub_indication: str | None
    explanation: str
    sha256: str
    validated_at: datetime
    signatures: tuple[SignatureResult, ...] = ()
    document_timestamps: tuple[DocumentTimestampResult, ...] = ()
    modifications: tuple[Modification, ...] = ()
    revisions: tuple[Revision, ...] = field(default=())
    algorithm_policy: str | None = None
    """Name of the algorithm policy that was applied."""
    limit: str | None = None
    """Which of the `Limits` the document exceeds, when that is why there is no better verdict."""
    pages: PagesCompared = "not-compared"
    """Whether the pages look the same in all signed revisions, see `compare_rendered`."""

    @property
    def passed(self) -> bool:
        return self.indication == "TOTAL-PASSED"

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; times are RFC 3339 in UTC."""
        value = _plain(self)
        assert isinstance(value, dict)
        return value

    def as_xml(self) -> bytes:
        """The report after ETSI TS 119 102-2, in UTF-8."""
        from signing.report_xml import report_xml  # its schema takes long to load

        return report_xml(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The report that `as_json` gave, by this version or an earlier one. Raises `ValueError`."""
        try:
            found = _built(cls, value)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError("not a validation report") from error
        assert isinstance(found, cls)
        return found


def _built(kind: Any, value: Any) -> Any:
    """The value that `_plain` made plain; fields that are not told keep their defaults, others are left out."""
    if get_origin(kind) in (Union, UnionType):
        return None if value is None else _built(get_args(kind)[0], value)
    if get_origin(kind) is tuple:
        return tuple(_built(get_args(kind)[0], item) for item in value)
    if is_dataclass(kind):
        types = get_type_hints(kind)
        told = {
            item.name: _built(types[item.name], value[item.name])
            for item in fields(kind)
            if item.name in value
        }
        return cast(Any, kind)(**told)
    return datetime.fromisoformat(value) if kind is datetime else value


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}  # type: ignore[arg-type]
    return value
