"""One PKI for all sides: a development PKI whose signers all have ECDSA P-256 keys, or all RSA-3072.

TSA, OCSP responder and CRLs are one server on this machine, in a process of its own; its own keys are ECDSA.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from benchmarks.report import ROOT
from service.adapters import devpki
from service.adapters.devpki import DevPki, DevPkiServer
from signing import EvidenceCollector, TimestampClient, TrustStore

__all__ = ["ALGORITHMS", "SIGNERS", "Ring", "ring"]

ALGORITHMS = ("ECDSA P-256", "RSA-3072")
SIGNERS = ("seal", "participant", "employer", "adviser")


@dataclass(frozen=True)
class Ring:
    """The keys of one algorithm, and what ours needs to sign with them."""

    pki: DevPki
    trust: TrustStore
    timestamps: TimestampClient
    collector: EvidenceCollector

    def p12(self, label: str) -> Path:
        return self.pki.folder / f"{label}.p12"

    @property
    def passfile(self) -> Path:
        return self.pki.folder / "passphrase"

    @property
    def passphrase(self) -> str:
        return self.passfile.read_text()


@contextlib.contextmanager
def ring(folder: Path, algorithm: str) -> Iterator[Ring]:
    folder.mkdir(mode=0o700, parents=True)
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.keys", folder, algorithm],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    pki = devpki.ensure(folder, environment="development")
    trust = TrustStore.from_files(pki.root_pem)
    with (
        DevPkiServer(pki, environment="development"),
        contextlib.closing(TimestampClient((pki.tsa_url,), trust=trust)) as timestamps,
        contextlib.closing(EvidenceCollector()) as collector,
    ):
        yield Ring(pki, trust, timestamps, collector)


def _create(folder: Path, algorithm: str) -> None:
    """In a process of its own, as the product does it: what makes keys takes memory that is not to be measured."""
    from service.adapters import devpki_create

    kinds = frozenset({*devpki_create.PARTIES, "seal"}) if algorithm == "RSA-3072" else frozenset[str]()
    with mock.patch.object(devpki_create, "RSA_KEYS", kinds):
        devpki_create.create(folder, None)


if __name__ == "__main__":
    _create(Path(sys.argv[1]), sys.argv[2])
