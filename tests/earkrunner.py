"""Runs the E-ARK validator on packages, without a network, in the validator's own environment: a line of JSON for each.

The validator fetches four vocabularies of the DILCIS Board when it is imported. It carries the same files among its
resources and does not use them: here they are served in place of the addresses.
"""

from __future__ import annotations

import io
import json
import sys
import urllib.request
from importlib import util
from pathlib import Path

found = util.find_spec("eark_validator")
assert found
assert found.origin
VOCABULARIES = Path(found.origin).parent / "ipxml/resources/vocabs"
ADDRESS = "https://earkcsip.dilcis.eu/schema/"


def local(address: str) -> io.BytesIO:
    assert address.startswith(ADDRESS), address
    return io.BytesIO((VOCABULARIES / address.removeprefix(ADDRESS)).read_bytes())


urllib.request.urlopen = local  # type: ignore[assignment]

from eark_validator.packages import PackageValidator  # noqa: E402 (it must find the vocabularies)

for path in sys.argv[1:]:
    report = PackageValidator(Path(path)).validation_report
    sys.stdout.write(json.dumps(report.model_dump(mode="json")) + "\n")
