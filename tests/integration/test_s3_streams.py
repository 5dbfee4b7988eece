"""Documents that are read from S3 in pieces, while the connection to it fails."""

from __future__ import annotations

import gc
import os
import uuid
from collections.abc import Iterator

import pytest

from service.adapters.s3 import S3Store, connection
from service.errors import NotFound, StoreError
from tests.faultproxy import Fault, FaultProxy
from tests.s3server import S3Server

BODY = os.urandom(3 * 1024**2 + 11)


@pytest.fixture
def proxy(s3_credentials: S3Server) -> Iterator[FaultProxy]:
    with FaultProxy(s3_credentials.endpoint, delay=0.2) as proxy:
        yield proxy


@pytest.fixture
def store(proxy: FaultProxy, s3_credentials: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Store:
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.0)
    prefix = f"streams/{uuid.uuid4()}"
    S3Store(s3_credentials.PLAIN, prefix, endpoint=s3_credentials.endpoint).create("large", BODY)
    return S3Store(s3_credentials.PLAIN, prefix, endpoint=proxy.url, read_timeout=10)


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.ANSWER_503, Fault.CUT_ANSWER, Fault.EMPTY, Fault.DRIP])
@pytest.mark.parametrize(("start", "length"), [(0, None), (100, 2 * 1024**2)])
def test_a_stream_is_taken_up_where_it_broke(
    store: S3Store, proxy: FaultProxy, fault: Fault, start: int, length: int | None
) -> None:
    proxy.next(fault, method="GET")
    read = b"".join(store.stream("large", start=start, length=length))
    assert read == BODY[start:][:length]


def test_a_stream_that_breaks_again_and_again_is_given_up(store: S3Store, proxy: FaultProxy) -> None:
    proxy.chooser = lambda request: Fault.CUT_ANSWER if request.method == "GET" else None
    with pytest.raises(StoreError):
        list(store.stream("large"))


def test_an_object_that_becomes_another_is_not_mixed(
    store: S3Store, proxy: FaultProxy, s3_credentials: S3Server
) -> None:
    """What is taken up is what was begun."""
    proxy.next(Fault.CUT_ANSWER, method="GET")
    stream = store.stream("large")
    store.put("large", BODY[::-1])
    with pytest.raises(StoreError):
        list(stream)
    gc.collect()  # an answer that nobody closed would warn of it


def test_a_refusal_that_breaks_off_is_asked_for_again(store: S3Store, proxy: FaultProxy) -> None:
    """Half of a 404: an answer to nothing, and no fault of urllib3's that goes through the store."""
    proxy.next(Fault.CUT_ANSWER, method="GET")
    with pytest.raises(NotFound):
        store.get("missing")
    proxy.chooser = lambda request: Fault.CUT_ANSWER
    with pytest.raises(StoreError) as caught:
        store.get("missing")
    assert caught.value.retryable and not isinstance(caught.value, NotFound)
