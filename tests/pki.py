"""A throw-away public key infrastructure for tests: CAs, signers, TSAs, OCSP and CRL, served over real HTTP.

`pki` is a session fixture, for all tests by way of conftest.py.
CA keys are RSA with PKCS#1 v1.5: that makes the certificates the same bytes each time they are issued.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

if TYPE_CHECKING:
    from certomancer.integrations.animator import Animator
    from certomancer.registry import ArchLabel, PKIArchitecture

PASSPHRASE = "correct horse"
_ORGANISATION = "Signert test (not for use)"

_RSA_CA = 2048  # small on purpose: only the signers' own keys are held to 3072 bits
_KEYS: dict[str, Callable[[], Any]] = {
    "root": lambda: rsa.generate_private_key(65537, _RSA_CA),
    "interm": lambda: rsa.generate_private_key(65537, _RSA_CA),
    "foreign-root": lambda: rsa.generate_private_key(65537, _RSA_CA),
    "ocsp": lambda: ec.generate_private_key(ec.SECP256R1()),
    "tsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "tsa-expired": lambda: ec.generate_private_key(ec.SECP256R1()),
    "tsa-other-purpose": lambda: ec.generate_private_key(ec.SECP256R1()),
    "tsa2": lambda: rsa.generate_private_key(65537, _RSA_CA),
    "foreign-tsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "seal": lambda: ec.generate_private_key(ec.SECP256R1()),
    "participant": lambda: ec.generate_private_key(ec.SECP256R1()),
    "employer": lambda: rsa.generate_private_key(65537, 3072),
    "adviser": lambda: ec.generate_private_key(ec.SECP384R1()),
    "revoked": lambda: ec.generate_private_key(ec.SECP256R1()),
    "expired": lambda: ec.generate_private_key(ec.SECP256R1()),
    "crl-only": lambda: ec.generate_private_key(ec.SECP256R1()),
    "stranger": lambda: ec.generate_private_key(ec.SECP256R1()),
    "small": lambda: rsa.generate_private_key(65537, 2048),
    "curve": lambda: ec.generate_private_key(ec.SECP521R1()),
    "edwards": ed25519.Ed25519PrivateKey.generate,
    "edwards-448": ed448.Ed448PrivateKey.generate,
    "brainpool": lambda: ec.generate_private_key(ec.BrainpoolP384R1()),
    "koblitz": lambda: ec.generate_private_key(ec.SECP256K1()),
    "short": lambda: rsa.generate_private_key(65537, 1024),
    "person": lambda: ec.generate_private_key(ec.SECP256R1()),
    "person-by-reference": lambda: rsa.generate_private_key(65537, _RSA_CA),
    "organisation": lambda: rsa.generate_private_key(65537, 3072),
    "organisation-older": lambda: ec.generate_private_key(ec.SECP256R1()),
    "login": lambda: ec.generate_private_key(ec.SECP256R1()),
    "impostor": lambda: ec.generate_private_key(ec.SECP256R1()),
}

_NAMES = {
    "root": "Test Root CA",
    "interm": "Test Issuing CA",
    "ocsp": "Test OCSP Responder",
    "tsa": "Test TSA 1",
    "tsa2": "Test TSA 2",
    "tsa-expired": "Test TSA Of Yesterday",
    "tsa-other-purpose": "Test TSA For Code",
    "seal": "Arbeids- og velferdsetaten (test)",
    "participant": "Łucja Čáhppes Ødegård",
    "employer": "Bø Snekkerverksted AS",
    "adviser": "Ingrid Måsø",
    "revoked": "Revoked Signer",
    "expired": "Expired Signer",
    "crl-only": "Signer Without OCSP",
    "small": "Signer With Small Key",
    "curve": "Signer On P-521",
    "edwards": "Signer With Ed25519",
    "edwards-448": "Signer With Ed448",
    "brainpool": "Signer On A Brainpool Curve",
    "koblitz": "Signer On A Koblitz Curve",
    "short": "Signer With Short Key",
}

NATIONAL_NUMBER = "17849431021"  # synthetic, as are all here
ORGANISATION_NUMBER = "312300028"
PERSON_REFERENCE = "UN:NO-9578-5999-4-1234567"
_PERSON = {"given-name": "Łucja", "surname": "Ødegård", "common-name": "Łucja Ødegård"}
_BAKERY = {
    "organization-name": "Fjordbakeriet & Kafé Sandvika AS",
    "common-name": "Fjordbakeriet & Kafé Sandvika AS",
}
# Subjects after ETSI EN 319 412-1, and after the older Norwegian profile, SEID 1.
_SUBJECTS = {
    "person": {**_PERSON, "serial-number": f"PNONO-{NATIONAL_NUMBER}"},
    "person-by-reference": {**_PERSON, "serial-number": PERSON_REFERENCE},
    "organisation": {**_BAKERY, "organization-identifier": f"NTRNO-{ORGANISATION_NUMBER}"},
    "organisation-older": {**_BAKERY, "serial-number": ORGANISATION_NUMBER},
    "login": {**_PERSON, "serial-number": f"PNONO-{NATIONAL_NUMBER}"},
}


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+0000")


def _extension(usage: list[str]) -> dict[str, Any]:
    return {"id": "key_usage", "critical": True, "smart-value": {"schema": "key-usage", "params": usage}}


def _policies(*identifiers: str) -> dict[str, Any]:
    return {"id": "certificate_policies", "value": [{"policy_identifier": item} for item in identifiers]}


def _qualified(kind: str, *, device: bool) -> dict[str, Any]:
    """QCStatements (ETSI EN 319 412-5): QcCompliance, QcType and perhaps QcSSCD."""
    from pyhanko.sign.ades.qualified_asn1 import QcCertificateType, QcStatement, QcStatements

    statements = [
        QcStatement({"statement_id": "qc_compliance"}),
        QcStatement({"statement_id": "qc_type", "statement_info": QcCertificateType([kind])}),
    ]
    if device:
        statements.append(QcStatement({"statement_id": "qc_sscd"}))
    value = QcStatements(statements).dump().hex()
    return {"id": "1.3.6.1.5.5.7.1.3", "smart-value": {"schema": "der-bytes", "params": value}}


_TIME_STAMPING = {"id": "extended_key_usage", "critical": True, "value": ["time_stamping"]}


def _configuration(now: datetime, url: str) -> dict[str, Any]:
    start = now - timedelta(days=30)
    long = {"valid-from": _stamp(start), "valid-to": _stamp(now + timedelta(days=365 * 20))}
    short = {"valid-from": _stamp(start), "valid-to": _stamp(now + timedelta(days=365 * 3))}
    past = {"valid-from": _stamp(start), "valid-to": _stamp(now - timedelta(days=2))}

    def signer(**extra: Any) -> dict[str, Any]:
        return {
            "issuer": "interm",
            "validity": short,
            "extensions": [_extension(["digital_signature", "non_repudiation"])],
            **extra,
        }

    ca = {"id": "simple-ca", "params": {"crl-repo": "root"}}
    issuing = {"id": "simple-ca", "params": {"max-path-len": 0, "ocsp-service": "interm"}}
    certs = {
        "root": {"issuer": "root", "validity": long, "profiles": [ca]},
        "interm": {"issuer": "root", "validity": long, "profiles": [issuing]},
        "ocsp": {"issuer": "interm", "validity": long, "profiles": ["ocsp-responder"]},
        "tsa": {
            "issuer": "root",
            "validity": long,
            "extensions": [_extension(["digital_signature"]), _TIME_STAMPING],
        },
        "tsa-expired": {
            "issuer": "root",
            "validity": past,
            "extensions": [_extension(["digital_signature"]), _TIME_STAMPING],
        },
        "tsa-other-purpose": {
            "issuer": "root",
            "validity": long,
            "extensions": [
                _extension(["digital_signature"]),
                {"id": "extended_key_usage", "critical": True, "value": ["time_stamping", "code_signing"]},
            ],
        },
        "tsa2": {
            "issuer": "interm",
            "validity": long,
            "extensions": [_extension(["digital_signature"]), _TIME_STAMPING],
        },
        "seal": signer(),
        "participant": signer(),
        "employer": signer(),
        "adviser": signer(),
        "small": signer(),
        "curve": signer(),
        "edwards": signer(),
        "edwards-448": signer(),
        "brainpool": signer(),
        "koblitz": signer(),
        "short": signer(),
        "revoked": signer(
            revocation={"revoked-since": _stamp(now - timedelta(days=1)), "reason": "key_compromise"}
        ),
        "expired": signer(validity=past),
        "crl-only": signer(issuer="root"),
        "person": signer(
            extensions=[
                _extension(["non_repudiation"]),
                _qualified("qct_esign", device=True),
                _policies("0.4.0.194112.1.2"),
            ]
        ),
        "person-by-reference": signer(
            extensions=[
                _extension(["non_repudiation"]),
                _qualified("qct_esign", device=False),
                _policies("0.4.0.194112.1.0", "2.16.578.1.16.1.12.1.1"),
            ]
        ),
        "organisation": signer(
            extensions=[
                _extension(["digital_signature"]),
                _qualified("qct_eseal", device=False),
                _policies("0.4.0.194112.1.1"),
            ]
        ),
        "organisation-older": signer(
            extensions=[_extension(["non_repudiation"]), _policies("0.4.0.2042.1.1")]
        ),
        "login": signer(extensions=[_extension(["digital_signature"])]),
    }
    foreign = {
        "foreign-root": {
            "issuer": "foreign-root",
            "validity": long,
            "profiles": [{"id": "simple-ca", "params": {"crl-repo": "foreign-root"}}],
        },
        "foreign-tsa": {
            "issuer": "foreign-root",
            "validity": long,
            "extensions": [_extension(["digital_signature"]), _TIME_STAMPING],
        },
        "stranger": {
            "issuer": "foreign-root",
            "validity": short,
            "extensions": [_extension(["digital_signature", "non_repudiation"])],
        },
        "impostor": {
            "issuer": "foreign-root",
            "validity": short,
            "extensions": [_extension(["non_repudiation"]), _qualified("qct_esign", device=True)],
        },
    }
    defaults = {"country-name": "NO", "organization-name": _ORGANISATION}
    return {
        "external-url-prefix": url,
        "keysets": {"all": {"keys": {name: {"path": f"{name}.pem"} for name in _KEYS}}},
        "pki-architectures": {
            "test": {
                "keyset": "all",
                "entity-defaults": defaults,
                "entities": {label: {"common-name": name} for label, name in _NAMES.items()} | _SUBJECTS,
                "certs": certs,
                "services": {
                    "ocsp": {
                        "interm": {"for-issuer": "interm", "responder-cert": "ocsp", "signing-key": "ocsp"}
                    },
                    "crl-repo": {
                        "root": {
                            "for-issuer": "root",
                            "signing-key": "root",
                            "simulated-update-schedule": "P90D",
                        },
                        "interm": {
                            "for-issuer": "interm",
                            "signing-key": "interm",
                            "simulated-update-schedule": "P90D",
                        },
                    },
                    "time-stamping": {
                        "tsa": {"signing-key": "tsa", "signing-cert": "tsa"},
                        "tsa-expired": {"signing-key": "tsa-expired", "signing-cert": "tsa-expired"},
                        "tsa-other-purpose": {
                            "signing-key": "tsa-other-purpose",
                            "signing-cert": "tsa-other-purpose",
                        },
                        "tsa2": {
                            "signing-key": "tsa2",
                            "signing-cert": "tsa2",
                            "certs-to-embed": ["interm"],
                        },
                    },
                },
            },
            "foreign": {
                "keyset": "all",
                "entity-defaults": defaults,
                "entities": {
                    "foreign-root": {"common-name": "Foreign Root CA"},
                    "foreign-tsa": {"common-name": "Foreign TSA"},
                    "stranger": {"common-name": "Stranger"},
                    "impostor": _SUBJECTS["person"],
                },
                "certs": foreign,
                "services": {
                    "crl-repo": {
                        "foreign-root": {
                            "for-issuer": "foreign-root",
                            "signing-key": "foreign-root",
                            "simulated-update-schedule": "P90D",
                        }
                    },
                    "time-stamping": {
                        "foreign-tsa": {"signing-key": "foreign-tsa", "signing-cert": "foreign-tsa"}
                    },
                },
            },
        },
    }


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as with a real TSA

    def log(self, *_: object) -> None:  # type: ignore[override]
        pass


Fault = Callable[[Request], Response]


@dataclass
class TestPki:
    """The running PKI. `fault` breaks a service for a while; `requests` lists what was asked of it."""

    __test__ = False

    directory: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    architectures: Mapping[ArchLabel, PKIArchitecture] = field(default_factory=dict)
    _animator: Animator | None = None

    @property
    def root(self) -> Path:
        return self.directory / "root.crt"

    @property
    def foreign_root(self) -> Path:
        return self.directory / "foreign-root.crt"

    @property
    def tsa_url(self) -> str:
        return f"{self.url}/test/tsa/tsa"

    @property
    def tsa2_url(self) -> str:
        return f"{self.url}/test/tsa/tsa2"

    def authority_url(self, label: str) -> str:
        """Of any time-stamping service; the paths of none but `tsa` begin another's."""
        return f"{self.url}/test/tsa/{label}"

    @property
    def foreign_tsa_url(self) -> str:
        return f"{self.url}/foreign/tsa/foreign-tsa"

    def credential_uri(self, label: str) -> str:
        """URI of the label's PKCS#12 file; its passphrase lies in a file beside it."""
        path = self.directory / f"{label}.p12"
        return f"pkcs12:{path}?passphrase-file={self.directory / 'passphrase'}"

    def certificate_pem(self, label: str) -> Path:
        return self.directory / f"{label}.crt"

    @contextmanager
    def fault(self, path: str, answer: Fault) -> Iterator[None]:
        """Let `answer` reply to every request whose path holds `path`."""
        self.faults[path] = answer
        try:
            yield
        finally:
            del self.faults[path]

    def real_answer(self, request: Request) -> Response:
        assert self._animator is not None
        return self._animator.dispatch(request)  # type: ignore[no-any-return]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        request = Request(environ)
        self.requests.append(request.path)
        for path, answer in self.faults.items():
            if path in request.path:
                return answer(request)(environ, start_response)
        return self.real_answer(request)(environ, start_response)


def build(directory: Path, url: str, pki: TestPki) -> None:
    """Make keys, certificates and PKCS#12 files of the whole PKI in `directory`."""
    from asn1crypto import pem
    from certomancer.integrations.animator import Animator, AnimatorArchStore
    from certomancer.registry import CertLabel, CertomancerConfig

    for name, make in _KEYS.items():
        key = make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (directory / f"{name}.pem").write_bytes(key)
    (directory / "passphrase").write_text(PASSPHRASE + "\n")
    settings = _configuration(datetime.now(UTC), url)
    configuration = CertomancerConfig(settings, key_search_dir=str(directory))
    pki.url = url
    pki.architectures = configuration.pki_archs
    pki._animator = Animator(AnimatorArchStore(configuration.pki_archs), with_web_ui=False)
    for name, architecture in configuration.pki_archs.items():
        for label in settings["pki-architectures"][name.value]["certs"]:
            certificate = architecture.get_cert(CertLabel(label))
            (directory / f"{label}.crt").write_bytes(pem.armor("CERTIFICATE", certificate.dump()))
            (directory / f"{label}.p12").write_bytes(
                architecture.package_pkcs12(CertLabel(label), password=PASSPHRASE.encode())
            )


@contextmanager
def serve(directory: Path) -> Iterator[TestPki]:
    """A PKI in `directory`, served on a free loopback port while the block runs."""
    pki = TestPki(directory)
    server = make_server("127.0.0.1", 0, pki, threaded=True, request_handler=QuietHandler)
    server.daemon_threads = True
    try:
        build(directory, f"http://127.0.0.1:{server.server_port}", pki)
        thread = threading.Thread(target=server.serve_forever, name="test-pki", daemon=True)
        thread.start()
        try:
            yield pki
        finally:
            server.shutdown()
            thread.join()
    finally:
        server.server_close()


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestPki]:
    with serve(tmp_path_factory.mktemp("pki")) as running:
        yield running
