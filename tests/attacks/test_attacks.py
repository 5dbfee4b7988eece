"""Every attack is caught, by the rule that is meant to; the documents that are attacked pass."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyhanko.sign.diff_analysis import DiffResult

from service.bootstrap import compare_pages
from signing import validate
from signing.changes import _compare
from signing.pdf import open_reader
from signing.plain import field_signed_in
from tests.attacks.catalogue import ATTACKS, OTHERS
from tests.attacks.ground import make_ground
from tests.attacks.model import Attack, Ground
from tests.attacks.naive import naive, pdfsig
from tests.attacks.table import PAGE, page
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki


@pytest.fixture(scope="module")
def ground(fielded: bytes, final: bytes, signers: Signers) -> Ground:
    return make_ground(fielded, final, signers)


def test_what_is_attacked_passes(ground: Ground, signers: Signers, tmp_path: Path) -> None:
    for document in (ground.document, ground.sealed, ground.seal(ground.unsigned, 3)):
        report = compare_pages(document, validate(document, signers.trust))
        assert (report.indication, report.pages) == ("TOTAL-PASSED", "same")
        assert report.modifications == ()
        assert naive(document) == "valid"
        assert pdfsig(document, tmp_path).startswith("valid")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack: Attack, ground: Ground, signers: Signers, tmp_path: Path) -> None:
    document = attack.build(ground)
    report = validate(document, signers.trust)
    if attack.rendered:
        # Nothing else objects: were the pictures left out, this would pass.
        assert report.passed
        report = compare_pages(document, report)
        assert report.pages == "different"
    assert (report.indication, report.sub_indication) == (attack.indication, attack.sub_indication)
    if attack.code is not None:
        assert attack.code in {item.code for item in report.modifications if not item.permitted}
    assert {"naive": naive(document), "pdfsig": pdfsig(document, tmp_path)} == OTHERS[attack.name]


def test_no_step_is_plain_that_the_difference_analysis_refuses(ground: Ground) -> None:
    plain = 0
    for attack in ATTACKS:
        try:
            reader = open_reader(attack.build(ground))
            *_, old, new = map(reader.get_historical_resolver, range(reader.xrefs.total_revisions))
            field = field_signed_in(old, new)
        # A damaged revision can give nearly any error, and is then not plain.
        except Exception:  # noqa: BLE001
            continue
        if field is not None:
            plain += 1
            assert isinstance(_compare([], old, new), DiffResult), attack.name
    assert plain >= 3


def test_the_page_of_attacks_is_as_the_attacks() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.attacks.table"
