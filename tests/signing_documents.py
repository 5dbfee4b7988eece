"""Documents to sign and signed ones, made once a test session."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from io import BytesIO
from pathlib import Path

import pytest

from signing import (
    AlgorithmPolicy,
    Appearance,
    Credential,
    EvidenceCollector,
    FieldPlace,
    SignatureRequest,
    TimestampClient,
    TrustStore,
    augment,
    embed,
    open_credential,
    place_fields,
    prepare,
    sign,
)
from tests.pki import TestPki

FONTS = Path("/usr/share/fonts/truetype/crosextra")
REGULAR, BOLD = FONTS / "Carlito-Regular.ttf", FONTS / "Carlito-Bold.ttf"
PARTIES = ("participant", "employer", "adviser")
SHOWN = {
    "participant": ("Łucja Čáhppes Ødegård", "Deltaker"),
    "employer": ("Bø Snekkerverksted AS", "Arbeidsgiver ved Åse Żółć-Gęśla"),
    "adviser": ("Ingrid Đŋŧž Måsø", "Veileder, NAV Kárášjohka – NAV Karasjok"),
}
PLACES = [
    FieldPlace("seal", "Segl"),
    *(
        FieldPlace(role, f"Signatur for {role}", f"https://signature.invalid/{role}", width=200, height=58)
        for role in PARTIES
    ),
    FieldPlace("document-timestamp", "Dokumenttidsstempel"),
]
# The test CAs' keys are RSA with PKCS#1 v1.5, which ends in 2029: for judging documents at a later time.
PKCS1_LASTS = AlgorithmPolicy.parse(
    resources.files("signing").joinpath("algorithms.toml").read_text("utf-8").replace("ends = 2029-01-01", "")
)


def appearance(role: str) -> Appearance:
    name, line = SHOWN[role]
    return Appearance(name, (line, "Signert 21. november 2026 kl. 13.05.09 (CET)"), REGULAR, BOLD)


@dataclass(frozen=True)
class Signers:
    """Keys, trust and time of the test PKI."""

    pki: TestPki
    trust: TrustStore
    timestamps: TimestampClient
    collector: EvidenceCollector
    credential: Callable[[str], Credential]

    def sign(
        self,
        revision: bytes,
        field: str,
        *,
        by: str | None = None,
        visible: bool | None = None,
        at: datetime | None = None,
        timestamps: TimestampClient | None = None,
    ) -> bytes:
        """The revision with one more B-T signature."""
        shown = field in SHOWN if visible is None else visible
        credential = self.credential(by or field)
        prepared = prepare(
            revision,
            SignatureRequest(field, certify=field == "seal", appearance=appearance(field) if shown else None),
            credential.identity,
            at=at or datetime.now(UTC),
        )
        value = sign(prepared, credential)
        return embed(prepared, value, revision=revision, timestamps=timestamps or self.timestamps)

    def augment(self, revision: bytes) -> bytes:
        return augment(revision, trust=self.trust, timestamps=self.timestamps, collector=self.collector)

    def with_evidence(self, signed: bytes, *labels: str) -> bytes:
        """Evidence put in by hand, with no timestamp over it: OCSP for the labels, the CRL, the chain."""
        import requests
        from asn1crypto import crl, ocsp, pem, x509
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign.validation.dss import DocumentSecurityStore

        def certificate(label: str) -> x509.Certificate:
            return x509.Certificate.load(pem.unarmor(self.pki.certificate_pem(label).read_bytes())[2])

        issuer = certificate("interm")
        answers = []
        for label in labels:
            identifier = {
                "hash_algorithm": {"algorithm": "sha1"},
                "issuer_name_hash": issuer.subject.sha1,
                "issuer_key_hash": issuer.public_key.sha1,
                "serial_number": certificate(label).serial_number,
            }
            question = ocsp.OCSPRequest({"tbs_request": {"request_list": [{"req_cert": identifier}]}})
            address = f"{self.pki.url}/test/ocsp/interm"
            answers.append(
                ocsp.OCSPResponse.load(requests.post(address, data=question.dump(), timeout=5).content)
            )
        listing = requests.get(f"{self.pki.url}/test/crls/root/latest.crl", timeout=5).content
        writer = IncrementalPdfFileWriter(BytesIO(signed))
        DocumentSecurityStore.supply_dss_in_writer(
            writer,
            None,
            certs=[issuer, certificate("root"), certificate("ocsp"), certificate("tsa")],
            ocsps=answers,
            crls=[crl.CertificateList.load(listing)],
        )
        output = BytesIO()
        writer.write(output)
        return output.getvalue()


@pytest.fixture(scope="session")
def signable() -> bytes:
    """A tagged PDF with link annotations where the parties sign."""
    return (Path(__file__).parent / "fixtures" / "signable.pdf").read_bytes()


@pytest.fixture(scope="session")
def fielded(signable: bytes) -> bytes:
    """The same with all its signature fields."""
    return place_fields(signable, PLACES)


@pytest.fixture(scope="session")
def signers(pki: TestPki) -> Iterator[Signers]:
    trust = TrustStore.from_pem(pki.root)
    opened: dict[str, Credential] = {}

    def credential(label: str) -> Credential:
        if label not in opened:
            opened[label] = open_credential(pki.credential_uri(label))
        return opened[label]

    timestamps = TimestampClient([pki.tsa_url], trust=trust, timeout=5)
    collector = EvidenceCollector(timeout=5)
    yield Signers(pki, trust, timestamps, collector, credential)
    timestamps.close()
    collector.close()


@pytest.fixture(scope="session")
def chain_of_revisions(fielded: bytes, signers: Signers) -> Sequence[bytes]:
    """Unsigned, sealed, signed by each party, augmented."""
    revisions = [fielded]
    for field in ("seal", *PARTIES):
        revisions.append(signers.sign(revisions[-1], field))
    revisions.append(signers.augment(revisions[-1]))
    return revisions


@pytest.fixture(scope="session")
def final(chain_of_revisions: Sequence[bytes]) -> bytes:
    """Seal, three parties and a document timestamp: B-LTA."""
    return chain_of_revisions[-1]


@pytest.fixture(scope="session")
def sealed(chain_of_revisions: Sequence[bytes]) -> bytes:
    """The seal alone, B-T."""
    return chain_of_revisions[1]
