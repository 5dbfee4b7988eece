"""`signert fsck` on a really signed agreement: sound as it is, and each kind of damage told as what it is."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from service.adapters.directory import DirectoryStore
from service.bootstrap import open_services
from service.config import load_settings
from service.domain.log import Entry, canonical, gathered_key, log_key
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import Finding, Severity, StoreCheck
from service.pipeline.fsck.reading import BLOB_FIELDS, OTHER_HASHES
from service.pipeline.intake import receive
from service.pipeline.services import Services
from signing import TrustStore
from tests.fakes import EventList

pytestmark = [pytest.mark.office, pytest.mark.pki]

ROOT = Path(__file__).parents[2]
EXAMPLE = json.loads((ROOT / "examples/minimal.json").read_text())
SEALED, SIGNED, LAST = 3, 6, 15
"""Numbers of entries: the seal's, the first party's, and the last one."""


@dataclass
class Copy:
    """A store with one signed agreement, to be damaged."""

    root: Path
    id: str
    trust: TrustStore

    @property
    def store(self) -> DirectoryStore:
        return DirectoryStore(self.root)

    def findings(self, *, signatures: bool = False) -> list[Finding]:
        return list(StoreCheck(self.store, trust=self.trust if signatures else None, settle=0).run())

    def told(self, *, signatures: bool = False) -> list[tuple[str, str]]:
        """What is found: codes, and where, from the agreement's folder on."""
        root = f"agreements/{self.id}/"
        return sorted((f.code, f.where.removeprefix(root)) for f in self.findings(signatures=signatures))

    def path(self, key: str) -> Path:
        return self.root / key

    def entry(self, seq: int) -> Path:
        return self.path(log_key(self.id, seq))

    def blob(self, seq: int, field: str) -> Path:
        """The file of a blob that an entry names."""
        data = json.loads(self.entry(seq).read_bytes())["data"]
        sha256, extension = (
            (data["revision"]["sha256"], "pdf") if field == "revision" else (data[field], BLOB_FIELDS[field])
        )
        return self.path(f"agreements/{self.id}/blobs/{sha256}.{extension}")

    def write(self, path: Path, body: bytes) -> None:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)

    def put_blob(self, body: bytes, extension: str) -> str:
        sha256 = hashlib.sha256(body).hexdigest()
        self.write(self.path(f"agreements/{self.id}/blobs/{sha256}.{extension}"), body)
        return sha256

    def forge(self, change: Callable[[list[dict[str, Any]]], None]) -> None:
        """Change the log as one who may write everywhere would: with a chain that holds again."""
        entries = [json.loads(path.read_bytes()) for path in sorted(self.entry(0).parent.iterdir())]
        change(entries)
        previous = None
        for seq, entry in enumerate(entries):
            body = canonical({**entry, "previous": previous})
            self.write(self.entry(seq), body)
            previous = hashlib.sha256(body).hexdigest()
        bodies = [path.read_bytes() for path in sorted(self.entry(0).parent.iterdir())]
        self.write(self.path(gathered_key(self.id)), b"\n".join(bodies))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    settings = load_settings({"SIGNERT_HOME": str(tmp_path_factory.mktemp("home"))})
    with open_services(settings, publisher=EventList(), hand_over=lambda *_: None) as opened:
        yield opened


@pytest.fixture(scope="module")
def signed(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("signed") / "store"
    given = replace(
        services,
        store=DirectoryStore(root),
        open_typesetting=lambda: services.typesetting,
        open_keys=lambda: services.keys,
    )
    marker = receive(given, "submit", {"command_id": str(uuid.uuid4()), "agreement": EXAMPLE})
    assert drive(given, marker).rest is Rest.AT_REST
    return Copy(root, marker.agreement_id, services.keys.trust)


@pytest.fixture
def copy(signed: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(signed.root, tmp_path / "store")
    return replace(signed, root=tmp_path / "store")


def flip(path: Path, old: bytes, new: bytes) -> None:
    body = path.read_bytes()
    assert old in body
    path.unlink()
    path.write_bytes(body.replace(old, new, 1))


# --- sound ------------------------------------------------------------------------------------------------


def test_a_sound_store_has_no_findings_and_is_counted(signed: Copy) -> None:
    check = StoreCheck(signed.store, trust=signed.trust)
    assert list(check.run()) == []
    counted = check.counts.as_json()
    assert counted["by_status"] == {"signed": 1}
    assert (counted["versions"], counted["entries"], counted["revisions"]) == (1, LAST + 1, 6)
    assert counted["signatures"] == 4 + 1 + 1  # document, receipt.json, receipt's PDF
    assert counted["document_timestamps"] == 2
    assert counted["blobs"] == len(list(signed.path(f"agreements/{signed.id}/blobs").iterdir()))
    assert list(StoreCheck(signed.store, trust=signed.trust).run([signed.id])) == []


def test_every_hash_in_the_log_is_known_to_the_check(signed: Copy) -> None:
    """A new field that names a blob must be checked too, or be named as what it is."""
    entries = [Entry.parse(path.read_bytes()) for path in sorted(signed.entry(0).parent.iterdir())]
    named = {name for entry in entries for name in entry.data if name.endswith("_sha256")}
    assert named <= BLOB_FIELDS.keys() | OTHER_HASHES


# --- the log ----------------------------------------------------------------------------------------------


def test_an_altered_entry_no_longer_fits_the_next_one(copy: Copy) -> None:
    digest = json.loads(copy.entry(2).read_bytes())["data"]["document_digest"].encode()
    flip(copy.entry(2), digest, digest[::-1])
    assert copy.told() == [("log_link_broken", "log/00000003.json")]


@pytest.mark.parametrize(("old", "new"), [(b'{"', b'["'), (b'":', b'": '), (b"agreement", b"Agreement")])
def test_an_entry_that_is_not_in_canonical_form(copy: Copy, old: bytes, new: bytes) -> None:
    flip(copy.entry(SIGNED), old, new)
    assert copy.told() == [("log_entry_altered", f"log/{SIGNED:08}.json")]


@pytest.mark.parametrize("seq", [0, SEALED, LAST - 1])
def test_a_missing_entry(copy: Copy, seq: int) -> None:
    copy.entry(seq).unlink()
    assert copy.told() == [("log_entry_missing", f"log/{seq:08}.json")]


def test_entries_that_were_swapped(copy: Copy) -> None:
    third, fifth = copy.entry(SEALED).read_bytes(), copy.entry(SIGNED).read_bytes()
    copy.write(copy.entry(SEALED), fifth)
    copy.write(copy.entry(SIGNED), third)
    assert copy.told() == [
        ("log_entry_misplaced", f"log/{SEALED:08}.json"),
        ("log_entry_misplaced", f"log/{SIGNED:08}.json"),
    ]


def test_an_object_among_the_entries_that_is_none(copy: Copy) -> None:
    copy.write(copy.entry(0).with_name("notes.json"), b"{}")
    assert copy.told() == [("log_key_foreign", "log/notes.json")]


def test_an_entry_of_a_newer_release(copy: Copy) -> None:
    copy.forge(lambda log: log.append({**log[-1], "seq": LAST + 1, "type": "made-up", "events": []}))
    assert copy.told() == [("log_not_folded", copy.id)]


def test_without_its_last_entry_the_agreement_is_driven_by_nobody(copy: Copy) -> None:
    copy.entry(LAST).unlink()
    assert copy.told() == [("gathered_log_differs", "log.jsonl"), ("marker_missing", copy.id)]
    copy.path(gathered_key(copy.id)).unlink()
    assert copy.told() == [("marker_missing", copy.id)]
    copy.store.put(f"work/{copy.id}/{uuid.uuid4()}", b"no JSON")
    assert [code for code, _ in copy.told()] == ["marker_unreadable"]


def test_a_log_that_is_gone(copy: Copy) -> None:
    shutil.rmtree(copy.entry(0).parent)
    gone = {"command_lost", "index_dangling", "log_absent", "gathered_log_differs"}
    assert {code for code, _ in copy.told()} == gone


# --- blobs ------------------------------------------------------------------------------------------------

BLOBS = {
    "data": (0, "input_sha256"),
    "docx": (1, "docx_sha256"),
    "rendered": (1, "revision"),
    "prepared": (2, "prepared_sha256"),
    "signed": (SIGNED, "revision"),
    "document": (LAST - 3, "revision"),
    "report": (LAST - 2, "report_sha256"),
    "receipt": (LAST, "receipt_sha256"),
    "p7s": (LAST, "receipt_signature_sha256"),
    "receipt-pdf": (LAST, "receipt_pdf_sha256"),
}


@pytest.mark.parametrize("name", BLOBS)
def test_a_blob_that_is_gone(copy: Copy, name: str) -> None:
    path = copy.blob(*BLOBS[name])
    path.unlink()
    assert copy.told() == [("blob_missing", f"blobs/{path.name}")]


@pytest.mark.parametrize("name", ["document", "receipt", "p7s", "receipt-pdf"])
def test_a_blob_that_was_truncated_is_told_once(copy: Copy, name: str) -> None:
    path = copy.blob(*BLOBS[name])
    copy.write(path, path.read_bytes()[:-1])
    assert copy.told(signatures=True) == [("blob_altered", f"blobs/{path.name}")]


def test_a_blob_with_one_other_bit(copy: Copy) -> None:
    path = copy.blob(*BLOBS["document"])
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    copy.write(path, bytes(body))
    assert copy.told() == [("blob_altered", f"blobs/{path.name}")]


def test_a_blob_that_no_entry_names_is_but_a_note(copy: Copy) -> None:
    sha256 = copy.put_blob(b"left by a crash", "pdf")
    (found,) = copy.findings()
    assert (found.severity, found.code) == (Severity.NOTE, "blob_orphaned")
    assert sha256 in found.where


# --- documents and receipts, by one who forges the log too ------------------------------------------------


def test_a_document_that_was_altered_in_all_its_revisions(copy: Copy) -> None:
    """The chain holds, blobs have their names, each revision starts with the one before: no signature holds."""
    place = copy.blob(*BLOBS["rendered"]).read_bytes().index(b"endstream") - 20

    def change(log: list[dict[str, Any]]) -> None:
        for entry in log:
            if revision := entry["data"].get("revision"):
                body = bytearray(copy.blob(entry["seq"], "revision").read_bytes())
                body[place] ^= 1
                revision["sha256"] = copy.put_blob(bytes(body), "pdf")
                entry["events"] = []
        log[LAST]["events"] = []

    copy.forge(change)
    found = {f.code: f for f in copy.findings(signatures=True) if f.severity is Severity.ERROR}
    assert found.keys() == {"document_not_verified", "report_differs", "receipt_differs"}
    assert "TOTAL-FAILED" in found["document_not_verified"].message


def test_a_document_that_was_altered_in_its_last_revision_only(copy: Copy) -> None:
    body = bytearray(copy.blob(*BLOBS["document"]).read_bytes())
    body[1000] ^= 1
    sha256 = copy.put_blob(bytes(body), "pdf")

    def change(log: list[dict[str, Any]]) -> None:
        log[LAST - 3]["data"]["revision"]["sha256"] = sha256

    copy.forge(change)
    codes = [code for code, _ in copy.told(signatures=True)]
    assert codes == ["receipt_differs", "report_differs", "revision_not_prefix"]


def test_bytes_added_to_the_signed_document(copy: Copy) -> None:
    body = copy.blob(*BLOBS["document"]).read_bytes() + b"\n% one more line\n"
    sha256 = copy.put_blob(body, "pdf")

    def change(log: list[dict[str, Any]]) -> None:
        log[LAST - 3]["data"]["revision"] = {"sha256": sha256, "bytes": len(body)}
        told = log[LAST]["events"][0]["data"]["document"]
        told["storage_key"] = told["storage_key"].replace(told["sha256"], sha256)
        told["sha256"] = sha256

    original = copy.blob(*BLOBS["document"]).name
    copy.forge(change)
    found = {f.code: f for f in copy.findings(signatures=True)}
    assert found.keys() == {"document_not_verified", "report_differs", "receipt_differs", "blob_orphaned"}
    for stated in ("document.sha256", "document.bytes", "document.sha512", "log.sha256"):
        assert stated in found["receipt_differs"].message
    assert original in found["blob_orphaned"].where


def test_a_revision_that_is_not_as_long_as_the_log_says(copy: Copy) -> None:
    def change(log: list[dict[str, Any]]) -> None:
        log[SIGNED]["data"]["revision"]["bytes"] += 1

    path = copy.blob(SIGNED, "revision")
    copy.forge(change)
    assert ("revision_length", f"blobs/{path.name}") in copy.told()
    assert {code for code, _ in copy.told()} == {"revision_length", "receipt_differs"}


def test_a_revision_that_does_not_start_with_the_one_before(copy: Copy) -> None:
    body = b"%PDF-1.7\n% not what was sealed\n"
    sha256 = copy.put_blob(body, "pdf")

    def change(log: list[dict[str, Any]]) -> None:
        log[SEALED]["data"]["revision"] = {"sha256": sha256, "bytes": len(body)}

    copy.forge(change)
    assert [code for code, _ in copy.told()] == [
        "blob_orphaned",  # the true one
        "receipt_differs",
        "revision_not_prefix",
        "revision_not_prefix",
    ]


def test_a_receipt_that_was_altered_with_its_hash(copy: Copy) -> None:
    path = copy.blob(*BLOBS["receipt"])
    receipt = json.loads(path.read_bytes())
    receipt["document"]["pages"] += 1
    receipt["signatures"][0]["certificate"]["sha256"] = "0" * 64
    sha256 = copy.put_blob(canonical(receipt), "json")

    def change(log: list[dict[str, Any]]) -> None:
        for seq in (LAST - 1, LAST):
            log[seq]["data"]["receipt_sha256"] = sha256
        told = log[LAST]["events"][0]["data"]["receipt"]
        told["storage_key"] = told["storage_key"].replace(told["sha256"], sha256)

    copy.forge(change)
    role = receipt["signatures"][0]["role"]
    found = {f.code: f for f in copy.findings(signatures=True)}
    assert found.keys() == {"receipt_differs", "receipt_not_verified", "blob_orphaned"}
    assert found["receipt_differs"].message.endswith(f": signatures.{role}.certificate.sha256")
    assert "TOTAL-FAILED" in found["receipt_not_verified"].message


def test_a_sealed_receipt_that_was_altered_with_its_hash(copy: Copy) -> None:
    body = copy.blob(*BLOBS["receipt-pdf"]).read_bytes() + b"\n% one more line\n"
    sha256 = copy.put_blob(body, "pdf")

    def change(log: list[dict[str, Any]]) -> None:
        log[LAST]["data"]["receipt_pdf_sha256"] = sha256
        log[LAST]["events"] = []

    copy.forge(change)
    assert [code for code, _ in copy.told(signatures=True)] == ["blob_orphaned", "receipt_pdf_not_verified"]


def test_with_other_trust_anchors_nothing_is_verified(copy: Copy) -> None:
    found = list(StoreCheck(copy.store, trust=TrustStore(()), settle=0).run())
    assert {f.code for f in found} == {
        "document_not_verified",
        "receipt_not_verified",
        "receipt_pdf_not_verified",
    }
    assert all("SIGNERT_TRUST" in f.remedy or "signert verify" in f.remedy for f in found)


def test_findings_hold_no_personal_data(copy: Copy) -> None:
    copy.write(copy.blob(*BLOBS["data"]), b"{}")
    flip(copy.entry(SIGNED), b'":', b'": ')
    copy.entry(LAST).unlink()
    said = json.dumps([f.as_json() for f in copy.findings(signatures=True)])
    for party in EXAMPLE["parties"].values():
        for field in ("first_name", "last_name", "national_id", "phone", "email"):
            assert party.get(field) is None or party[field] not in said


# --- under load -------------------------------------------------------------------------------------------


def test_a_store_that_is_worked_on_gives_no_false_errors(services: Services, copy: Copy) -> None:
    given = replace(
        services,
        store=copy.store,
        open_typesetting=lambda: services.typesetting,
        open_keys=lambda: services.keys,
    )

    def work() -> None:
        for _ in range(3):
            drive(given, receive(given, "submit", {"command_id": str(uuid.uuid4()), "agreement": EXAMPLE}))

    worker = threading.Thread(target=work)
    worker.start()
    checks = 0
    try:
        while worker.is_alive():
            assert list(StoreCheck(copy.store, settle=0.5).run()) == []
            checks += 1
    finally:
        worker.join()
    check = StoreCheck(copy.store, trust=copy.trust)
    assert list(check.run()) == []
    assert check.counts.statuses == {"signed": 4}
    assert checks > 1
