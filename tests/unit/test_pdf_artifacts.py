"""What is only drawn becomes an artifact; what may be read is left alone."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.adapters.pdf.artifacts import marked

LINE = b"q 1 w 10 20 m 30 20 l S Q"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"/P<</MCID 0>>BDC BT (EMC BDC) Tj ET EMC\n" + LINE, 1),
        (LINE + b" /Artifact BMC 0 0 5 5 re f EMC " + LINE, 2),
        (b"q 0 0 595 842 re W* n\n/P <</MCID 0>> BDC BT <0B0C> Tj ET EMC Q", 0),
        (b"BT (unmarked text) Tj ET " + LINE, 0),
        (b"q 10 0 0 10 0 0 cm /Im1 Do Q 0 0 5 5 re f", 0),
        (b"", 0),
    ],
)
def test_only_unmarked_drawings_are_marked(content: bytes, wanted: int) -> None:
    after = marked(content)
    assert after.count(b"/Artifact BMC") - content.count(b"/Artifact BMC") == wanted
    assert after.replace(b"\n/Artifact BMC", b"").replace(b"\nEMC", b"").split() == content.split()
    assert marked(after) == after


_PIECES = [
    b"BDC",
    b"BMC",
    b"EMC",
    b"S",
    b"f*",
    b"re",
    b"Tj",
    b"'",
    b"BI",
    b"(",
    b")",
    b"<",
    b">",
    b"<<",
    b">>",
]
_PIECES += [
    b"[",
    b"]",
    b"/",
    b"/BDC",
    b"1",
    b"-2.5",
    b" ",
    b"\n",
    b"%",
    b"<BDC>",
    b"<0 A>",
    b"\\",
    b"{",
    b"\0",
]


@example(b"S )BDC S EMC")
@example(b"S <BDC> f <B DC>")
@example(b"S <</A<BDC>>>BDC EMC")
@example(b"S /BDC xBDC BDC{ S")
@given(st.lists(st.sampled_from(_PIECES), max_size=30).map(b"".join))
def test_marks_that_are_looked_for_are_those_that_reading_finds(content: bytes) -> None:
    """A comment at the end makes that the content is read token by token: it has no part in what is marked."""
    assert marked(content + b"\n%") == marked(content + b"\n") + b"%"
