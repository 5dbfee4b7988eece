"""One agreement, driven by services that `open_services` made, and what must be true of it at the end."""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from service.adapters import devpki
from service.bootstrap import open_services
from service.config import Settings, load_settings
from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.domain.log import Entry
from service.domain.ports import ObjectStore, Publisher
from service.pipeline.archive import check_against_log
from service.pipeline.drive import Outcome
from service.pipeline.intake import receive
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from service.pipeline.work import Marker, Parked
from signing import validate, verify_detached
from tests.fakes import EventList
from tests.faultproxy import FaultProxy

ROOT = Path(__file__).parents[1]
EXAMPLE = json.loads((ROOT / "examples/minimal.json").read_text())


@dataclass(frozen=True)
class Running:
    """Services on real LibreOffice and the development PKI, whose TSA, OCSP and CRLs answer through `pki`."""

    services: Services
    pki: FaultProxy
    settings: Settings

    def on(self, store: ObjectStore, publisher: Publisher, **changes: Any) -> Services:
        """The same LibreOffice and keys with another store; `changes` are fields of `Services`."""
        own: dict[str, Any] = {
            "store": store,
            "publisher": publisher,
            "open_typesetting": lambda: self.services.typesetting,
            "open_keys": lambda: self.services.keys,
        }
        return replace(self.services, **(own | changes))


@contextlib.contextmanager
def running_services(home: Path) -> Iterator[Running]:
    settings = load_settings({"SIGNERT_HOME": str(home)})
    hidden = _move_server(home / "devpki")
    with (
        FaultProxy(f"http://127.0.0.1:{hidden}", port=_published_port(home / "devpki")) as proxy,
        open_services(settings, publisher=EventList(), hand_over=lambda *_: None) as services,
    ):
        yield Running(services, proxy, settings)


def _move_server(folder: Path) -> int:
    """Let the development PKI's server listen elsewhere than its certificates say; gives the new port."""
    devpki.ensure(folder, environment="development")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    manifest = json.loads((folder / "devpki.json").read_bytes())
    (folder / "devpki.json").write_text(json.dumps(manifest | {"port": port}))
    return port


def _published_port(folder: Path) -> int:
    """The port in the addresses that the certificates name."""
    address = json.loads((folder / "devpki.json").read_bytes())["tsa_url"]
    return int(address.rpartition(":")[2].partition("/")[0])


# --- one agreement ---------------------------------------------------------------------------------------


def command(**changes: Any) -> dict[str, Any]:
    return {"command_id": str(uuid.uuid4()), "agreement": {**EXAMPLE, **changes}}


def submit(services: Services, payload: Mapping[str, Any] | None = None) -> Marker:
    return receive(services, "submit", payload or command())


def swept(services: Services) -> Outcome:
    """What one sweep over a store with one marker does, due or not."""
    (found,) = sweep(services, everything=True)
    assert found.outcome
    return found.outcome


def waiting(services: Services, agreement_id: str) -> Parked:
    """Why the agreement waits, as `signert show` reads it."""
    (marker,) = services.workbook.of(agreement_id)
    assert marker.parked
    return marker.parked


def levels(services: Services, agreement: Agreement) -> set[str | None]:
    """The PAdES levels of all signatures in the newest revision."""
    document = services.ledger.get_blob(agreement.id, agreement.current.document.sha256, "pdf")
    return {s.level for s in validate(document, services.keys.trust).signatures}


def assert_signed(services: Services, agreement_id: str, published: EventList | None = None) -> list[Entry]:
    """One unbroken chain to SIGNED, valid signatures, a valid receipt, nothing left to do, every event published."""
    entries = services.ledger.read(agreement_id)  # the chain is checked
    agreement, types = fold(entries), Counter(e.type for e in entries)
    version = agreement.current
    assert version.status is Status.SIGNED
    once = ("submitted", "rendered", "sealed", "augmented", "verified", "receipt-rendered", "signed")
    assert {name: types[name] for name in once} == dict.fromkeys(once, 1)
    assert types["party-signed"] == len(version.parties)

    trust = services.keys.trust
    document = services.ledger.get_blob(agreement_id, version.document.sha256, "pdf")
    assert check_against_log(version, document, validate(document, trust)) == []
    assert levels(services, agreement) == {"B-LTA"}

    assert version.receipt_sha256 and version.receipt_signature_sha256 and version.receipt_pdf_sha256
    receipt = services.ledger.get_blob(agreement_id, version.receipt_sha256, "json")
    seal = services.ledger.get_blob(agreement_id, version.receipt_signature_sha256, "p7s")
    page = services.ledger.get_blob(agreement_id, version.receipt_pdf_sha256, "pdf")
    assert verify_detached(receipt, seal, trust).indication == "TOTAL-PASSED"
    assert validate(page, trust).passed

    assert list(services.store.list("work/")) == []
    if published:
        told = {str(e["id"]) for e in published.events}
        assert told >= {str(event["id"]) for entry in entries for event in entry.cloud_events()}
    return entries
