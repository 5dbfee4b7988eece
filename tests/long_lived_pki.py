"""A public key infrastructure that lives for decades by a clock of the test's, served over real HTTP.

Roots, issuing CAs, time-stamping units and signers follow one another: each generation has keys of its own, and is used
while it is the newest. After ten years the new ones are on P-384 with SHA-384. A CA answers for its certificates as
long as its own lasts, then it is silent.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from asn1crypto import algos, cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from signing import Credential, SignerIdentity, TrustStore, open_credential
from signing.algorithms import Mechanism, sign_raw
from signing.cms import signed_attributes, signed_data
from signing.der import CONTEXT_0, tlv
from tests.fakes import ManualClock
from tests.pki import PASSPHRASE, QuietHandler

__all__ = ["LongLivedPki", "serve"]

_Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
_P384_AFTER: Final = 10
_DAY: Final = timedelta(days=1)


def _year(number: int) -> datetime:
    return datetime(number, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class _Holder:
    """A key with its certificate, and the one that issued it."""

    key: _Key
    certificate: x509.Certificate
    issuer: _Holder | None

    @property
    def name(self) -> str:
        (found,) = self.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found.value)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def digest(self) -> hashes.SHA256 | hashes.SHA384:
        return hashes.SHA384() if getattr(self.key, "key_size", 0) == 384 else hashes.SHA256()

    def lasts(self, moment: datetime) -> bool:
        return moment < self.certificate.not_valid_after_utc


@dataclass
class LongLivedPki:
    """The PKI by `clock`, which each timestamp moves on by a second. `asked` are the paths of all requests."""

    folder: Path
    clock: ManualClock
    url: str = ""
    asked: list[str] = field(default_factory=list)
    revoked: dict[int, datetime] = field(default_factory=dict)
    _made: dict[str, _Holder] = field(default_factory=dict)
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    # Who there is

    @cached_property
    def first(self) -> int:
        """The year in which all begins: the clock's, when this is asked first."""
        return self.clock.now().year

    def _generation(self, year: int, years: int) -> int:
        """The year in which the generation began that is in use; each is for so many years."""
        return self.first + (year - self.first) // years * years

    def _root(self, year: int) -> _Holder:
        """Lives for twenty years, and issues for ten."""
        begun = self._generation(year, 10)
        return self._holder(f"Root {begun}", begun, 20, None, ca=True)

    def _issuing(self, year: int) -> _Holder:
        """Lives for ten years, and issues for four."""
        begun = self._generation(year, 4)
        return self._holder(f"Issuing {begun}", begun, 10, self._root(begun), ca=True)

    def _stamping(self, year: int) -> _Holder:
        """Lives for six years, and stamps for four."""
        begun = self._generation(year, 4)
        return self._holder(f"TSA {begun}", begun, 6, self._issuing(begun), purpose="time")

    def _signer(self, role: str, year: int) -> _Holder:
        """Lives for three years; the organisation's seal for five. Each signs for one year less."""
        years = 5 if role == "seal" else 3
        begun = self._generation(year, years - 1)
        return self._holder(f"{role} {begun}", begun, years, self._issuing(begun))

    @property
    def trust(self) -> TrustStore:
        """All roots until now, also those that have ended."""
        year = self.clock.now().year
        return TrustStore(tuple(self._root(y).der for y in range(self.first, year + 1, 10)))

    @property
    def tsa_url(self) -> str:
        return f"{self.url}/tsa"

    def credential(self, role: str) -> Credential:
        """The key by which this role signs at present."""
        holder = self._signer(role, self.clock.now().year)
        path = self.folder / f"{holder.name}.p12".replace(" ", "-")
        secret = self.folder / "passphrase"
        if not path.exists():
            secret.write_text(PASSPHRASE + "\n")
            chain = [holder.issuer.certificate] if holder.issuer else []
            path.write_bytes(
                pkcs12.serialize_key_and_certificates(
                    role.encode(), holder.key, holder.certificate, chain,
                    BestAvailableEncryption(PASSPHRASE.encode()),
                )
            )  # fmt: skip
        return self._opened(path, secret)

    def _opened(self, path: Path, secret: Path) -> Credential:
        if path not in self._credentials:
            self._credentials[path] = open_credential(f"pkcs12:{path}?passphrase-file={secret}")
        return self._credentials[path]

    @cached_property
    def _credentials(self) -> dict[Path, Credential]:
        return {}

    def revoke(self, role: str, year: int) -> None:
        """Revoke, as of now, the certificate that this role had in that year."""
        self.revoked[self._signer(role, year).certificate.serial_number] = self.clock.now()

    # Making certificates

    def _holder(
        self,
        name: str,
        begun: int,
        years: int,
        issuer: _Holder | None,
        *,
        ca: bool = False,
        purpose: str | None = None,
    ) -> _Holder:
        if name not in self._made:
            key: _Key
            if name.startswith("employer") and begun < self.first + _P384_AFTER:
                key = rsa.generate_private_key(65537, 3072)
            else:
                key = ec.generate_private_key(
                    ec.SECP384R1() if begun >= self.first + _P384_AFTER else ec.SECP256R1()
                )
            self._made[name] = self._issue(name, key, begun, years, issuer, ca=ca, purpose=purpose)
        return self._made[name]

    def _issue(
        self,
        name: str,
        key: _Key,
        begun: int,
        years: int,
        issuer: _Holder | None,
        *,
        ca: bool,
        purpose: str | None,
    ) -> _Holder:
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "NO"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Signert test (not for use)"),
                x509.NameAttribute(NameOID.COMMON_NAME, name),
            ]
        )
        above = issuer.certificate.subject if issuer else subject
        signing: _Key = issuer.key if issuer else key
        builder = (
            x509.CertificateBuilder(
                above,
                subject,
                key.public_key(),
                x509.random_serial_number(),
                _year(begun),
                _year(begun + years),
            )
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(_usage(ca=ca, person=not ca and purpose is None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False
            )
        )
        if purpose:
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True
            )
        if issuer:
            place = issuer.name.replace(" ", "-")
            builder = builder.add_extension(_crl_place(f"{self.url}/crl/{place}"), critical=False)
            if not ca and not purpose:
                builder = builder.add_extension(_ocsp_place(f"{self.url}/ocsp/{place}"), critical=False)
        digest = hashes.SHA384() if getattr(signing, "key_size", 0) == 384 else hashes.SHA256()
        return _Holder(key, builder.sign(signing, digest), issuer)

    # Answering

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        with self._one_at_a_time:
            return self._answer(environ, start_response)

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        self.asked.append(request.path)
        kind, _, name = request.path.strip("/").partition("/")
        if kind == "tsa":
            body, media = self._stamp(request.get_data()), "application/timestamp-reply"
        else:
            authority = self._made[name.replace("-", " ")]
            if not authority.lasts(self.clock.now()):
                return Response(status=410)(environ, start_response)
            if kind == "crl":
                body, media = self._list(authority), "application/pkix-crl"
            else:
                body, media = self._status(authority, request.get_data()), "application/ocsp-response"
        return Response(body, content_type=media)(environ, start_response)

    def _list(self, authority: _Holder) -> bytes:
        now = self.clock.now()
        builder = x509.CertificateRevocationListBuilder(
            authority.certificate.subject, now.replace(microsecond=0), now.replace(microsecond=0) + 7 * _DAY
        ).add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        for serial, since in self.revoked.items():
            entry = x509.RevokedCertificateBuilder(serial, since.replace(microsecond=0)).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(authority.key, authority.digest).public_bytes(Encoding.DER)

    def _status(self, authority: _Holder, request: bytes) -> bytes:
        asked = ocsp.load_der_ocsp_request(request)
        now = self.clock.now().replace(microsecond=0)
        holder = next(h for h in self._made.values() if h.certificate.serial_number == asked.serial_number)
        since = self.revoked.get(asked.serial_number)
        builder = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                cert=holder.certificate,
                issuer=authority.certificate,
                algorithm=asked.hash_algorithm,
                cert_status=ocsp.OCSPCertStatus.REVOKED if since else ocsp.OCSPCertStatus.GOOD,
                this_update=now,
                next_update=now + _DAY,
                revocation_time=since.replace(microsecond=0, tzinfo=None) if since else None,
                revocation_reason=None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.NAME, authority.certificate)
        )
        return builder.sign(authority.key, authority.digest).public_bytes(Encoding.DER)

    def _stamp(self, request: bytes) -> bytes:
        asked = tsp.TimeStampReq.load(request)
        self.clock.advance(timedelta(seconds=1))
        now = self.clock.now().replace(microsecond=0)
        unit = self._stamping(now.year)
        assert unit.issuer
        mechanism = (
            Mechanism.ECDSA_SHA384 if isinstance(unit.digest, hashes.SHA384) else Mechanism.ECDSA_SHA256
        )
        identity = SignerIdentity(unit.der, (unit.issuer.der,), mechanism)
        info = tsp.TSTInfo(
            {
                "version": 1,
                "policy": "2.999.1",
                "message_imprint": {
                    "hash_algorithm": algos.DigestAlgorithm(
                        {"algorithm": asked["message_imprint"]["hash_algorithm"]["algorithm"].native}
                    ),
                    "hashed_message": asked["message_imprint"]["hashed_message"].native,
                },
                "serial_number": x509.random_serial_number(),
                "gen_time": now,
                "nonce": asked["nonce"].native,
            }
        ).dump()
        attributes = signed_attributes(
            identity, hashlib.new(mechanism.digest_algorithm, info).digest(), content_type="tst_info"
        )
        token = signed_data(
            identity,
            attributes,
            sign_raw(unit.key, mechanism, attributes),
            version=3,
            content=cms.ContentType("tst_info").dump() + tlv(CONTEXT_0, core.OctetString(info).dump()),
            certificates=[unit.der, unit.issuer.der],
        )
        return tsp.TimeStampResp(
            {"status": {"status": "granted"}, "time_stamp_token": cms.ContentInfo.load(token)}
        ).dump()


def _usage(*, ca: bool, person: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca and not person, content_commitment=person, key_cert_sign=ca, crl_sign=ca,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip


def _crl_place(url: str) -> x509.CRLDistributionPoints:
    name = x509.UniformResourceIdentifier(url)
    return x509.CRLDistributionPoints([x509.DistributionPoint([name], None, None, None)])


def _ocsp_place(url: str) -> x509.AuthorityInformationAccess:
    name = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, name)])


@contextmanager
def serve(folder: Path, clock: ManualClock) -> Iterator[LongLivedPki]:
    """A PKI by this clock on a free loopback port while the block runs."""
    pki = LongLivedPki(folder, clock)
    assert pki.first
    server = make_server("127.0.0.1", 0, pki, threaded=True, request_handler=QuietHandler)
    pki.url = f"http://127.0.0.1:{server.server_port}"
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield pki
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
