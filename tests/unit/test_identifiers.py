"""National identity numbers and organisation numbers. All identity numbers here are synthetic or made up."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.identifiers import is_national_id, is_organisation_number, parse_national_id

TODAY = date(2026, 11, 21)
OFFSETS = [(0, 0), (40, 0), (0, 40), (0, 80), (40, 40), (40, 80)]


def with_check_digits(nine: str, remainder: int = 0) -> str | None:
    """The nine digits with both check digits as Skatteetaten describes them; None when there are none."""
    total = sum(int(d) * w for d, w in zip(nine, (3, 7, 6, 1, 8, 9, 4, 5, 2), strict=True))
    k1 = (11 + remainder - total % 11) % 11
    if k1 == 10:
        return None
    ten = f"{nine}{k1}"
    k2 = -sum(int(d) * w for d, w in zip(ten, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
    return None if k2 == 10 else f"{ten}{k2}"


@st.composite
def numbers(draw, remainders=(0, 1, 2, 3), offsets=OFFSETS):
    """Valid numbers of every kind, and the day of birth that they hold."""
    born = draw(st.dates(date(1900, 3, 1), date(2026, 1, 1)))
    day, month = draw(st.sampled_from(offsets))
    individual = draw(st.integers(0, 999))
    nine = f"{born.day + day:02}{born.month + month:02}{born.year % 100:02}{individual:03}"
    made = [n for r in remainders if (n := with_check_digits(nine, r))]
    if not made:
        return draw(numbers(remainders, offsets))
    return draw(st.sampled_from(made)), born


@given(numbers())
def test_a_number_of_any_kind_is_valid_and_holds_its_day_and_month(made):
    number, born = made
    found = parse_national_id(number)
    assert (found.day, found.month, found.year) == (born.day, born.month, born.year % 100)


@given(numbers(), st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_is_refused(made, place, change):
    number, _ = made
    wrong = f"{number[:place]}{(int(number[place]) + change) % 10}{number[place + 1 :]}"
    assert not is_national_id(wrong)


@given(numbers(), st.integers(0, 9))
def test_two_neighbours_swapped_are_refused(made, place):
    number, _ = made
    a, b = number[place : place + 2]
    if a != b:
        assert not is_national_id(f"{number[:place]}{b}{a}{number[place + 2 :]}")


@given(st.text(max_size=14) | st.from_regex(r"\A\d{11}\Z"))
def test_any_other_text_is_no_number_or_is_eleven_ascii_digits(text):
    assert not is_national_id(text) or (text.isascii() and text.isdigit() and len(text) == 11)


@given(numbers())
def test_nothing_that_is_said_of_a_number_holds_it(made):
    number, _ = made
    assert number not in repr(parse_national_id(number))
    with pytest.raises(ValueError, match=r"^[a-z ]+$"):
        parse_national_id(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(
    ("nine", "d_number", "h_number", "synthetic"),
    [
        ("178494310", False, False, True),
        ("570494310", True, False, False),
        ("174494310", False, True, False),
        ("574494310", True, True, False),
        ("578494310", True, False, True),
    ],
)
def test_kinds(nine, d_number, h_number, synthetic):
    number = next(n for r in range(4) if (n := with_check_digits(nine, r)))
    found = parse_national_id(number)
    assert (found.d_number, found.h_number, found.synthetic) == (d_number, h_number, synthetic)


@pytest.mark.parametrize(
    "number",
    ["", "1784943102", "178494310211", "178494 31021", "17849431021\n", "1784943102x", "١٧٨٤٩٤٣١٠٢١"],
)
def test_other_forms_are_refused(number):
    assert not is_national_id(number)


@pytest.mark.parametrize(
    "nine",
    ["308294310", "318494310", "008494310", "179394310", "298293310", "728494310", "178094310", "176094310"],
)
def test_days_that_never_were_are_refused(nine):
    made = [n for r in range(4) if (n := with_check_digits(nine, r))]
    assert made
    assert not any(is_national_id(n) for n in made)


@pytest.mark.parametrize(
    ("year", "individual", "century"),
    [
        ("94", "310", 1900),
        ("05", "499", 1900),
        ("05", "500", 2000),
        ("39", "999", 2000),
        ("40", "900", 1900),
        ("40", "899", None),
        ("54", "500", 1800),
        ("54", "749", 1800),
        ("54", "750", None),
        ("99", "950", 1900),
    ],
)
def test_century_by_the_individual_digits(year, individual, century):
    # Another day of the month is tried where this one has no number with these individual digits.
    made = (with_check_digits(f"{day:02}84{year}{individual}") for day in range(1, 31))
    assert parse_national_id(next(n for n in made if n)).century == century


def test_the_series_of_2032_does_not_tell_the_century():
    made = [n for r in (1, 2, 3) if (n := with_check_digits("178405310", r))]
    assert made
    for number in made:
        births = parse_national_id(number).possible_birth_dates(TODAY)
        assert births == (date(1905, 4, 17), date(2005, 4, 17))


def test_from_2032_on_no_number_tells_the_century():
    found = parse_national_id("21860164520")
    assert found.possible_birth_dates(date(2031, 12, 31)) == (date(2001, 6, 21),)
    assert found.possible_birth_dates(date(2032, 1, 1)) == (date(1901, 6, 21), date(2001, 6, 21))


def test_nobody_is_born_tomorrow():
    made = (with_check_digits(f"{day:02}9226{ind}", 0) for day in (22, 23) for ind in (500, 501, 502))
    number = next(n for n in made if n)
    assert parse_national_id(number).possible_birth_dates(date(2026, 12, 21)) == ()


def test_the_leap_day_of_2000():
    numbers_ = [n for ind in range(500, 520) if (n := with_check_digits(f"298200{ind}"))]
    assert parse_national_id(numbers_[0]).possible_birth_dates(TODAY) == (date(2000, 2, 29),)


def organisation_check_digit(eight: str) -> str | None:
    k = -sum(int(d) * w for d, w in zip(eight, (3, 2, 7, 6, 5, 4, 3, 2), strict=True)) % 11
    return None if k == 10 else str(k)


@given(st.from_regex(r"\A[0-9]{8}\Z"), st.integers(0, 8), st.integers(1, 9))
def test_organisation_number_and_one_wrong_digit(eight, place, change):
    check = organisation_check_digit(eight)
    if check is None:
        assert not any(is_organisation_number(f"{eight}{d}") for d in range(10))
        return
    number = eight + check
    assert is_organisation_number(number)
    wrong = f"{number[:place]}{(int(number[place]) + change) % 10}{number[place + 1 :]}"
    assert not is_organisation_number(wrong)


@pytest.mark.parametrize(
    "number", ["", "31230002", "3123000280", "312 300 028", "NO312300028", "312300028\n"]
)
def test_other_forms_of_organisation_numbers_are_refused(number):
    assert not is_organisation_number(number)
