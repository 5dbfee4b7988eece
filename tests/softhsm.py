"""Private SoftHSM tokens for tests: real PKCS#11, filled with Debian's own tools as an operator would.

SoftHSM reads SOFTHSM2_CONF when the module starts, and a process starts it once: `softhsm` starts it again where it
runs already, so one test module after another can have tokens of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

__all__ = ["MODULE", "PIN", "SoftHsm", "restart", "softhsm"]

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "correct horse 1"
_SO_PIN = "security officer"


@dataclass
class SoftHsm:
    """Tokens in a folder of their own, with the PIN in a file."""

    directory: Path
    token: str = "Signert test"
    ids: dict[str, bytes] = field(default_factory=dict)
    """CKA_ID of each key that was imported, by label."""
    _count: int = 0

    @property
    def configuration(self) -> Path:
        return self.directory / "softhsm2.conf"

    @property
    def tokens(self) -> Path:
        """Where SoftHSM keeps its tokens. Moved away, the HSM is unplugged."""
        return self.directory / "tokens"

    @property
    def pin_file(self) -> Path:
        return self.directory / "pin"

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "SOFTHSM2_CONF": str(self.configuration)}

    def configure(self, *lines: str) -> None:
        """Write the configuration, with more lines than the usual ones."""
        usual = (f"directories.tokendir = {self.tokens}", "objectstore.backend = file", "log.level = ERROR")
        self.configuration.write_text("\n".join((*usual, *lines)) + "\n")

    def new_token(self, label: str) -> None:
        self._run("softhsm2-util", "--init-token", "--free", "--label", label, *self._pins(so=True))

    def import_key(self, label: str, key: Path, certificate: Path | None, *options: str) -> bytes:
        """Put a private key (PEM) in the token, and a certificate (PEM) beside it. Returns its CKA_ID.

        `options` are pkcs11-tool's, e.g. `--always-auth`.
        """
        self._count += 1
        identifier = self.ids[label] = bytes([0xA0, self._count])
        self._write("privkey", self._der(key), label, identifier, "--usage-sign", *options)
        if certificate is not None:
            self.import_certificate(label, certificate, identifier)
        return identifier

    def forbid_signing(self, label: str) -> None:
        """Set CKA_SIGN to false, which pkcs11-tool does not do."""
        script = """
import sys, pkcs11
(token,) = pkcs11.lib(sys.argv[1]).get_tokens(token_label=sys.argv[2])
with token.open(rw=True, user_pin=sys.argv[3]) as session:
    session.get_key(pkcs11.ObjectClass.PRIVATE_KEY, label=sys.argv[4])[pkcs11.Attribute.SIGN] = False
"""
        self._run(sys.executable, "-c", script, str(MODULE), self.token, PIN, label)

    def delete_key(self, label: str) -> None:
        self._tool("--delete-object", "--type", "privkey", "--id", self.ids[label].hex())

    def import_certificate(self, label: str, certificate: Path, identifier: bytes) -> None:
        der = self.directory / "certificate.der"
        der.write_bytes(x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER))
        self._write("cert", der, label, identifier)

    def uri(self, label: str, **options: str) -> str:
        """The key's address, by label. `options` add to the query."""
        query = {"module-path": str(MODULE), "pin-source": str(self.pin_file), **options}
        pairs = "&".join(f"{name}={quote(value)}" for name, value in query.items())
        return f"pkcs11:token={quote(self.token)};object={quote(label)}?{pairs}"

    def _der(self, key: Path) -> Path:
        der = self.directory / "key.der"
        subprocess.run(
            ["openssl", "pkcs8", "-topk8", "-nocrypt", "-in", key, "-outform", "DER", "-out", der], check=True
        )
        return der

    def _write(self, kind: str, file: Path, label: str, identifier: bytes, *options: str) -> None:
        self._tool(
            *("--write-object", str(file), "--type", kind, "--label", label, "--id", identifier.hex()),
            *options,
        )

    def _tool(self, *options: str) -> None:
        where = ("--module", str(MODULE), "--token-label", self.token, "--login")
        self._run("pkcs11-tool", *where, *self._pins(), *options)

    def _pins(self, *, so: bool = False) -> tuple[str, ...]:
        return ("--pin", PIN, "--so-pin", _SO_PIN) if so else ("--pin", PIN)

    def _run(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, check=True, capture_output=True)


def restart() -> None:
    """Start the module again in this process, if it runs: sessions end, as when an HSM was restarted."""
    import pkcs11

    path = str(MODULE.resolve())
    if path in pkcs11._loaded:
        pkcs11.lib(path).reinitialize()


@contextmanager
def softhsm(directory: Path) -> Iterator[SoftHsm]:
    """One empty token, known to this process and to those it starts while the block runs."""
    hsm = SoftHsm(directory)
    hsm.tokens.mkdir(parents=True)
    hsm.pin_file.write_text(PIN + "\n", encoding="utf-8")
    hsm.configure()
    hsm.new_token(hsm.token)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(hsm.configuration)
    try:
        restart()
        yield hsm
    finally:
        if before is None:
            del os.environ["SOFTHSM2_CONF"]
        else:
            os.environ["SOFTHSM2_CONF"] = before
