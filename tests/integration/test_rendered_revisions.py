"""Pages of signed revisions drawn by the real pdftoppm and compared."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name

from service.adapters.pdf import rasterize
from service.bootstrap import compare_pages
from service.errors import RenderFailed
from signing import compare_rendered, validate
from tests.attacks import tools
from tests.signing_documents import Signers

pytestmark = pytest.mark.pki


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_signature_is_where_it_shows_on_a_turned_page(
    rotation: int, fielded: bytes, signers: Signers
) -> None:
    def turn(writer: tools.PlainWriter) -> None:
        for number in range(2):
            node = tools.page(writer, number)
            node[pdf_name("/Rotate")] = generic.NumberObject(rotation)
            node[pdf_name("/MediaBox")] = tools.numbers(-30, -50, 582, 742)
            writer.update_container(node)

    turned = signers.sign(signers.sign(tools.add(fielded, turn), "seal"), "participant")
    report = validate(turned, signers.trust)
    compared = compare_rendered(turned, report, rasterize)
    assert compared.pages == "same"
    assert compared.modifications == ()
    # The same on a page that lies otherwise than the report's revisions: there is something to see.
    straight = signers.sign(signers.sign(fielded, "seal"), "participant")
    (one, two), (other, another) = list(rasterize(turned, 72)), list(rasterize(straight, 72))
    assert (one[:2] == other[:2]) is (rotation == 180)
    assert two[2] != another[2]


def test_each_signed_revision_is_drawn_once(final: bytes, signers: Signers) -> None:
    drawn: list[int] = []

    def counting(pdf: bytes, dots_per_inch: int) -> Sequence[tuple[int, int, bytes]]:
        drawn.append(len(pdf))
        return list(rasterize(pdf, dots_per_inch))

    report = validate(final, signers.trust)
    compared = compare_rendered(final, report, lambda pdf, dots: iter(counting(pdf, dots)))
    assert compared.pages == "same"
    assert drawn == [revision.length for revision in report.revisions[-5:]]
    assert drawn[-1] == len(final)


def test_more_pages_than_one_cares_to_draw_are_not_compared(final: bytes, signers: Signers) -> None:
    report = validate(final, signers.trust)
    assert compare_rendered(final, report, rasterize, most_pages=9).pages == "not-compared"


def test_without_pdftoppm_the_report_says_that_nothing_was_compared(
    final: bytes, signers: Signers, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = validate(final, signers.trust)
    monkeypatch.setenv("PATH", "")
    compared = compare_pages(final, report)
    assert (compared.indication, compared.pages) == ("TOTAL-PASSED", "not-compared")
    assert compared.as_json()["pages"] == "not-compared"


@pytest.mark.parametrize("content", [b"", b"hello", b"%PDF-1.7\n%%EOF\n"])
def test_what_cannot_be_drawn_is_said_to_be_so(content: bytes) -> None:
    with pytest.raises(RenderFailed):
        list(rasterize(content, 72))
