"""Signing the example agreement: one signature, and three parties with the organisation's seal to PAdES B-LTA.

The same unsigned document with the same fields for all, the same TSA and OCSP responder, ECDSA P-256 and RSA-3072.

- Signert: `prepare`, `sign`, `embed` for each signer, then `augment`; keys are opened once, as a worker does. Each
  revision is compared with the one before it, each token checked: what the others do not do.
- pyHanko as documented: `PdfSigner` with a `SimpleSigner`, validation info with each signature, document timestamp
  with the last.
- pyHanko's command: `pyhanko sign addsig … pkcs12`, one call for each signer.
- endesive: B-B, a signature without a timestamp, on the same document with a cross-reference table (it fails on
  streams).
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from benchmarks.documents import command, driven, in_process, rendered
from benchmarks.keys import ALGORITHMS, SIGNERS, Ring, ring
from benchmarks.peers import Peer, bench_venv, peer
from benchmarks.report import Result, table
from benchmarks.sides import Side, interleaved, rounds, timed
from benchmarks.statistic import Sample, ratio
from signing import (
    Appearance,
    Credential,
    SignatureRequest,
    augment,
    embed,
    open_credential,
    prepare,
    sign,
    validate,
)

_FONTS = Path("/usr/share/fonts/truetype/crosextra")
_OURS, _DOCUMENTED, _COMMAND, _ENDESIVE = (
    "Signert",
    "pyHanko as documented",
    "pyHanko's command",
    "endesive (B-B)",
)


@dataclass(frozen=True)
class Signing:
    """One unsigned document and one set of keys, for every side."""

    document: bytes
    keys: Ring
    credentials: dict[str, Credential]
    folder: Path
    peer: Peer

    @property
    def source(self) -> Path:
        return self.folder / "unsigned.pdf"

    def ours(self, signers: Sequence[str], level: str) -> bytes:
        revision = self.document
        for name in signers:
            credential = self.credentials[name]
            now = datetime.now(UTC)
            shown = None
            if name != "seal":
                shown = Appearance(
                    credential.identity.subject, (f"Signert {now:%d.%m.%Y kl. %H.%M}",),
                    _FONTS / "Carlito-Regular.ttf", _FONTS / "Carlito-Bold.ttf",
                )  # fmt: skip
            request = SignatureRequest(name, certify=name == "seal", appearance=shown)
            prepared = prepare(
                revision, request, credential.identity, at=now, token_room=self.keys.timestamps.token_room
            )
            revision = embed(
                prepared, sign(prepared, credential), revision=revision, timestamps=self.keys.timestamps
            )
        if level == "B-LTA":
            revision = augment(
                revision,
                trust=self.keys.trust,
                timestamps=self.keys.timestamps,
                collector=self.keys.collector,
            )
        return revision

    def documented(self, signers: Sequence[str], level: str) -> float:
        answer = self.peer(
            "pyhanko",
            source=self.source,
            target=self.folder / "documented.pdf",
            keys=[[name, str(self.keys.p12(name))] for name in signers],
            passphrase=self.keys.passphrase,
            tsa=self.keys.pki.tsa_url,
            root=self.keys.pki.root_pem,
            level=level,
        )
        return float(answer["seconds"])

    def command(self, signers: Sequence[str], level: str) -> None:
        source = self.source
        for number, name in enumerate(signers):
            target = self.folder / f"command-{number}.pdf"
            options = [
                "--field",
                name,
                "--existing-only",
                "--timestamp-url",
                self.keys.pki.tsa_url,
                "--use-pades",
            ]
            if name == "seal":
                options.append("--certify")
            if level == "B-LTA":
                options += ["--with-validation-info", "--trust", self.keys.pki.root_pem, "--trust-replace"]
                if number == len(signers) - 1:
                    options.append("--use-pades-lta")
            given = ["--passfile", self.keys.passfile, source, target, self.keys.p12(name)]
            subprocess.run(
                [bench_venv() / "bin/pyhanko", "sign", "addsig", *options, "pkcs12", *given],
                check=True, capture_output=True, cwd=self.folder,
            )  # fmt: skip
            source = target
        source.replace(self.folder / "command.pdf")

    def endesive(self) -> float:
        answer = self.peer(
            "endesive",
            source=self.folder / "table.pdf",
            target=self.folder / "endesive.pdf",
            p12=self.keys.p12("participant"),
            passphrase=self.keys.passphrase,
        )
        return float(answer["seconds"])

    def check(self, signers: Sequence[str], level: str) -> None:
        """That all give what is compared: signatures of that level that hold, by our own validation."""
        made: dict[str, Callable[[], bytes]] = {
            _OURS: partial(self.ours, signers, level),
            _DOCUMENTED: lambda: (self.documented(signers, level), self._made("documented"))[1],
            _COMMAND: lambda: (self.command(signers, level), self._made("command"))[1],
        }
        for name, make in made.items():
            report = validate(make(), self.keys.trust)
            levels = {signature.level for signature in report.signatures}
            assert len(report.signatures) == len(signers), f"{name}: {len(report.signatures)} signatures"
            assert level == "B-T" or report.passed, f"{name}: {report.indication} {report.explanation}"
            assert levels <= {level, "B-LT", "B-LTA"}, f"{name}: {levels}"

    def _made(self, name: str) -> bytes:
        return (self.folder / f"{name}.pdf").read_bytes()

    def sides(self, signers: Sequence[str], level: str) -> dict[str, Side]:
        return {
            _OURS: timed(partial(self.ours, signers, level)),
            _DOCUMENTED: partial(self.documented, signers, level),
            _COMMAND: timed(partial(self.command, signers, level)),
        } | ({_ENDESIVE: self.endesive} if level == "B-T" else {})


def _with_table(document: bytes) -> bytes:
    """The same document with a cross-reference table: endesive 3.0.1 and its pypdf write no stream that holds."""
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.pdf_utils.writer import copy_into_new_writer

    output = BytesIO()
    copy_into_new_writer(PdfFileReader(BytesIO(document)), writer_kwargs={"stream_xrefs": False}).write(
        output
    )
    return output.getvalue()


def run() -> Result:
    usual = 30
    wanted = rounds(usual)
    measured: dict[str, dict[str, Sample]] = {}
    with in_process() as services:
        _, document = rendered(services, driven(services, command()))
    with tempfile.TemporaryDirectory() as temporary:
        for algorithm in ALGORITHMS:
            folder = Path(temporary) / algorithm.split()[0]
            with ring(folder / "pki", algorithm) as keys, peer() as process:
                credentials = {
                    name: open_credential(keys.pki.credential(name) if name != "seal" else keys.pki.seal)
                    for name in SIGNERS
                }
                signing = Signing(document, keys, credentials, folder, process)
                signing.source.write_bytes(document)
                (folder / "table.pdf").write_bytes(_with_table(document))
                for title, signers, level in (
                    ("one signature, B-T", ("participant",), "B-T"),
                    ("three parties and seal, B-LTA", SIGNERS, "B-LTA"),
                ):
                    signing.check(signers, level)
                    name = f"{algorithm}, {title}"
                    measured[name] = interleaved(
                        signing.sides(signers, level), wanted, title=name, seldom={_COMMAND: 6}
                    )
    rows = []
    for name, sides in measured.items():
        ours = sides[_OURS]
        rows += [
            [
                name if side == _OURS else "",
                side,
                sample.shown(1000),
                "" if side == _OURS else str(ratio(sample, ours)),
            ]
            for side, sample in sides.items()
        ]
    text = (
        f"{table(['signing, ms (10th–90th)', 'by', 'median', 'times ours'], rows)}\n\n"
        f"{wanted} rounds in turns (the command: every sixth). Wanted, with three parties and seal: pyHanko as "
        "documented ≥ 6× with RSA-3072, ≥ 2× "
        "with ECDSA."
    )
    data = {
        name: {
            side: sample.as_json() | {"ratio": ratio(sample, sides[_OURS]).as_json()}
            for side, sample in sides.items()
        }
        for name, sides in measured.items()
    }
    return Result("sign", text, data, complete=wanted >= usual)
