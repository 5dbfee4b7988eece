"""Text in JSON: which characters it may hold, and what is normalised."""

from __future__ import annotations

import re
import unicodedata

from marshmallow import ValidationError

from service.schemas.fields import StringField, described, fault

__all__ = ["LINE_PATTERN", "PROSE_PATTERN", "Email", "Phone", "Text"]

# Characters no text may hold. XML 1.0 (2.2) has no place for controls, lone surrogates, U+FFFE and U+FFFF,
# and what writes a Word file drops them in silence. The others are invisible or change the direction of
# reading (soft hyphen, zero-width and bidirectional controls, separators) or have no agreed look (private
# use), so a party could sign something other than what is seen.
_FORBIDDEN_BMP = (
    r"\u0000-\u0008\u000B-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F"
    r"\uD800-\uDFFF\uE000-\uF8FF\uFDD0-\uFDEF\uFEFF\uFFF9-\uFFFB\uFFFE\uFFFF"
)
_FORBIDDEN_ANYWHERE = re.compile(
    f"[{_FORBIDDEN_BMP}"
    # Tags, private-use planes, and the two noncharacters that end each plane.
    r"\U000E0000-\U000E007F\U000F0000-\U0010FFFF"
    + "".join(rf"\U{plane:04X}FFFE\U{plane:04X}FFFF" for plane in range(1, 15))
    + "]"
)
_LINE_CHARACTERS = re.compile(r"[\t\n]")
_SURROUNDING = " \t\r\n\u00a0"
_MOST_NORMALISED = 10
"""A text this many times over its limit is refused as it is: trimming and composing megabytes takes seconds."""

LINE_PATTERN = rf"^[^{_FORBIDDEN_BMP}\t\n]*$"
PROSE_PATTERN = f"^[^{_FORBIDDEN_BMP}]*$"
"""The same for JSON Schema (ECMA-262 with the flag u), as far as the basic plane goes."""

# Neither white space nor what has a meaning in an address (RFC 5322 3.2.3, except the full stop).
_ATOM = r"\s@<>()\[\],;:\\" + '"'
_EMAIL = rf"[^{_ATOM}]{{1,64}}@(?:[^{_ATOM}.]{{1,63}}\.)+[^{_ATOM}.0-9]{{2,63}}"


class Text(StringField):
    """Text of 1 to `max_length` characters, as it is printed.

    Three things are normalised: white space around the text goes, CRLF and CR become LF, and the characters
    are composed (Unicode NFC), so that the same word is the same bytes whoever typed it. Line breaks and tabs
    are for `multiline` texts only. `pattern` is anchored by this class.
    """

    def __init__(
        self,
        max_length: int,
        description: str,
        *,
        required: bool = False,
        multiline: bool = False,
        pattern: str | None = None,
        form: str = "",
        code: str = "invalid_format",
        json_format: str | None = None,
    ) -> None:
        self.max_length = max_length
        self.multiline = multiline
        self.pattern = re.compile(pattern) if pattern else None
        self.form = form
        self.code = code
        shown = f"^(?:{pattern})$" if pattern else PROSE_PATTERN if multiline else LINE_PATTERN
        super().__init__(
            described(description, minLength=1, maxLength=max_length, pattern=shown, format=json_format),
            required=required,
        )

    def _check_text(self, value: str) -> str:
        if len(value) > self.max_length * _MOST_NORMALISED:
            raise self._too_long()
        text = value.replace("\r\n", "\n").replace("\r", "\n").strip(_SURROUNDING)
        if _FORBIDDEN_ANYWHERE.search(text):
            raise fault(
                "illegal_character",
                "Remove control characters, invisible characters and broken Unicode from the text.",
            )
        if not self.multiline and _LINE_CHARACTERS.search(text):
            raise fault("illegal_character", "This text is one line: remove line breaks and tabs.")
        text = unicodedata.normalize("NFC", text)
        if not text.strip():
            raise fault("blank", "Send text that is more than white space, or leave the field out.")
        if len(text) > self.max_length:
            raise self._too_long()
        if self.pattern and not self.pattern.fullmatch(text):
            raise fault(self.code, self.form)
        return text

    def _too_long(self) -> ValidationError:
        return fault("too_long", f"Shorten the text to {self.max_length} characters at most.")


class Phone(Text):
    def __init__(self, *, required: bool = False) -> None:
        super().__init__(
            24,
            "Telephone number, with country code outside Norway; spaces are free.",
            required=required,
            pattern=r"\+?[0-9](?: ?[0-9]){4,14}",
            form="Send 5 to 15 digits, with + and the country code first if needed, e.g. +47 400 00 000.",
            code="invalid_phone",
        )


class Email(Text):
    """An address of the usual form (lengths of RFC 5321), without quoted parts and literals."""

    def __init__(self, *, required: bool = False) -> None:
        super().__init__(
            254,
            "E-mail address.",
            required=required,
            pattern=_EMAIL,
            form="Send an address such as name@example.no.",
            code="invalid_email",
        )
