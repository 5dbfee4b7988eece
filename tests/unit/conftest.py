"""The HTTP service with a provider of tokens, one for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.oidcprovider import Provider, serve_provider
from tests.webservice import WebService, web_service


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with serve_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[WebService]:
    with web_service(tmp_path_factory.mktemp("web"), provider=provider) as web:
        yield web
