"""A step that only signs is known from what it touches, and nothing else is taken for one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.generic import pdf_name
from pyhanko.pdf_utils.reader import PdfFileReader

from signing.changes import _compare
from signing.increments import Survey
from signing.pdf import open_reader
from signing.plain import field_signed_in
from tests.attacks import tools
from tests.attacks.tools import PlainWriter, add, array, dictionary, name

pytestmark = [pytest.mark.pki, pytest.mark.thorough]

Edit = Callable[[PlainWriter], None]


def _sign(writer: PlainWriter, field: str = "participant") -> generic.DictionaryObject:
    """The field gets a value, as when it is signed; whether that verifies is for others to say."""
    node, reference = tools.field(writer, field)
    node[pdf_name("/V")] = writer.add_object(dictionary(Type=name("Sig"), Contents=generic.pdf_string("x")))
    writer.mark_update(reference.reference)
    found: generic.DictionaryObject = node
    return found


def _look(writer: PlainWriter) -> None:
    _sign(writer)[pdf_name("/AP")] = dictionary(N=tools.form(writer, b"", 10, 10))


def _evidence(writer: PlainWriter) -> None:
    _sign(writer)
    certificates = array(writer.add_object(tools.stream(b"certificate")))
    writer.root[pdf_name("/DSS")] = writer.add_object(dictionary(Certs=certificates))
    writer.update_root()


def _step(document: bytes, edit: Edit) -> tuple[PdfFileReader, generic.Reference | None]:
    reader = open_reader(add(document, edit))
    last = reader.xrefs.total_revisions - 1
    old, new = reader.get_historical_resolver(last - 1), reader.get_historical_resolver(last)
    return reader, field_signed_in(old, new)


@pytest.mark.parametrize("edit", [_sign, _look, _evidence])
def test_signing_is_plain(final: bytes, fielded: bytes, edit: Edit) -> None:
    reader, field = _step(fielded, edit)
    last = reader.xrefs.total_revisions - 1
    old, new = reader.get_historical_resolver(last - 1), reader.get_historical_resolver(last)
    assert field is not None
    assert new(field)["/T"] == "participant"
    assert Survey(reader, last - 1).is_used_once(field, old)
    assert not isinstance(_compare([], old, new), Exception)


def _value(value: Callable[[PlainWriter], generic.PdfObject]) -> Edit:
    def edit(writer: PlainWriter) -> None:
        _sign(writer)[pdf_name("/V")] = value(writer)

    return edit


def _appearance(value: Callable[[PlainWriter], generic.PdfObject]) -> Edit:
    def edit(writer: PlainWriter) -> None:
        _sign(writer)[pdf_name("/AP")] = value(writer)

    return edit


def _also(change: Callable[[PlainWriter], None]) -> Edit:
    def edit(writer: PlainWriter) -> None:
        _sign(writer)
        change(writer)

    return edit


def _entry(key: str, value: generic.PdfObject) -> Edit:
    def edit(writer: PlainWriter) -> None:
        _sign(writer)[pdf_name(key)] = value

    return edit


def _of_the_catalogue(key: str, value: Callable[[PlainWriter], generic.PdfObject]) -> Edit:
    def change(writer: PlainWriter) -> None:
        writer.root[pdf_name(key)] = value(writer)
        writer.update_root()

    return _also(change)


def _of_the_page(writer: PlainWriter) -> None:
    reference, _ = writer.find_page_for_modification(0)
    reference.get_object()[pdf_name("/Rotate")] = generic.NumberObject(90)
    writer.mark_update(reference.reference if hasattr(reference, "reference") else reference)


def _page_stream(writer: PlainWriter) -> generic.PdfObject:
    found: generic.PdfObject = tools.page(writer, 0).raw_get("/Contents")
    return found


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(_value(lambda _: dictionary(Type=name("Sig"))), id="value in the field itself"),
        pytest.param(_value(_page_stream), id="value that was there before"),
        pytest.param(_value(lambda _: generic.NullObject()), id="no value"),
        pytest.param(_appearance(lambda w: dictionary(N=_page_stream(w))), id="look that was there before"),
        pytest.param(
            _appearance(lambda w: dictionary(N=tools.form(w, b"", 1, 1), D=tools.form(w, b"", 1, 1))),
            id="two looks",
        ),
        pytest.param(
            _appearance(lambda w: dictionary(N=dictionary(On=tools.form(w, b"", 1, 1)))), id="look with states"
        ),
        pytest.param(_appearance(lambda w: w.add_object(dictionary())), id="look elsewhere"),
        pytest.param(_entry("/Rect", tools.numbers(0, 0, 600, 800)), id="moved"),
        pytest.param(_entry("/F", generic.NumberObject(2)), id="hidden"),
        pytest.param(_entry("/Kids", array()), id="with kids"),
        pytest.param(_also(_of_the_page), id="page turned"),
        pytest.param(_also(tools.cover), id="page drawn over"),
        pytest.param(lambda w: (_sign(w, "adviser"), _sign(w), None)[-1], id="two fields"),
        pytest.param(_of_the_catalogue("/OpenAction", lambda _: dictionary(S=name("Print"))), id="action"),
        pytest.param(_of_the_catalogue("/DSS", lambda _: dictionary()), id="store in the catalogue"),
        pytest.param(
            _of_the_catalogue("/DSS", lambda w: w.add_object(dictionary(VRI=dictionary()))), id="store by signature"
        ),
        pytest.param(
            _of_the_catalogue("/DSS", lambda w: w.add_object(dictionary(Certs=array(_page_stream(w))))),
            id="store of what was there",
        ),
        pytest.param(lambda writer: None, id="nothing"),
    ],
)  # fmt: skip
def test_anything_else_is_not(fielded: bytes, edit: Edit) -> None:
    _, field = _step(fielded, edit)
    assert field is None


def test_a_field_that_is_signed_is_not_signed_again(fielded: bytes) -> None:
    _, field = _step(add(fielded, _sign), _sign)
    assert field is None


def test_a_field_on_two_pages_is_not_used_once(fielded: bytes) -> None:
    """Its look would come out on a page where nobody sees a field."""

    def twice(writer: PlainWriter) -> None:
        _, reference = tools.field(writer, "participant")
        other = writer.root["/Pages"]["/Kids"].raw_get(0)
        page = writer.add_object(generic.DictionaryObject(dict(other.get_object())))
        page.get_object()[pdf_name("/Annots")] = array(reference)
        writer.root["/Pages"]["/Kids"].append(page)
        writer.update_container(writer.root["/Pages"])

    reader, field = _step(add(fielded, twice), _look)
    assert field is not None
    last = reader.xrefs.total_revisions - 1
    assert not Survey(reader, last - 1).is_used_once(field, reader.get_historical_resolver(last - 1))
