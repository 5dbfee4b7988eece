"""Agreements of every kind that an archive gets, made once by real services, in a store in memory.

protected   a mentor's agreement whose participant is protected, amended once; it has a declaration, a screened
            edition and a courtesy translation
declaration the mentor's declaration of confidentiality for it
paper       the participant signed on paper, which the adviser attests
waiting     still waits for a signature
"""

from __future__ import annotations

import base64
import copy
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.domain.periods import norwegian_date
from service.domain.ports import ObjectStore
from service.entrypoints.cli.shared import OneProcess
from service.pipeline.drive import Rest
from service.pipeline.intake import receive
from service.pipeline.services import Services
from tests import scans
from tests.agreements import Running
from tests.fakes import EventList, MemoryStore

__all__ = ["Archived", "archived"]

EXAMPLES = Path(__file__).parents[1] / "examples"


@dataclass
class Archived:
    services: Services
    process: OneProcess
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> MemoryStore:
        assert isinstance(self.services.store, MemoryStore)
        return self.services.store

    def services_on(self, store: ObjectStore, events: EventList) -> Services:
        """The same keys and LibreOffice with another store."""
        return replace(self.services, store=store, publisher=events)

    def agreement(self, name: str) -> Agreement:
        return fold(self.services.ledger.read(self.ids[name]))

    def send(self, name: str, **fields: Any) -> Agreement:
        marker = receive(self.services, name, {"command_id": str(uuid.uuid4()), **fields})
        outcome = self.process.drive_all(self.services, marker, lambda _: None)
        assert outcome.rest is Rest.AT_REST, outcome.parked
        return fold(self.services.ledger.read(marker.agreement_id))

    def submit(self, name: str, data: Mapping[str, Any], **plan: Any) -> Agreement:
        agreement = self.send("submit", agreement=copy.deepcopy(dict(data)), signing=plan)
        self.ids[name] = agreement.id
        return agreement


def archived(running: Running) -> Archived:
    """All four; takes some twenty seconds."""
    process = OneProcess()
    services = running.on(MemoryStore(), EventList(), hand_over=process)
    made = Archived(services, process)

    mentor = json.loads((EXAMPLES / "mentor.json").read_text())
    mentor["parties"]["participant"]["address_protection"] = "confidential"
    agreement = made.submit("protected", {**mentor, "courtesy_translation": "en"})
    assert agreement.current.status is Status.SIGNED
    made.ids["declaration"] = agreement.current.declarations[0].agreement_id
    made.send(
        "amend",
        agreement_id=agreement.id,
        change=["position"],
        reason="Arbeidstida aukar.",
        patch={"position": {"percentage": 80}},
    )

    minimal = json.loads((EXAMPLES / "minimal.json").read_text())
    agreement = made.submit("paper", minimal, parties={"participant": {"method": "approved"}})
    scan = scans.pdf(pages=2, mark="signed")
    made.send(
        "attach-paper",
        agreement_id=agreement.id,
        roles=["participant"],
        signed_on=norwegian_date(services.clock.now()).isoformat(),
        scan=scans.named(scan, content_base64=base64.b64encode(scan).decode()),
    )
    agreement = made.send("sign", agreement_id=agreement.id, role="adviser")
    assert agreement.current.status is Status.SIGNED

    made.submit("waiting", minimal, parties={"employer": {"method": "approved"}})
    return made
