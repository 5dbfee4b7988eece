"""How long a timestamp or a detached signature proves by itself: until a certificate or an algorithm below it ends.

Before that, a new document timestamp has to cover it (`augment` again), or another timestamp over its hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Literal

from asn1crypto import cms, x509
from pyhanko.sign.general import SigningError as PyHankoError
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation import generic_cms
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError

from signing.certificates import certificate_of
from signing.cms import timestamp_tokens, token_time
from signing.credentials.base import SignerIdentity
from signing.errors import SignatureMalformed
from signing.pdf import open_reader, readable
from signing.timestamps import TimestampToken
from signing.trust import TrustStore

__all__ = ["Lifetime", "credential_ends", "detached_lifetime", "document_lifetime", "token_lifetime"]


@dataclass(frozen=True)
class Lifetime:
    """From the newest timestamp's time to when it proves no longer, and what ends first."""

    since: datetime
    ends: datetime
    ended_by: Literal["certificate", "algorithm"]


End = tuple[datetime, Literal["certificate", "algorithm"]]


def document_lifetime(document: bytes, trust: TrustStore) -> Lifetime:
    """That of a PDF's newest document timestamp, by the dates that its algorithms have.

    Raises `SignatureMalformed` for a document without one, `NotTrusted`, and `RevisionBroken` for what is no PDF.
    """
    reader = open_reader(document)
    with closing(reader.stream), readable():
        stamps = reader.embedded_timestamp_signatures
        try:
            store = DocumentSecurityStore.read_dss(reader)
            known = [certificate_of(item.get_object().data) for item in store.certs.values()]
        except NoDSSFoundError:
            known = []
    if not stamps:
        raise SignatureMalformed("the document has no document timestamp", remedy="augment it first")
    token: cms.SignedData = stamps[-1].signed_data
    return _lifetime(token_time(token), _token_ends(token, known, trust))


def detached_lifetime(signature: bytes, trust: TrustStore) -> Lifetime:
    """That of a detached signature with its timestamps. It ends with the signer's certificate too: the evidence about
    revocation that it carries is under no timestamp.

    Raises `SignatureMalformed` for one without a timestamp, and `NotTrusted`.
    """
    try:
        signed = cms.ContentInfo.load(signature, strict=True)["content"]
        signer = extract_signer_info(signed)
        tokens = timestamp_tokens(signer)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, PyHankoError) as error:
        raise SignatureMalformed("these bytes are no detached signature") from error
    if not tokens:
        raise SignatureMalformed("the detached signature has no timestamp")
    time = min(map(token_time, tokens))
    ends = [*_cms_ends(signed, (), trust, at=time)]
    for token in tokens:
        ends += _token_ends(token, (), trust)
    return _lifetime(time, ends)


def token_lifetime(token: TimestampToken, trust: TrustStore) -> Lifetime:
    """That of a token fresh from its authority. Raises `NotTrusted`."""
    signed: cms.SignedData = cms.ContentInfo.load(token.encoded)["content"]
    return _lifetime(token.time, _token_ends(signed, (), trust))


def credential_ends(identity: SignerIdentity, trust: TrustStore, *, at: datetime) -> datetime:
    """When seals that this signer makes at that time prove no longer. Raises `NotTrusted`."""
    leaf, mechanism = identity.parsed, identity.mechanism
    digest = mechanism.digest_algorithm
    others = [certificate_of(der) for der in identity.chain]
    ends = [end for end, _ in _path_ends(leaf, others, trust, at=at)]
    known = (
        trust.algorithms.digest_ends(digest),
        trust.algorithms.signature_ends(mechanism.identifier(), leaf.public_key, digest),
    )
    return min(*ends, *(end for end in known if end is not None))


def _lifetime(since: datetime, ends: Iterable[End]) -> Lifetime:
    first, by = min(ends, key=lambda end: end[0])
    return Lifetime(since, first, by)


def _token_ends(
    token: cms.SignedData,
    known: Iterable[x509.Certificate],
    trust: TrustStore,
) -> Iterator[End]:
    imprint = token["encap_content_info"]["content"].parsed["message_imprint"]
    if (end := trust.algorithms.digest_ends(imprint["hash_algorithm"]["algorithm"].native)) is not None:
        yield end, "algorithm"
    yield from _cms_ends(token, known, trust.timestamps, at=token_time(token))


def _cms_ends(
    signed: cms.SignedData,
    known: Iterable[x509.Certificate],
    trust: TrustStore,
    *,
    at: datetime,
) -> Iterator[End]:
    """Of the signature itself, and of every certificate up to the anchor."""
    signer = extract_signer_info(signed)
    certificates = generic_cms.extract_certs_for_validation(signed)
    leaf = certificates.signer_cert
    digest = signer["digest_algorithm"]["algorithm"].native
    for end in (
        trust.algorithms.digest_ends(digest),
        trust.algorithms.signature_ends(signer["signature_algorithm"], leaf.public_key, digest),
    ):
        if end is not None:
            yield end, "algorithm"
    yield from _path_ends(leaf, [*certificates.other_certs, *known], trust, at=at)


def _path_ends(
    leaf: x509.Certificate,
    others: Iterable[x509.Certificate],
    trust: TrustStore,
    *,
    at: datetime,
) -> Iterator[End]:
    """The anchor is left out: it ends by being trusted no longer."""
    yield leaf.not_valid_after, "certificate"
    path = trust.path(leaf, others, at=at)
    for issuer, certificate in pairwise(path.iter_certs(include_root=True)):
        yield certificate.not_valid_after, "certificate"
        end = trust.algorithms.signature_ends(certificate["signature_algorithm"], issuer.public_key)
        if end is not None:
            yield end, "algorithm"
