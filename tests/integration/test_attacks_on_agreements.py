"""The strongest check there is: an agreement's log knows the length and the hash of every revision."""

from __future__ import annotations

import pytest

from service.domain.agreement import Version
from service.domain.folding import fold
from service.pipeline.archive import check_against_log, validate_version
from service.pipeline.drive import Rest, drive
from signing import ValidationReport
from tests.agreements import Running, submit
from tests.attacks.catalogue import ATTACKS
from tests.attacks.model import Attack, Ground
from tests.fakes import EventList, MemoryStore

pytestmark = [pytest.mark.office, pytest.mark.pki]

Signed = tuple[Version, bytes, ValidationReport]


@pytest.fixture(scope="module")
def signed(running: Running) -> Signed:
    """A signed agreement's version, document and sound report."""
    services = running.on(MemoryStore(), EventList())
    outcome = drive(services, submit(services))
    assert outcome.rest is Rest.AT_REST
    version = fold(services.ledger.read(outcome.agreement.id)).current
    document = services.ledger.get_blob(outcome.agreement.id, version.document.sha256, "pdf")
    report = validate_version(version, document, services.keys.trust)
    assert check_against_log(version, document, report) == []
    return version, document, report


def _never(*_: object) -> bytes:
    raise AssertionError("an attack that was prepared before signing is none on an agreement of ours")


def _ground(version: Version, document: bytes) -> Ground:
    unsigned = document[: version.revisions[0].size]
    return Ground(document=document, sealed=document, unsigned=unsigned, seal=_never, sign=_never)


@pytest.mark.parametrize(
    "attack", [attack for attack in ATTACKS if not attack.prepared], ids=lambda attack: attack.name
)
def test_the_log_alone_catches_an_attack(attack: Attack, signed: Signed) -> None:
    """With the sound document's report, so that the bytes are all there is to object to."""
    version, document, report = signed
    changed = attack.build(_ground(version, document))
    assert changed != document
    assert check_against_log(version, changed, report) != []


def test_an_earlier_revision_is_caught_by_the_log_alone(signed: Signed) -> None:
    """Signatures cut off at the end leave a document that is sound: nobody else can know that there were more."""
    version, document, report = signed
    assert len(version.revisions) > 4
    for revision in version.revisions[:-1]:
        assert check_against_log(version, document[: revision.size], report) != []
