"""Renewal of a really signed agreement: asked for, in a race, when it cannot be done, and of logs that know of none."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from service.domain.agreement import Agreement, Status
from service.domain.folding import fold
from service.domain.log import Draft, gathered_key, timestamp
from service.errors import NotFound
from service.pipeline.drive import Rest, drive
from service.pipeline.fsck import StoreCheck
from service.pipeline.intake import receive
from service.pipeline.ledger import blob_key
from service.pipeline.renew import ask_renewal
from service.pipeline.renewal_chain import renewal_faults
from service.pipeline.renewals import agreement_ids, look_at, renew
from service.pipeline.services import Services
from service.pipeline.sweep import sweep
from service.schemas import event_schema
from signing import TimestampClient
from tests.agreements import Running, assert_signed, submit, waiting
from tests.fakes import EventList, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]

RENEWED = "agreement.timestamp-renewed"


@pytest.fixture(scope="module")
def signed(running: Running) -> MemoryStore:
    """A store with one signed agreement; for reading only."""
    store = MemoryStore()
    services = running.on(store, EventList())
    assert drive(services, submit(services)).rest is Rest.AT_REST
    return store


@pytest.fixture
def events() -> EventList:
    return EventList()


@pytest.fixture
def services(running: Running, signed: MemoryStore, events: EventList) -> Iterator[Services]:
    store = MemoryStore()
    store.objects = dict(signed.objects)
    yield running.on(store, events)


def only_id(services: Services) -> str:
    (found,) = agreement_ids(services.store)
    return found


def state(services: Services) -> Agreement:
    return fold(services.ledger.read(only_id(services)))


def faults(services: Services) -> list[str]:
    agreement, keys = state(services), services.keys
    version = agreement.versions[0]
    document = services.ledger.get_blob(agreement.id, version.document.sha256, "pdf")
    found = renewal_faults(services.ledger, agreement, version, document, keys.trust, at=services.clock.now())
    return list(found)


def test_asked_for_a_signed_agreement_is_renewed_and_everything_still_fits(
    services: Services, events: EventList
) -> None:
    before = state(services).current
    (dry,) = look_at(services, agreement_ids(services.store), anew=True)
    assert not dry.is_due
    for number in (1, 2):
        (done,) = renew(services, [only_id(services)], asked=True)
        assert (done.code, [v.renewed for v in done.versions]) == (None, [True])
        assert len(state(services).current.renewals) == number
    after = state(services).current
    document = services.ledger.get_blob(only_id(services), after.document.sha256, "pdf")
    old = services.ledger.get_blob(only_id(services), before.document.sha256, "pdf")
    assert document.startswith(old)
    assert len(document) > len(old)
    told = [e for e in events.events if e["type"] == RENEWED]
    assert [event_schema(RENEWED).validate(dict(e)) for e in told] == [{}, {}]
    data: Any = told[-1]["data"]
    for name in ("document", "receipt_pdf", "renewal_receipt", "renewal_receipt_signature"):
        assert services.store.exists(data[name]["storage_key"])
    assert faults(services) == []
    assert list(StoreCheck(services.store, trust=services.keys.trust, settle=0).run()) == []
    assert_signed(services, only_id(services))
    assert [k for k in services.store.list("due/") if k.endswith("-renew")]


def test_what_is_archived_by_a_renewal_is_retained(running: Running, services: Services) -> None:
    locked = replace(services, retention=timedelta(days=3650))
    seen: dict[str, bool] = {}
    store: Any = locked.store
    create = store.create

    def remember(key: str, body: bytes, *, retain_until: Any = None) -> None:
        seen[key] = retain_until is not None
        create(key, body, retain_until=retain_until)

    store.create = remember
    list(renew(locked, [only_id(services)], asked=True))
    blobs = {key: kept for key, kept in seen.items() if "/blobs/" in key}
    assert len(blobs) == 5  # two PDFs, the report, the receipt and its seal
    assert all(blobs.values())


def test_of_two_workers_one_renews(services: Services) -> None:
    agreement_id = only_id(services)
    agreement = state(services)
    (asked,) = ask_renewal(services, agreement)
    services.ledger.append(agreement_id, agreement.head, asked, version=1)
    markers = [services.workbook.begin(agreement_id, str(uuid.uuid4()), since=10**9) for _ in range(2)]
    threads = [threading.Thread(target=drive, args=(services, marker)) for marker in markers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(state(services).current.renewals) == 1
    assert list(services.store.list("work/")) == []
    assert faults(services) == []


def test_when_nothing_lasts_longer_today_a_renewal_is_put_off(services: Services) -> None:
    agreement = state(services)
    schedule = agreement.current.schedule
    assert schedule
    due = replace(schedule, renew_by=timestamp(services.clock.now()))
    draft = Draft("renewal-scheduled", {"renewal": due.as_data()})
    services.ledger.append(agreement.id, agreement.head, draft, version=1)
    assert drive(services, services.workbook.begin(agreement.id, "again", since=10**9)).rest is Rest.AT_REST
    later = state(services).current
    assert later.renewals == ()
    assert later.schedule
    assert (later.schedule.ends, later.schedule.reason) == (schedule.ends, schedule.reason)
    assert timestamp(services.clock.now() + timedelta(days=365)) < later.schedule.renew_by < schedule.ends


def test_what_does_not_verify_is_not_renewed_and_holds_up_no_amendment(
    services: Services, events: EventList
) -> None:
    agreement_id = only_id(services)
    version = state(services).current
    key = blob_key(agreement_id, str(version.receipt_signature_sha256), "p7s")
    whole = services.store.get(key)
    services.store.delete(key)
    broken = list(renew(services, [agreement_id], asked=True))
    assert [found.code for found in broken] == ["not_found"]

    # As when its time comes: the file is missing then.
    services.store.create(key, whole)
    store: Any = services.store
    list(renew(replace(services, open_keys=no_authority(services)), [agreement_id], asked=True))
    assert waiting(services, agreement_id).step == "renew:1"
    assert waiting(services, agreement_id).code == "timestamp_unavailable"
    store.delete(key)
    payload = {
        "command_id": str(uuid.uuid4()),
        "agreement_id": agreement_id,
        "change": ["position"],
        "reason": "Ny stilling.",
        "patch": {"position": {"title": "Baker"}},
    }
    outcome = drive(services, receive(services, "amend", payload))
    assert outcome.rest is Rest.AT_REST
    assert [v.status for v in outcome.agreement.versions] == [Status.SIGNED, Status.SIGNED]
    assert RENEWED not in events.types
    assert waiting(services, agreement_id).step == "renew:1"

    (swept,) = sweep(services, everything=True)
    assert swept.outcome
    assert swept.outcome.parked
    assert (swept.outcome.parked.code, swept.outcome.parked.attempts) == ("not_found", 2)
    store.create(key, whole)
    (swept,) = sweep(services, everything=True)
    assert swept.outcome
    assert swept.outcome.rest is Rest.AT_REST
    assert [len(v.renewals) for v in swept.outcome.agreement.versions] == [1, 0]
    assert faults(services) == []


def no_authority(services: Services) -> Any:
    unreachable = TimestampClient(("http://127.0.0.1:9/",), trust=None)
    return lambda: replace(services.keys, timestamps=unreachable)


def test_an_altered_renewal_receipt_is_told(services: Services) -> None:
    list(renew(services, [only_id(services)], asked=True))
    agreement_id = only_id(services)
    renewal = state(services).current.renewals[0]
    key = blob_key(agreement_id, renewal.receipt_sha256, "json")
    other = services.store.get(key).replace(b'"reason":"asked"', b'"reason":"as_ed"')
    forged = fold_with(services, renewal_receipt_sha256=put(services, other, "json"))
    (fault,) = faults(forged)
    assert fault == "the seal of the receipt of renewal 1 is TOTAL-FAILED HASH_FAILURE"
    codes = {f.code for f in StoreCheck(forged.store, trust=services.keys.trust, settle=0).run()}
    assert "receipt_not_verified" in codes


def put(services: Services, body: bytes, extension: str) -> str:
    return services.ledger.put_blob(only_id(services), body, extension)


def fold_with(services: Services, **changes: Any) -> Services:
    """The newest entry's data changed, as one who may write everywhere would do."""
    agreement_id = only_id(services)
    last = services.ledger.read(agreement_id)[-1]
    services.store.delete(last.key)
    entry = replace(last, data={**last.data, **changes}, occurrences=())
    services.store.create(entry.key, entry.body)
    return services


def test_a_log_of_a_release_without_renewals_gets_a_date_from_the_documents(services: Services) -> None:
    agreement_id = only_id(services)
    known = state(services).current.schedule
    last = services.ledger.read(agreement_id)[-1]
    assert last.type == "signed"
    data = {name: value for name, value in last.data.items() if name != "renewal"}
    services.store.delete(last.key)
    services.store.create(last.key, replace(last, data=data).body)
    services.store.delete(gathered_key(agreement_id))  # such a release did not gather
    assert state(services).current.schedule is None
    assert [f.code for f in StoreCheck(services.store, settle=0).run()] == []
    (looked,) = renew(services, [agreement_id])
    assert looked.code is None
    assert state(services).current.schedule == known
    assert services.ledger.read(agreement_id)[-1].type == "renewal-scheduled"
    (again,) = renew(services, [agreement_id])
    assert again.versions == looked.versions


def test_an_unknown_agreement_does_not_stop_the_others(services: Services) -> None:
    other = str(uuid.uuid4())
    found = list(renew(services, [other, only_id(services)]))
    assert [f.code for f in found] == [NotFound.code, None]
