"""RFC 3161 time-stamping over HTTP, several authorities in order.

Every token is checked before it is used: HTTP status and type, status of the answer, nonce, imprint, policy, time by
our own clock, purpose of the certificate, algorithm, signature, and with `trust` the path to an anchor for timestamps.
An authority that fails any of it is passed over; one that fails again and again is not asked for a while.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, ClassVar, Final, Literal

import requests
from asn1crypto import algos, cms, core, tsp, x509
from pyhanko.sign.general import SigningError as PyHankoError
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation import generic_cms

from signing.accepted import accepted_algorithm
from signing.breaker import Breaker, BreakerRule, BreakerState
from signing.credentials.base import common_name
from signing.errors import CredentialError, NotTrusted, SigningError, TimestampTooLarge, TimestampUnavailable
from signing.http import NotReceived, open_session, received, shown_address, time_limit
from signing.trust import TrustStore
from signing.verified import VERIFIER

__all__ = [
    "MAX_TOKEN_BYTES",
    "TOKEN_ALLOWANCE",
    "AuthorityState",
    "TimestampAttempt",
    "TimestampClient",
    "TimestampToken",
]

log = logging.getLogger(__name__)

TOKEN_ALLOWANCE: Final = 10_240
"""Bytes kept free for a token until an authority has shown that it needs more."""
MAX_TOKEN_BYTES: Final = 65_536
"""A larger token is no authority's: it is refused, and no room is ever made for it."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far a token's time may be from our clock, and how inaccurate it may call itself."""

_REQUEST: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_OF_THE_REQUEST: Final = {"bad_alg", "unaccepted_policy", "unaccepted_extensions"}
"""Reasons of a rejection (RFC 3161 2.4.2) that say nothing of whether the authority works."""


@dataclass(frozen=True)
class TimestampToken:
    """A token that was checked; `encoded` is its DER."""

    encoded: bytes
    time: datetime
    authority: x509.Certificate
    certificates: tuple[x509.Certificate, ...]
    url: str

    @property
    def name(self) -> str:
        return common_name(self.authority.subject)


@dataclass(frozen=True)
class AuthorityState:
    """How an authority has done since the client was made."""

    url: str
    state: BreakerState
    tokens: int
    failures: int


@dataclass(frozen=True)
class TimestampAttempt:
    """One authority was asked: `url` without user and query, `seconds` that it took, and what came of it.

    `state` is its breaker's afterwards; `goes_on` says that the next authority is asked, if there is one.
    """

    url: str
    outcome: Literal["token", "failed", "refused"]
    seconds: float
    state: BreakerState
    goes_on: bool


class _Refused(Exception):
    """Why one authority's answer is not used. `at_fault` is false where the authority works as it should."""

    def __init__(self, reason: str, *, at_fault: bool = True) -> None:
        super().__init__(reason)
        self.at_fault = at_fault


class _Answer(core.Sequence):  # type: ignore[misc]
    """TimeStampResp (RFC 3161 2.4.2). A rejection has no token, which asn1crypto's own holds for required."""

    _fields: ClassVar = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


@dataclass
class _Authority:
    url: str
    breaker: Breaker
    tokens: int = 0
    failures: int = 0
    shown: str = field(init=False)

    def __post_init__(self) -> None:
        self.shown = shown_address(self.url)


def _now() -> datetime:
    return datetime.now(UTC)


class TimestampClient:
    """Asks the authorities of `urls` in that order. Keeps its connections; threads may share it.

    One authority has `timeout` seconds, all of them together `budget`. With `policy` (an object identifier) it is asked
    for, and a token under another is refused. `rule` says when an authority is passed over. `clock` is what a token's
    time is held against; `monotonic` gives seconds, for the budget and the rests. `on_attempt` is told of each try.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        trust: TrustStore | None = None,
        timeout: float = 10.0,
        budget: float = 30.0,
        policy: str | None = None,
        max_token_bytes: int = MAX_TOKEN_BYTES,
        rule: BreakerRule | None = None,
        session: requests.Session | None = None,
        clock: Callable[[], datetime] = _now,
        monotonic: Callable[[], float] = time.monotonic,
        on_attempt: Callable[[TimestampAttempt], None] = lambda _attempt: None,
    ) -> None:
        if not urls:
            raise SigningError("no time-stamping authority is configured", remedy="name at least one")
        self.urls = tuple(urls)
        self.max_token_bytes = max_token_bytes
        self._authorities = [_Authority(url, Breaker(rule, monotonic=monotonic)) for url in self.urls]
        self._trust = trust
        self._timeout = timeout
        self._budget = budget
        self._policy = policy
        self._session = session or open_session()
        self._clock = clock
        self._monotonic = monotonic
        self._on_attempt = on_attempt
        self._lock = Lock()
        self._largest = 0

    @property
    def token_room(self) -> int:
        """Bytes to keep free for a token: the allowance, or a quarter more than the largest one that came."""
        with self._lock:
            return max(TOKEN_ALLOWANCE, min(self.max_token_bytes, self._largest + self._largest // 4))

    @property
    def authorities(self) -> tuple[AuthorityState, ...]:
        """What has become of each, in order; for metrics."""
        with self._lock:
            return tuple(
                AuthorityState(a.shown, a.breaker.state, a.tokens, a.failures) for a in self._authorities
            )

    def timestamp(self, digest: bytes, algorithm: str, *, room: int | None = None) -> TimestampToken:
        """A token over `digest`, of at most `room` bytes.

        Raises `TimestampTooLarge` when tokens came and none has room, else `TimestampUnavailable` when no authority
        gives one that holds.
        """
        deadline = self._monotonic() + self._budget
        refusals: list[str] = []
        needed: list[int] = []
        for authority in self._authorities:
            seconds = min(self._timeout, deadline - self._monotonic())
            if seconds <= 0:
                refusals.append(f"{authority.shown}: not asked, the {self._budget:g} s for all were over")
                continue
            if not authority.breaker.admit():
                refusals.append(
                    f"{authority.shown}: passed over for {authority.breaker.rests_for:.0f} s, as it failed"
                    " several times"
                )
                continue
            began = self._monotonic()
            try:
                token = self._ask(authority.url, digest, algorithm, seconds)
            except _Refused as refusal:
                self._note_failure(authority, refusal)
                self._tell(authority, "failed" if refusal.at_fault else "refused", began, goes_on=True)
                refusals.append(f"{authority.shown}: {refusal}")
                continue
            except BaseException:
                authority.breaker.left()
                raise
            self._note_token(authority, token)
            fits = room is None or len(token.encoded) <= room
            self._tell(authority, "token", began, goes_on=not fits)
            if fits:
                return token
            needed.append(len(token.encoded))
            refusals.append(f"{authority.shown}: the token is {needed[-1]} bytes, {room} are free")
        if needed:
            raise TimestampTooLarge(
                f"no time-stamping authority gave a token that has room ({'; '.join(refusals)})",
                remedy="prepare the signature again, or try again when another authority answers",
            )
        raise TimestampUnavailable(
            f"no time-stamping authority gave a usable token ({'; '.join(refusals)})",
            remedy="try again later, or name another authority",
        )

    def close(self) -> None:
        """Close the connections kept."""
        self._session.close()

    def _tell(
        self,
        authority: _Authority,
        outcome: Literal["token", "failed", "refused"],
        began: float,
        *,
        goes_on: bool,
    ) -> None:
        seconds, last = self._monotonic() - began, authority is self._authorities[-1]
        told = TimestampAttempt(
            authority.shown, outcome, seconds, authority.breaker.state, goes_on and not last
        )
        self._on_attempt(told)

    def _note_token(self, authority: _Authority, token: TimestampToken) -> None:
        authority.breaker.succeeded()
        with self._lock:
            authority.tokens += 1
            self._largest = max(self._largest, len(token.encoded))

    def _note_failure(self, authority: _Authority, refusal: _Refused) -> None:
        if not refusal.at_fault:
            authority.breaker.left()
            return
        resting = authority.breaker.failed()
        with self._lock:
            authority.failures += 1
        log.warning("time-stamping authority url=%s failed: %s", authority.shown, refusal)
        if resting:
            log.warning(
                "time-stamping authority url=%s is passed over for %.0f s",
                authority.shown, authority.breaker.rests_for,
            )  # fmt: skip

    def _ask(self, url: str, digest: bytes, algorithm: str, seconds: float) -> TimestampToken:
        nonce = secrets.randbits(63) + 1
        question: dict[str, Any] = {
            "version": 1,
            "message_imprint": {
                "hash_algorithm": algos.DigestAlgorithm({"algorithm": algorithm}),
                "hashed_message": digest,
            },
            "nonce": nonce,
            "cert_req": True,
        }
        if self._policy:
            question["req_policy"] = self._policy
        response = self._post(url, tsp.TimeStampReq(question).dump(), seconds)
        try:
            return self._check(response, nonce, digest, algorithm, url)
        except CredentialError as error:
            raise _Refused(error.message) from error
        # asn1crypto and pyHanko give ValueError, TypeError, KeyError and their own for nonsense.
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, PyHankoError) as error:
            raise _Refused(f"the answer is malformed ({type(error).__name__})") from error

    def _post(self, url: str, body: bytes, seconds: float) -> bytes:
        began = time.monotonic()
        try:
            with self._session.post(
                url,
                data=body,
                headers={"Content-Type": _REQUEST, "Accept": _REPLY},
                timeout=time_limit(seconds),
                stream=True,
                allow_redirects=False,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise _Refused(f"HTTP status {response.status_code}")
                kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
                if kind != _REPLY:
                    raise _Refused(f"content type {kind or '(none)'}")
                left = seconds - (time.monotonic() - began)
                return received(response, limit=2 * self.max_token_bytes, seconds=left)
        except NotReceived as error:
            raise _Refused(str(error)) from error
        except requests.RequestException as error:
            raise _Refused(type(error).__name__) from error

    def _check(self, response: bytes, nonce: int, digest: bytes, algorithm: str, url: str) -> TimestampToken:
        answer = _Answer.load(response, strict=True)
        status = answer["status"]["status"].native
        if status not in ("granted", "granted_with_mods"):
            reasons = answer["status"]["fail_info"].native or set()
            words = f" ({', '.join(sorted(reasons))})" if reasons else ""
            raise _Refused(f"status {status}{words}", at_fault=not reasons & _OF_THE_REQUEST)
        token = answer["time_stamp_token"]
        if isinstance(token, core.Void) or token["content_type"].native != "signed_data":
            raise _Refused("the answer holds no token")
        encoded = token.dump()
        if len(encoded) > self.max_token_bytes:
            raise _Refused(f"the token is {len(encoded)} bytes, {self.max_token_bytes} are the most")
        signed = token["content"]
        if signed["encap_content_info"]["content_type"].native != "tst_info":
            raise _Refused("the token holds no time")
        content = signed["encap_content_info"]["content"]
        info = content.parsed
        if info["nonce"].native != nonce:
            raise _Refused("the nonce is not the one sent")
        imprint = info["message_imprint"]
        if (
            imprint["hash_algorithm"]["algorithm"].native != algorithm
            or imprint["hashed_message"].native != digest
        ):
            raise _Refused("the token is over other bytes")
        if self._policy and info["policy"].dotted != self._policy:
            raise _Refused("the token is under another policy than was asked for")
        self._check_time(info)
        certificates = generic_cms.extract_certs_for_validation(signed)
        authority = certificates.signer_cert
        usage = authority.extended_key_usage_value
        if usage is None or usage.native != ["time_stamping"]:
            raise _Refused("the certificate is not one for time-stamping")
        signer = extract_signer_info(signed)
        digest_algorithm = signer["digest_algorithm"]["algorithm"].native
        accepted_algorithm(signer["signature_algorithm"], digest_algorithm)
        hashed = hashlib.new(digest_algorithm, bytes(content)).digest()
        intact, valid = generic_cms.validate_sig_integrity(
            signer, authority, "tst_info", hashed, sig_validator=VERIFIER
        )
        if not (intact and valid):
            raise _Refused("the token's signature does not verify")
        _check_named(signer, authority)
        time = info["gen_time"].native
        if not authority.not_valid_before <= time <= authority.not_valid_after:
            raise _Refused("the authority's certificate is not valid at its own time")
        others = tuple(certificates.other_certs)
        if self._trust is not None:
            try:
                self._trust.timestamps.path(authority, others, at=time)
            except NotTrusted as error:
                raise _Refused("the authority is not trusted") from error
        return TimestampToken(encoded, time, authority, (authority, *others), url)

    def _check_time(self, info: tsp.TSTInfo) -> None:
        """Our own clock or the authority's is wrong when they are far apart; either way nothing is sealed by it."""
        apart = info["gen_time"].native - self._clock()
        if abs(apart) > CLOCK_TOLERANCE:
            raise _Refused(f"its time is {apart.total_seconds():+.0f} s from this machine's clock")
        accuracy = info["accuracy"]
        if not isinstance(accuracy, core.Void):
            seconds = accuracy["seconds"].native or 0
            if timedelta(seconds=seconds) > CLOCK_TOLERANCE:
                raise _Refused(f"it calls its time accurate to {seconds} s only")


def _check_named(signer: cms.SignerInfo, authority: x509.Certificate) -> None:
    """That the signed attributes name the certificate, by ESSCertID or ESSCertIDv2 (RFC 3161 2.4.2, RFC 5816)."""
    for attribute in signer["signed_attrs"]:
        kind = attribute["type"].native
        if kind not in ("signing_certificate", "signing_certificate_v2"):
            continue
        named = attribute["values"][0]["certs"][0]
        second = kind == "signing_certificate_v2"
        algorithm = named["hash_algorithm"]["algorithm"].native if second else "sha1"
        if named["cert_hash"].native == hashlib.new(algorithm, authority.dump()).digest():
            return
    raise _Refused("the token does not name its certificate")
