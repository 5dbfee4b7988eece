"""Real signed agreements in archive packages: valid by the standards' own means, and the same when they come back."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from service.adapters.archive import Creator, open_package
from service.adapters.directory import DirectoryStore
from service.adapters.s3 import S3Store
from service.domain.agreement import Status
from service.domain.log import canonical, gathered_key
from service.domain.ports import ObjectStore
from service.errors import PackageRefused
from service.pipeline.export import State
from service.pipeline.fsck import StoreCheck
from service.pipeline.importing import Outcome
from service.pipeline.sweep import sweep
from tests.archived import Archived
from tests.fakes import EventList, MemoryStore
from tests.packages import DATA, METS, exported, files_of, taken_in, write_packages
from tests.s3server import S3Server

pytestmark = [pytest.mark.office, pytest.mark.pki]

ROOT = Path(__file__).parents[2]
STANDARDS = Path(os.environ.get("SIGNERT_STANDARDS") or ROOT.parent / "shared/standards")
VALIDATOR = Path(sys.prefix) / "eark-validator/bin/python"
NOARK = "{http://www.arkivverket.no/standarder/noark5/arkivstruktur}"
PREMIS = "{http://www.loc.gov/premis/v3}"
KEPT = ("agreements/", "commands/", "index/")


def kept(store: ObjectStore) -> dict[str, bytes]:
    """But for people in the index: the key of their pseudonyms is the service's own. And but for what is gathered
    of a log, which may end before the log does."""
    found = {key: store.get(key) for prefix in KEPT for key in store.list(prefix)}
    cards = [key for key in found if key.startswith("index/card/")]
    found |= {key: canonical({**json.loads(found[key]), "key_id": None, "parties": []}) for key in cards}
    return {k: body for k, body in found.items() if not k.startswith("index/party/") and k[-6:] != ".jsonl"}


def belongs(archive: Archived, key: str, ids: set[str]) -> bool:
    if key.startswith("commands/"):
        return json.loads(archive.store.get(key))["agreement_id"] in ids
    return any(agreement_id in key for agreement_id in ids)


def xml(packages: Path, agreement_id: str, path: str) -> etree._ElementTree:
    return etree.parse(packages / agreement_id / path)


# --- by the standards ----------------------------------------------------------------------------------------


def test_the_e_ark_validator_finds_nothing_that_a_package_could_mend(
    archive: Archived, packages: Path, tmp_path: Path
) -> None:
    creator = Creator("889640782", "Arbeids- og velferdsetaten")
    tar = write_packages(archive.store, tmp_path, tar=True, creator=creator)
    given = [*sorted(p for p in packages.iterdir() if p.is_dir()), next(tar.glob("*.tar"))]
    run = [VALIDATOR, ROOT / "tests/earkrunner.py", *given]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == 5
    for report in reports:
        assert report["structure"]["status"] == "WellFormed"
        assert {m["severity"] for m in report["structure"]["messages"]} <= {"Info"}
        assert report["metadata"]["schema_results"] == {"status": "VALID", "messages": []}
        told = report["metadata"]["schematron_results"]["messages"]
        assert [m for m in told if m["severity"] == "Warn"] == []
        # SIP14 of this release asks the creator's note for an attribute NOTETYPE without a namespace, which the METS
        # schema forbids; CSIP15 and CSIP16 ask for the note itself. No package can have all three.
        assert [m["rule_id"] for m in told if m["severity"] == "Error"] == ["SIP14"]


def test_what_sip14_asks_for_is_no_mets(package: Path) -> None:
    schemas = etree.parse(
        io.BytesIO(
            b'<schema xmlns="http://www.w3.org/2001/XMLSchema">'
            b'<import namespace="http://www.w3.org/1999/xlink" schemaLocation="xlink.xsd"/>'
            b'<import namespace="http://www.loc.gov/METS/" schemaLocation="mets.xsd"/></schema>'
        ),
        base_url=str(package / "schemas/all.xsd"),
    )
    schema = etree.XMLSchema(schemas)
    mets = etree.parse(package / "METS.xml")
    assert schema.validate(mets), schema.error_log
    assert schema.validate(etree.parse(package / "representations/archive/METS.xml"))
    note = mets.find(f"{METS}metsHdr/{METS}agent/{METS}note")
    assert note is not None
    note.set("NOTETYPE", "IDENTIFICATIONCODE")
    assert not schema.validate(mets)


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("arkivmelding/arkivmelding.xsd", "arkivmelding.xml"),
        ("noark5-v5.0/arkivstruktur.xsd", "arkivstruktur.xml"),
    ],
)
def test_noark_metadata_are_valid(packages: Path, schema: str, file: str) -> None:
    path = STANDARDS / schema
    if not path.exists():
        pytest.skip(
            f"the schemas of Arkivverket are not there: {path} (SIGNERT_STANDARDS names their folder)"
        )
    loaded = etree.XMLSchema(etree.parse(path))
    found = sorted(packages.glob(f"*/metadata/descriptive/{file}"))
    assert len(found) == 4
    for each in found:
        assert loaded.validate(etree.parse(each)), loaded.error_log


def test_preservation_metadata_are_premis(packages: Path) -> None:
    schema = etree.XMLSchema(etree.parse(ROOT / "tests/premis-subset.xsd"))
    found = sorted(packages.glob("*/metadata/preservation/premis.xml"))
    assert len(found) == 4
    for each in found:
        assert schema.validate(etree.parse(each)), schema.error_log


# --- what is in it -------------------------------------------------------------------------------------------


def test_each_file_stands_in_noark_with_its_variant_format_and_checksum(
    archive: Archived, packages: Path
) -> None:
    agreement = archive.agreement("protected")
    tree = xml(packages, agreement.id, "metadata/descriptive/arkivstruktur.xml")
    found = [
        tuple(
            o.findtext(f"{NOARK}{name}") for name in ("versjonsnummer", "variantformat", "format", "sjekksum")
        )
        for o in tree.iter(f"{NOARK}dokumentobjekt")
    ]
    for version in agreement.versions:
        number = str(version.number)
        assert {
            (number, "Arkivformat", "fmt/476", version.document.sha256),
            (number, "Produksjonsformat", "fmt/412", version.docx_sha256),
            (number, "Dokument hvor deler av innholdet er skjermet", "fmt/476", version.screened_sha256),
            (number, "Arkivformat", "fmt/476", version.courtesy_sha256),
            (number, "Arkivformat", "fmt/479", version.receipt_pdf_sha256),
            (number, "Produksjonsformat", "fmt/817", version.receipt_sha256),
            (number, "Produksjonsformat", "application/pkcs7-signature", version.receipt_signature_sha256),
            (number, "Produksjonsformat", "fmt/817", version.report_sha256),
            (number, "Produksjonsformat", "fmt/817", version.input_sha256),
        } == {f for f in found if f[0] == number}
    for element in tree.iter(f"{NOARK}dokumentobjekt"):
        file = packages / agreement.id / str(element.findtext(f"{NOARK}referanseDokumentfil"))
        assert element.findtext(f"{NOARK}filstoerrelse") == str(file.stat().st_size)
    said = Counter(e.text for e in tree.iter(f"{NOARK}elektroniskSignaturVerifisert"))
    assert said == {"Signatur påført og verifisert": 2}


def test_a_protected_participant_is_named_in_no_metadata(archive: Archived, packages: Path) -> None:
    agreement = archive.agreement("protected")
    data = archive.services.ledger.get_json(agreement.id, agreement.current.input_sha256)
    person = data["parties"]["participant"]
    secrets = [person[n].encode() for n in ("first_name", "last_name", "national_id", "phone", "email")]
    secrets += [word for s in secrets[:2] for word in s.split()]
    told = {
        path: body
        for path, body in files_of(packages / agreement.id).items()
        if not path.startswith(DATA) or path.startswith((f"{DATA}log/", f"{DATA}commands/"))
    }
    assert [(path, s) for path, body in told.items() for s in secrets if s in body] == []
    descriptive = told["metadata/descriptive/arkivmelding.xml"].decode()
    assert "<sakspartNavn>Skjermet</sakspartNavn>" in descriptive
    assert data["parties"]["mentor"]["last_name"] in descriptive


def test_names_of_files_tell_nothing_of_persons(archive: Archived, packages: Path) -> None:
    known = {"agreement", "screened", "translation", "data", "report", "receipt", "scan-1"}
    for agreement_id in archive.ids.values():
        for path in files_of(packages / agreement_id / DATA):
            top, *_, name = path.split("/")
            if top.startswith("version-") and "revisions" not in path:
                assert name.partition(".")[0] in known
            assert path.isascii()
            assert top in {"log", "commands", "evidence", "version-1", "version-2"}


def test_the_paper_and_the_open_agreement_have_their_own_documents(archive: Archived, packages: Path) -> None:
    paper = packages / archive.ids["paper"] / DATA / "version-1"
    assert (paper / "scan-1.pdf").exists()
    waiting = packages / archive.ids["waiting"] / DATA / "version-1"
    assert not (waiting / "receipt.json").exists()
    assert (waiting / "agreement.pdf").read_bytes().startswith(b"%PDF-")
    tree = xml(packages, archive.ids["waiting"], "metadata/descriptive/arkivstruktur.xml")
    assert {e.text for e in tree.iter(f"{NOARK}journalstatus")} == {"Journalført"}
    assert {e.text for e in tree.iter(f"{NOARK}saksstatus")} == {"Under behandling"}
    assert list(tree.iter(f"{NOARK}elektroniskSignatur")) == []


def test_every_log_entry_is_an_event_with_roles_as_agents(archive: Archived, packages: Path) -> None:
    agreement_id = archive.ids["protected"]
    tree = xml(packages, agreement_id, "metadata/preservation/premis.xml")
    entries = archive.services.ledger.read(agreement_id)
    events = [
        (
            e.findtext(f"{PREMIS}eventDateTime"),
            e.findtext(f"{PREMIS}eventDetailInformation/{PREMIS}eventDetail"),
        )
        for e in tree.iter(f"{PREMIS}event")
    ]
    assert [at for at, _ in events] == [e.at for e in entries]
    assert all(str(said).startswith(e.type) for (_, said), e in zip(events, entries, strict=True))
    names = {e.text for e in tree.iter(f"{PREMIS}agentName")}
    assert names == {"Signert", "seal", "participant", "employer", "mentor", "adviser"}
    objects = {e.text for e in tree.iter(f"{PREMIS}messageDigest")}
    assert archive.agreement("protected").current.document.sha256 in objects


def test_sha256sum_agrees(packages: Path) -> None:
    for sums in sorted(packages.glob("*.sha256")):
        assert len(sums.read_text().splitlines()) == len(files_of(packages / sums.stem))
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", sums.name], cwd=packages, check=True)
        inner = packages / sums.stem / DATA
        own = "../metadata/other/sha256sums.txt"
        subprocess.run(["sha256sum", "-c", "--quiet", "--strict", own], cwd=inner, check=True)


# --- there and back ------------------------------------------------------------------------------------------


@pytest.fixture(params=["directory", "s3"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    server: S3Server = request.getfixturevalue("s3_credentials")
    return S3Store(server.PLAIN, f"archive/{uuid.uuid4()}", endpoint=server.endpoint)


def test_nothing_differs_when_it_comes_back(archive: Archived, packages: Path, empty: ObjectStore) -> None:
    whole = isinstance(empty, DirectoryStore)
    ids = set(archive.ids.values()) if whole else {archive.ids["paper"], archive.ids["waiting"]}
    source = MemoryStore()
    source.objects.update({k: v for k, v in archive.store.objects.items() if belongs(archive, k, ids)})
    for agreement_id in ids:
        assert taken_in(empty, packages / agreement_id).outcome is Outcome.IMPORTED
    before = kept(empty)
    assert before == kept(source)
    for agreement_id in ids:
        entries = list(empty.list(f"agreements/{agreement_id}/log/"))
        assert empty.exists(gathered_key(agreement_id)) is (len(entries) >= 16)
    for agreement_id in ids:
        assert taken_in(empty, packages / agreement_id).outcome is Outcome.UNCHANGED
    assert set(kept(empty)) == set(before)

    check = StoreCheck(empty, trust=archive.services.keys.trust if whole else None, settle=0)
    assert [f for f in check.run() if f.severity == "error"] == []
    # What lies ahead is found again by the next sweep, and nothing is told twice.
    events = EventList()
    list(sweep(archive.services_on(empty, events), everything=True))
    assert events.events == []
    assert list(empty.list("work/")) == []
    waiting = archive.ids["waiting"]
    assert {k for k in empty.list("due/") if waiting in k} == {
        k for k in archive.store.list("due/") if waiting in k
    }


def test_an_imported_agreement_goes_on(archive: Archived, packages: Path) -> None:
    store = MemoryStore()
    taken_in(store, packages / archive.ids["waiting"])
    moved = Archived(archive.services_on(store, EventList()), archive.process)
    agreement = moved.send("sign", agreement_id=archive.ids["waiting"], role="employer")
    assert agreement.current.status is Status.SIGNED


def test_a_tar_file_holds_the_same(archive: Archived, packages: Path, tmp_path: Path) -> None:
    tars = write_packages(archive.store, tmp_path / "tars", tar=True)
    store = MemoryStore()
    for agreement_id in archive.ids.values():
        taken_in(store, tars / f"{agreement_id}.tar")
        subprocess.run(
            ["tar", "-xf", f"{agreement_id}.tar", "-C", tmp_path], cwd=tars, check=True
        )  # as anybody would
        assert files_of(tmp_path / agreement_id) == files_of(packages / agreement_id)
    assert kept(store) == kept(archive.store)


def test_an_interrupted_import_is_finished_by_the_same_import(archive: Archived, package: Path) -> None:
    class Full(MemoryStore):
        room = 30

        def create(self, key: str, body: bytes, **rest: Any) -> None:
            if len(self.objects) >= self.room:
                raise OSError("no space left")
            super().create(key, body, **rest)

    store = Full()
    for store.room in (30, 60):
        with pytest.raises(OSError, match="space"):
            taken_in(store, package)
    store.room = 10_000
    assert taken_in(store, package).outcome is Outcome.IMPORTED
    mine = {k: v for k, v in kept(archive.store).items() if k in store.objects}
    assert kept(store) == mine
    assert len(mine) > 60


def test_a_newer_package_brings_the_store_up_to_date_and_an_older_one_is_refused(
    archive: Archived, packages: Path, tmp_path: Path
) -> None:
    agreement_id = archive.ids["waiting"]
    source = MemoryStore()
    source.objects.update(archive.store.objects)
    moved = Archived(archive.services_on(source, EventList()), archive.process)
    moved.send("cancel", agreement_id=agreement_id, reason="withdrawn")
    write = exported(source, tmp_path, [agreement_id])
    assert [r.state for r in write] == [State.WRITTEN]

    target = MemoryStore()
    taken_in(target, packages / agreement_id)
    newer = taken_in(target, tmp_path / agreement_id)
    assert (newer.outcome, newer.added) == (Outcome.IMPORTED, 3)  # entry, command, claim
    with pytest.raises(PackageRefused) as caught:
        taken_in(target, packages / agreement_id)
    assert caught.value.code == "import_differs"


def test_a_store_that_has_it_otherwise_is_left_as_it_is(archive: Archived, package: Path) -> None:
    agreement = archive.agreement("protected")
    key = f"agreements/{agreement.id}/blobs/{agreement.current.document.sha256}.pdf"
    for taken in (key, agreement.head.key, f"commands/{agreement.current.command_id}.json"):
        store = MemoryStore()
        store.create(taken, b"{}")
        with pytest.raises(PackageRefused) as caught:
            taken_in(store, package)
        assert caught.value.code == "import_differs"
        assert taken in caught.value.message
        assert store.objects == {taken: b"{}"}


# --- again, and after an interruption ------------------------------------------------------------------------


def test_the_same_agreement_gives_the_same_bytes(archive: Archived, packages: Path, tmp_path: Path) -> None:
    again = write_packages(archive.store, tmp_path / "again")
    assert files_of(again) == files_of(packages)
    first, second = (write_packages(archive.store, tmp_path / name, tar=True) for name in ("one", "two"))
    assert files_of(first) == files_of(second)


def test_what_has_changed_or_is_damaged_is_exported_anew(archive: Archived, tmp_path: Path) -> None:
    source = MemoryStore()
    source.objects.update(archive.store.objects)
    write_packages(source, tmp_path)
    assert {r.state for r in exported(source, tmp_path)} == {State.UNCHANGED}

    waiting, paper = archive.ids["waiting"], archive.ids["paper"]
    moved = Archived(archive.services_on(source, EventList()), archive.process)
    cancelled = moved.send("cancel", agreement_id=waiting, reason="withdrawn")
    scan = tmp_path / paper / DATA / "version-1/scan-1.pdf"
    scan.write_bytes(scan.read_bytes()[:-1])
    states = {r.agreement_id: r.state for r in exported(source, tmp_path)}
    assert states == dict.fromkeys(archive.ids.values(), State.UNCHANGED) | dict.fromkeys(
        (waiting, paper), State.WRITTEN
    )
    assert open_package(tmp_path / waiting).head == cancelled.head.sha256
    assert {p.name for p in tmp_path.iterdir()} == {
        name for i in archive.ids.values() for name in (i, f"{i}.sha256")
    }


_KILLED = """
import os, signal, sys
from pathlib import Path
from service.adapters.directory import DirectoryStore
from tests.packages import exported

class Killing(DirectoryStore):
    read = 0

    def get(self, key):
        # With one package done, at the second document of the next.
        if key.endswith(".pdf") and any(Path(sys.argv[2]).glob("*.sha256")):
            Killing.read += 1
            if Killing.read == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().get(key)

exported(Killing(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_a_killed_export_goes_on_where_it_was(archive: Archived, packages: Path, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "store")
    for key, body in archive.store.objects.items():
        store.put(key, body)
    out = tmp_path / "out"
    run = [sys.executable, "-c", _KILLED, tmp_path / "store", out]
    done = subprocess.run(run, cwd=ROOT, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    finished = [p for p in out.iterdir() if p.is_dir() and not p.name.startswith(".")]
    begun = [p for p in out.iterdir() if p.name.startswith(".")]
    assert len(finished) == len(begun) == 1
    assert files_of(begun[0])

    results = exported(store, out)
    assert Counter(r.state for r in results) == {
        State.UNCHANGED: 1,
        State.WRITTEN: 3,
    }
    assert files_of(out) == files_of(packages)


# --- on the command line -------------------------------------------------------------------------------------


def test_export_and_import_on_the_command_line(archive: Archived, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "home/store")
    for key, body in archive.store.objects.items():
        store.put(key, body)

    def signert(*args: object, home: str = "home", code: int = 0) -> tuple[str, str]:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("SIGNERT_")}
        environment = {**outside, "SIGNERT_HOME": str(tmp_path / home), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-m", "service.entrypoints.cli", *map(str, args)],
            capture_output=True, text=True, check=False, cwd=tmp_path, env=environment, timeout=120,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    out, told = signert("export", "--case", "tiltak/2036-92004", "-o", "out", "--json")
    result = json.loads(out)
    assert (result["written"], result["failed"]) == (2, 0)
    assert {p["agreement_id"] for p in result["packages"]} == {
        archive.ids["protected"],
        archive.ids["declaration"],
    }
    assert told.splitlines()[0].startswith("[1/2] ")
    signert("export", code=64)
    signert("export", "--all", archive.ids["paper"], "-o", "out", code=64)

    # One that is damaged in the store does not hold up the others.
    blob = next(k for k in store.list(f"agreements/{archive.ids['paper']}/blobs/") if k.endswith(".docx"))
    store.put(blob, b"another")
    out, told = signert("export", "--since", "2026-01-01", "-o", "out", "--json", code=3)
    result = json.loads(out)
    assert (result["written"], result["unchanged"], result["failed"]) == (1, 2, 1)
    assert blob in told
    assert not (tmp_path / "out" / archive.ids["paper"]).exists()

    out, told = signert("import", "--check", "out", home="unused")
    assert out == "3 checked.\n"
    assert not (tmp_path / "unused").exists()
    (tmp_path / "out" / archive.ids["declaration"] / DATA / "version-1/agreement.pdf").write_bytes(b"%PDF-")
    out, told = signert("import", "out", home="other", code=3)
    assert out in {"1 refused, 2 imported.\n", "2 imported, 1 refused.\n"}
    assert "version-1/agreement.pdf has not the checksum" in told
    other = DirectoryStore(tmp_path / "other/store")
    assert not any(other.list(f"agreements/{archive.ids['declaration']}/"))
    assert any(other.list(f"agreements/{archive.ids['protected']}/"))
