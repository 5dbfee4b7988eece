"""The rules behind `signert templates check`: contrast, headings, and how a run of text comes to look as it does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from service.adapters import docx
from service.adapters.docx.package import read_parts, write_parts
from service.adapters.templates import Catalogue
from service.adapters.templates.checks.accessibility import check_headings
from service.adapters.templates.checks.appearance import check_contrast, check_fonts, contrast
from service.domain.presentation import DERIVED, context
from service.domain.wage_subsidy import WAGE_SUBSIDIES
from service.domain.word_content import Look, Paragraph

ROOT = Path(__file__).parents[2]


# --- contrast ---


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("000000", "FFFFFF", 21.0),
        ("FFFFFF", "000000", 21.0),
        ("123456", "123456", 1.0),
        # Computed by hand from the definition in WCAG 2.1.
        ("777777", "FFFFFF", 4.48),
        ("767676", "FFFFFF", 4.54),
        ("FF0000", "FFFFFF", 4.0),
        ("0000FF", "FFFF00", 8.0),
    ],
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005)


def look(
    colour: str | None = "777777", *, points: float = 11, bold: bool = False, on: str = "FFFFFF"
) -> Look:
    return Look(
        "word/document.xml: x", "x", frozenset({"Arial"}), points, bold, colour, frozenset({on}), "style A"
    )


@pytest.mark.parametrize(
    ("text", "is_enough"),
    [
        (look("777777"), False),
        (look("767676"), True),
        (look("777777", points=17.5), False),
        (look("777777", points=18), True),
        (look("777777", points=14), False),
        (look("777777", points=14, bold=True), True),
        (look("777777", points=13.5, bold=True), False),
        (look("999999", points=18), False),
        (look(None, on="777777"), True),
        (look("FFFFFF", on="000000"), True),
    ],
)
def test_large_and_bold_text_may_be_paler(text: Look, is_enough: bool) -> None:
    assert [f.code for f in check_contrast("nb.docx", [text])] == ([] if is_enough else ["contrast"])


def test_a_contrast_that_is_just_too_low_is_not_told_as_enough() -> None:
    (finding,) = check_contrast("nb.docx", [look("777777")])
    assert "4.4:1, where 4.5:1" in finding.message
    assert "#777777 (style A) on #FFFFFF" in finding.message


def test_one_pair_of_colours_is_told_once() -> None:
    assert len(list(check_contrast("nb.docx", [look(), look(), look("888888")]))) == 2


def test_a_font_of_the_same_measures_may_stand_in() -> None:
    stand_ins = {
        "Arial": "Liberation Sans",
        "Calibri": "Carlito",
        "Aptos": "DejaVu Sans",
        "Wingdings": "OpenSymbol",
    }
    several = [Look("x: y", "y", frozenset({font}), 11, False, None, frozenset(), "") for font in stand_ins]
    (finding,) = check_fonts("nb.docx", several, stand_ins.__getitem__)
    assert "Aptos is not installed; DejaVu Sans" in finding.message


# --- headings ---


@pytest.mark.parametrize(
    ("levels", "codes"),
    [
        ([1, 2, 3, 2, 3, 1, 2], []),
        ([1, 2, 3, 4, 1], []),
        ([1, 3], ["heading_jump"]),
        ([2, 3], ["heading_jump"]),
        ([1, 2, 4, 2, 4], ["heading_jump", "heading_jump"]),
        ([], ["no_heading"]),
    ],
)
def test_headings_go_down_one_level_at_a_time(levels: list[int], codes: list[str]) -> None:
    paragraphs = [Paragraph("word/document.xml", "brødtekst", 0)]
    paragraphs += [Paragraph("word/document.xml", f"Overskrift {n}", n) for n in levels]
    assert [f.code for f in check_headings("nb.docx", paragraphs)] == codes


# --- how text comes to look ---

PLAIN = docx.compose("# Tittel\n| A | B\n| C | D\n| E | F\n", title="Tittel", language="nb")


def changed(old: str, new: str, part: str = "word/document.xml") -> bytes:
    parts = read_parts(PLAIN)
    text, count = re.subn(old, new, parts[part].decode(), count=1, flags=re.DOTALL)
    assert count
    return write_parts({**parts, part: text.encode()})


def looks_of(file: bytes) -> dict[str, Look]:
    return {found.text: found for found in docx.looks(file)}


def test_a_run_takes_what_it_does_not_say_from_style_and_defaults() -> None:
    found = looks_of(PLAIN)
    assert (found["Tittel"].colour, found["Tittel"].points, found["Tittel"].is_bold) == ("16324F", 22.0, True)
    assert found["Tittel"].fonts == {"Calibri"}
    assert (found["C"].colour, found["C"].source, found["C"].is_bold) == (
        "1A1F24",
        "the document's defaults",
        False,
    )
    assert (found["A"].backgrounds, found["C"].backgrounds) == ({"E9EFF5"}, {"FFFFFF"})


def test_what_a_run_says_itself_goes_before_its_styles() -> None:
    own = '<w:rPr><w:b w:val="0"/><w:color w:val="ff0000"/><w:sz w:val="60"/></w:rPr>'
    found = looks_of(changed("<w:r>(<w:t [^>]*>Tittel)", rf"<w:r>{own}\1"))["Tittel"]
    assert (found.colour, found.points, found.is_bold, found.source) == (
        "FF0000",
        30.0,
        False,
        "the text itself",
    )


def test_auto_is_no_colour() -> None:
    file = changed("<w:r>(<w:t [^>]*>Tittel)", r'<w:r><w:rPr><w:color w:val="auto"/></w:rPr>\1')
    assert looks_of(file)["Tittel"].colour is None


@pytest.mark.parametrize(
    ("old", "new", "background"),
    [
        ("(<w:tcPr>)(.*?>C<)", r'\1<w:shd w:val="clear" w:fill="ABCDEF"/>\2', None),
        ("(<w:r>)(<w:t [^>]*>C<)", r'\1<w:rPr><w:highlight w:val="darkBlue"/></w:rPr>\2', "000080"),
        ("(<w:r>)(<w:t [^>]*>C<)", r'\1<w:rPr><w:shd w:val="solid" w:color="00FF00"/></w:rPr>\2', "00FF00"),
        ("(<w:r>)(<w:t [^>]*>C<)", r'\1<w:rPr><w:shd w:val="pct50" w:fill="FFFFFF"/></w:rPr>\2', "808080"),
        ('(<w:pStyle w:val="TableText"/>)', r'\1<w:shd w:val="clear" w:fill="112233"/>', "112233"),
    ],
)
def test_the_nearest_shade_is_behind_the_text(old: str, new: str, background: str | None) -> None:
    found = looks_of(changed(old, new))
    if background:
        assert found["C"].backgrounds == {background}
    else:  # the first cell of the table: its own shade goes before its style's
        assert (found["A"].backgrounds, found["B"].backgrounds) == ({"ABCDEF"}, {"E9EFF5"})


def test_banded_rows_may_be_of_either_shade() -> None:
    bands = "".join(
        f'<w:tblStylePr w:type="band{n}Horz"><w:tcPr><w:shd w:val="clear" w:fill="{fill}"/></w:tcPr></w:tblStylePr>'
        for n, fill in ((1, "EEEEEE"), (2, "DDDDDD"))
    )
    file = changed("(</w:tblPr>)(<w:tblStylePr)", rf"\1{bands}\2", "word/styles.xml")
    assert looks_of(file)["C"].backgrounds == {"FFFFFF"}  # this table has no bands
    parts = read_parts(file)
    body = parts["word/document.xml"].replace(b'w:noHBand="1"', b'w:noHBand="0"')
    found = looks_of(write_parts({**parts, "word/document.xml": body}))
    assert (found["A"].backgrounds, found["C"].backgrounds) == ({"E9EFF5"}, {"EEEEEE", "DDDDDD"})


# --- names ---


def test_a_loop_s_names_are_those_of_its_items() -> None:
    text = (
        "{% for meeting in follow_up.meetings %}{{ loop.index }} {{ meeting.date }}"
        "{% if unit %}{{ unit.name }}{% endif %}{% endfor %}{{ 'ja' if family_relation.related else number }}"
    )
    found = {(v.path, v.is_printed) for v in docx.variables(docx.compose(text, title="x", language="nb"))}
    assert found == {
        ("follow_up.meetings", False),
        ("follow_up.meetings.*.date", True),
        ("unit", False),
        ("unit.name", True),
        ("family_relation.related", False),
        ("number", True),
    }


@pytest.mark.parametrize("derived", [path for path in DERIVED if not path.startswith("wage_subsidy.")])
def test_what_is_derived_follows_what_it_is_derived_from(derived: str) -> None:
    person = {"first_name": "A", "last_name": "B"}
    data = {
        "parties": {
            role: dict(person) for role in ("participant", "guardian", "employer", "mentor", "organiser")
        }
        | {role: {**person, "unit": {"number": "0219", "name": "N"}} for role in ("adviser", "decider")},
        "family_relation": {"related": False},
        "exceptions": {"backdated": {"reason": "R"}},
    }

    def shown() -> object:
        node: object = context("agreement", data, labels={}, language="nb")
        for step in derived.split("."):
            assert isinstance(node, dict)
            node = node[step]
        return node

    for source in DERIVED[derived]:
        before = shown()
        *way, last = source.split(".")
        node: dict[str, object] = data
        for step in way:
            inner = node[step]
            assert isinstance(inner, dict)
            node = inner
        node[last] = not node[last] if isinstance(node[last], bool) else f"{node[last]}!"
        assert shown() != before


@pytest.mark.parametrize("measure", sorted(WAGE_SUBSIDIES))
def test_the_wage_subsidy_is_that_of_the_measure(measure: str) -> None:
    data = json.loads((ROOT / f"examples/{measure}.json").read_text())
    labels = Catalogue(ROOT / "templates").get("tilretteleggingsavtale", "1.1.0", "nb").labels
    shown = context("agreement", data, labels=labels, language="nb")
    for name in data[measure]:
        assert shown["wage_subsidy"][name] == shown[measure][name] != ""
        assert f"{measure}.{name}" in DERIVED[f"wage_subsidy.{name}"]
