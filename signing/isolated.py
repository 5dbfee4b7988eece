"""Validation of files from anywhere, in a process of its own with limits on time and memory.

    report = validate_untrusted(Path("from-a-stranger.pdf"), trust)

A file that makes the validation loop, run out of memory or crash takes that process with it, and gets a verdict all the
same. The process reads a job (one line of JSON, then the file), writes the report as
JSON, and can write no files.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import resource
import signal
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from signing.detached import verify_detached
from signing.limits import Limits
from signing.model import SignatureResult, ValidationReport
from signing.trust import TrustStore
from signing.validate import validate
from signing.verdicts import over_limit

__all__ = ["validate_untrusted", "verify_detached_untrusted"]

_log: Final = logging.getLogger(__name__)
_GRACE: Final = 5
"""Seconds to start in, and for a process that ends itself to say so."""
_LEAP: Final = 30
"""Seconds by which its processor time may seem to go on at once."""


def validate_untrusted(
    pdf: bytes | Path,
    trust: TrustStore,
    *,
    signers: Mapping[str, TrustStore] | None = None,
    at: datetime | None = None,
    limits: Limits | None = None,
) -> ValidationReport:
    """As `validate`, with all limits kept. Always a report, but `OSError` for a path that cannot be read.

    Of a file over the limit of size the report has no SHA-256: it is not read.
    """
    bounds, moment = limits or Limits(), at or datetime.now(UTC)
    if isinstance(pdf, Path):
        if pdf.stat().st_size > bounds.size:
            return over_limit("size", bounds, sha256="", at=moment)
        pdf = pdf.read_bytes()
    if len(pdf) > bounds.size:
        return over_limit("size", bounds, sha256="", at=moment)
    job = {
        "what": "pdf",
        "trust": trust.as_json(),
        "signers": {name: each.as_json() for name, each in (signers or {}).items()},
        "at": moment.isoformat(),
        "limits": asdict(bounds),
    }
    answer = _ask(job, pdf, bounds)
    if isinstance(answer, str):
        return over_limit(answer, bounds, sha256=hashlib.sha256(pdf).hexdigest(), at=moment)
    return ValidationReport.from_json(answer)


def verify_detached_untrusted(
    content: bytes,
    signature: bytes,
    trust: TrustStore,
    *,
    at: datetime | None = None,
    limits: Limits | None = None,
) -> SignatureResult:
    """As `verify_detached`, with all limits kept."""
    bounds, moment = limits or Limits(), at or datetime.now(UTC)
    job = {
        "what": "detached",
        "signature": b64encode(signature).decode(),
        "trust": trust.as_json(),
        "at": moment.isoformat(),
        "limits": asdict(bounds),
    }
    reason = "size" if len(content) + len(signature) > bounds.size else _ask(job, content, bounds)
    report = (
        over_limit(reason, bounds, sha256="", at=moment)
        if isinstance(reason, str)
        else ValidationReport.from_json(reason)
    )
    if report.signatures:
        return report.signatures[0]
    return SignatureResult(
        field="",
        signer="",
        issuer="",
        level=None,
        time=None,
        indication=report.indication,
        sub_indication=report.sub_indication,
        explanation=report.explanation,
        algorithm="",
        certificate_sha256="",
        certificate_serial="",
    )


# The process that asks


def _ask(job: Mapping[str, Any], document: bytes, limits: Limits) -> dict[str, Any] | str:
    """The answer of a process of its own, or the name of the limit that it ran into."""
    root = str(Path(__file__).resolve().parent.parent)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SIGNERT_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH", ""))))
    with open(os.memfd_create("signert"), "w+b") as source:  # noqa: PTH123 - in memory, no file
        source.write(json.dumps(job).encode() + b"\n")
        source.write(document)
        source.seek(0)
        # No shell, no words of the document: this interpreter and a module of this package.
        with subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                answer, _ = process.communicate(timeout=limits.seconds + _GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                return "seconds"
            except BaseException:
                process.kill()
                raise
    if process.returncode in (-signal.SIGXCPU, -signal.SIGALRM):
        return "seconds"
    try:
        found = json.loads(answer)
    except ValueError:
        _log.warning("a validation's process ended without an answer: status=%d", process.returncode)
        return "process"
    return found if isinstance(found, dict) or found == "memory" else "process"


# The process that is asked


def _confine(limits: Limits) -> None:
    """From here on: so much memory and processor time, no files written, no core dump with the document in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    # The hard limit kills without saying why, and time is counted in leaps on a machine that was held up.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + _LEAP))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(limits.seconds)  # time on the wall, kept though the process that asked should be gone


def _answer(source: BinaryIO) -> dict[str, Any]:
    job = json.loads(source.readline())
    limits = Limits(**job["limits"])
    _confine(limits)
    document = source.read()
    trust, at = TrustStore.from_json(job["trust"]), datetime.fromisoformat(job["at"])
    if job["what"] == "detached":
        found = verify_detached(document, b64decode(job["signature"]), trust, at=at)
        return ValidationReport(
            indication=found.indication,
            sub_indication=found.sub_indication,
            explanation=found.explanation,
            sha256=hashlib.sha256(document).hexdigest(),
            validated_at=at,
            signatures=(found,),
        ).as_json()
    signers = {name: TrustStore.from_json(each) for name, each in job["signers"].items()}
    return validate(document, trust, signers=signers, at=at, limits=limits).as_json()


def main() -> None:
    """Do the job on standard input."""
    try:
        answer = json.dumps(_answer(sys.stdin.buffer))
    except MemoryError:
        answer = '"memory"'
    sys.stdout.write(answer)
