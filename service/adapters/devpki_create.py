"""Makes the keys and certificates of a development PKI.

    python -m service.adapters.devpki_create FOLDER ENVIRONMENT [PORT]

For development only: the authorities' keys lie unprotected in the folder, and every name says what it is.
A process of its own, since certomancer takes half a second to import and this runs once.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import secrets
import shutil
import socket
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asn1crypto import x509
from certomancer.registry import ArchLabel, CertLabel, CertomancerConfig
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

__all__ = ["create"]

ORGANISATION = "Signert Development – ikke gyldig"
SEAL_ORGANISATION_NUMBER = "311000012"  # synthetic: no real number begins with 31
PARTIES: Mapping[str, str] = {
    "participant": "Deltaker",
    "employer": "Arbeidsgiver",
    "adviser": "Veileder",
    "guardian": "Verge",
    "mentor": "Mentor",
    "organiser": "Tiltaksarrangør",
    "decider": "Beslutter",
}
RSA_KEYS = frozenset({"employer"})  # one of them, so that RSASSA-PSS is exercised as well as ECDSA
AUTHORITIES = ("root", "issuing", "ocsp", "tsa")

_AUTHORITY_YEARS = 10
_LEAF_YEARS = 3
# Below Linux's range for outgoing connections (32768–60999): else one of those may sit on it some day.
_PORTS = range(20000, 30000)


def create(folder: Path, port: int | None) -> None:
    """Make everything anew. `devpki.json` is written last: without it the folder does not count."""
    for left in folder.glob(".new-*"):  # of a run that was killed
        shutil.rmtree(left)
    port = _free_port() if port is None else port
    mark = secrets.token_hex(4)
    (folder / "devpki.json").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as name:
        new = Path(name)
        for label in (*AUTHORITIES, *PARTIES, "seal"):
            _write(new / f"{label}.key", _new_key(label))
        config = CertomancerConfig(_description(mark, port), key_search_dir=name)
        architecture = config.get_pki_arch(ArchLabel("development"))
        passphrase = secrets.token_urlsafe(24)
        _write(folder / "passphrase", passphrase.encode())
        for label in (*AUTHORITIES, *PARTIES, "seal"):
            certificate = architecture.get_cert(CertLabel(label))
            _write(folder / f"{label}.pem", _pem(certificate))
            if label in AUTHORITIES:
                _write(folder / f"{label}.key", (new / f"{label}.key").read_bytes())
            else:
                bundle = architecture.package_pkcs12(
                    CertLabel(label), certs_to_embed=[CertLabel("issuing")], password=passphrase.encode()
                )
                _write(folder / f"{label}.p12", bundle)
    _write(folder / "chain.pem", (folder / "issuing.pem").read_bytes() + (folder / "root.pem").read_bytes())
    manifest = {
        "format": 1,
        "id": mark,
        "port": port,
        "valid_until": _end(_LEAF_YEARS).isoformat(),
        "tsa_url": f"http://127.0.0.1:{port}/tsa",
        "files": {label: f"{label}.p12" for label in (*PARTIES, "seal")},
        "serials": [
            architecture.get_cert(CertLabel(label)).serial_number for label in (*PARTIES, "seal", "tsa")
        ],
    }
    _write(folder / "devpki.json", json.dumps(manifest, indent=2).encode())


def _new_key(label: str) -> bytes:
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if label in RSA_KEYS:
        key = rsa.generate_private_key(public_exponent=65537, key_size=3072)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _description(mark: str, port: int) -> dict[str, Any]:
    """The PKI in certomancer's terms."""
    address = f"http://127.0.0.1:{port}"
    # `mark` keeps two development PKIs on one machine from having authorities of the same name.
    names = {
        "root": {"common-name": f"UTVIKLING Rot-CA {mark} (Signert Development)"},
        "issuing": {"common-name": f"UTVIKLING Utsteder-CA {mark} (Signert Development)"},
        "ocsp": {"common-name": "UTVIKLING OCSP (Signert Development)"},
        "tsa": {"common-name": "UTVIKLING Tidsstempel (Signert Development)"},
        "seal": {
            "common-name": "UTVIKLING Virksomhetssegl (Signert Development)",
            "organization-identifier": f"NTRNO-{SEAL_ORGANISATION_NUMBER}",
        },
    }
    names |= {
        role: {"common-name": f"UTVIKLING {name} (Signert Development)"} for role, name in PARTIES.items()
    }
    authority = _usage("key_cert_sign", "crl_sign")
    signer = _usage("non_repudiation")  # contentCommitment alone: ETSI EN 319 412-2 § 4.3.2, type A
    server = _usage("digital_signature")
    extensions = {
        "root": [authority, _basic_constraints(1)],
        "issuing": [authority, _basic_constraints(0), _crl(address, "root"), _access(address, "root")],
        "ocsp": [server, _purpose("ocsp_signing"), {"id": "ocsp_no_check"}],
        "tsa": [
            server,
            {**_purpose("time_stamping"), "critical": True},  # RFC 3161 § 2.3
            _crl(address, "issuing"),
            _access(address, "issuing", with_ocsp=True),
        ],
    }
    for label in (*PARTIES, "seal"):
        extensions[label] = [signer, _crl(address, "issuing"), _access(address, "issuing", with_ocsp=True)]
    start = (datetime.now(UTC) - timedelta(days=1)).replace(microsecond=0).isoformat()
    certificates = {
        label: {
            "subject": label,
            "issuer": "root" if label in {"root", "issuing"} else "issuing",
            "serial": secrets.randbits(126) | 1 << 126,  # RFC 5280 § 4.1.2.2: positive, at most 20 octets
            "validity": {
                "valid-from": start,
                "valid-to": _end(
                    _AUTHORITY_YEARS if label in {"root", "issuing"} else _LEAF_YEARS
                ).isoformat(),
            },
            "extensions": extensions[label],
        }
        for label in names
    }
    return {
        "external-url-prefix": address,
        "keysets": {"development": {"keys": {label: {"path": f"{label}.key"} for label in names}}},
        "pki-architectures": {
            "development": {
                "keyset": "development",
                "entity-defaults": {"country-name": "NO", "organization-name": ORGANISATION},
                "entities": names,
                "certs": certificates,
            }
        },
    }


def _usage(*usages: str) -> dict[str, Any]:
    return {"id": "key_usage", "critical": True, "value": x509.KeyUsage(set(usages))}


def _purpose(purpose: str) -> dict[str, Any]:
    return {"id": "extended_key_usage", "value": [purpose]}


def _basic_constraints(path_length: int) -> dict[str, Any]:
    value = {"ca": True, "path_len_constraint": path_length}
    return {"id": "basic_constraints", "critical": True, "value": value}


def _crl(address: str, authority: str) -> dict[str, Any]:
    name = x509.DistributionPointName(name="full_name", value=[_url(f"{address}/{authority}.crl")])
    return {"id": "crl_distribution_points", "value": [{"distribution_point": name}]}


def _access(address: str, authority: str, *, with_ocsp: bool = False) -> dict[str, Any]:
    methods = {
        "ca_issuers": f"{address}/{authority}.crt",
        **({"ocsp": f"{address}/ocsp"} if with_ocsp else {}),
    }
    value = [{"access_method": method, "access_location": _url(url)} for method, url in methods.items()]
    return {"id": "authority_information_access", "value": value}


def _url(url: str) -> x509.GeneralName:
    return x509.GeneralName(name="uniform_resource_identifier", value=url)


def _end(years: int) -> datetime:
    return (datetime.now(UTC) + timedelta(days=365 * years)).replace(microsecond=0)


def _free_port() -> int:
    for port in random.sample(_PORTS, 50):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"no port between {_PORTS[0]} and {_PORTS[-1]} is free")


def _pem(certificate: x509.Certificate) -> bytes:
    text = base64.encodebytes(certificate.dump()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n".encode()


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(path.name + ".new")
    with open(new, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def main(name: str, environment: str, port: str | None = None) -> None:
    if environment.casefold() == "production":
        raise SystemExit("the development PKI does not run in production")
    os.umask(0o077)
    try:
        create(Path(name), int(port) if port else None)
    except OSError as error:
        raise SystemExit(error.strerror or str(error)) from error


if __name__ == "__main__":
    main(*sys.argv[1:])
