"""Augmentation: from B-T to B-LTA in one revision (ETSI EN 319 142-1 6.3, 5.4.2).

The document security store gets every certificate, OCSP response and CRL that the signatures and their timestamps
need, and one document timestamp seals it all. Run again later, it renews the protection before the timestamp ages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asn1crypto import cms, x509
from pyhanko.sign.fields import InvisSigSettings, SigFieldSpec, enumerate_sig_fields
from pyhanko.sign.signers.cms_embedder import PdfCMSEmbedder, SigIOSetup, SigObjSetup
from pyhanko.sign.signers.pdf_byterange import DocumentTimestamp
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.dss import DocumentSecurityStore

from signing.algorithms import DIGEST_ALGORITHMS
from signing.cms import timestamp_tokens, token_time
from signing.errors import CredentialError, FieldPlaceError, TimestampTooLarge, TimestampUnavailable
from signing.evidence import Evidence, carried
from signing.kept import one_document
from signing.parts import Body
from signing.pdf import Increment, check_step, open_reader, open_writer, readable
from signing.revocation import Chain, EvidenceCollector
from signing.timestamps import TimestampClient
from signing.trust import TrustStore

__all__ = ["DOCUMENT_TIMESTAMP_FIELD", "augment"]

DOCUMENT_TIMESTAMP_FIELD: Final = "document-timestamp"
"""Name of the field that takes the first document timestamp; later ones get a number."""


@dataclass(frozen=True)
class _Use:
    """A certificate that was used, with what came along to build its path, when, and which anchors it is to lead to."""

    certificate: x509.Certificate
    others: tuple[x509.Certificate, ...]
    at: datetime
    for_timestamp: bool
    trust: TrustStore
    stapled: Evidence = field(default_factory=Evidence)


@one_document()
def augment(
    revision: Body,
    *,
    trust: TrustStore,
    timestamps: TimestampClient,
    collector: EvidenceCollector | None = None,
    signers: Mapping[str, TrustStore] | None = None,
    digest: str = "sha256",
    at: datetime | None = None,
    grace: timedelta = timedelta(),
) -> Body:
    """The document with validation material and a document timestamp, in one new revision; `Parts` as by `embed`.

    `signers` are other anchors than those of `trust`, by field, that the signers of these fields are to lead up to.
    `digest` is the one that the document timestamp is over: `sha256`, `sha384` or `sha512`. `at` is the time by which
    evidence is judged; by default now. With `grace`, evidence about the signers has to be issued that long after the
    last signature, or later: what was reported late is in it then (EN 319 102-1 5.2.5).

    Never writes less than that: raises `RevocationUnavailable` (`RevocationTooEarly` within the grace period, and
    until there is evidence from after it), `TimestampUnavailable`, `NotTrusted`,
    `CertificateRevoked`, `FieldPlaceError` (nothing is signed yet) or `RevisionBroken`. A `collector` that is kept
    saves connections and CRLs.
    """
    if collector is None:
        with closing(EvidenceCollector()) as own:
            return augment(
                revision,
                trust=trust,
                timestamps=timestamps,
                collector=own,
                signers=signers,
                digest=digest,
                at=at,
                grace=grace,
            )
    if digest not in DIGEST_ALGORITHMS:
        raise CredentialError(f"the digest algorithm {digest} is not used here", remedy="use sha256")
    reader = open_reader(revision)
    now = at or datetime.now(UTC)
    with closing(reader.stream), readable():
        uses = _uses(reader, trust, signers or {}, now)
        name = _free_field(reader)
    if not uses:
        raise FieldPlaceError("there is no signature in the document to augment", remedy="sign it first")
    last_signed = max((use.at for use in uses if not use.for_timestamp), default=now)
    evidence = Evidence()
    covered: set[bytes] = set()

    def cover(more: Sequence[_Use]) -> None:
        # Where a certificate was used more than once, its last use is the one that revocation must not precede.
        last = {use.certificate.dump(): use for use in sorted(more, key=lambda use: use.at)}
        chains = [
            Chain(
                use.trust.path(use.certificate, use.others, at=use.at),
                use.trust,
                use.at,
                use.for_timestamp,
                use.stapled,
                last_signed + grace if grace and not use.for_timestamp else None,
            )
            for der, use in last.items()
            if der not in covered
        ]
        collector.collect(chains, evidence, at=now)
        covered.update(last)
        for certificate in (other for use in more for other in use.others):
            evidence.add(certificate)

    cover(uses)
    # The evidence for the document timestamp's own authority must lie below it, so the authority has to be known
    # beforehand. It mostly is the one of the signature timestamps; else its first token tells, and is thrown away.
    for _ in range(2 * len(timestamps.urls) + 2):
        room = timestamps.token_room
        writer = open_writer(revision)
        with closing(writer.input_stream), readable():
            DocumentSecurityStore.supply_dss_in_writer(
                writer,
                None,
                certs=evidence.certificates.values(),
                ocsps=evidence.ocsps.values(),
                crls=evidence.crls.values(),
            )
            steps = PdfCMSEmbedder(
                new_field_spec=SigFieldSpec(name, invis_sig_settings=InvisSigSettings(box_out_of_bounds=True))
            ).write_cms(name, writer)
            next(steps)
            steps.send(SigObjSetup(sig_placeholder=DocumentTimestamp(bytes_reserved=2 * room)))
            output: Any = Increment(revision)
            prepared, _ = steps.send(SigIOSetup(md_algorithm=digest, output=output))
        try:
            token = timestamps.timestamp(prepared.document_digest, digest, room=room)
        except TimestampTooLarge:
            if timestamps.token_room > room:  # now the size is known
                continue
            raise
        if token.authority.dump() in covered:
            prepared.fill_with_cms(output, token.encoded)
            added: bytes = output.added
            augmented = revision + added
            check_step(revision, augmented)
            return augmented
        cover([_Use(token.authority, token.certificates, token.time, True, trust.timestamps)])
    raise TimestampUnavailable("the time-stamping authority answers with another certificate each time")


def _uses(reader: Any, trust: TrustStore, signers: Mapping[str, TrustStore], now: datetime) -> list[_Use]:
    """Certificates to find evidence for: signatures and timestamps that no document timestamp protects yet, and
    the last document timestamp.
    """
    protected = max((stamp.signed_revision for stamp in reader.embedded_timestamp_signatures), default=-1)
    uses: list[_Use] = []
    for signature in reader.embedded_signatures:
        if signature.signed_revision < protected:
            continue
        if signature.sig_object_type == "/DocTimeStamp":
            token = signature.signed_data
            uses.append(_token_use(token, (), trust, carried(token)))
            continue
        others = tuple(signature.other_embedded_certs)
        tokens = timestamp_tokens(signature.signer_info)
        times = [token_time(token) for token in tokens]
        time = min(times, default=now)
        own = signers.get(signature.field_name, trust)
        stapled = carried(signature.signed_data, signature.signer_info)
        for token in tokens:
            stapled.update(carried(token))
        uses.append(_Use(signature.signer_cert, others, time, False, own, stapled))
        uses.extend(_token_use(token, others, trust, stapled) for token in tokens)
    return uses


def _token_use(
    token: cms.SignedData, others: tuple[x509.Certificate, ...], trust: TrustStore, stapled: Evidence
) -> _Use:
    certificates = generic_cms.extract_certs_for_validation(token)
    return _Use(
        certificates.signer_cert,
        (*certificates.other_certs, *others),
        token_time(token),
        for_timestamp=True,
        trust=trust.timestamps,
        stapled=stapled,
    )


def _free_field(reader: Any) -> str:
    taken = {name for name, value, _ in enumerate_sig_fields(reader) if value is not None}
    name, number = DOCUMENT_TIMESTAMP_FIELD, 1
    while name in taken:
        number += 1
        name = f"{DOCUMENT_TIMESTAMP_FIELD}-{number}"
    return name
