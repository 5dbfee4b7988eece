"""The example for nais: fields that nais knows, settings and commands that Signert has, the same split of secrets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from service.config import PREFIX, load_settings
from service.entrypoints.cli import cli
from tests.helm.chart import ROOT, Object
from tests.helm.policies import _PASSWORD, _SECRET_NAME
from tests.helm.test_chart import unlike

FOLDER = ROOT / "deploy/nais"
_PROBE = {
    "path": str,
    "port": int,
    "initialDelay": int,
    "periodSeconds": int,
    "timeout": int,
    "failureThreshold": int,
}
_FILES = {"secret": str, "configmap": str, "mountPath": str}
_SHARED: Mapping[str, Any] = {
    "image": str,
    "command": [str],
    "env": [{"name": str, "value": str}],
    "envFrom": [{"configmap": str}],
    "filesFrom": [_FILES],
    "accessPolicy": {
        "inbound": {"rules": [{"application": str, "namespace": str}]},
        "outbound": {"external": [{"host": str, "ports": [{"port": int}]}]},
    },
    "resources": {what: {"cpu": str, "memory": str} for what in ("requests", "limits")},
    "terminationGracePeriodSeconds": int,
}
_SHAPES: Mapping[str, Any] = {
    # Of docs.nais.io's complete examples of an Application and a Naisjob, what is used here.
    "Application": {
        **_SHARED,
        "port": int,
        "liveness": _PROBE,
        "readiness": _PROBE,
        "startup": _PROBE,
        "prometheus": {"enabled": bool, "path": str, "port": str},
        "replicas": {
            "min": int,
            "max": int,
            "disableAutoScaling": bool,
            "scalingStrategy": {"cpu": {"thresholdPercentage": int}},
        },
        "strategy": {"type": str},
        "ingresses": [str],
        "service": {"port": int, "protocol": str},
        "preStopHook": {"exec": {"command": [str]}},
    },
    "Naisjob": {
        **_SHARED,
        "schedule": str,
        "timeZone": str,
        "concurrencyPolicy": str,
        "restartPolicy": str,
        "backoffLimit": int,
    },
}


def workloads() -> Iterator[Object]:
    for path in sorted(FOLDER.glob("*.yaml")):
        (each,) = yaml.safe_load_all(path.read_text())
        if each["kind"] != "ConfigMap":
            yield each


@pytest.fixture(params=[each["metadata"]["name"] for each in workloads()])
def workload(request: pytest.FixtureRequest) -> Object:
    return next(each for each in workloads() if each["metadata"]["name"] == request.param)


@pytest.fixture(scope="module")
def shared() -> dict[str, str]:
    data: dict[str, str] = yaml.safe_load((FOLDER / "settings.yaml").read_text())["data"]
    assert all(isinstance(value, str) for value in data.values())
    return data


def told(workload: Object, shared: Mapping[str, str]) -> dict[str, str]:
    return {**shared, **{each["name"]: each["value"] for each in workload["spec"]["env"]}}


def test_nais_knows_the_fields(workload: Object) -> None:
    api = {"Application": "nais.io/v1alpha1", "Naisjob": "nais.io/v1"}
    assert workload["apiVersion"] == api[workload["kind"]]
    assert set(workload) == {"apiVersion", "kind", "metadata", "spec"}
    assert workload["metadata"]["labels"]["team"] == workload["metadata"]["namespace"]
    assert list(unlike(workload["spec"], _SHAPES[workload["kind"]])) == []
    assert not workload["spec"]["image"].endswith(":latest")


def test_settings_and_command_line(workload: Object, shared: Mapping[str, str], tmp_path: Any) -> None:
    environ = {k: v for k, v in told(workload, shared).items() if k.startswith(PREFIX)}
    password = tmp_path / "password"
    password.write_text("word\n")
    if "SIGNERT_BROKER_PASSWORD_FILE" in environ:
        environ["SIGNERT_BROKER_PASSWORD_FILE"] = str(password)
    settings = load_settings(environ)
    name = workload["metadata"]["name"].removeprefix("signert-")
    assert {str(each) for each in settings.capabilities} == {name} & {"render", "sign", "deliver"}
    assert bool(settings.credentials) == (name == "sign")
    *program, command, rest = [*workload["spec"]["command"][:4], workload["spec"]["command"][4:]]
    assert program == [
        "/usr/bin/tini",
        "--",
        "signert",
    ]  # nais takes this in place of the image's entry point
    cli.commands[command].make_context(command, rest)  # raises UsageError; runs nothing


def test_secrets_are_files_of_whom_they_are_for(workload: Object, shared: Mapping[str, str]) -> None:
    mounts = {each["mountPath"] for each in workload["spec"]["filesFrom"]}
    for variable, value in told(workload, shared).items():
        assert not _PASSWORD.search(value)
        assert value.startswith("/") or not _SECRET_NAME.search(variable)
        if value.startswith("/var/run/"):
            assert any(value == mount or value.startswith(f"{mount}/") for mount in mounts), variable
    secrets = {each["secret"] for each in workload["spec"]["filesFrom"] if "secret" in each}
    transport = {"signert-store", "signert-broker"}
    assert (
        secrets
        == {
            "signert-render": transport,
            "signert-sweeper": transport,
            "signert-sign": transport | {"signert-seal", "signert-pseudonyms"},
            "signert-deliver": transport | {"signert-mail"},
            "signert-http": {"signert-store", "signert-pseudonyms", "signert-login", "signert-session"},
            "signert-fsck": {"signert-store"},
        }[workload["metadata"]["name"]]
    )


def test_who_reaches_whom(workload: Object) -> None:
    outbound = workload["spec"]["accessPolicy"]["outbound"]["external"]
    hosts = {each["host"] for each in outbound}
    name = workload["metadata"]["name"]
    assert ("rabbitmq.example.no" in hosts) == (name not in {"signert-http", "signert-fsck"})
    if name in {"signert-render", "signert-sweeper"}:
        assert hosts == {"s3.example.no", "rabbitmq.example.no"}
    assert ("smtp.example.no" in hosts) == (name == "signert-deliver")
    assert any("tsa" in host for host in hosts) == (name == "signert-sign")


def test_probes_ask_where_it_listens(workload: Object, shared: Mapping[str, str]) -> None:
    if workload["kind"] == "Naisjob":  # which has none
        assert "liveness" not in workload["spec"]
        return
    spec = workload["spec"]
    http = workload["metadata"]["name"] == "signert-http"
    port = 8080 if http else int(shared["SIGNERT_MANAGEMENT_PORT"])
    assert {spec[probe]["port"] for probe in ("liveness", "readiness", "startup")} == {port} == {spec["port"]}
    assert spec["liveness"]["path"] == ("/healthz" if http else "/livez")
    assert spec["prometheus"]["port"] == shared["SIGNERT_MANAGEMENT_PORT"]
    if "only" in spec["command"]:
        assert (spec["replicas"]["min"], spec["replicas"]["max"], spec["strategy"]) == (
            1,
            1,
            {"type": "Recreate"},
        )
