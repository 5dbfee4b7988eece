"""Certificates of the test PKI's issuing CA with any sources of evidence; OCSP responses and CRLs as wrong as asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID
from werkzeug.wrappers import Request, Response

from tests.pki import TestPki

__all__ = ["REVOKED", "UNKNOWN", "Issuing"]

_ISSUER = "interm"
REVOKED, UNKNOWN = ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN


class Issuing:
    """The issuing CA at work. `asked` lists the paths under `/own/` that were asked for."""

    def __init__(self, pki: TestPki) -> None:
        self.pki = pki
        self.asked: list[str] = []
        self.now = datetime.now(UTC).replace(microsecond=0)

    def certificate(self, *, responders: Sequence[str] = (), lists: Sequence[str] = ()) -> x509.Certificate:
        """A signer's. `responders` and `lists` are names; `answering` answers for them."""
        issuer, key = self._certificate(_ISSUER), self._key(_ISSUER)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Own Signer")]))
            .issuer_name(issuer.subject)
            .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.now - timedelta(days=60))
            .not_valid_after(self.now + timedelta(days=365))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
            )
        )
        if responders:
            access = [
                x509.AccessDescription(AuthorityInformationAccessOID.OCSP, self._url(name))
                for name in responders
            ]
            builder = builder.add_extension(x509.AuthorityInformationAccess(access), critical=False)
        if lists:
            points = [x509.DistributionPoint([self._url(name)], None, None, None) for name in lists]
            builder = builder.add_extension(x509.CRLDistributionPoints(points), critical=False)
        return builder.sign(key, hashes.SHA256())

    @contextmanager
    def answering(self, **answers: Callable[[], bytes | None]) -> Iterator[None]:
        """While the block runs, each name is answered with these bytes, or with status 503."""

        def answer(request: Request) -> Response:
            name = request.path.rpartition("/")[2]
            self.asked.append(name)
            body = answers[name]() if name in answers else None
            return Response(status=503) if body is None else Response(body)

        with self.pki.fault("/own/", answer):
            yield

    def response(
        self,
        certificate: x509.Certificate,
        *,
        status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
        issued: timedelta = timedelta(),
        lasts: timedelta | None = timedelta(hours=2),
        by: str = "ocsp",
        revoked: datetime | None = None,
    ) -> bytes:
        """`issued` is when, from now; `lasts` until nextUpdate; `by` is the label of who signs."""
        updated = self.now + issued
        responder = self._certificate(by)
        made = (
            ocsp.OCSPResponseBuilder()
            .add_response(
                certificate,
                self._certificate(_ISSUER),
                hashes.SHA1(),
                status,
                updated,
                updated + lasts if lasts else None,
                revoked,
                x509.ReasonFlags.key_compromise if revoked else None,
            )
            .responder_id(ocsp.OCSPResponderEncoding.HASH, responder)
            .certificates([responder])
            .sign(self._key(by), hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.DER)

    def crl(
        self,
        *revoked: tuple[x509.Certificate, datetime],
        issued: timedelta = timedelta(),
        lasts: timedelta = timedelta(days=1),
        by: str = _ISSUER,
        name: str = _ISSUER,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> bytes:
        updated = self.now + issued
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate(name).subject)
            .last_update(updated)
            .next_update(updated + lasts)
            .add_extension(x509.CRLNumber(1), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        for certificate, moment in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number)
            builder = builder.add_revoked_certificate(entry.revocation_date(moment).build())
        return builder.sign(self._key(by), hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def parsed(self, certificate: x509.Certificate) -> asn1_x509.Certificate:
        return asn1_x509.Certificate.load(certificate.public_bytes(serialization.Encoding.DER))

    @property
    def issuer(self) -> asn1_x509.Certificate:
        return self.parsed(self._certificate(_ISSUER))

    def loaded(self, label: str) -> x509.Certificate:
        return self._certificate(label)

    def _url(self, name: str) -> x509.UniformResourceIdentifier:
        return x509.UniformResourceIdentifier(f"{self.pki.url}/own/{name}")

    def _certificate(self, label: str) -> x509.Certificate:
        return x509.load_pem_x509_certificate((self.pki.directory / f"{label}.crt").read_bytes())

    def _key(self, label: str) -> Any:
        return serialization.load_pem_private_key((self.pki.directory / f"{label}.pem").read_bytes(), None)
