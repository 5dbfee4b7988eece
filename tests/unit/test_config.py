"""Settings: validated at once, and production refuses what development makes up."""

from __future__ import annotations

import os
import re
import ssl
from datetime import timedelta
from pathlib import Path

import pytest

from docs import settings as page
from service.bootstrap import open_pseudonyms, open_trust, session_keys
from service.config import PREFIX, SECTIONS, S3Location, load_settings
from service.domain.steps import Capability
from service.errors import ConfigurationError
from signing import TrustStore
from tests.certificates import write_certificates

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
    assert settings.broker is None  # the embedded one
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


def test_each_way_of_signing_may_have_its_own_anchors(tmp_path: Path) -> None:
    write_certificates(tmp_path)
    settings = load_settings(
        {
            **PRODUCTION,
            "SIGNERT_TRUST": str(tmp_path / "ca.pem"),
            "SIGNERT_TRUST_OUTSIDE": f"{tmp_path / 'other-ca.pem'}, {tmp_path / 'server.pem'}",
            "SIGNERT_TRUST_TIMESTAMPS": str(tmp_path / "client.pem"),
        }
    )
    trust = open_trust(settings)
    ca, other, server, client = (
        TrustStore.from_pem(tmp_path / f"{name}.pem").anchors
        for name in ("ca", "other-ca", "server", "client")
    )
    assert trust.anchors == (*ca, *other, *server)  # of signers: timestamps are another matter
    for name in ("seal", "pkcs12", "pkcs11", "csc"):
        assert trust.of(name).anchors == ca
    assert trust.of("outside").anchors == (*other, *server)
    assert trust.timestamps.anchors == trust.of("outside").timestamps.anchors == client
    common = open_trust(load_settings({**PRODUCTION, "SIGNERT_TRUST": str(tmp_path / "ca.pem")}))
    assert common.timestamps.anchors == common.of("outside").anchors == common.anchors == ca
    with pytest.raises(ConfigurationError, match="SIGNERT_TRUST_HSM"):
        load_settings({**PRODUCTION, "SIGNERT_TRUST_HSM": "/x.pem"})


def test_a_bucket_is_a_store() -> None:
    assert load_settings({"SIGNERT_STORE": "s3://agreements"}).store == S3Location(
        "agreements", "", None, None, None
    )
    assert load_settings(
        {
            "SIGNERT_STORE": "s3://agreements/production/nav",
            "SIGNERT_S3_ENDPOINT": "https://s3.invalid:8333",
            "SIGNERT_S3_REGION": "eu-north-1",
            "SIGNERT_S3_LOCK": "compliance",
        }
    ).store == S3Location(
        "agreements", "production/nav", "https://s3.invalid:8333", "eu-north-1", "COMPLIANCE"
    )


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"SIGNERT_STROE": "file:///x"}, "SIGNERT_STROE"),
        ({"SIGNERT_ENV": "prod"}, "SIGNERT_ENV"),
        ({"SIGNERT_STORE": "http://x"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "file://host/x"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://UPPER/x"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://key:secret@bucket"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://bucket/../x"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://bucket/x/../y"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://bucket/x?y=z"}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "s3://bucket/" + "x" * 256}, "SIGNERT_STORE"),
        ({"SIGNERT_STORE": "file:///x", "SIGNERT_S3_LOCK": "governance"}, "SIGNERT_S3_LOCK"),
        ({"SIGNERT_STORE": "s3://bucket", "SIGNERT_S3_ENDPOINT": "ftp://x"}, "SIGNERT_S3_ENDPOINT"),
        ({"SIGNERT_STORE": "s3://bucket", "SIGNERT_S3_ENDPOINT": "http://k:s@x"}, "SIGNERT_S3_ENDPOINT"),
        ({"SIGNERT_S3_LOCK": "forever"}, "SIGNERT_S3_LOCK"),
        ({"SIGNERT_CONCURRENCY": "none"}, "SIGNERT_CONCURRENCY"),
        ({"SIGNERT_CAPABILITIES": "sign,fly"}, "SIGNERT_CAPABILITIES"),
        ({"SIGNERT_TSA": "ftp://x"}, "SIGNERT_TSA"),
        ({"SIGNERT_TSA_POLICY": "best"}, "SIGNERT_TSA_POLICY"),
        ({"SIGNERT_TSA_POLICY": "1.02"}, "SIGNERT_TSA_POLICY"),
        ({"SIGNERT_REVOCATION_GRACE": "-1"}, "SIGNERT_REVOCATION_GRACE"),
        ({"SIGNERT_REVOCATION_GRACE": "a day"}, "SIGNERT_REVOCATION_GRACE"),
        ({"SIGNERT_REVOCATION_MAX_AGE": "10"}, "SIGNERT_REVOCATION_MAX_AGE"),
        ({"SIGNERT_SEAL": "pkcs12:/seal.p12"}, "SIGNERT_TSA"),
        ({"SIGNERT_CAPABILITIES": ""}, "SIGNERT_CAPABILITIES: .*none"),
        ({"SIGNERT_CAPABILITIES": "none,sign"}, "SIGNERT_CAPABILITIES: .*none"),
        ({"SIGNERT_CAPABILITIES": "print"}, "SIGNERT_CAPABILITIES"),
        ({"SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE": "/p"}, "SIGNERT_HTTP_RATE_STORE_PASSWORD_FILE"),
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


@pytest.mark.parametrize("capabilities", ["none", "render", "deliver", "render,deliver"])
def test_who_does_not_sign_needs_not_know_of_keys(capabilities: str) -> None:
    without = {k: v for k, v in PRODUCTION.items() if k not in {"SIGNERT_SEAL", "SIGNERT_TSA"}}
    settings = load_settings({**without, "SIGNERT_CAPABILITIES": capabilities})
    assert settings.credentials == {}
    assert settings.capabilities == {Capability(c) for c in capabilities.split(",") if c != "none"}
    load_settings({"SIGNERT_CAPABILITIES": capabilities, "SIGNERT_TRUST": "/trust.pem"})
    with pytest.raises(ConfigurationError, match="SIGNERT_SEAL, SIGNERT_TSA"):
        load_settings({**without, "SIGNERT_CAPABILITIES": "sign,render"})


def test_the_broker_over_tls_checks_the_certificate_and_its_name(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("h/emm@elig\n")
    broker = load_settings(
        {
            "SIGNERT_BROKER": "amqps://signert@one:5671/v;amqps://signert@two:5671/v",
            "SIGNERT_BROKER_PASSWORD_FILE": str(password),
            "SIGNERT_BROKER_CA": "/ca.pem",
            "SIGNERT_ABANDONED_AFTER": "60",
        }
    ).broker
    assert broker is not None
    assert broker.url == "amqps://signert:h%2Femm%40elig@one:5671/v;amqps://signert:h%2Femm%40elig@two:5671/v"
    assert "emm" not in repr(broker) + broker.shown
    assert broker.ssl
    assert (broker.ssl["cert_reqs"], broker.ssl["ca_certs"]) == (ssl.CERT_REQUIRED, "/ca.pem")
    assert "server_hostname" in broker.ssl  # or no name would be checked
    valkey = load_settings({"SIGNERT_BROKER": "rediss://broker"}).broker
    assert valkey is not None
    assert valkey.ssl
    assert (valkey.ssl["ssl_cert_reqs"], valkey.ssl["ssl_check_hostname"]) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"SIGNERT_BROKER": "http://broker"}, "SIGNERT_BROKER"),
        ({"SIGNERT_BROKER_CA": "/ca.pem"}, "SIGNERT_BROKER_CA"),
        ({"SIGNERT_BROKER": "amqp://broker", "SIGNERT_BROKER_CA": "/ca.pem"}, "needs amqps://"),
        (
            {"SIGNERT_BROKER": "amqps://u@broker", "SIGNERT_BROKER_PASSWORD_FILE": "/nowhere"},
            "SIGNERT_BROKER_PASSWORD_FILE",
        ),
        (
            {"SIGNERT_BROKER": "amqps://u:p@broker", "SIGNERT_BROKER_PASSWORD_FILE": os.devnull},
            "SIGNERT_BROKER_PASSWORD_FILE",
        ),
        (
            {**PRODUCTION, "SIGNERT_STORE": "s3://bucket", "SIGNERT_S3_ENDPOINT": "http://s3.invalid"},
            "SIGNERT_S3_ENDPOINT",
        ),
    ],
)
def test_brokers_and_stores_that_cannot_be(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(told)):
        load_settings(given)


def test_timestamps_and_evidence_have_their_policy() -> None:
    default = load_settings({})
    assert (default.tsa_policy, default.revocation_grace, default.revocation_max_age) == (
        None,
        timedelta(),
        None,
    )
    asked = load_settings(
        {
            "SIGNERT_TSA_POLICY": "0.4.0.2023.1.1",
            "SIGNERT_REVOCATION_GRACE": "86400",
            "SIGNERT_REVOCATION_MAX_AGE": "172800",
        }
    )
    assert (asked.tsa_policy, asked.revocation_grace, asked.revocation_max_age) == (
        "0.4.0.2023.1.1", timedelta(days=1), timedelta(days=2),
    )  # fmt: skip


# --- what operators are told ---


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("SIGNERT_STROE", "SIGNERT_STORE"),
        ("SIGNERT_BROKER_PASSWD_FILE", "SIGNERT_BROKER_PASSWORD_FILE"),
        ("SIGNERT_CREDENTIAL_ADVISOR", "SIGNERT_CREDENTIAL_ADVISER"),
        ("SIGNERT_TSAS", "SIGNERT_TSA"),
        ("SIGNERT_MANAGMENT_PORT", "SIGNERT_MANAGEMENT_PORT"),
    ],
)
def test_a_misspelt_setting_is_told_with_the_one_that_is_meant(given: str, meant: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"{given}: there is no such setting; is {meant} meant"
    ) as told:
        load_settings({given: "hemmelig"})
    assert "hemmelig" not in told.value.message
    assert "configuration.md" in told.value.remedy


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match=r"SIGNERT_XYZZY: there is no such setting$"):
        load_settings({"SIGNERT_XYZZY": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SIGNERT_BROKER", "amqps://signert:hemmelig@broker:5671/v"),
        ("SIGNERT_BROKER", "amqps://signert@one;amqps://signert:hemmelig@two"),
        ("SIGNERT_BROKER", "rediss://:hemmelig@broker"),
        ("SIGNERT_HTTP_RATE_STORE", "rediss://:hemmelig@counter"),
    ],
)
def test_production_takes_secrets_from_files_only(name: str, value: str) -> None:
    load_settings({name: value})
    with pytest.raises(ConfigurationError, match=f"{name}: no password here.*{name}_PASSWORD_FILE") as told:
        load_settings({**PRODUCTION, name: value})
    assert "hemmelig" not in told.value.message


def test_every_example_of_the_page_is_one(tmp_path: Path) -> None:
    """All together, as a production installation would set them."""
    password = tmp_path / "password"
    password.write_text("hemmelig")
    examples = {
        name.removesuffix(" 🔑").strip("`"): example.strip("`")
        for section in SECTIONS
        for name, _, _, example, _ in page.rows(section)
    }
    settings = load_settings(examples | {"SIGNERT_BROKER_PASSWORD_FILE": str(password)})
    assert settings.env == "production"


def test_production_makes_no_keys_up(tmp_path: Path) -> None:
    login = {"SIGNERT_HOME": str(tmp_path), "SIGNERT_LOGIN": "/etc/signert/login.toml"}
    assert session_keys(load_settings(login))
    with pytest.raises(ConfigurationError, match="SIGNERT_SESSION_KEY_FILE"):
        session_keys(load_settings({**PRODUCTION, **login}))
    assert open_pseudonyms(load_settings(login))
    assert open_pseudonyms(load_settings({**PRODUCTION, **login})) is None


def test_what_names_a_secret_is_marked_so_and_nothing_else_could_hold_one() -> None:
    marked = {name for section in SECTIONS for name, *_ in page.rows(section) if name.endswith("🔑")}
    assert marked == {
        f"`{PREFIX}{name}` 🔑"
        for name in (
            "PSEUDONYM_KEY_FILE",
            "BROKER_PASSWORD_FILE",
            "BROKER_KEY",
            "SMTP_PASSWORD_FILE",
            "SESSION_KEY_FILE",
            "HTTP_RATE_STORE_PASSWORD_FILE",
        )
    }
    for section in SECTIONS:
        for name, form, default, example, purpose in page.rows(section):
            assert all((form, default, example, purpose)), name
            if name.endswith("🔑"):
                assert form == "path"
