"""Trust anchors out of files, folders and EU trusted lists, with what was granted when."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.bootstrap import open_trust
from service.config import load_settings
from signing import CredentialError, TrustStore, seal_detached, validate, validate_untrusted, verify_detached
from tests.signing_documents import Signers
from tests.trusted_list import CA, GRANTED, QTST, WITHDRAWN, Service, trusted_list

NOW = datetime.now(UTC)
LONG_AGO, YESTERDAY, TOMORROW = NOW - timedelta(days=900), NOW - timedelta(days=1), NOW + timedelta(days=1)

pytestmark = pytest.mark.pki


def _list(signers: Signers, folder: Path, *services: Service) -> Path:
    pki = signers.pki
    path = folder / "list.xml"
    body = trusted_list(
        *services, key=pki.directory / "stranger.pem", certificate=pki.certificate_pem("stranger")
    )
    path.write_bytes(body)
    return path


def _services(signers: Signers, *statuses: tuple[str, datetime]) -> tuple[Service, Service]:
    pki = signers.pki
    issuing = Service(CA, pki.certificate_pem("interm"), statuses)
    return issuing, Service(QTST, pki.certificate_pem("tsa"), ((GRANTED, LONG_AGO),))


def test_granted_services_are_anchors(final: bytes, signers: Signers, tmp_path: Path) -> None:
    path = _list(signers, tmp_path, *_services(signers, (GRANTED, LONG_AGO)))
    operator = signers.pki.certificate_pem("stranger")
    for trust in (TrustStore.from_files(path), TrustStore.from_files(path, list_signers=[operator])):
        report = validate(final, trust)
        assert report.passed
        assert {s.trust_anchor for s in report.signatures} == {"Test Issuing CA"}
        assert report.document_timestamps[0].trust_anchor == "Test TSA 1"
        # A CA for signatures is none for timestamps, and the other way about.
        assert not set(trust.anchors) & set(trust.timestamps.anchors)
    assert validate_untrusted(final, trust).passed


def test_the_lists_own_signature(signers: Signers, tmp_path: Path) -> None:
    path = _list(signers, tmp_path, *_services(signers, (GRANTED, LONG_AGO)))
    operator, other = (signers.pki.certificate_pem(label) for label in ("stranger", "seal"))
    with pytest.raises(CredentialError, match="not signed with a certificate of its operator"):
        TrustStore.from_files(path, list_signers=[other])
    path.write_bytes(path.read_bytes().replace(b"A service", b"B service"))
    with pytest.raises(CredentialError, match="not signed"):
        TrustStore.from_files(path, list_signers=[operator])
    assert TrustStore.from_files(path).anchors


def test_withdrawn_since_is_good_for_what_is_older(final: bytes, signers: Signers, tmp_path: Path) -> None:
    history = ((WITHDRAWN, TOMORROW), (GRANTED, LONG_AGO))
    trust = TrustStore.from_files(_list(signers, tmp_path, *_services(signers, *history)))
    assert validate(final, trust, at=NOW + timedelta(days=20)).passed


@pytest.mark.parametrize(
    "statuses",
    [
        ((WITHDRAWN, YESTERDAY), (GRANTED, LONG_AGO)),
        ((GRANTED, TOMORROW),),
        ((GRANTED, TOMORROW), (WITHDRAWN, LONG_AGO)),
    ],
)
def test_not_granted_at_the_time(
    final: bytes, signers: Signers, tmp_path: Path, statuses: tuple[tuple[str, datetime], ...]
) -> None:
    trust = TrustStore.from_files(_list(signers, tmp_path, *_services(signers, *statuses)))
    report = validate(final, trust)
    assert {(s.indication, s.sub_indication) for s in report.signatures} == {
        ("INDETERMINATE", "NO_CERTIFICATE_CHAIN_FOUND")
    }
    seal = seal_detached(b"{}", signers.credential("seal"), signers.timestamps, trust=signers.trust)
    assert verify_detached(b"{}", seal, trust).sub_indication == "NO_CERTIFICATE_CHAIN_FOUND"
    # The same anchor given as a file is trusted at any time.
    both = TrustStore.from_files(tmp_path / "list.xml", signers.pki.certificate_pem("interm"))
    assert validate(final, both).passed


def test_services_for_web_sites_do_not_count(signers: Signers, tmp_path: Path) -> None:
    pki = signers.pki
    web = Service(
        CA, pki.certificate_pem("interm"), ((GRANTED, LONG_AGO),), types=("ForWebSiteAuthentication",)
    )
    with pytest.raises(CredentialError, match="no granted services"):
        TrustStore.from_files(_list(signers, tmp_path, web))


def test_a_folder_of_anchors(final: bytes, signers: Signers, tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="no trust anchors in the folder"):
        TrustStore.from_files(tmp_path)
    (tmp_path / "notes.txt").write_text("not an anchor")
    shutil.copy(signers.pki.root, tmp_path / "root.cer")
    shutil.copy(signers.pki.foreign_root, tmp_path / "other.CRT")
    trust = TrustStore.from_files(tmp_path)
    assert len(trust.anchors) == 2
    assert validate(final, trust).passed
    (tmp_path / "broken.pem").write_text("nonsense")
    with pytest.raises(CredentialError, match=r"broken\.pem"):
        TrustStore.from_files(tmp_path)


def test_settings_take_all_three(final: bytes, signers: Signers, tmp_path: Path) -> None:
    folder = tmp_path / "anchors"
    folder.mkdir()
    path = _list(signers, folder, *_services(signers, (GRANTED, LONG_AGO)))
    environment = {
        "SIGNERT_SEAL": "pkcs12:/seal.p12",
        "SIGNERT_TSA": "https://tsa.invalid/",
        "SIGNERT_TRUST": str(folder),
        "SIGNERT_TRUST_LIST_SIGNERS": str(signers.pki.certificate_pem("stranger")),
    }
    trust = open_trust(load_settings(environment))
    assert validate(final, trust).passed
    assert validate(final, open_trust(load_settings(environment), [path])).passed
    only = {**environment, "SIGNERT_TRUST": str(signers.pki.root), "SIGNERT_TRUST_TIMESTAMPS": str(path)}
    trust = open_trust(load_settings(only))
    assert validate(final, trust).document_timestamps[0].trust_anchor == "Test TSA 1"
    assert validate(final, trust).signatures[0].trust_anchor == "Test Root CA"
    wrong = {**environment, "SIGNERT_TRUST_LIST_SIGNERS": str(signers.pki.root)}
    with pytest.raises(CredentialError):
        open_trust(load_settings(wrong))


@pytest.mark.parametrize(
    "content", [b"<TrustServiceStatusList", b"<TrustServiceStatusList/>", b"\xff TrustServiceStatusList"]
)
def test_a_broken_list(signers: Signers, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.xml"
    path.write_bytes(content)
    for operators in ([], [signers.pki.root]):
        with pytest.raises(CredentialError):
            TrustStore.from_files(path, list_signers=operators)
