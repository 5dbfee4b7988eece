"""Where agreements are found by what people know of them (`domain.places`). A hint: the logs are the truth.

`index` brings it in step with a log, at the end of every drive and before the run's work marker is ended, so that a
crash repairs itself. The new places come first, then the old ones go, then the card is written: a crash between any
two leaves a card that still differs, and all is done again. Whoever finds, after that, that the log has gone on does
it once more; so of two workers the one that saw the newer log has the last word.

What is lost is made anew from the logs: see `reindex`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from service.domain.agreement import Agreement, Version
from service.domain.folding import advance
from service.domain.log import canonical
from service.domain.places import Card, card_key
from service.domain.ports import ObjectStore
from service.domain.pseudonyms import Pseudonyms
from service.domain.summary import Summary
from service.errors import NotFound
from service.pipeline.chain import read_entries_after
from service.pipeline.ledger import blob_key
from service.pipeline.together import mark, together

__all__ = ["card_of", "index", "read_card"]

_WITH_ORGANISATION: Final = ("employer", "organiser")
_WITH_NATIONAL_ID: Final = ("participant", "mentor", "guardian")

GetBlob = Callable[[str, str, str], bytes]
"""A blob of an agreement, by its SHA-256 and extension."""


def index(
    store: ObjectStore,
    pseudonyms: Pseudonyms | None,
    agreement: Agreement,
    *,
    anew: bool = False,
    get_blob: GetBlob | None = None,
) -> None:
    """Bring the index in step with the agreement. One read when it is; else a write for each fact that changed.

    With `anew`, all is read from the data again, and every place is written whether it was there or not. `get_blob`
    is the ledger's, where a run remembers the data. Raises `StoreError`.
    """
    while _enter(store, pseudonyms, agreement, anew=anew, get_blob=get_blob):
        later = read_entries_after(store, agreement.head)
        if not later:
            return
        for entry in later:
            agreement = advance(agreement, entry)


def _enter(
    store: ObjectStore,
    pseudonyms: Pseudonyms | None,
    agreement: Agreement,
    *,
    anew: bool,
    get_blob: GetBlob | None,
) -> bool:
    """Enter what `agreement` says, unless a newer state is entered; whether anything was written."""
    before = read_card(store, agreement.id)
    if before and before.seq > agreement.head.seq:
        return False
    card = card_of(store, pseudonyms, agreement, None if anew else before, get_blob=get_blob)
    if card == before and not anew:
        return False
    old = before.keys if before else frozenset()
    together(partial(mark, store, key) for key in sorted(card.keys if anew else card.keys - old))
    together(partial(store.delete, key) for key in sorted(old - card.keys))
    store.put(card_key(agreement.id), canonical(card.as_json()))
    return True


def read_card(store: ObjectStore, agreement_id: str) -> Card | None:
    """What the index knows of the agreement; None when it knows nothing, or nothing that can be read."""
    try:
        return Card.from_json(json.loads(store.get(card_key(agreement_id))))
    except (NotFound, ValueError, KeyError, TypeError):
        return None


def card_of(
    store: ObjectStore,
    pseudonyms: Pseudonyms | None,
    agreement: Agreement,
    before: Card | None = None,
    *,
    get_blob: GetBlob | None = None,
) -> Card:
    """What the index is to know of this state. What `before` knows is not read again.

    Without `pseudonyms`, people are only known as `before` knows them.
    """
    version = agreement.in_force or agreement.current
    if agreement.erasure:
        before = pseudonyms = None  # who it was about goes with the content
    organisations: set[str] = set(before.organisations) if before else set()
    parties: set[str] = set(before.parties) if before else set()
    employer = before.summary.organisation if before else None
    key_id = before.key_id if before else None
    read = before.read if before else 0
    if pseudonyms and key_id != pseudonyms.key_id:
        parties, read, key_id = set(), 0, pseudonyms.key_id
    for each in () if agreement.erasure else agreement.versions[read:]:
        people = _parties(get_blob or _of(store), agreement.id, each)
        numbers = {
            role: people[role]["organisation"]["number"] for role in _WITH_ORGANISATION if role in people
        }
        organisations.update(numbers.values())
        employer = numbers.get("employer")
        if pseudonyms is None:
            key_id = None  # who has the key reads all of them again
            continue
        told = (people[role].get("national_id") for role in _WITH_NATIONAL_ID if role in people)
        parties.update(pseudonyms.of(number) for number in told if number)
    current = agreement.current
    return Card(
        seq=agreement.head.seq,
        status_seq=agreement.status_seq,
        summary=Summary(
            agreement_id=agreement.id,
            case_system=agreement.case_system,
            reference=agreement.case_reference,
            organisation=employer,
            template=current.template,
            template_version=current.template_version,
            status=current.status,
            versions=len(agreement.versions),
            opened_at=agreement.versions[0].opened_at,
            changed_at=agreement.head.at,
            in_force=agreement.in_force.number if agreement.in_force else None,
            signed_at=agreement.in_force.signed_at if agreement.in_force else None,
            ends=version.follow_up.ends or None,
            declares_for=agreement.declares_for.agreement_id if agreement.declares_for else None,
        ),
        organisations=frozenset(organisations),
        parties=frozenset(parties),
        read=len(agreement.versions),
        key_id=key_id,
    )


def _of(store: ObjectStore) -> GetBlob:
    return lambda agreement_id, sha256, extension: store.get(blob_key(agreement_id, sha256, extension))


def _parties(get_blob: GetBlob, agreement_id: str, version: Version) -> Mapping[str, Any]:
    """The version's parties by role; none where its data were erased."""
    try:
        data = json.loads(get_blob(agreement_id, version.input_sha256, "json"))
    except NotFound:
        return {}
    parties: Mapping[str, Any] = data["parties"]
    return parties
