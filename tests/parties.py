"""Parties who sign by every method: an agreement, what its parties do, and one document with all of it."""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.domain.agreement import Agreement, Method, PartyStatus
from service.domain.folding import fold
from service.errors import CommandRejected
from service.pipeline.drive import Outcome, Rest, drive
from service.pipeline.intake import receive
from service.pipeline.services import Services
from service.pipeline.work import Parked
from signing import Credential, open_credential
from tests.cscserver import RemoteCredential, config_file, serve_csc, visit
from tests.fakes import EventList, MemoryStore
from tests.signing_documents import Signers
from tests.softhsm import softhsm

__all__ = ["MINIMAL", "OTHERS", "PERSON", "Case", "Outside", "chain_of", "five_parties", "new_case"]

MINIMAL = json.loads((Path(__file__).parents[1] / "examples/minimal.json").read_text())


class Outside:
    """The parties' own means: OpenSSL with their keys, told only what the events say."""

    def __init__(self, signers: Signers, folder: Path) -> None:
        self.signers = signers
        self.folder = folder

    def certificates(self, label: str) -> list[str]:
        identity = self.signers.credential(label).identity
        return [base64.b64encode(c).decode() for c in (identity.certificate, *identity.chain)]

    def value(self, label: str, to_sign: Mapping[str, Any]) -> str:
        """A bare signature value over the signed attributes, as a signing service gives it."""
        attributes = base64.b64decode(to_sign["signed_attributes"])
        return base64.b64encode(self.signers.credential(label).sign(attributes)).decode()

    def baseline_cms(self, label: str, services: Services, agreement: Agreement) -> str:
        """A whole CMS as the baseline of PAdES wants it, without signing-time, made by pyHanko."""
        from pyhanko.sign.signers import SimpleSigner

        version, pki = agreement.current, self.signers.pki
        assert version.prepared
        assert version.prepared.to_sign_sha256
        content = services.ledger.get_blob(agreement.id, version.prepared.to_sign_sha256, "bin")
        signer = SimpleSigner.load(
            str(pki.directory / f"{label}.pem"),
            str(pki.certificate_pem(label)),
            ca_chain_files=[str(pki.certificate_pem("interm"))],
        )
        made = asyncio.run(signer.async_sign(hashlib.sha256(content).digest(), "sha256", use_pades=True))
        return base64.b64encode(made.dump()).decode()

    def cms(self, label: str, services: Services, agreement: Agreement, *more: str) -> str:
        """A whole CMS over the document's bytes, as OpenSSL makes it of the file that the event names."""
        version, pki = agreement.current, self.signers.pki
        assert version.prepared
        assert version.prepared.to_sign_sha256
        content = services.ledger.get_blob(agreement.id, version.prepared.to_sign_sha256, "bin")
        (self.folder / "content").write_bytes(content)
        made = subprocess.run(
            [
                "openssl", "cms", "-sign", "-binary", "-cades", "-in", "content", "-outform", "DER", "-md", "sha256",
                "-signer", str(pki.certificate_pem(label)), "-inkey", str(pki.directory / f"{label}.pem"),
                "-certfile", str(pki.certificate_pem("interm")), *more,
            ],
            cwd=self.folder, capture_output=True, check=True,
        )  # fmt: skip
        return base64.b64encode(made.stdout).decode()


class Case:
    """An agreement in a store of its own, and what a case system and the parties do to it."""

    def __init__(self, services: Services, events: EventList, outside: Outside) -> None:
        self.services, self.events, self.outside = services, events, outside
        self.clock = services.clock
        self.id = str(uuid.uuid4())

    @property
    def agreement(self) -> Agreement:
        return fold(self.services.ledger.read(self.id))

    def drive(self, name: str, **values: Any) -> Outcome:
        """What comes of a command."""
        payload = {"command_id": str(uuid.uuid4()), **values}
        if name != "submit":
            payload["agreement_id"] = self.id
        return drive(self.services, receive(self.services, name, payload))

    def send(self, name: str, **values: Any) -> Agreement:
        outcome = self.drive(name, **values)
        assert outcome.rest is Rest.AT_REST, outcome.parked
        return outcome.agreement

    def parked(self, name: str, **values: Any) -> Parked:
        """Why it goes no further after this command."""
        outcome = self.drive(name, **values)
        assert outcome.rest is Rest.PARKED
        assert outcome.parked
        return outcome.parked

    def submit(self, roles: Mapping[str, Mapping[str, Any]], **plan: Any) -> Agreement:
        return self.send("submit", **self.submitted(roles, **plan))

    def submitted(self, roles: Mapping[str, Mapping[str, Any]], **plan: Any) -> dict[str, Any]:
        """The values of the command: the smallest example, with this of each role, and a plan."""
        agreement = {**copy.deepcopy(MINIMAL), "id": self.id}
        agreement["parties"] |= {r: agreement["parties"].get(r, {}) | extra for r, extra in roles.items()}
        return {"agreement": agreement, "signing": plan}

    def refused(self, name: str, **values: Any) -> str:
        with pytest.raises(CommandRejected) as caught:
            self.send(name, **values)
        return caught.value.code

    def asked(self, role: str) -> dict[str, Any]:
        """What the newest event asks this party to sign."""
        told: list[Any] = [
            e["data"] for e in self.events.events if e["type"] == "agreement.signature-requested"
        ]
        return next(t["to_sign"] for t in reversed(told) if t["role"] == role and "to_sign" in t)

    def last_event(self) -> tuple[str, Any]:
        event: Any = self.events.events[-1]
        return event["type"], event["data"]

    def sign_with_cms(self, role: str, label: str, *more: str) -> Agreement:
        agreement = self.send("sign", role=role)
        cms = self.outside.cms(label, self.services, agreement, *more)
        return self.send("complete-signature", role=role, prepared=self.asked(role)["prepared"], cms=cms)

    def sign_with_baseline_cms(self, role: str, label: str) -> Agreement:
        agreement = self.send("sign", role=role)
        cms = self.outside.baseline_cms(label, self.services, agreement)
        return self.send("complete-signature", role=role, prepared=self.asked(role)["prepared"], cms=cms)

    def sign_with_value(self, role: str, label: str) -> Agreement:
        self.send("sign", role=role, certificates=self.outside.certificates(label))
        asked = self.asked(role)
        value = self.outside.value(label, asked)
        return self.send("complete-signature", role=role, prepared=asked["prepared"], signature=value)

    def sign_by_redirect(self, role: str) -> Agreement:
        self.send("sign", role=role)
        return self.send(
            "complete-signature", role=role, authorization=visit(self.asked(role)["authorization_url"])
        )

    def status(self, role: str) -> PartyStatus:
        return self.agreement.current.party(role).status


PERSON = {"first_name": "Łucja", "last_name": "Ødegård", "phone": "+47 000 00 009"}
OTHERS = {
    "adviser": {"order": 1},
    "participant": {"national_id": "17849431021"},
    "employer": {"organisation": {"number": "312300028", "name": "Fjordbakeriet & Kafé Sandvika AS"}},
    "organiser": {
        **PERSON,
        "organisation": {"number": "312300028", "name": "Fjordbakeriet & Kafé Sandvika AS"},
        "order": 0,
    },
    "decider": {**PERSON, "ident": "Z990777", "order": 1},
}


def chain_of(signers: Signers, label: str, folder: Path) -> Path:
    """The certificate and the one above it, in one file."""
    path = folder / f"{label}-chain.pem"
    path.write_bytes(b"".join(signers.pki.certificate_pem(each).read_bytes() for each in (label, "interm")))
    return path


def new_case(
    services: Services,
    signers: Signers,
    folder: Path,
    credentials: Mapping[str, Credential],
    **changes: Any,
) -> Case:
    """An agreement in a store of its own, whose `credentials` the service holds; `changes` are fields of its `Keys`."""
    events = EventList()
    held = {"seal": signers.credential("seal"), **credentials}
    own: dict[str, Any] = {
        "credential": held.get,
        "trust": signers.trust,
        "timestamps": signers.timestamps,
        "evidence": signers.collector,
    }
    keys = replace(services.keys, **(own | changes))
    opened = replace(
        services,
        store=MemoryStore(),
        publisher=events,
        open_typesetting=lambda: services.typesetting,
        open_keys=lambda: keys,
    )
    return Case(opened, events, Outside(signers, folder))


def five_parties(
    services: Services, signers: Signers, folder: Path, *, mode: str = "implicit", version: int = 2
) -> Case:
    """Five parties sign by four methods in two groups: organiser (CSC), participant (CMS) and employer (bare value)
    first, then adviser (HSM) and decider (PKCS#12, when the command says so).

    `mode` is how the remote service is authorised for the organiser's key: `implicit`, when it is asked, or
    `oauth2code`, when a person approves; `version` is that of its CSC API.
    """
    with softhsm(folder) as hsm, serve_csc(signers.pki) as csc:
        hsm.import_key(
            "adviser", signers.pki.directory / "adviser.pem", signers.pki.certificate_pem("adviser")
        )
        csc.credentials["organiser"] = RemoteCredential("organisation", mode=mode)
        (own := folder / "csc").mkdir()
        remote = config_file(own, f"{csc.url}/csc/v{version}", "organiser", authorization=f'"{mode}"')
        case = new_case(
            services,
            signers,
            folder,
            {
                "adviser": open_credential(
                    hsm.uri("adviser", certificate=str(chain_of(signers, "adviser", folder)))
                ),
                "organiser": open_credential(f"csc:{remote}"),
                "decider": signers.credential("seal"),
            },
        )
        agreement = case.submit(OTHERS, parties={"decider": {"method": "approved"}})
        methods = {p.role: p.method for p in agreement.current.parties}
        assert methods["participant"] is methods["employer"] is Method.OUTSIDE
        # In the first group, and its key is at a remote service.
        if mode == "oauth2code":
            assert methods["organiser"] is Method.REDIRECT
            case.sign_by_redirect("organiser")
        assert case.status("organiser") is PartyStatus.SIGNED
        assert case.refused("sign", role="decider") == "not_your_turn"
        case.sign_with_baseline_cms("participant", "person")
        agreement = case.sign_with_value("employer", "organisation")
        assert [p.role for p in agreement.current.open_parties()] == ["decider"]
        assert case.status("adviser") is PartyStatus.SIGNED  # second group, by the HSM
        case.send("sign", role="decider")
    return case
