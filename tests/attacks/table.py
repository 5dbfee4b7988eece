"""Writes docs/attacks.md from the attacks and what the tests hold everybody to.

python -m tests.attacks.table [--check]
"""

# ruff: noqa: E501 - the page's text is here as it is there

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

from tests.attacks.catalogue import ATTACKS, OTHERS
from tests.attacks.model import Attack

__all__ = ["PAGE", "page"]

PAGE: Final = Path(__file__).parents[2] / "docs" / "attacks.md"

_HEAD: Final = """\
# Attacks on signed PDFs

`tests/attacks/` builds each of these attacks from documents of our own, and `make test` holds `signert verify` to
what the table says. *A naive check* takes the byte range as it stands, compares the digest and verifies the signature's
value with the certificate in it, as many tools do. `pdfsig` is poppler 22.12's; *valid in part* is its "Not total
document signed", which it says of every sound document that was signed more than once or has evidence, too.

The documents untouched are TOTAL-PASSED. {caught} of {count} attacks pass the naive check, {pdfsig} pass `pdfsig`; none is
TOTAL-PASSED here. For an agreement of our own the strongest check is its log, which knows the length and the SHA-256 of
every revision: applied to a real agreement, every attack that was not prepared before signing is caught by that alone.

| rule | where | what it asks |
|---|---|---|
| reading signatures | pyHanko, `signing/validate.py` | what cannot be read as a signature is none |
| digest | `signing/judging.py` | the bytes are those that were signed |
| trust | `signing/judging.py` | the signer leads to a trust anchor |
| structure of signatures | `signing/structure.py` | two ranges from the start to the revision's end, around this /Contents alone; one signer, nothing signed but the document; no overlap |
| difference analysis | pyHanko, `signing/changes.py`; `signing/plain.py` for a step that only signs | later revisions fill in signature fields and add evidence, no more |
| increments | `signing/increments.py` | they list all their bytes, define nothing that was pointed to before, and leave values, looks, form defaults, tags and metadata as they were |
| content that changes by itself | `signing/hidden.py` | no scripts, layers that are not always shown, or content from elsewhere |
| file structure | pyHanko, `signing/changes.py` | one chain of cross-references, none hybrid, nothing behind the end |
| reading evidence | `signing/judging.py` | the evidence is certificates, OCSP answers and CRLs |
| rendered pages | `signing/rendered.py` | all signed revisions look the same, to the pixel, but for the places of the signatures that came |

Two rules are stricter than ISO 32000-2 12.8.2.2: a form field that had a value may not get another after somebody has
signed, and a text field that is filled in afterwards makes the page look different. Layers are drawn as the document's
default has them on screen; what would be otherwise on paper is caught by the rule about content, not by the pictures.
"""

_FAMILIES: Final = {
    "USF": "Universal signature forgery",
    "CMS": "The signature's message",
    "ISA": "Incremental saving",
    "SWA": "Signature wrapping",
    "shadow": "Shadow attacks: prepared before signing",
    "certification": "Attacks on certification",
}


def page() -> str:
    """The whole page, Markdown."""
    naive = sum(OTHERS[attack.name]["naive"] == "valid" for attack in ATTACKS)
    pdfsig = sum(OTHERS[attack.name]["pdfsig"].startswith("valid") for attack in ATTACKS)
    parts = [_HEAD.format(caught=naive, count=len(ATTACKS), pdfsig=pdfsig)]
    for family, attacks in groupby(ATTACKS, key=lambda attack: attack.family):
        parts.append(f"\n## {_FAMILIES[family]}\n\n")
        parts.append("| attack | what it does | source | naive check | pdfsig | Signert | caught by |\n")
        parts.append("|---|---|---|---|---|---|---|\n")
        parts.extend(_rows(list(attacks)))
    return "".join(parts)


def _rows(attacks: list[Attack]) -> Iterator[str]:
    for attack in attacks:
        others = OTHERS[attack.name]
        code = f", `{attack.code}`" if attack.code else ""
        yield (
            f"| {attack.name} | {attack.what} | {attack.source} | {others['naive']} | {others['pdfsig']} "
            f"| {attack.indication}, {attack.sub_indication}{code} | {attack.rule} |\n"
        )


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
