"""Who may send: a signed command is taken in for its own case system only, and once."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from service.adapters.producers import ProducerKeys, sign_command
from service.errors import CommandRejected
from service.pipeline.intake import receive
from service.pipeline.senders import SenderPolicy
from service.pipeline.services import Services
from tests.fakes import ManualClock
from tests.unit.test_intake import EXAMPLE, command, services

OWN_SYSTEM = EXAMPLE["case"]["system"]


class Case:
    """A service that demands signatures, and two producers with their keys."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self._folder = folder
        own, other = self._key("own"), self._key("other")
        producers = {
            "own": {"case_systems": [OWN_SYSTEM], "keys": {"keys": [own]}},
            "other": {"case_systems": ["arena"], "keys": {"keys": [other]}},
        }
        path = folder / "producers.json"
        path.write_text(json.dumps({"producers": producers}))
        self.policy = SenderPolicy(ProducerKeys.load(path), required=True, max_age=timedelta(hours=1))
        self.services: Services = replace(services(clock=self.clock), senders=self.policy)

    def _key(self, name: str) -> dict[str, Any]:
        key = ec.generate_private_key(ec.SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key())) | {"kid": name}
        private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key)) | {"kid": name}
        private.pop("key_ops", None), public.pop("key_ops", None)
        (self._folder / f"{name}.jwk").write_text(json.dumps(private))
        return public

    def sign(self, payload: dict[str, Any], producer: str = "own", name: str = "submit") -> str:
        key = self._folder / f"{producer}.jwk"
        return sign_command(name, payload, producer=producer, key=key, at=self.clock.now())

    def refused(self, payload: dict[str, Any], signature: str | None) -> CommandRejected:
        with pytest.raises(CommandRejected) as caught:
            receive(self.services, "submit", payload, signature=signature)
        assert [e.code for e in caught.value.errors] == [caught.value.code]
        return caught.value


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_the_log_names_the_producer(case: Case) -> None:
    payload = command()
    marker = receive(case.services, "submit", payload, signature=case.sign(payload))
    (entry,) = case.services.ledger.read(marker.agreement_id)
    assert entry.data["producer"] == "own"


def test_unsigned_is_refused_where_signatures_are_required(case: Case) -> None:
    refused = case.refused(command(), None)
    assert (refused.code, refused.errors[0].path) == ("signature_required", "signature")
    optional = replace(case.services, senders=replace(case.policy, required=False))
    marker = receive(optional, "submit", command())
    assert optional.ledger.read(marker.agreement_id)[0].data["producer"] is None


def test_foreign_and_altered_commands_are_refused(case: Case) -> None:
    payload = command()
    signature = case.sign(payload)
    altered = {**payload, "agreement": {**payload["agreement"], "language": "nn"}}
    assert case.refused(altered, signature).code == "signature_for_another"
    another = {**payload, "command_id": str(uuid.uuid4())}
    assert case.refused(another, signature).code == "signature_for_another"
    assert case.refused(payload, case.sign(payload, name="cancel")).code == "signature_for_another"
    assert list(case.services.store.list()) == []


def test_a_producer_touches_its_own_case_system_only(case: Case) -> None:
    payload = command()
    refused = case.refused(payload, case.sign(payload, "other"))
    assert (refused.code, refused.errors[0].path) == ("case_system_foreign", "agreement.case.system")
    assert list(case.services.store.list("agreements/")) == []


def test_an_old_signature_brings_in_nothing_new(case: Case) -> None:
    accepted, late = command(), command()
    signatures = case.sign(accepted), case.sign(late)
    first = receive(case.services, "submit", accepted, signature=signatures[0])
    case.clock.advance(timedelta(hours=1, seconds=1))
    assert case.refused(late, signatures[1]).code == "signature_too_old"
    # What was accepted in time stays so, and a replay of it adds nothing.
    again = receive(case.services, "submit", accepted, signature=signatures[0])
    assert again.agreement_id == first.agreement_id
    assert len(case.services.ledger.read(first.agreement_id)) == 1


def test_a_signature_that_nobody_can_check_is_refused(case: Case) -> None:
    payload = command()
    with pytest.raises(CommandRejected) as caught:
        receive(services(), "submit", payload, signature=case.sign(payload))
    assert caught.value.code == "producer_unknown"
