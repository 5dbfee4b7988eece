"""Whatever the schema of values allows either becomes objects that Kubernetes takes and that keep every policy, or is
refused with a word about what does not go together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import pytest
from helm_python import HelmRenderError, HelmValuesError
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from tests.helm.chart import VERSIONS, all_values, check, invalid, merged, opened, rendered, values_file
from tests.helm.drawing import changes, descriptions, drawn, schema
from tests.helm.policies import broken

BASES = ("default", "development", "production")
_REFUSED = re.compile(r"\nvalues: \S.*\S\n")


def refused(values: Mapping[str, Any]) -> bool:
    """Whether the chart itself refuses the values, with a word for the operator; the schema allows them."""
    try:
        check(values)
    except HelmRenderError as exc:
        assert _REFUSED.search(str(exc)), f"refused without a word for the operator: {exc}"
        return True
    return False


def outcome(values: Mapping[str, Any], version: str, *, quickly: bool = False) -> str:
    """`refused` or `sound`; anything else fails."""
    try:
        objects = rendered(values, quickly=quickly)
    except HelmRenderError as exc:
        assert _REFUSED.search(str(exc)), f"refused without a word for the operator: {exc}"
        return "refused"
    assert invalid(objects, version) == []
    assert broken(objects, all_values(values)) == []
    return "sound"


@st.composite
def some(draw: st.DrawFn) -> dict[str, Any]:
    """A few parts of the values, drawn from the schema."""
    parts = schema()["properties"]
    names = draw(st.lists(st.sampled_from(sorted(parts)), min_size=1, max_size=6, unique=True))
    return {name: draw(drawn(parts[name])) for name in names}


@settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
)
@given(drawn_values=some(), base=st.sampled_from(BASES), version=st.sampled_from(VERSIONS))
def test_whatever_the_schema_allows(drawn_values: dict[str, Any], base: str, version: str) -> None:
    event(outcome(merged(values_file(base), drawn_values), version))


def test_each_value_by_itself() -> None:
    """Every boolean, word, limit and example of the schema: most are sound, some refused; those that are sound are
    looked at some at a time."""
    production = values_file("production")
    every = [values for _, values in changes()]
    sound = [values for values in every if not refused(merged(production, values))]
    assert len(sound) > 0.8 * len(every)
    for together in _side_by_side(sound):
        batch = reduce(merged, together, production)
        alone = [batch] if not refused(batch) else [merged(production, values) for values in together]
        assert [outcome(values, VERSIONS[1], quickly=True) for values in alone] == ["sound"] * len(alone)


def _side_by_side(every: list[dict[str, Any]], most: int = 8) -> Iterator[list[dict[str, Any]]]:
    """Batches of values that are of different parts, so that none is laid over another."""
    while every:
        batch: dict[str, dict[str, Any]] = {}
        for values in every:
            if len(batch) < most:
                batch.setdefault(next(iter(values)), values)
        every = [values for values in every if not any(values is each for each in batch.values())]
        yield list(batch.values())


def test_every_value_has_a_default_and_a_description() -> None:
    undescribed = [path for path, part in descriptions(schema()) if path and not part.get("description")]
    assert undescribed == []
    for path, values in changes():
        *_, name = path.partition("=")[0].split(".")
        below: Any = opened().values
        for key in path.partition("=")[0].split("."):
            if key == "global":
                break
            assert key in below, f"{path}: {name} has no default"
            below = below[key]
        assert values


def test_the_schema_is_closed() -> None:
    open_parts = [
        path
        for path, part in descriptions(schema())
        if part.get("type") == "object"
        and part.get("additionalProperties") is not False
        and not part.get("propertyNames")
        and "maxProperties" not in part
        and not path.startswith("/definitions/affinity/")
    ]
    assert open_parts == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"render": {"replica": 3}}, "'/render': additional properties 'replica' not allowed"),
        ({"podSecurity": {"user": 0}}, "'/podSecurity/user': minimum: got 0, want 1"),
        ({"broker": {"address": "amqps://u:p@h/v"}}, "'/broker/address': .* does not match"),
        ({"store": {"endpoint": "https://key:secret@s3"}}, "'/store/endpoint': .* does not match"),
        ({"http": {"rateStore": "rediss://:word@valkey"}}, "'/http/rateStore': .* does not match"),
        ({"mail": {"server": "smtp://u:p@smtp"}}, "'/mail/server': .* does not match"),
        ({"keys": {"seal": "/seal.p12"}}, "'/keys/seal': .* does not match"),
        ({"commonLabels": {"app.kubernetes.io/name": "x"}}, "invalid propertyName 'app.kubernetes.io/name'"),
        ({"render": {"resources": {"limits": None}}}, "'/render/resources': missing property 'limits'"),
        ({"sign": None}, "missing property 'sign'"),
        ({"environment": "prod"}, "'/environment': value must be one of 'development', 'production'"),
    ],
)
def test_unknown_and_unfit_values_are_refused_by_the_schema(values: dict[str, Any], told: str) -> None:
    with pytest.raises(HelmValuesError, match=told):
        rendered(values)


@pytest.mark.parametrize(
    ("base", "values", "told"),
    [
        ("production", {"keys": {"seal": ""}}, "environment production needs keys.seal"),
        ("production", {"timestamps": {"authorities": []}}, "needs timestamps.authorities"),
        ("production", {"trust": {"anchors": ""}}, "needs trust.anchors"),
        ("production", {"store": {"endpoint": "http://s3"}}, "needs https:// in store.endpoint"),
        ("production", {"people": {"pseudonymKeySecret": {"name": ""}}}, "needs people.pseudonymKeySecret"),
        ("production", {"http": {"issuers": {"name": ""}}}, "needs http.issuers"),
        ("production", {"networkPolicy": {"broker": {"to": []}}}, "needs networkPolicy.broker.to"),
        ("production", {"networkPolicy": {"mail": {"to": []}}}, "needs networkPolicy.mail.to"),
        ("production", {"telemetry": {"endpoint": "http://otel:4318"}}, "needs networkPolicy.telemetry.to"),
        ("production", {"keys": {"secrets": []}}, "signert-seal is not among keys.secrets"),
        ("production", {"keys": {"seal": "pkcs11:object=a?pin-value=1234"}}, "holds a PIN"),
        ("production", {"image": {"tag": "latest"}}, "image.tag latest is another image tomorrow"),
        ("production", {"mail": {"sender": ""}}, "mail.server needs mail.sender"),
        ("production", {"mail": {"user": ""}}, "mail.user and mail.passwordSecret go together"),
        ("production", {"mail": {"server": ""}}, "need mail.server"),
        ("production", {"people": {"publicUrl": ""}}, "mail.server needs people.publicUrl"),
        ("production", {"http": {"sessionKeySecret": {"name": ""}}}, "needs http.sessionKeySecret"),
        ("production", {"http": {"rateStore": "memory://"}}, "rateStorePasswordSecret needs a server"),
        ("production", {"http": {"enabled": False}}, "ingress.enabled needs http.enabled"),
        ("production", {"gateway": {"enabled": True}}, "gateway.enabled needs"),
        ("production", {"autoscaling": {"enabled": False}}, "autoscaling.keda needs autoscaling.enabled"),
        ("production", {"autoscaling": {"keda": {"authenticationSecret": {"name": ""}}}}, "needs authentication"),
        ("production", {"broker": {"address": "rediss://u@valkey"}}, "autoscaling.keda asks RabbitMQ"),
        ("production", {"broker": {"address": "amqp://u@rabbit"}}, "broker.ca and broker.certificateSecret need"),
        ("production", {"broker": {"address": "amqps://rabbit"}}, "broker.passwordSecret needs a user"),
        ("production", {"sign": {"autoscaling": {"minReplicas": 9}}}, "minReplicas is more than maxReplicas"),
        ("production", {"store": {"webIdentity": {"enabled": True}}}, "choose one"),
        ("production", {"http": {"drainSeconds": 30}}, "35 more than http.drainSeconds"),
        ("production", {"shutdownGrace": 60}, "10 more than shutdownGrace"),
        ("production", {"management": {"port": 8080}}, "management.port and http.port must differ"),
        ("development", {"sign": {"replicas": 2}}, "with the keys of development there is one pod that signs"),
        ("development", {"keys": {"seal": "csc:/etc/seal.toml"}}, "go together: only keys.seal is named"),
        ("development", {"keys": {"parties": {"mentor": "csc:/a.toml"}}}, "keys.parties needs keys.seal"),
    ],
)  # fmt: skip
def test_values_that_make_no_sense_together_are_refused(base: str, values: dict[str, Any], told: str) -> None:
    with pytest.raises(HelmRenderError) as refused:
        rendered(merged(values_file(base), values))
    assert _REFUSED.search(str(refused.value))
    assert told in str(refused.value)
