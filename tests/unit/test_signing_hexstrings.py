"""The quick reader of hexadecimal strings gives what pyHanko's own gives, and refuses what it refuses."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyhanko.pdf_utils.misc import PdfReadError, PdfStreamError

from signing import hexstrings

_PIECES = st.sampled_from(
    [b"<", b">", b"0", b"a", b"F", b"00", b"9F", b" ", b"\n", b"\x00", b"%x\n", b"g", b"/", b"4142" * 100]
)


def _outcome(reader: object, data: bytes) -> object:
    stream = BytesIO(data)
    try:
        value = reader(stream)  # type: ignore[operator]
    except (PdfStreamError, PdfReadError) as error:
        return type(error)
    return value, type(value), stream.tell()


@given(st.lists(_PIECES, max_size=12).map(b"".join))
def test_same_as_pyhanko(body: bytes) -> None:
    data = b"<" + body
    assert _outcome(hexstrings._read, data) == _outcome(hexstrings._original, data)


@pytest.mark.parametrize("digits", [b"", b"00", b"DEADBEEF", b"41" * 40_000])
def test_plain_digits(digits: bytes) -> None:
    assert _outcome(hexstrings._read, b"<" + digits + b"> tail") == _outcome(
        hexstrings._original, b"<" + digits + b"> tail"
    )
