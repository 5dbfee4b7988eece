"""Settings: validated at once, and production refuses what development makes up."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.config import load_settings
from service.domain.agreement import Capability
from service.errors import ConfigurationError

PRODUCTION = {
    "SIGNERT_ENV": "production",
    "SIGNERT_BROKER": "amqp://broker",
    "SIGNERT_SEAL": "pkcs12:/seal.p12",
    "SIGNERT_TSA": "https://tsa.invalid/",
    "SIGNERT_TRUST": "/trust.pem",
}


def test_defaults_are_the_embedded_development_set_up() -> None:
    settings = load_settings({})
    assert settings.development_pki
    assert settings.broker == "embedded"
    assert settings.store == Path.cwd() / "var/store"
    assert settings.capabilities == set(Capability)


def test_lists_paths_and_credentials() -> None:
    settings = load_settings(
        {
            **PRODUCTION,
            "SIGNERT_TSA": "https://one.invalid/, http://127.0.0.1:8080/tsa",
            "SIGNERT_STORE": "file:///srv/a%20store",
            "SIGNERT_CAPABILITIES": "sign",
            "SIGNERT_CREDENTIAL_ADVISER": "pkcs12:/adviser.p12",
        }
    )
    assert settings.tsa == ("https://one.invalid/", "http://127.0.0.1:8080/tsa")
    assert settings.store == Path("/srv/a store")
    assert settings.capabilities == {Capability.SIGN}
    assert settings.credentials == {"seal": "pkcs12:/seal.p12", "adviser": "pkcs12:/adviser.p12"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SIGNERT_STROE": "file:///x"}, "SIGNERT_STROE"),
        ({"SIGNERT_ENV": "prod"}, "SIGNERT_ENV"),
        ({"SIGNERT_STORE": "http://x"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "file://host/x"}, "SIGNERT_STORE"),
        ({"SIGNERT_CONCURRENCY": "none"}, "SIGNERT_CONCURRENCY"),
        ({"SIGNERT_CAPABILITIES": "sign,fly"}, "SIGNERT_CAPABILITIES"),
        ({"SIGNERT_CAPABILITIES": ""}, "SIGNERT_CAPABILITIES"),
        ({"SIGNERT_TSA": "ftp://x"}, "SIGNERT_TSA"),
        ({"SIGNERT_SEAL": "pkcs12:/seal.p12"}, "SIGNERT_TSA"),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        load_settings(environ)


@pytest.mark.parametrize("missing", ["SIGNERT_BROKER", "SIGNERT_SEAL", "SIGNERT_TSA", "SIGNERT_TRUST"])
def test_production_refuses_every_development_default(missing: str) -> None:
    load_settings(PRODUCTION)
    with pytest.raises(ConfigurationError, match=missing):
        load_settings({k: v for k, v in PRODUCTION.items() if k != missing})
