"""The pages' words, in bokmål, nynorsk and English: one file a language, the same keys in each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Final

from service.domain.periods import OSLO, norwegian_date
from service.domain.presentation import long_date

__all__ = ["LANGUAGES", "Texts", "texts"]

LANGUAGES: Final = ("nb", "nn", "en")
_FOLDER: Final = Path(__file__).parent / "texts"
_NBSP: Final = "\N{NO-BREAK SPACE}"


class Texts:
    """One language. Called with a key and what goes into the text: `t("next.deadline", date=…)`."""

    def __init__(self, language: str, table: Mapping[str, Mapping[str, str]]) -> None:
        self.language = language
        self.all: Mapping[str, str] = {
            f"{section}.{key}": text for section, texts in table.items() for key, text in texts.items()
        }

    def __call__(self, key: str, **values: object) -> str:
        text = self.all[key]
        return text.format_map(values) if values else text

    def date(self, day: str) -> str:
        """`YYYY-MM-DD` in words."""
        return long_date(day, self.language)

    def day(self, instant: str) -> str:
        """The day in Norway of an instant in ISO 8601, in words."""
        return self.date(norwegian_date(datetime.fromisoformat(instant)).isoformat())

    def moment(self, instant: datetime) -> str:
        """Day and time of day in Norway, in words."""
        local = instant.astimezone(OSLO)
        text = self(
            "time.moment", date=self.date(local.date().isoformat()), hour=f"{local:%H}", minute=f"{local:%M}"
        )
        return text.replace("kl. ", f"kl.{_NBSP}")

    def series(self, items: Sequence[str]) -> str:
        """«Kari, Ola og Nav»."""
        *most, last = items
        return f"{', '.join(most)} {self('site.and')} {last}" if most else last

    def size(self, count: int) -> str:
        """Bytes as people read them."""
        kilobytes = max(1, round(count / 1000))
        if kilobytes < 1000:
            return f"{kilobytes}{_NBSP}kB"
        megabytes = f"{kilobytes / 1000:.1f}".removesuffix(".0")
        return f"{megabytes if self.language == 'en' else megabytes.replace('.', ',')}{_NBSP}MB"


@cache
def texts(language: str) -> Texts:
    return Texts(language, tomllib.loads((_FOLDER / f"{language}.toml").read_text(encoding="utf-8")))
