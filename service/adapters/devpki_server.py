"""The development PKI at work: TSA, OCSP responder, CRLs and certificates over HTTP on 127.0.0.1.

    python -m service.adapters.devpki_server FOLDER ENVIRONMENT

A process of its own (see `service.background`), since certomancer takes half a second to import and answers
should not wait for the worker's work. Its time is the machine's clock: it proves nothing.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import json
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

from asn1crypto import algos, cms, core, keys, ocsp, pem, tsp, x509
from asn1crypto.parser import emit
from certomancer.crypto_utils import generic_sign, load_private_key
from certomancer.services import (
    CRLBuilder,
    RevocationInfoInterface,
    SimpleOCSPResponder,
    TimeStamper,
    choose_signed_digest,
    get_nonce,
)

from service.background import serve_shared
from service.errors import ConfigurationError

_AUTHORITIES = ("root", "issuing", "ocsp", "tsa")
_CRL_LIFE = timedelta(days=7)
_OCSP_LIFE = timedelta(hours=12)
_MAX_REQUEST = 65536
# An OID of our own (2.25.<UUID>, ITU-T X.667), so that no token claims another authority's policy.
_TSA_POLICY = "2.25.226800836816385910656355246714111626052"
_IMPRINTS = {"sha256": 32, "sha384": 48, "sha512": 64}


class _TimeStampAuthority(TimeStamper):
    """RFC 3161 answers; certomancer's own carry a SHA-1 certificate hash and ignore what is asked for."""

    def __init__(
        self, certificate: x509.Certificate, key: keys.PrivateKeyInfo, *, chain: list[x509.Certificate]
    ) -> None:
        super().__init__(certificate, key, certs_to_embed=chain)
        issuer = {"issuer": certificate.issuer, "serial_number": certificate.serial_number}
        self._signer_id = cms.IssuerAndSerialNumber(issuer).dump()
        self._digest_algorithm = algos.DigestAlgorithm({"algorithm": self.md_algorithm}).dump()
        # RFC 5816: the certificate's hash by SHA-256
        certificate_id = tsp.ESSCertIDv2({"cert_hash": hashlib.sha256(certificate.dump()).digest()})
        self._fixed_attributes = [
            _attribute("content_type", "tst_info"),
            _attribute("signing_certificate_v2", tsp.SigningCertificateV2({"certs": [certificate_id]})),
        ]

    def request_tsa_response(self, req: tsp.TimeStampReq) -> bytes:
        """DER of the answer, a TimeStampResp (RFC 3161 § 2.4.2)."""
        imprint = req["message_imprint"]
        length = _IMPRINTS.get(imprint["hash_algorithm"]["algorithm"].native)
        if length != len(imprint["hashed_message"].native):
            return _refusal("bad_alg")
        if req["req_policy"].native not in (None, _TSA_POLICY):
            return _refusal("unaccepted_policy")
        if req["extensions"].native:
            return _refusal("unaccepted_extensions")
        token_info = {
            "version": "v1",
            "policy": _TSA_POLICY,
            "message_imprint": imprint,
            "serial_number": get_nonce(),
            "gen_time": datetime.now(UTC).replace(microsecond=0),
            "accuracy": {"seconds": 1},  # ETSI EN 319 422 § 5.2.2: present, one second or better
            "tsa": x509.GeneralName(name="directory_name", value=self.tsa_cert.subject),
        }
        if req["nonce"].native is not None:
            token_info["nonce"] = req["nonce"]
        token = self._token(tsp.TSTInfo(token_info), with_certificates=req["cert_req"].native)
        return _sequence(tsp.PKIStatusInfo({"status": "granted"}).dump(), token)

    def _token(self, info: tsp.TSTInfo, *, with_certificates: bool) -> bytes:
        content = info.dump()
        attributes = [
            *self._fixed_attributes,
            _attribute("signing_time", cms.Time({"utc_time": info["gen_time"].native})),
            _attribute("message_digest", hashlib.new(self.md_algorithm, content).digest()),
        ]
        listed = b"".join(sorted(attributes))
        signature = generic_sign(self.tsa_key, _set(listed), self.signature_algo)
        signer = _sequence(
            core.Integer(1).dump(),
            self._signer_id,
            self._digest_algorithm,
            _context_0(listed),
            self.signature_algo.dump(),
            core.OctetString(signature).dump(),
        )
        certificates = [self.tsa_cert, *self.certs_to_embed] if with_certificates else []
        signed = _sequence(
            core.Integer(3).dump(),
            _set(self._digest_algorithm),
            _sequence(cms.ContentType("tst_info").dump(), _context_0(core.OctetString(content).dump())),
            _context_0(b"".join(sorted(c.dump() for c in certificates))) if certificates else b"",
            _set(signer),
        )
        return _sequence(cms.ContentType("signed_data").dump(), _context_0(signed))


# Put together piece by piece: what asn1crypto has encoded with a length that ends in 0x80 it takes for one of
# indefinite length, and encodes anew at every level above it: half a second instead of two milliseconds for some.


def _sequence(*parts: bytes) -> bytes:
    return bytes(emit(0, 1, 16, b"".join(parts)))


def _set(content: bytes) -> bytes:
    return bytes(emit(0, 1, 17, content))


def _context_0(content: bytes) -> bytes:
    return bytes(emit(2, 1, 0, content))


class _Status(RevocationInfoInterface):
    """Every certificate that the issuing authority made is good; it knows no others."""

    def __init__(self, issuer: x509.Certificate, serials: frozenset[int]) -> None:
        self._issuer = issuer
        self._serials = serials

    def get_issuer_cert(self) -> x509.Certificate:
        return self._issuer

    def check_revocation_status(
        self,
        cid: ocsp.CertId,
        at_time: datetime,  # noqa: ARG002 - certomancer's signature
    ) -> tuple[ocsp.CertStatus, list[ocsp.SingleResponseExtension]]:
        known = cid["serial_number"].native in self._serials
        return ocsp.CertStatus("good" if known else "unknown"), []


class Authority:
    """The keys of a folder at work."""

    def __init__(self, folder: Path, serials: frozenset[int]) -> None:
        self._certificates = {
            label: x509.Certificate.load(pem.unarmor((folder / f"{label}.pem").read_bytes())[2])
            for label in _AUTHORITIES
        }
        self._keys = {
            label: load_private_key((folder / f"{label}.key").read_bytes(), None)[0] for label in _AUTHORITIES
        }
        self._status = _Status(self._certificates["issuing"], serials)
        self._tsa = _TimeStampAuthority(
            self._certificates["tsa"], self._keys["tsa"], chain=[self._certificates["issuing"]]
        )

    def certificate(self, label: str) -> bytes:
        return bytes(self._certificates[label].dump())

    def time_stamp(self, request: bytes) -> bytes:
        try:
            parsed = tsp.TimeStampReq.load(request, strict=True)
            parsed.native  # noqa: B018 - asn1crypto parses when asked
        except (ValueError, TypeError):
            return _refusal("bad_data_format")
        return self._tsa.request_tsa_response(parsed)

    def status(self, request: bytes) -> bytes:
        try:
            parsed = ocsp.OCSPRequest.load(request, strict=True)
            parsed.native  # noqa: B018
        except (ValueError, TypeError):
            return bytes(ocsp.OCSPResponse({"response_status": "malformed_request"}).dump())
        responder = SimpleOCSPResponder(
            self._certificates["ocsp"],
            self._keys["ocsp"],
            self._algorithm("ocsp"),
            at_time=datetime.now(UTC).replace(microsecond=0),
            revinfo_interface=self._status,
            validity=_OCSP_LIFE,
        )
        return bytes(responder.build_ocsp_response(parsed).dump())

    def revocation_list(self, label: str) -> bytes:
        certificate = self._certificates[label]
        builder = CRLBuilder(
            certificate.subject, self._keys[label], self._algorithm(label), certificate.key_identifier_value
        )
        now = datetime.now(UTC).replace(microsecond=0)
        crl = builder.build_crl(int(now.timestamp()), now, now + _CRL_LIFE, revoked_certs=[])
        return bytes(crl.dump())

    def _algorithm(self, label: str) -> algos.SignedDigestAlgorithm:
        return choose_signed_digest("sha256", self._certificates[label].public_key)


def _attribute(kind: str, value: Any) -> bytes:
    return bytes(cms.CMSAttribute({"type": kind, "values": [value]}).dump())


class _Refusal(core.Sequence):  # type: ignore[misc]
    """A TimeStampResp without a token (RFC 3161 § 2.4.2), which asn1crypto holds for required."""

    _fields: ClassVar = [("status", tsp.PKIStatusInfo)]


def _refusal(reason: str) -> bytes:
    status = {"status": "rejection", "fail_info": tsp.PKIFailureInfo({reason})}
    return bytes(_Refusal({"status": status}).dump())


class _Handler(BaseHTTPRequestHandler):
    authority: ClassVar[Authority]
    identity: ClassVar[bytes]

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30

    def do_GET(self) -> None:
        authority = self.authority
        path = self.path
        if path == "/identity":
            self._answer("application/json", self.identity)
        elif path in ("/root.crl", "/issuing.crl"):
            self._answer("application/pkix-crl", authority.revocation_list(path[1:-4]))
        elif path in ("/root.crt", "/issuing.crt"):
            self._answer("application/pkix-cert", authority.certificate(path[1:-4]))
        elif path.startswith("/ocsp/"):  # RFC 6960 appendix A.1
            try:
                request = base64.b64decode(urllib.parse.unquote(path.removeprefix("/ocsp/")), validate=True)
            except binascii.Error:
                request = b""
            self._answer("application/ocsp-response", authority.status(request))
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MAX_REQUEST:
            self.close_connection = True
            self.send_error(413 if length.isdecimal() else 411)
            return
        request = self.rfile.read(int(length))
        if self.path == "/tsa":
            self._answer("application/timestamp-reply", self.authority.time_stamp(request))
        elif self.path == "/ocsp":
            self._answer("application/ocsp-response", self.authority.status(request))
        else:
            self.send_error(404)

    def _answer(self, media_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of single requests."""


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


@contextlib.contextmanager
def _answering(folder: Path) -> Iterator[Callable[[], None]]:
    manifest = json.loads((folder / "devpki.json").read_bytes())

    class Handler(_Handler):
        authority = Authority(folder, frozenset(manifest["serials"]))
        identity = json.dumps({"devpki": manifest["id"]}).encode()

    port = manifest["port"]
    try:
        server = _Server(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ConfigurationError(
            f"The development PKI cannot listen on 127.0.0.1:{port}, the address in its certificates "
            f"({error.strerror}).",
            remedy=(
                f"Stop the program that listens there, or move {folder} away: a new development PKI is made "
                "then, and documents signed before need the old root.pem to verify."
            ),
        ) from error
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield lambda: None
        server.shutdown()


def main(name: str, environment: str) -> None:
    if environment.casefold() == "production":
        raise SystemExit("the development PKI does not run in production")
    folder = Path(name)
    serve_shared(folder, "devpki", lambda: _answering(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
