"""The pages' words: the same keys, and the same places for values, in every language."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

import pytest

from service.domain.agreement import PartyStatus, Status
from service.domain.presentation import ROLES
from service.entrypoints.http.pages.texts import LANGUAGES, texts

FOLDER = Path(__file__).parents[2] / "service/entrypoints/http/pages"


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_places(language: str) -> None:
    bokmaal, other = texts("nb").all, texts(language).all
    assert other.keys() == bokmaal.keys()
    assert {k: places(v) for k, v in other.items()} == {k: places(v) for k, v in bokmaal.items()}
    assert all(text == text.strip() and text and "  " not in text for text in other.values())


def test_what_templates_and_views_say_is_there_and_nothing_else_is() -> None:
    sources = [p.read_text() for p in [*FOLDER.glob("*.py"), *FOLDER.glob("templates/*.html")]]
    named = {m for source in sources for m in re.findall(r'["\']([a-z_]+\.[a-z_]+)["\']', source)}
    made = {m for source in sources for m in re.findall(r'f["\']([a-z_]+)\.', source)}
    known = texts("nb").all.keys()
    sections = {key.partition(".")[0] for key in known}
    files = (".html", ".js", ".css", ".key")
    assert {n for n in named if n.partition(".")[0] in sections and not n.endswith(files)} <= known
    unused = {k for k in known if k not in named and k.partition(".")[0] not in made}
    assert unused == set()


def test_all_that_an_agreement_can_be_has_words() -> None:
    known = texts("nb").all.keys()
    for role in ROLES:
        assert {f"role.{role}", f"role_you.{role}", f"role_the.{role}"} <= known
    for status in (Status.DECLINED, Status.CANCELLED, Status.EXPIRED, Status.REJECTED):
        assert {f"status.{status}", f"status.{status}_text", f"versions.{status}"} <= known
    assert len(PartyStatus) == 8  # a new one needs words in `views._party_state`


@pytest.mark.parametrize(
    ("language", "moment", "size"),
    [
        ("nb", "5.\xa0januar 2037 kl.\xa013.04", "2,5\xa0MB"),
        ("nn", "5.\xa0januar 2037 kl.\xa013.04", "2,5\xa0MB"),
        ("en", "5\xa0January 2037 at 13:04", "2.5\xa0MB"),
    ],
)
def test_times_and_sizes_are_written_as_the_language_has_them(language: str, moment: str, size: str) -> None:
    t = texts(language)
    assert t.moment(datetime(2037, 1, 5, 12, 4, tzinfo=UTC)) == moment
    assert t.size(2_500_000) == size
    assert t.size(10) == "1\xa0kB"
