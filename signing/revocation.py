"""Evidence that certificates were not revoked: OCSP responses and CRLs, fetched over HTTP.

What is fetched is checked in form here (right certificate, in force, a definite answer); that it is signed by one who
may is checked with the path, by `EvidenceCollector.collect`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from threading import Lock
from typing import Final

import requests
from asn1crypto import algos, crl, ocsp, x509
from cryptography.exceptions import UnsupportedAlgorithm
from pyhanko_certvalidator.context import CertValidationPolicySpec, bootstrap_validation_data_handlers
from pyhanko_certvalidator.errors import PathValidationError, RevokedError
from pyhanko_certvalidator.ltv.poe import POEManager
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.path import ValidationPath
from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer
from pyhanko_certvalidator.validate import async_validate_path

from signing.aio import run
from signing.credentials.base import common_name
from signing.errors import CertificateRevoked, RevocationUnavailable
from signing.http import NotReceived, received
from signing.trust import TrustStore

__all__ = ["Chain", "Evidence", "EvidenceCollector"]

_CONNECTIONS: Final = 8
_SKEW: Final = timedelta(minutes=5)
_MAX_OCSP: Final = 64 * 1024
_MAX_CRL: Final = 16 * 1024 * 1024
_LARGE_CRL: Final = 256 * 1024  # above this, an OCSP response is preferred where there is one
_MALFORMED: Final = (ValueError, TypeError, KeyError, IndexError, AttributeError, UnsupportedAlgorithm)
"""What asn1crypto, pyHanko and cryptography raise for bytes that mean nothing: asn1crypto parses when asked."""


@dataclass
class Evidence:
    """Certificates, OCSP responses and CRLs, each once, as DER."""

    certificates: dict[bytes, x509.Certificate] = field(default_factory=dict)
    ocsps: dict[bytes, ocsp.OCSPResponse] = field(default_factory=dict)
    crls: dict[bytes, crl.CertificateList] = field(default_factory=dict)

    def add(self, item: x509.Certificate | ocsp.OCSPResponse | crl.CertificateList) -> None:
        if isinstance(item, x509.Certificate):
            self.certificates.setdefault(item.dump(), item)
        elif isinstance(item, ocsp.OCSPResponse):
            self.ocsps.setdefault(item.dump(), item)
            for certificate in _responder_certificates(item):
                self.certificates.setdefault(certificate.dump(), certificate)
        else:
            self.crls.setdefault(item.dump(), item)

    def update(self, other: Evidence) -> None:
        for mine, others in (
            (self.certificates, other.certificates),
            (self.ocsps, other.ocsps),
            (self.crls, other.crls),
        ):
            for der, item in others.items():
                mine.setdefault(der, item)


@dataclass(frozen=True)
class Chain:
    """A verified path to an anchor of `trust`, whose leaf was used at some time, for a signature or for a timestamp."""

    path: ValidationPath
    trust: TrustStore
    used_at: datetime
    for_timestamp: bool


class _Unusable(Exception):
    """Why one source's answer is not used."""


class EvidenceCollector:
    """Fetches evidence. One instance keeps its connections, and CRLs until they are renewed."""

    def __init__(self, *, timeout: float = 10.0, session: requests.Session | None = None) -> None:
        self._timeout = timeout
        self._session = session or requests.Session()
        self._crls: dict[str, crl.CertificateList] = {}
        self._one_list_at_a_time = Lock()

    def collect(self, chains: Sequence[Chain], into: Evidence, *, at: datetime | None = None) -> None:
        """Add the certificates of every chain, and evidence for each but the anchor; all is fetched at once.

        For a time-stamping certificate a CRL is preferred: it is signed by the CA, so it can be checked for as long
        as the CA's certificate lives, while an OCSP responder's often ends within weeks.
        It is judged as of `at`, by default now.
        Raises `RevocationUnavailable`, or `CertificateRevoked` when one was revoked before it was used.
        """
        now = at or datetime.now(UTC)
        wanted: dict[bytes, tuple[x509.Certificate, x509.Certificate, str]] = {}
        for chain in chains:
            certificates = list(chain.path.iter_certs(include_root=True))
            for issuer, certificate in pairwise(certificates):
                stamps = chain.for_timestamp and certificate is certificates[-1]
                wanted.setdefault(certificate.dump(), (certificate, issuer, "crl" if stamps else "ocsp"))
        if not wanted:
            return
        with ThreadPoolExecutor(max_workers=min(_CONNECTIONS, len(wanted))) as pool:
            fetched = {
                der: pool.submit(self._with_responders, *item, now, into) for der, item in wanted.items()
            }
        for chain in chains:
            own = Evidence()
            for certificate in chain.path.iter_certs(include_root=True):
                own.add(certificate)
                if certificate.dump() in fetched:
                    for item in fetched[certificate.dump()].result():
                        own.add(item)
            try:
                _verify(chain, own, now)
            except RevocationUnavailable:
                # Kept, a CRL that does not hold would stand in the way until its end: all are fetched anew.
                self._crls = {}
                raise
            into.update(own)

    def _with_responders(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        prefer: str,
        now: datetime,
        known: Evidence,
    ) -> list[ocsp.OCSPResponse | crl.CertificateList]:
        """Evidence for a certificate, and for the responder that gave it unless that is exempt."""
        found = [self._status(certificate, issuer, now, prefer)]
        for responder in _responder_certificates(found[0]):
            # A responder without the no-check extension is itself in need of evidence (RFC 6960 4.2.2.2.1).
            settled = responder.dump() == issuer.dump() or responder.dump() in known.certificates
            if responder.ocsp_no_check_value is None and not settled:
                found.append(self._status(responder, issuer, now, "crl"))
        return found

    def _status(
        self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime, prefer: str
    ) -> ocsp.OCSPResponse | crl.CertificateList:
        reasons: list[str] = []
        lists = _crl_urls(certificate)
        responders = certificate.ocsp_urls
        order = ["crl", "ocsp"] if prefer == "crl" else ["ocsp", "crl"]
        large: crl.CertificateList | None = None
        for kind in order:
            for url in lists if kind == "crl" else responders:
                try:
                    if kind == "ocsp":
                        return self._ocsp(url, certificate, issuer, now)
                    found = self._crl(url, issuer, now)
                except _Unusable as reason:
                    reasons.append(f"{url}: {reason}")
                    continue
                if prefer == "crl" and responders and len(found.dump()) > _LARGE_CRL:
                    large = found
                    break
                return found
        if large is not None:
            return large
        raise RevocationUnavailable(
            f"no evidence that a certificate issued by {common_name(issuer.subject)} is not revoked ("
            + ("; ".join(reasons) or "it names neither OCSP responder nor CRL")
            + ")",
            remedy="try again later",
        )

    def _ocsp(
        self, url: str, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
    ) -> ocsp.OCSPResponse:
        # SHA-1 only names the issuer here; it is the one algorithm every responder knows (RFC 5019 2.1.1).
        identifier = ocsp.CertId(
            {
                "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha1"}),
                "issuer_name_hash": certificate.issuer.sha1,
                "issuer_key_hash": issuer.public_key.sha1,
                "serial_number": certificate.serial_number,
            }
        )
        request = ocsp.OCSPRequest({"tbs_request": {"request_list": [{"req_cert": identifier}]}})
        body = self._fetch(
            url, _MAX_OCSP, data=request.dump(), headers={"Content-Type": "application/ocsp-request"}
        )
        try:
            response = ocsp.OCSPResponse.load(body, strict=True)
            status = response["response_status"].native
            if status != "successful":
                raise _Unusable(f"status {status}")
            for single in response.response_data["responses"]:
                if (
                    single["cert_id"]["serial_number"].native == certificate.serial_number
                    and single["cert_id"]["issuer_key_hash"].native == identifier["issuer_key_hash"].native
                ):
                    if single["cert_status"].name == "unknown":
                        raise _Unusable("the responder does not know the certificate")
                    _check_period(single["this_update"].native, single["next_update"].native, now)
                    for responder in _responder_certificates(response):
                        responder.ocsp_no_check_value  # noqa: B018 (asn1crypto parses when asked)
                    return response
        except _MALFORMED as error:
            raise _Unusable(f"the answer is malformed ({type(error).__name__})") from error
        raise _Unusable("the answer is for another certificate")

    def _crl(self, url: str, issuer: x509.Certificate, now: datetime) -> crl.CertificateList:
        with self._one_list_at_a_time:
            return self._crl_kept(url, issuer, now)

    def _crl_kept(self, url: str, issuer: x509.Certificate, now: datetime) -> crl.CertificateList:
        kept = self._crls.get(url)
        if kept is not None:
            following = kept["tbs_cert_list"]["next_update"].native
            if following is not None and now < following and kept.issuer.dump() == issuer.subject.dump():
                return kept
        body = self._fetch(url, _MAX_CRL)
        try:
            found = crl.CertificateList.load(body, strict=True)
            listing = found["tbs_cert_list"]
            _check_period(listing["this_update"].native, listing["next_update"].native, now)
        except _MALFORMED as error:
            raise _Unusable(f"the answer is malformed ({type(error).__name__})") from error
        self._crls[url] = found
        return found

    def _fetch(
        self, url: str, limit: int, *, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> bytes:
        try:
            with self._session.request(
                "GET" if data is None else "POST",
                url,
                data=data,
                headers=headers,
                timeout=self._timeout,
                stream=True,
                allow_redirects=data is None,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise _Unusable(f"HTTP status {response.status_code}")
                return received(response, limit=limit, seconds=self._timeout)
        except NotReceived as error:
            raise _Unusable(str(error)) from error
        except requests.RequestException as error:
            raise _Unusable(type(error).__name__) from error

    def close(self) -> None:
        """Close the connections kept."""
        self._session.close()


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
        time_tolerance=_SKEW,
    )
    try:
        handlers = bootstrap_validation_data_handlers(
            fetchers=None,
            crls=[CRLContainer(item) for item in own.crls.values()],
            ocsps=[part for item in own.ocsps.values() for part in OCSPContainer.load_multi(item)],
            certs=[*path.iter_certs(include_root=True), *own.certificates.values()],
            poe_manager=POEManager(current_dt_override=moment),
        )
        run(async_validate_path(policy.build_validation_context(timing, handlers), path))
    except RevokedError as error:
        if error.revocation_dt <= used_at:
            raise CertificateRevoked(
                f"a certificate on the path was revoked {error.revocation_dt:%Y-%m-%d %H:%M} UTC, before its use"
            ) from error
    except PathValidationError as error:
        raise RevocationUnavailable(
            f"the evidence about revocation does not hold ({type(error).__name__})", remedy="try again later"
        ) from error
    except _MALFORMED as error:
        raise RevocationUnavailable(
            f"the evidence about revocation cannot be read ({type(error).__name__})", remedy="try again later"
        ) from error


def _check_period(this_update: datetime, next_update: datetime | None, now: datetime) -> None:
    if this_update > now + _SKEW:
        raise _Unusable("the answer is dated in the future")
    if next_update is not None and next_update < now - _SKEW:
        raise _Unusable("the answer is out of date")


def _crl_urls(certificate: x509.Certificate) -> list[str]:
    return [
        url
        for point in certificate.crl_distribution_points or ()
        if (url := point.url) is not None and url.lower().startswith(("http://", "https://"))
    ]


def _responder_certificates(item: object) -> Iterable[x509.Certificate]:
    if isinstance(item, ocsp.OCSPResponse):
        return list(item.basic_ocsp_response["certs"] or ())
    return []
