"""Agreements in a store as workers leave them, written without keys and LibreOffice: for tests of what is read.

    shelf = Shelf(store, clock)
    agreement_id = shelf.signed(mentor())
    shelf.amended(agreement_id, protected(mentor()))

Every entry is of the real kinds, in a real chain, and every blob is there; documents only look like PDFs.
"""

from __future__ import annotations

import copy
import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import rfc8785

from service.domain.agreement import SEAL, Agreement
from service.domain.folding import fold
from service.domain.follow_up import NO_FOLLOW_UP
from service.domain.log import Draft, Entry, timestamp
from service.domain.ports import Clock, ObjectStore
from service.domain.pseudonyms import Pseudonyms
from service.pipeline.index import index
from service.pipeline.ledger import Ledger

__all__ = ["GUARDIAN", "Shelf", "changed", "example", "mentor", "protected"]

_EXAMPLES = Path(__file__).parents[1] / "examples"
GUARDIAN = {
    "first_name": "Ingeborg",
    "last_name": "Lien",
    "kind": "guardian",
    "scope": "with",
    "verification_code": "VG-2036-1",
    "national_id": "30917940467",
}


def example(name: str) -> dict[str, Any]:
    found = json.loads((_EXAMPLES / f"{name}.json").read_text())
    assert isinstance(found, dict)
    return found


def mentor() -> dict[str, Any]:
    """An agreement with participant, employer, mentor and adviser; the participant is not protected."""
    return example("mentor")


def changed(data: Mapping[str, Any], **paths: Any) -> dict[str, Any]:
    """The data with other values: `changed(data, parties__employer=…)`; None takes a value away."""
    result = copy.deepcopy(dict(data))
    for path, value in paths.items():
        *above, last = path.split("__")
        place = result
        for name in above:
            place = place[name]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    return result


def protected(data: Mapping[str, Any], kind: str = "strictly_confidential") -> dict[str, Any]:
    return changed(data, parties__participant__address_protection=kind)


class Shelf:
    def __init__(self, store: ObjectStore, clock: Clock, pseudonyms: Pseudonyms | None = None) -> None:
        self.store = store
        self.ledger = Ledger(store, clock)
        self._clock = clock
        self._pseudonyms = pseudonyms

    def agreement(self, agreement_id: str) -> Agreement:
        return fold(self.ledger.read(agreement_id))

    def open(self, data: Mapping[str, Any], *, declares: tuple[str, ...] = (), **about: Any) -> str:
        """An agreement that has come in."""
        agreement_id = str(uuid.uuid4())
        self._append(agreement_id, None, "submitted", self._opening(agreement_id, data, declares) | about, 1)
        return agreement_id

    def signed(self, data: Mapping[str, Any], *, body: bytes | None = None, screened: bool = False) -> str:
        """An agreement that all have signed; `body` is its signed document."""
        agreement_id = self.open(data)
        self.rendered(agreement_id, screened=screened)
        self.all_sign(agreement_id, body=body)
        return agreement_id

    def amended(
        self, agreement_id: str, data: Mapping[str, Any], *, signed: bool = True, screened: bool = False
    ) -> None:
        """The next version."""
        agreement = self.agreement(agreement_id)
        number = len(agreement.versions) + 1
        opening = self._opening(agreement_id, data, ())
        opening |= {"supersedes": agreement.current.number, "change": ["goals"]}
        self._append(agreement_id, agreement.head, "amended", opening, number)
        if signed:
            self.rendered(agreement_id, screened=screened)
            self.all_sign(agreement_id)

    def rendered(self, agreement_id: str, *, screened: bool = False, courtesy: bool = False) -> None:
        """Rendered and sealed, and the parties are asked."""
        blob = self._blob
        self.append(
            agreement_id,
            "rendered",
            template_sha256="0" * 64,
            docx_sha256=blob(agreement_id, b"docx", "docx"),
            screened_sha256=blob(agreement_id, b"%PDF screened", "pdf") if screened else None,
            courtesy_sha256=blob(agreement_id, b"%PDF courtesy", "pdf") if courtesy else None,
            revision=self._revision(agreement_id, b"%PDF rendered"),
        )
        self.append(
            agreement_id, "sealed", field=SEAL, revision=self._revision(agreement_id, b"%PDF rendered sealed")
        )
        parties = self.agreement(agreement_id).current.parties
        asked = [{"role": p.role, "method": "automatic", "deadline": None} for p in parties]
        self.append(agreement_id, "signature-requested", requests=asked)

    def all_sign(self, agreement_id: str, *, body: bytes | None = None) -> None:
        text = b"%PDF rendered sealed"
        for party in self.agreement(agreement_id).current.parties:
            text += b" " + party.role.encode()
            self.append(
                agreement_id,
                "party-signed",
                field=party.role,
                role=party.role,
                revision=self._revision(agreement_id, text),
                signed_at=timestamp(self._clock.now()),
                certificate_sha256="c" * 64,
                evidence_sha256=None,
                by=None,
            )
        final = body if body is not None else text + b" timestamp"
        self.append(agreement_id, "augmented", revision=self._revision(agreement_id, final))
        self.append(agreement_id, "verified", report_sha256=self._blob(agreement_id, b'{"report":1}', "json"))
        receipt = self._blob(agreement_id, b'{"receipt":1}', "json")
        draft = self._blob(agreement_id, b"%PDF receipt draft", "pdf")
        self.append(agreement_id, "receipt-rendered", receipt_sha256=receipt, receipt_pdf_sha256=draft)
        self.append(
            agreement_id,
            "signed",
            receipt_sha256=receipt,
            receipt_signature_sha256=self._blob(agreement_id, b"p7s", "p7s"),
            receipt_pdf_sha256=self._blob(agreement_id, b"%PDF receipt", "pdf"),
        )

    def append(self, agreement_id: str, type: str, **data: Any) -> None:
        agreement = self.agreement(agreement_id)
        self._append(agreement_id, agreement.head, type, data, agreement.current.number)

    def _append(
        self, agreement_id: str, last: Entry | None, type: str, data: Mapping[str, Any], version: int
    ) -> None:
        self.ledger.append(agreement_id, last, Draft(type, data), version=version)
        index(self.store, self._pseudonyms, self.agreement(agreement_id))

    def _opening(
        self, agreement_id: str, data: Mapping[str, Any], declares: tuple[str, ...]
    ) -> dict[str, Any]:
        template = {"name": data["template"]["name"], "version": "1.0.0"}
        whole = {**data, "id": agreement_id, "template": template}
        return {
            "command_id": str(uuid.uuid4()),
            "payload_sha256": "0" * 64,
            "input_sha256": self._blob(agreement_id, rfc8785.dumps(whole), "json"),
            "case": data["case"],
            "template": template,
            "language": data["language"],
            "signing": {"expires_after_days": 84, "deadline_days": None},
            "parties": [
                {
                    "role": role,
                    "order": number,
                    "method": None,
                    "deadline_days": None,
                    "level": None,
                    "signs": True,
                }
                for number, role in enumerate(data["parties"])
            ],
            "declarations": [
                {
                    "role": role,
                    "agreement_id": str(uuid.uuid4()),
                    "template": {"name": "taushetserklaering", "version": "1.0.0"},
                }
                for role in declares
            ],
            **NO_FOLLOW_UP.as_data(),
        }

    def _blob(self, agreement_id: str, body: bytes, extension: str) -> str:
        return self.ledger.put_blob(agreement_id, body, extension)

    def _revision(self, agreement_id: str, body: bytes) -> dict[str, Any]:
        self._blob(agreement_id, body, "pdf")
        return {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
