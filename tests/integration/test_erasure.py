"""A real agreement, ten years later: the list, the approval, the erasure, and what is left."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.folding import fold
from service.domain.periods import norwegian_date
from service.errors import CommandRejected, Retained, SignertError, StoreError
from service.pipeline.drive import Rest, drive
from service.pipeline.erase import disposable, order_erasure
from service.pipeline.fsck import StoreCheck
from service.pipeline.intake import receive
from service.pipeline.ledger import blob_key
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from signing import verify_detached
from tests.agreements import Running, submit
from tests.fakes import EventList, ManualClock, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]


class Signed:
    """An agreement signed by all in a store of its own; `copy` gives the same again."""

    def __init__(self, running: Running, objects: dict[str, bytes] | None = None) -> None:
        self.running, self.events = running, EventList()
        self.clock = ManualClock(datetime.now(UTC))
        self.store = MemoryStore()
        self.store.objects = dict(objects or {})
        self.services: Services = running.on(self.store, self.events, clock=self.clock)
        if objects is None:
            assert drive(self.services, submit(self.services)).rest is Rest.AT_REST
        ids = {key.split("/")[1] for key in self.store.objects if key.startswith("agreements/")}
        (self.id,) = ids

    def copy(self) -> Signed:
        return Signed(self.running, self.store.objects)

    def later(self) -> Signed:
        """The time of retention is over."""
        until = fold(self.services.ledger.read(self.id)).retention
        assert until is not None
        self.clock.advance(until.ends_at - self.clock.now())
        return self

    def blobs(self) -> list[str]:
        return list(self.store.list(f"agreements/{self.id}/blobs/"))

    def findings(self) -> list[str]:
        check = StoreCheck(self.store, trust=self.services.keys.trust)
        return [found.code for found in check.run([])]


@pytest.fixture(scope="module")
def original(running: Running) -> Signed:
    return Signed(running)


@pytest.fixture
def agreement(original: Signed) -> Iterator[Signed]:
    return original.copy()


def test_erasure_leaves_the_log_and_a_sealed_record(agreement: Signed) -> None:
    services, before = agreement.services, agreement.blobs()
    assert list(agreement.store.list("index/party/"))
    log = services.ledger.read(agreement.id)
    with pytest.raises(SignertError) as early:
        order_erasure(services, agreement.id, approved_by="a111111")
    assert early.value.code == "archive_duty"

    agreement.later()
    today = norwegian_date(agreement.clock.now())
    assert list(disposable(services.ledger, 90, today - timedelta(days=1))) == []
    (listed,) = disposable(services.ledger, 90, today)
    assert (listed.agreement_id, listed.disposal, listed.since) == (agreement.id, "review", str(today))

    marker = order_erasure(services, agreement.id, approved_by="a111111", head=listed.head)
    outcome = drive(services, marker)
    assert outcome.rest is Rest.AT_REST, outcome.parked

    erasure = outcome.agreement.erasure
    assert erasure is not None
    assert erasure.done_at
    record_key = blob_key(agreement.id, erasure.record_sha256, "json")
    seal_key = blob_key(agreement.id, str(erasure.signature_sha256), "p7s")
    assert agreement.blobs() == sorted([record_key, seal_key])
    assert services.ledger.read(agreement.id)[: len(log)] == log
    body = agreement.store.get(record_key)
    record = json.loads(body)
    assert record["approved_by"] == "a111111"
    assert record["retention"]["disposal"] == "review"
    assert record["log"] == {"seq": log[-1].seq, "sha256": log[-1].sha256}
    named = [blob_key(agreement.id, b["sha256"], b["extension"]) for b in record["erased"]]
    assert sorted(named) == before
    assert verify_detached(body, agreement.store.get(seal_key), services.keys.trust).indication == (
        "TOTAL-PASSED"
    )
    (event,) = [e for e in agreement.events.events if e["type"] == "agreement.erased"]
    assert event_schema("agreement.erased").validate(dict(event)) == {}
    assert agreement.findings() == []
    assert (
        list(agreement.store.list("index/party/")) == list(agreement.store.list("index/organisation/")) == []
    )
    assert list(disposable(services.ledger, 90, today)) == []
    assert list(agreement.store.list("work/")) == []

    patch: dict[str, Any] = {"position": {"title": "Baker"}}
    with pytest.raises(CommandRejected) as refused:
        receive(
            services, "amend",
            {
                "command_id": str(uuid.uuid4()), "agreement_id": agreement.id, "change": ["position"],
                "reason": "Ny stilling.", "patch": patch,
            },
        )  # fmt: skip
    assert refused.value.code == "erased"
    assert len(agreement.blobs()) == 2


def test_a_crash_at_any_write_is_cured_by_the_sweeper(agreement: Signed) -> None:
    before = agreement.later().blobs()
    for failing in range(1, 100):
        case = agreement.copy().later()
        store = Breaking(case.store.objects, failing)
        broken = replace(case.services, store=store)
        try:
            drive(broken, order_erasure(broken, case.id, approved_by="a111111"))
            done = not store.has_failed
        except StoreError:
            done = False
        if done:
            assert failing > len(before)
            return
        case.clock.advance(timedelta(hours=1))
        list(sweep(case.services, everything=True))
        erasure = fold(case.services.ledger.read(case.id)).erasure
        if erasure is None:  # it fell before the order: nothing was erased
            assert set(before) <= set(case.blobs())
            continue
        assert erasure.done_at
        record = case.services.ledger.get_json(case.id, erasure.record_sha256)
        named = {blob_key(case.id, b["sha256"], b["extension"]) for b in record["erased"]}
        assert set(before) <= named
        assert len(case.blobs()) == 2
    raise AssertionError("never done")


def test_a_lock_on_one_blob_keeps_all_of_it(agreement: Signed) -> None:
    before = agreement.later().blobs()
    agreement.store.retained[before[3]] = agreement.clock.now() + timedelta(days=1)
    with pytest.raises(Retained, match="nothing of agreement"):
        order_erasure(agreement.services, agreement.id, approved_by="a111111")
    assert agreement.blobs() == before


def test_an_agreement_that_changed_since_the_list_is_left_alone(agreement: Signed) -> None:
    agreement.later()
    with pytest.raises(SignertError) as caught:
        order_erasure(agreement.services, agreement.id, approved_by="a111111", head="0" * 64)
    assert caught.value.code == "changed_since"


def test_what_is_left_behind_is_found(agreement: Signed) -> None:
    one = agreement.later().blobs()[0]
    body = agreement.store.get(one)
    services = agreement.services
    drive(services, order_erasure(services, agreement.id, approved_by="a111111"))
    agreement.store.put(one, body)
    assert agreement.findings() == ["blob_not_erased"]


class Breaking(MemoryStore):
    """Writes and erasures fail from the `failing`th one on, as if the process had died there."""

    def __init__(self, objects: dict[str, bytes], failing: int) -> None:
        super().__init__()
        self.objects, self._left = objects, failing
        self.has_failed = False

    def _count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.has_failed = True
            raise StoreError("the store is gone")

    def create(self, key: str, body: bytes, *, retain_until: datetime | None = None) -> None:
        self._count()
        super().create(key, body, retain_until=retain_until)

    def put(self, key: str, body: bytes) -> None:
        self._count()
        super().put(key, body)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)
