"""Evidence that certificates were not revoked: OCSP responses and CRLs, fetched over HTTP or stapled to a signature.

Each is checked before it is used (`signing.evidence`), so that a source whose answer does not hold gives way to the
next; that the path above holds too is checked at the end, by `EvidenceCollector.collect`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Final

import requests
from asn1crypto import crl, ocsp, x509
from pyhanko_certvalidator.context import CertValidationPolicySpec, bootstrap_validation_data_handlers
from pyhanko_certvalidator.errors import PathValidationError, RevokedError
from pyhanko_certvalidator.ltv.poe import POEManager
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer
from pyhanko_certvalidator.validate import async_validate_path

from signing.aio import at_once
from signing.asn1 import unchanging
from signing.certificates import met
from signing.credentials.base import common_name
from signing.errors import CertificateRevoked, RevocationTooEarly, RevocationUnavailable
from signing.evidence import (
    CLOCK_SKEW,
    MALFORMED,
    Evidence,
    Item,
    Statement,
    Unusable,
    ocsp_request,
    read_crl,
    read_ocsp,
    responder_certificates,
    sources,
)
from signing.http import NotReceived, open_session, received, shown_address, time_limit
from signing.kept import Kept, OneAtATime
from signing.trust import TrustStore
from signing.verified import VERIFIER

__all__ = ["Chain", "Evidence", "EvidenceCollector"]

log = logging.getLogger(__name__)

_CONNECTIONS: Final = 8
_MAX_OCSP: Final = 64 * 1024
_MAX_CRL: Final = 16 * 1024 * 1024
_LARGE_CRL: Final = 256 * 1024  # above this, an OCSP response is preferred where there is one
_KEEP: Final = timedelta(hours=1)
"""How long an answer is kept, at most; one whose nextUpdate comes sooner, until then."""


@dataclass(frozen=True)
class Chain:
    """A verified path to an anchor of `trust`, whose leaf was used at some time, for a signature or for a timestamp.

    `stapled` came with the signature; it is used where it holds. With `issued_after`, evidence about the leaf counts
    only when it was issued then or later.
    """

    path: ValidationPath
    trust: TrustStore
    used_at: datetime
    for_timestamp: bool
    stapled: Evidence = field(default_factory=Evidence)
    issued_after: datetime | None = None


@dataclass(frozen=True)
class _Wanted:
    """A certificate that needs evidence, and which will do."""

    certificate: x509.Certificate
    issuer: x509.Certificate
    prefer_crl: bool
    leaf: bool = False
    used_at: datetime | None = None
    """Of a signer: what was issued before proves little, and is never taken from what was kept."""
    issued_after: datetime | None = None
    stapled: tuple[Item, ...] = ()


class _NotAtHand(Exception):
    """It has to be fetched."""


class EvidenceCollector:
    """Fetches evidence. Keeps its connections, and answers for an hour or until they are renewed; threads may share it.

    `max_age` is how old (by thisUpdate) evidence about an end certificate may be: a CA's own is issued seldom. What is
    kept is bounded in number and bytes; the answer used least recently goes first.
    """

    def __init__(
        self,
        *,
        timeout: float = 10.0,
        max_age: timedelta | None = None,
        session: requests.Session | None = None,
        max_kept: int = 512,
        max_kept_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._timeout = timeout
        self._max_age = max_age
        self._session = session or open_session()
        self._kept: Kept[tuple[str, bytes], tuple[datetime, Item]] = Kept(max_kept, max_kept_bytes)
        self._one_at_a_time: OneAtATime[tuple[str, bytes]] = OneAtATime()

    def collect(self, chains: Sequence[Chain], into: Evidence, *, at: datetime | None = None) -> None:
        """Add the certificates of every chain, and evidence for each but the anchor; all is fetched at once.

        For a time-stamping certificate a CRL is preferred: it is signed by the CA, so it can be checked for as long
        as the CA's certificate lives, while an OCSP responder's often ends within weeks.
        It is judged as of `at`, by default now.
        Raises `RevocationUnavailable` (of it `RevocationTooEarly`, when a chain's `issued_after` is not reached), or
        `CertificateRevoked` when one was revoked before it was used.
        """
        now = at or datetime.now(UTC)
        _check_grace(chains, now)
        wanted = _wanted(chains)
        if not wanted:
            return
        found = self._found(wanted, now, into)
        for chain in chains:
            own = Evidence()
            for certificate in chain.path.iter_certs(include_root=True):
                own.add(certificate)
                if certificate.dump() in found:
                    for item in found[certificate.dump()]():
                        own.add(item)
            try:
                _verify(chain, own, now)
            except RevocationUnavailable:
                # Kept, a CRL that does not hold would stand in the way until its end: all are fetched anew.
                self._kept.clear()
                raise
            into.update(own)
            for proof in (*own.ocsps.values(), *own.crls.values()):
                met(proof)

    def close(self) -> None:
        """Close the connections kept."""
        self._session.close()

    def _found(
        self, wanted: Mapping[bytes, _Wanted], now: datetime, known: Evidence
    ) -> dict[bytes, Callable[[], list[Item]]]:
        """Evidence for each certificate, or the error when it is asked for. What is at hand is read by this thread."""
        found: dict[bytes, Callable[[], list[Item]]] = {}
        missing: dict[bytes, Callable[[], list[Item]]] = {}
        for der, item in wanted.items():
            try:
                at_hand = self._with_responders(item, now, known, fetch=False)
            except (_NotAtHand, RevocationUnavailable):
                missing[der] = partial(self._with_responders, item, now, known, fetch=True)
            else:
                found[der] = partial(list, at_hand)
        if len(missing) == 1:
            return found | {der: cache(ask) for der, ask in missing.items()}
        asked = {der: _threads(os.getpid()).submit(ask) for der, ask in missing.items()}
        wait(asked.values())
        return found | {der: future.result for der, future in asked.items()}

    def _with_responders(self, wanted: _Wanted, now: datetime, known: Evidence, *, fetch: bool) -> list[Item]:
        """Evidence for a certificate, and for the responder that gave it unless that is exempt.

        Raises `_NotAtHand` where something would have to be fetched, and is not to be.
        """
        found = [self._statement(wanted, now, fetch=fetch)]
        for responder in responder_certificates(found[0]):
            # A responder without the no-check extension is itself in need of evidence (RFC 6960 4.2.2.2.1).
            settled = responder.dump() == wanted.issuer.dump() or responder.dump() in known.certificates
            if responder.ocsp_no_check_value is None and not settled:
                own = _Wanted(responder, wanted.issuer, prefer_crl=True)
                found.append(self._statement(own, now, fetch=fetch))
        return found

    def _statement(self, wanted: _Wanted, now: datetime, *, fetch: bool) -> Item:
        """The first that will do: stapled since the use, fetched, stapled before."""
        reasons: list[Unusable] = []
        since_use = replace(wanted, issued_after=wanted.issued_after or wanted.used_at)
        if found := self._stapled(since_use, now, []):
            return found
        large: Item | None = None
        for kind, url in sources(wanted.certificate, prefer_crl=wanted.prefer_crl):
            try:
                found = self._asked(kind, url, wanted, now, fetch=fetch)
            except Unusable as reason:
                reasons.append(reason)
                log.warning("evidence source url=%s not used: %s", shown_address(url), reason)
                reasons[-1].args = (f"{shown_address(url)}: {reason}",)
                continue
            if kind == "crl" and wanted.prefer_crl and wanted.certificate.ocsp_urls:
                if large is not None:
                    continue
                if len(found.dump()) > _LARGE_CRL:
                    large = found
                    continue
            return found
        if large is not None:
            return large
        if found := self._stapled(wanted, now, reasons):
            return found
        raise _none_will_do(wanted, reasons, now)

    def _stapled(self, wanted: _Wanted, now: datetime, reasons: list[Unusable]) -> Item | None:
        for item in wanted.stapled:
            try:
                self._check_age(_read(item, wanted, now), wanted, now)
            except Unusable as reason:
                reason.args = (f"stapled: {reason}",)
                reasons.append(reason)
                continue
            return item
        return None

    def _asked(self, kind: str, url: str, wanted: _Wanted, now: datetime, *, fetch: bool) -> Item:
        key = (url, b"" if kind == "crl" else wanted.certificate.dump())
        if not fetch:
            if (item := self._known(key, wanted, now)) is None:
                raise _NotAtHand
            return item
        # Only who wants the same waits for it: a list is fetched once, however many certificates it is for.
        with self._one_at_a_time.of(key):
            if (item := self._known(key, wanted, now)) is not None:
                return item
            item = self._crl(url) if kind == "crl" else self._ocsp(url, wanted)
            statement = _read(item, wanted, now)
            self._kept.put(key, (now, item), len(item.dump()))
        self._check_age(statement, wanted, now)
        return item

    def _known(self, key: tuple[str, bytes], wanted: _Wanted, now: datetime) -> Item | None:
        """What is kept, where it is as good as what would be fetched."""
        kept = self._kept.get(key)
        if kept is None or not timedelta() <= now - kept[0] <= _KEEP:
            return None
        try:
            statement = _read(kept[1], wanted, now)
            if statement.next_update is not None and now < statement.next_update:
                later = replace(wanted, issued_after=wanted.issued_after or wanted.used_at)
                self._check_age(statement, later, now)
                return statement.item
        except Unusable:
            self._kept.drop(key)
        return None

    def _check_age(self, statement: Statement, wanted: _Wanted, now: datetime) -> None:
        if wanted.issued_after is not None and statement.this_update < wanted.issued_after:
            raise Unusable(
                f"it was issued {statement.this_update:%Y-%m-%d %H:%M:%S} UTC, and is to be from"
                f" {wanted.issued_after:%Y-%m-%d %H:%M:%S} or later",
                early=True,
                next_update=statement.next_update,
            )
        if wanted.leaf and self._max_age is not None and now - statement.this_update > self._max_age:
            raise Unusable(f"it is older than {self._max_age}")

    def _ocsp(self, url: str, wanted: _Wanted) -> ocsp.OCSPResponse:
        body = self._fetch(
            url,
            _MAX_OCSP,
            data=ocsp_request(wanted.certificate, wanted.issuer),
            headers={"Content-Type": "application/ocsp-request"},
        )
        try:
            response = ocsp.OCSPResponse.load(body, strict=True)
        except MALFORMED as error:
            raise Unusable(f"the answer is malformed ({type(error).__name__})") from error
        unchanging(response)
        return response

    def _crl(self, url: str) -> crl.CertificateList:
        body = self._fetch(url, _MAX_CRL)
        try:
            listing = crl.CertificateList.load(body, strict=True)
        except MALFORMED as error:
            raise Unusable(f"the answer is malformed ({type(error).__name__})") from error
        unchanging(listing)
        return listing

    def _fetch(
        self, url: str, limit: int, *, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        try:
            with self._session.request(
                "GET" if data is None else "POST",
                url,
                data=data,
                headers=headers,
                timeout=time_limit(self._timeout),
                stream=True,
                allow_redirects=data is None,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise Unusable(f"HTTP status {response.status_code}")
                return received(response, limit=limit, seconds=self._timeout)
        except NotReceived as error:
            raise Unusable(str(error)) from error
        except requests.RequestException as error:
            raise Unusable(type(error).__name__) from error


@lru_cache(maxsize=2)
def _threads(_process: int) -> ThreadPoolExecutor:
    """The process's own: a fork has none of its parent's. To start them anew each time costs memory, too."""
    return ThreadPoolExecutor(_CONNECTIONS, thread_name_prefix="evidence")


def _check_grace(chains: Sequence[Chain], now: datetime) -> None:
    ends = max((c.issued_after for c in chains if c.issued_after is not None), default=now)
    if ends > now:
        raise RevocationTooEarly(
            f"the grace period after the last signature lasts until {ends:%Y-%m-%d %H:%M:%S} UTC",
            remedy="it is tried again by itself then",
            retry_at=ends,
        )


def _wanted(chains: Sequence[Chain]) -> dict[bytes, _Wanted]:
    """What needs evidence, by certificate: the signers' own first, as they ask for more of it."""
    wanted: dict[bytes, _Wanted] = {}
    for chain in sorted(chains, key=lambda chain: chain.for_timestamp):
        certificates = list(chain.path.iter_certs(include_root=True))
        stapled = (*chain.stapled.ocsps.values(), *chain.stapled.crls.values())
        for issuer, certificate in pairwise(certificates):
            leaf = certificate is certificates[-1]
            signer = leaf and not chain.for_timestamp
            item = _Wanted(
                certificate,
                issuer,
                prefer_crl=leaf and chain.for_timestamp,
                leaf=leaf,
                used_at=chain.used_at if signer else None,
                issued_after=chain.issued_after if signer else None,
                stapled=stapled,
            )
            known = wanted.setdefault(certificate.dump(), item)
            if known is not item:
                wanted[certificate.dump()] = replace(known, stapled=(*known.stapled, *stapled))
    return wanted


def _read(item: Item, wanted: _Wanted, now: datetime) -> Statement:
    read = read_crl if isinstance(item, crl.CertificateList) else read_ocsp
    return read(item, wanted.certificate, wanted.issuer, now)


def _none_will_do(wanted: _Wanted, reasons: Sequence[Unusable], now: datetime) -> RevocationUnavailable:
    issuer = common_name(wanted.issuer.subject)
    told = "; ".join(map(str, reasons)) or "it names neither OCSP responder nor CRL"
    early = [reason for reason in reasons if reason.early]
    if early:
        coming = [r.next_update for r in early if r.next_update is not None and r.next_update > now]
        return RevocationTooEarly(
            f"nothing issued after the grace period says yet that a certificate by {issuer} is not revoked ({told})",
            remedy="it is tried again by itself",
            # Most issuers renew before nextUpdate: it is looked at now and then, by the usual rule.
            retry_at=min(coming) if coming and min(coming) - now < timedelta(minutes=15) else None,
        )
    return RevocationUnavailable(
        f"no evidence that a certificate issued by {issuer} is not revoked ({told})", remedy="try again later"
    )


def _verify(chain: Chain, own: Evidence, now: datetime) -> None:
    """That the evidence is authentic and says: not revoked when used."""
    path, used_at = chain.path, chain.used_at
    # An expired certificate is judged as of its use, by evidence that came later.
    expired = any(item.not_valid_after < now for item in path.iter_certs(include_root=False))
    moment = used_at if expired else now
    timing = ValidationTimingInfo(
        validation_time=moment, best_signature_time=used_at, point_in_time_validation=True
    )
    policy = CertValidationPolicySpec(
        trust_manager=chain.trust.manager,
        revinfo_policy=CertRevTrustPolicy(REQUIRE_REVINFO, retroactive_revinfo=True),
        time_tolerance=CLOCK_SKEW,
        signature_validator=VERIFIER,
    )
    try:
        handlers = bootstrap_validation_data_handlers(
            fetchers=None,
            crls=[CRLContainer(item) for item in own.crls.values()],
            ocsps=[part for item in own.ocsps.values() for part in OCSPContainer.load_multi(item)],
            certs=[*path.iter_certs(include_root=True), *own.certificates.values()],
            poe_manager=POEManager(current_dt_override=moment),
        )
        at_once(async_validate_path(policy.build_validation_context(timing, handlers), path))
    except RevokedError as error:
        if error.revocation_dt <= used_at:
            raise CertificateRevoked(
                f"a certificate on the path was revoked {error.revocation_dt:%Y-%m-%d %H:%M} UTC, before its use"
            ) from error
    except PathValidationError as error:
        raise RevocationUnavailable(
            f"the evidence about revocation does not hold ({type(error).__name__})", remedy="try again later"
        ) from error
    except MALFORMED as error:
        raise RevocationUnavailable(
            f"the evidence about revocation cannot be read ({type(error).__name__})", remedy="try again later"
        ) from error
