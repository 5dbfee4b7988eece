"""RFC 3161 time-stamping over HTTP, several authorities in order.

Every token is checked before it is used: HTTP status and type, status of the answer, nonce, imprint, purpose of the
certificate, signature, and with `trust` the path to an anchor for timestamps. An authority that fails any of it is
passed over.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import requests
from asn1crypto import algos, core, tsp, x509
from pyhanko.sign.general import SigningError as PyHankoError
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation import generic_cms

from signing.credentials.base import common_name
from signing.errors import NotTrusted, SigningError, TimestampUnavailable
from signing.http import NotReceived, received
from signing.trust import TrustStore

__all__ = ["TOKEN_ALLOWANCE", "TimestampClient", "TimestampToken"]

TOKEN_ALLOWANCE: Final = 10_240
"""Bytes kept free for a token; one larger is refused."""

_REQUEST: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"


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


class _Refused(Exception):
    """Why one authority's answer is not used."""


class TimestampClient:
    """Asks the authorities of `urls` in that order. One instance keeps its connections; safe to share in a thread."""

    def __init__(
        self,
        urls: Sequence[str],
        *,
        trust: TrustStore | None = None,
        timeout: float = 10.0,
        max_token_bytes: int = TOKEN_ALLOWANCE,
        session: requests.Session | None = None,
    ) -> None:
        if not urls:
            raise SigningError("no time-stamping authority is configured", remedy="name at least one")
        self.urls = tuple(urls)
        self.max_token_bytes = max_token_bytes
        self._trust = trust
        self._timeout = timeout
        self._session = session or requests.Session()

    def timestamp(self, digest: bytes, algorithm: str) -> TimestampToken:
        """A token over `digest`. Raises `TimestampUnavailable` when no authority gives one that holds."""
        return next(self.tokens(digest, algorithm))

    def tokens(self, digest: bytes, algorithm: str) -> Iterator[TimestampToken]:
        """Tokens over `digest`, one from each authority that gives one; ends with `TimestampUnavailable`."""
        refusals = []
        for url in self.urls:
            try:
                token = self._ask(url, digest, algorithm)
            except _Refused as refusal:
                refusals.append(f"{url}: {refusal}")
                continue
            yield token
        raise TimestampUnavailable(
            "no time-stamping authority gave a usable token ("
            + "; ".join(refusals or ["all were tried"])
            + ")",
            remedy="try again later, or name another authority",
        )

    def close(self) -> None:
        """Close the connections kept."""
        self._session.close()

    def _ask(self, url: str, digest: bytes, algorithm: str) -> TimestampToken:
        nonce = secrets.randbits(63) + 1
        request = tsp.TimeStampReq(
            {
                "version": 1,
                "message_imprint": {
                    "hash_algorithm": algos.DigestAlgorithm({"algorithm": algorithm}),
                    "hashed_message": digest,
                },
                "nonce": nonce,
                "cert_req": True,
            }
        )
        response = self._post(url, request.dump())
        try:
            return self._check(response, nonce, digest, algorithm, url)
        except _Refused:
            raise
        # asn1crypto and pyHanko give ValueError, TypeError, KeyError and their own for nonsense.
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, PyHankoError) as error:
            raise _Refused(f"the answer is malformed ({type(error).__name__})") from error

    def _post(self, url: str, body: bytes) -> bytes:
        limit = 4 * self.max_token_bytes
        try:
            with self._session.post(
                url,
                data=body,
                headers={"Content-Type": _REQUEST, "Accept": _REPLY},
                timeout=self._timeout,
                stream=True,
                allow_redirects=False,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise _Refused(f"HTTP status {response.status_code}")
                kind = response.headers.get("Content-Type", "").split(";")[0].strip().lower()
                if kind != _REPLY:
                    raise _Refused(f"content type {kind or '(none)'}")
                return received(response, limit=limit, seconds=self._timeout)
        except NotReceived as error:
            raise _Refused(str(error)) from error
        except requests.RequestException as error:
            raise _Refused(type(error).__name__) from error

    def _check(self, response: bytes, nonce: int, digest: bytes, algorithm: str, url: str) -> TimestampToken:
        answer = tsp.TimeStampResp.load(response, strict=True)
        status = answer["status"]["status"].native
        if status not in ("granted", "granted_with_mods"):
            raise _Refused(f"status {status}")
        token = answer["time_stamp_token"]
        if isinstance(token, core.Void) or token["content_type"].native != "signed_data":
            raise _Refused("the answer holds no token")
        encoded = token.dump()
        if len(encoded) > self.max_token_bytes:
            raise _Refused(f"the token is {len(encoded)} bytes, {self.max_token_bytes} are free")
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
        certificates = generic_cms.extract_certs_for_validation(signed)
        authority = certificates.signer_cert
        usage = authority.extended_key_usage_value
        if usage is None or usage.native != ["time_stamping"]:
            raise _Refused("the certificate is not one for time-stamping")
        signer = extract_signer_info(signed)
        hashed = hashlib.new(signer["digest_algorithm"]["algorithm"].native, bytes(content)).digest()
        intact, valid = generic_cms.validate_sig_integrity(signer, authority, "tst_info", hashed)
        if not (intact and valid):
            raise _Refused("the token's signature does not verify")
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
