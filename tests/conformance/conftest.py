from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.verapdf import fetch


@pytest.fixture(scope="session", autouse=True)
def verapdf_jar() -> Path:
    """veraPDF, fetched once. Fails, and does not skip, when it cannot be had: no verdict is no pass."""
    try:
        return fetch()
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
