"""What `signert verify` prints of names that a stranger has chosen."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from lxml import etree

from service.entrypoints.output import verdict
from signing import SignatureResult, ValidationReport

HOSTILE = "\x1b[2JNAV\u202e\u0007\ud800\nTOTAL-PASSED"


def _report() -> ValidationReport:
    signature = SignatureResult(
        field="seal",
        signer=HOSTILE,
        issuer=HOSTILE,
        level=None,
        time=None,
        indication="TOTAL-FAILED",
        sub_indication="HASH_FAILURE",
        explanation="Dokumentet er endret etter at det ble signert.",
        algorithm="ECDSA P-256, SHA-256",
        certificate_sha256="00" * 32,
        certificate_serial="1",
        reason=HOSTILE,
    )
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return ValidationReport("TOTAL-FAILED", "HASH_FAILURE", "Endret.", "00" * 32, now, (signature,))


def test_names_steer_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    verdict(_report(), "TOTAL-FAILED", (), as_json=False)
    printed = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in printed)
    assert [line for line in printed.splitlines() if line.startswith("TOTAL")] == [
        "TOTAL-FAILED  Ikke gyldig."
    ]
    verdict(_report(), "TOTAL-FAILED", (), as_json=True)
    assert "\x1b" not in capsys.readouterr().out


def test_names_break_no_xml() -> None:
    assert etree.fromstring(_report().as_xml()) is not None
