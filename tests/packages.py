"""Archive packages for tests: written from a store, taken in again, and tampered with by somebody who knows how."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from lxml import etree

from service.adapters.archive import Creator, SipWriter, open_package
from service.bootstrap import open_catalogue, system_clock
from service.config import load_settings
from service.domain.ports import ObjectStore
from service.pipeline.export import Exported, Selection, State, export, select
from service.pipeline.importing import Imported, import_package
from service.pipeline.ledger import Ledger
from service.pipeline.work import Workbook

__all__ = ["DATA", "METS", "exported", "files_of", "replaced", "taken_in", "write_packages"]

METS = "{http://www.loc.gov/METS/}"
XLINK = "{http://www.w3.org/1999/xlink}"
DATA = "representations/archive/data/"


def exported(
    store: ObjectStore,
    folder: Path,
    ids: Iterable[str] = (),
    *,
    tar: bool = False,
    creator: Creator | None = None,
) -> list[Exported]:
    """What becomes of each agreement, or of these."""
    ledger = Ledger(store, system_clock())
    with SipWriter(folder, tar=tar, creator=creator) as writer:
        chosen = select(ledger, Selection(tuple(ids)))
        return list(export(ledger, open_catalogue(load_settings({})), writer, list(chosen)))


def write_packages(store: ObjectStore, folder: Path, **how: Any) -> Path:
    results = exported(store, folder, **how)
    assert {r.state for r in results} == {State.WRITTEN}
    return folder


def taken_in(store: ObjectStore, package: Path) -> Imported:
    clock = system_clock()
    return import_package(Ledger(store, clock), Workbook(store, clock), None, open_package(package))


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def replaced(package: Path, path: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file, and every checksum that leads to it: both METS say what is there, and no list stands beside it."""
    package.with_name(f"{package.name}.sha256").unlink(missing_ok=True)
    file = package / path
    file.write_bytes(change(file.read_bytes()))
    while path != "METS.xml":
        inside = path.startswith("representations/") and path != "representations/archive/METS.xml"
        mets = "representations/archive/METS.xml" if inside else "METS.xml"
        _note(
            package / mets, path.removeprefix("representations/archive/") if inside else path, package / path
        )
        path = mets


def _note(mets: Path, href: str, file: Path) -> None:
    tree = etree.parse(mets)
    body = file.read_bytes()
    for element in tree.iter(f"{METS}file", f"{METS}mdRef"):
        location = element.find(f"{METS}FLocat") if element.tag == f"{METS}file" else element
        assert location is not None
        if location.get(f"{XLINK}href") == href:
            element.set("CHECKSUM", hashlib.sha256(body).hexdigest())
            element.set("SIZE", str(len(body)))
            break
    else:
        raise AssertionError(f"{mets.name} does not list {href}")
    tree.write(mets, encoding="UTF-8", xml_declaration=True)
