from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from service.bootstrap import event_file, open_services
from service.config import load_settings
from service.entrypoints.cli.shared import OneProcess
from service.pipeline.services import Services
from tests.conformance.maven import fetch


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A verdict that was skipped is none."""
    report = yield
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, and no verdict is no pass: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def judges() -> None:
    """veraPDF and EU DSS, fetched once. Fails, and does not skip, when they cannot be had: no verdict is no pass."""
    try:
        for name in ("verapdf", "dss"):
            fetch(name)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """LibreOffice and the development PKI."""
    settings = load_settings({"SIGNERT_HOME": str(tmp_path_factory.mktemp("home"))})
    with open_services(settings, publisher=event_file(settings), hand_over=OneProcess()) as services:
        yield services
