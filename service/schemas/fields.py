"""Strict JSON fields: what they take, how they say no, and how they describe themselves as JSON Schema.

Loading gives JSON values back (a date stays a string), so a loaded agreement can be stored and hashed as it
is. Every message is `code: text`; the text names limits and ways out, never what was sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from marshmallow import RAISE, Schema, ValidationError, fields

from service.domain.identifiers import is_national_id, is_organisation_number

__all__ = [
    "AnyJson",
    "Choice",
    "Decimal2",
    "Flag",
    "IsoDate",
    "Items",
    "NationalIdNumber",
    "Obj",
    "OneOfNumber",
    "OneOfWhole",
    "OrganisationNumber",
    "StrictSchema",
    "StringField",
    "Uuid",
    "Whole",
    "described",
    "fault",
    "messages_by_path",
]

_DATE = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def fault(code: str, text: str) -> ValidationError:
    """An error of one field: `code` is stable, `text` names the way out."""
    return ValidationError(f"{code}: {text}")


_BASE_MESSAGES: dict[str, str | list[Any] | dict[Any, Any]] = {
    "required": "required: Send this field.",
    "null": "null_not_allowed: Leave the field out, or send a value instead of null.",
}


class StrictSchema(Schema):
    """An object that refuses fields it does not know."""

    class Meta:
        unknown = RAISE

    error_messages = {  # noqa: RUF012  (marshmallow's own declaration)
        "type": "wrong_type: Send a JSON object here.",
        "unknown": "unknown_field: There is no field of this name here. Remove it or correct its spelling.",
    }


def described(description: str, **properties: Any) -> dict[str, Any]:
    return {"description": description, **{k: v for k, v in properties.items() if v is not None}}


class _Checked(fields.Field[Any]):
    """A field that looks at nothing but its own value; `_check` gives back what is kept of it."""

    default_error_messages = _BASE_MESSAGES

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        return self._check(value)

    def _check(self, value: Any) -> Any:
        raise NotImplementedError


class StringField(_Checked, fields.String):
    """A JSON string; subclasses check its form in `_check_text` and give back what is kept."""

    def __init__(self, metadata: dict[str, Any], *, required: bool = False, nullable: bool = False) -> None:
        super().__init__(required=required, allow_none=nullable, metadata=metadata)

    def _check(self, value: Any) -> str:
        if not isinstance(value, str):
            raise fault("wrong_type", "Send text (a JSON string).")
        return self._check_text(value)

    def _check_text(self, value: str) -> str:
        raise NotImplementedError


class Choice(StringField):
    """One of the given words."""

    def __init__(
        self, choices: Sequence[str], description: str, *, required: bool = False, nullable: bool = False
    ) -> None:
        self.choices = tuple(choices)
        super().__init__(described(description, enum=list(choices)), required=required, nullable=nullable)

    def _check_text(self, value: str) -> str:
        if value not in self.choices:
            raise fault("invalid_choice", f"Send one of: {', '.join(self.choices)}.")
        return value


class IsoDate(StringField):
    """A calendar date `YYYY-MM-DD` (RFC 3339 full-date) from 2000 to 2099, kept as text."""

    def __init__(self, description: str, *, required: bool = False) -> None:
        super().__init__(
            described(description, format="date", pattern=f"^{_DATE.pattern}$"), required=required
        )

    def _check_text(self, value: str) -> str:
        if not (_DATE.fullmatch(value) and _is_calendar_date(value)):
            raise fault(
                "invalid_date", "Send a date of the calendar as YYYY-MM-DD, from 2000-01-01 to 2099-12-31."
            )
        return value


def _is_calendar_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


class Uuid(StringField):
    """A UUID in its usual form with hyphens (RFC 9562), but not nil or max; kept in lower case."""

    def __init__(self, description: str, *, required: bool = False, nullable: bool = False) -> None:
        super().__init__(
            described(description, format="uuid", pattern=f"^{_UUID.pattern}$"),
            required=required,
            nullable=nullable,
        )

    def _check_text(self, value: str) -> str:
        if not _UUID.fullmatch(value) or UUID(value).int in (0, 2**128 - 1):
            raise fault("invalid_uuid", "Send a UUID such as a library makes, 36 characters with hyphens.")
        return value.lower()


class NationalIdNumber(StringField):
    def __init__(self, *, required: bool = False) -> None:
        super().__init__(
            described(
                "National identity number, D-number or H-number (synthetic ones have month +80): "
                "eleven digits with valid check digits.",
                pattern="^[0-9]{11}$",
            ),
            required=required,
        )

    def _check_text(self, value: str) -> str:
        if not is_national_id(value):
            raise fault(
                "invalid_national_id",
                "Send the eleven digits of a national identity number or D-number, without spaces; "
                "check the date of birth and the last two digits.",
            )
        return value


class OrganisationNumber(StringField):
    def __init__(self, *, required: bool = False) -> None:
        super().__init__(
            described("Organisation number: nine digits with a valid check digit.", pattern="^[0-9]{9}$"),
            required=required,
        )

    def _check_text(self, value: str) -> str:
        if not is_organisation_number(value):
            raise fault(
                "invalid_organisation_number",
                "Send the nine digits of the organisation number, without spaces; check the last digit.",
            )
        return value


def _require_whole(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise fault("wrong_type", "Send a whole number, without quotes and decimals.")


class Whole(_Checked, fields.Integer):
    """A whole number between two bounds."""

    def __init__(self, low: int, high: int, description: str, *, required: bool = False) -> None:
        self.low, self.high = low, high
        super().__init__(required=required, metadata=described(description, minimum=low, maximum=high))

    def _check(self, value: Any) -> int:
        _require_whole(value)
        if not self.low <= value <= self.high:
            raise fault("out_of_range", f"Send a whole number from {self.low} to {self.high}.")
        return int(value)


class OneOfWhole(_Checked, fields.Integer):
    """One of a few whole numbers."""

    def __init__(self, choices: Sequence[int], description: str, *, required: bool = False) -> None:
        self.choices = tuple(choices)
        super().__init__(required=required, metadata=described(description, enum=list(choices)))

    def _check(self, value: Any) -> int:
        _require_whole(value)
        if value not in self.choices:
            raise fault("invalid_choice", f"Send one of: {', '.join(map(str, self.choices))}.")
        return int(value)


class OneOfNumber(_Checked, fields.Float):
    """One of a few numbers; a whole one is kept as an integer."""

    def __init__(self, choices: Sequence[float], description: str, *, required: bool = False) -> None:
        self.choices = tuple(choices)
        super().__init__(required=required, metadata=described(description, enum=list(choices)))

    def _check(self, value: Any) -> float:
        number = _require_number(value)
        if number not in self.choices:
            raise fault("invalid_choice", f"Send one of: {', '.join(map(str, self.choices))}.")
        return next(choice for choice in self.choices if choice == number)


def _require_number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise fault("wrong_type", "Send a number, without quotes.")
    return value


class Decimal2(_Checked, fields.Float):
    """A number above 0, or `from_zero` on, with at most two decimals; a whole one is kept as an integer."""

    def __init__(
        self, high: int, description: str, *, from_zero: bool = False, required: bool = False
    ) -> None:
        self.high, self.from_zero = high, from_zero
        low = "minimum" if from_zero else "exclusiveMinimum"
        super().__init__(
            required=required,
            metadata=described(f"{description} At most two decimals.", **{low: 0, "maximum": high}),
        )

    def _check(self, value: Any) -> float:
        value = _require_number(value)
        # NaN and Infinity, which Python's JSON reader lets through, fail both comparisons.
        if not (0 < value <= self.high or (self.from_zero and value == 0)):
            low = "from 0" if self.from_zero else "above 0"
            raise fault("out_of_range", f"Send a number {low} and up to {self.high}.")
        if not math.isclose(value, round(value, 2), rel_tol=0, abs_tol=1e-9):
            raise fault("too_precise", "Send at most two decimals.")
        number = round(value, 2)
        return int(number) if number == int(number) else number


class Flag(_Checked, fields.Boolean):
    """true or false, and nothing that looks like them."""

    def __init__(self, description: str, *, required: bool = False) -> None:
        super().__init__(required=required, metadata=described(description))

    def _check(self, value: Any) -> bool:
        if not isinstance(value, bool):
            raise fault("wrong_type", "Send true or false, without quotes.")
        return value


class AnyJson(fields.Raw):
    """Any JSON value, null too."""

    def __init__(self, description: str, *, required: bool = False) -> None:
        super().__init__(required=required, allow_none=True, metadata=described(description))


class Obj(fields.Nested):
    """An object of its own schema."""

    default_error_messages = _BASE_MESSAGES

    def __init__(
        self, schema: type[StrictSchema], description: str | None = None, *, required: bool = False
    ) -> None:
        super().__init__(
            schema, required=required, metadata={"description": description} if description else {}
        )


class Items(fields.List[Any]):
    """A list; its length is looked at before its items, so a huge one costs nothing."""

    default_error_messages = _BASE_MESSAGES

    def __init__(
        self,
        inner: type[StrictSchema] | fields.Field[Any],
        max_items: int,
        description: str,
        *,
        min_items: int = 0,
        required: bool = False,
    ) -> None:
        self.min_items, self.max_items = min_items, max_items
        super().__init__(
            inner if isinstance(inner, fields.Field) else Obj(inner),
            required=required,
            metadata=described(description, minItems=min_items or None, maxItems=max_items),
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Any]:
        if not isinstance(value, list):
            raise fault("wrong_type", "Send a list (a JSON array).")
        if len(value) > self.max_items:
            raise fault("too_many_items", f"Send at most {self.max_items} items.")
        if len(value) < self.min_items:
            raise fault("too_few_items", f"Send at least {self.min_items} items.")
        return super()._deserialize(value, attr, data, **kwargs)


def messages_by_path(messages: Mapping[Any, Any] | Sequence[Any], path: tuple[str | int, ...] = ()) -> Any:
    """Marshmallow's nested messages as pairs of path and `code: text`."""
    if isinstance(messages, Mapping):
        for key, below in messages.items():
            yield from messages_by_path(below, path if key == "_schema" else (*path, key))
    else:
        for message in messages:
            yield path, message
