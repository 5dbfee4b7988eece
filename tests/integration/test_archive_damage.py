"""Packages that were damaged, or tampered with by somebody who mends the checksums too: nothing of them is taken in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from service.adapters.archive import open_package
from service.errors import PackageRefused
from service.pipeline.importing import Outcome
from tests.archived import Archived
from tests.fakes import MemoryStore
from tests.packages import DATA, replaced, taken_in

pytestmark = [pytest.mark.office, pytest.mark.pki]

KINDS = [
    "METS.xml",
    "metadata/descriptive/arkivmelding.xml",
    "metadata/descriptive/arkivstruktur.xml",
    "metadata/preservation/premis.xml",
    "documentation/les-meg.txt",
    "schemas/mets.xsd",
    "representations/archive/METS.xml",
    "representations/archive/metadata/other/sha256sums.txt",
    f"{DATA}log/00000000.json",
    f"{DATA}log/00000036.json",
    f"{DATA}commands/*.json",
    f"{DATA}version-1/agreement.pdf",
    f"{DATA}version-2/agreement.docx",
    f"{DATA}version-1/screened.pdf",
    f"{DATA}version-2/translation.pdf",
    f"{DATA}version-1/data.json",
    f"{DATA}version-2/report.json",
    f"{DATA}version-1/receipt.json",
    f"{DATA}version-1/receipt.json.p7s",
    f"{DATA}version-2/receipt.pdf",
    f"{DATA}version-1/revisions/*participant.pdf",
    f"{DATA}evidence/*.prepared",
    f"{DATA}evidence/*.json",
    f"{DATA}evidence/*.pdf",
]


@pytest.mark.parametrize("beside", [True, False])
def test_one_byte_of_any_file_is_found_and_named(package: Path, beside: bool) -> None:
    """With the list of checksums beside the package, METS.xml too."""
    if not beside:
        package.with_name(f"{package.name}.sha256").unlink()
    for kind in KINDS[not beside :]:
        file = next(iter(sorted(package.glob(kind))))
        whole = file.read_bytes()
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
        store = MemoryStore()
        with pytest.raises(PackageRefused) as caught:
            taken_in(store, package)
        assert file.relative_to(package).as_posix() in caught.value.message
        assert store.objects == {}
        file.write_bytes(whole)
    assert taken_in(MemoryStore(), package).outcome is Outcome.IMPORTED


def test_one_byte_of_a_scan_is_found_and_named(archive: Archived, packages: Path, tmp_path: Path) -> None:
    package = Path(shutil.copytree(packages / archive.ids["paper"], tmp_path / archive.ids["paper"]))
    scan = package / DATA / "version-1/scan-1.pdf"
    scan.write_bytes(scan.read_bytes().replace(b"%PDF-1.3", b"%PDF-1.4"))
    with pytest.raises(PackageRefused, match=r"version-1/scan-1\.pdf has not the checksum"):
        taken_in(MemoryStore(), package)


@pytest.mark.parametrize("beside", [True, False])
def test_a_file_too_few_too_short_or_too_many_is_found(package: Path, beside: bool) -> None:
    if not beside:
        package.with_name(f"{package.name}.sha256").unlink()
    file = package / DATA / "version-1/receipt.pdf"
    whole = file.read_bytes()
    for code, body in (("package_incomplete", None), ("package_altered", whole[:-1])):
        file.unlink(missing_ok=True)
        if body is not None:
            file.write_bytes(body)
        with pytest.raises(PackageRefused, match=r"version-1/receipt\.pdf") as caught:
            open_package(package)
        assert caught.value.code == code
    file.write_bytes(whole)
    (package / DATA / "version-1/more.pdf").write_bytes(b"%PDF-")
    with pytest.raises(PackageRefused, match=r"version-1/more\.pdf"):
        open_package(package)


def forged_entry(body: bytes) -> bytes:
    return body.replace(b'"language":"nn"', b'"language":"nb"')


@pytest.mark.parametrize(
    ("path", "change", "code"),
    [
        (f"{DATA}log/00000000.json", forged_entry, "package_log_broken"),
        (f"{DATA}log/00000036.json", lambda b: b.replace(b'"signed"', b'"sealed"'), "package_log_broken"),
        (f"{DATA}log/00000005.json", lambda b: b + b" ", "package_log_broken"),
        (f"{DATA}log/00000005.json", lambda _: b"[" * 100_000, "package_log_broken"),
        (f"{DATA}version-1/agreement.pdf", lambda b: b + b"\n", "package_altered"),
    ],
)
def test_who_mends_the_checksums_too_is_found_by_log_and_hashes(
    package: Path, path: str, change: Any, code: str
) -> None:
    before = (package / path).read_bytes()
    replaced(package, path, change)
    assert (package / path).read_bytes() != before
    open_package(package)  # METS is content
    store = MemoryStore()
    with pytest.raises(PackageRefused) as caught:
        taken_in(store, package)
    assert caught.value.code == code
    assert store.objects == {}


def test_a_command_of_another_agreement_is_refused(archive: Archived, package: Path) -> None:
    command_id = archive.agreement("protected").current.command_id
    other = archive.ids["paper"].encode()
    replaced(package, f"{DATA}commands/{command_id}.json", lambda b: b.replace(package.name.encode(), other))
    with pytest.raises(PackageRefused, match=command_id):
        taken_in(MemoryStore(), package)


def test_the_folder_must_have_the_packages_name(package: Path, archive: Archived) -> None:
    package.rename(package.with_name(archive.ids["paper"]))
    with pytest.raises(PackageRefused, match=r"METS\.xml is of another package"):
        open_package(package.with_name(archive.ids["paper"]))
