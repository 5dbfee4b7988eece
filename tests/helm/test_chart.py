"""The chart as an operator gets it: lint, the values that come with it, and that what it calls is what Signert has."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import helm_python
import pytest
import yaml

from service.config import PREFIX, SECTIONS, load_settings
from service.domain.steps import Capability
from service.entrypoints.application import COMMANDS, queue_of
from service.entrypoints.cli import cli
from service.entrypoints.http import create_app
from tests.fakes import MemoryStore
from tests.helm.chart import (
    CHART,
    FOREIGN,
    VERSIONS,
    Object,
    all_values,
    environment,
    invalid,
    merged,
    of_kind,
    opened,
    pods,
    rendered,
    secrets_of,
    values_file,
)
from tests.helm.policies import broken

BASES = ("default", "development", "production")
_OTHERS = {"HOME", "TMPDIR"}
"""Variables that are neither Signert's nor of a library that it uses."""
_LIBRARIES = {
    *("AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"),
}

EVERYTHING: Mapping[str, Any] = merged(
    values_file("production"),
    {
        "keys": {
            "secrets": ["signert-seal", "signert-employer"],
            "parties": {"employer": "csc:/etc/signert/keys/signert-employer/service.toml"},
            "approval": "automatic",
        },
        "store": {"credentialsSecret": {"name": ""}, "ca": {"name": "store-ca"}}
        | {"webIdentity": {"enabled": True, "role": "arn:aws:iam::123456789012:role/signert"}},
        "broker": {"certificateSecret": "signert-broker-certificate"},
        "timestamps": {"policy": "1.2.3.4"},
        "trust": {name: f"trust-{name}" for name in ("outside", "csc", "pkcs11", "pkcs12", "timestamps")}
        | {"listSigners": {"name": "list-signers"}, "algorithms": {"name": "algorithms"}},
        "evidence": {"revocationMaxAge": 86400},
        "mail": {"ca": {"name": "mail-ca"}},
        "telemetry": {"endpoint": "http://collector.monitoring:4318"},
        "networkPolicy": {"telemetry": {"to": [{"namespace": "monitoring"}]}},
        "gateway": {"enabled": True, "hostname": "avtaler.example.no", "parent": {"name": "public"}},
    },
)
"""Values by which every optional part is there."""


@pytest.fixture(scope="module", params=[*BASES, "everything"])
def values(request: pytest.FixtureRequest) -> Mapping[str, Any]:
    return EVERYTHING if request.param == "everything" else values_file(request.param)


@pytest.fixture(scope="module")
def objects(values: Mapping[str, Any]) -> list[Object]:
    return rendered(values)


@pytest.fixture(scope="module")
def production() -> list[Object]:
    return rendered(values_file("production"))


def context_of(objects: list[Object], context: str) -> Object:
    """The pod's spec of the Deployment for a context."""
    return next(spec for name, _, spec in pods(objects) if name == f"trial-signert-{context}")


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("version", VERSIONS)
def test_lint(name: str, version: str) -> None:
    report = helm_python.lint(CHART, dict(values_file(name)), strict=True, kube_version=f"v{version}")
    assert report["errors"] == []
    assert [each["error"] for each in report["messages"]] == ["icon is recommended"]


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_it(objects: list[Object], version: str) -> None:
    assert invalid(objects, version) == []


def test_the_policies_hold(objects: list[Object], values: Mapping[str, Any]) -> None:
    assert broken(objects, all_values(values)) == []


def test_the_policies_can_fail(production: list[Object]) -> None:
    """Each of them notices what it is there for."""
    whole = all_values(values_file("production"))
    wrongs: dict[str, Any] = {
        "nobody_is_root": lambda pod: pod["securityContext"].update(runAsUser=0),
        "images_stay_the_same": lambda pod: pod["containers"][0].update(image="signert:latest"),
        "everything_is_limited": lambda pod: pod["containers"][0]["resources"].pop("limits"),
        "secrets_are_files": lambda pod: pod["containers"][0]["env"].append(
            {"name": "SIGNERT_BROKER", "value": "amqps://user:word@host"}
        ),
        "every_path_is_there": lambda pod: pod["containers"][0]["volumeMounts"].pop(0),
        "keys_are_where_signatures_are_made": lambda pod: pod["volumes"].append(
            {"name": "keys-0", "secret": {"secretName": "signert-seal"}}
        ),
        "probes_fit": lambda pod: pod.update(terminationGracePeriodSeconds=20),
    }
    for policy, wrong in wrongs.items():
        spoilt = json.loads(json.dumps(production))
        wrong(context_of(spoilt, "render"))
        assert policy in {fault.partition(":")[0] for fault in broken(spoilt, whole)}
    missing: dict[str, str] = {
        "every_pod_is_shut_in": "NetworkPolicy",
        "one_thing_scales_each": "ScaledObject",
    }
    for policy, kind in missing.items():
        left = [each for each in production if each["kind"] != kind]
        assert policy in {fault.partition(":")[0] for fault in broken(left, whole)}
    held = json.loads(json.dumps(production))
    next(iter(of_kind(held, "PodDisruptionBudget").values()))["spec"] |= {"maxUnavailable": 0}
    assert any(fault.startswith("drains_are_not_held_up") for fault in broken(held, whole))


# --- what it calls is what Signert has ---


def test_every_variable_is_a_setting(objects: list[Object]) -> None:
    known = {f"{PREFIX}{name.upper()}" for section in SECTIONS for name in section().fields}
    told = {variable for _, _, spec in pods(objects) for variable in environment(spec)}
    assert told <= known | _LIBRARIES | _OTHERS


def test_every_setting_that_an_installation_may_need_can_be_given() -> None:
    known = {f"{PREFIX}{name.upper()}" for section in SECTIONS for name in section().fields}
    told = {variable for _, _, spec in pods(rendered(EVERYTHING)) for variable in environment(spec)}
    left = known - told
    assert left <= {
        # The image's own: paths in it, and the format of the log, which the command line says.
        *("SIGNERT_TEMPLATES", "SIGNERT_SOFFICE", "SIGNERT_UNO_PYTHON", "SIGNERT_FONT", "SIGNERT_BOLD_FONT"),
        *("SIGNERT_LOG_FORMAT",),
        *(name for name in known if name.startswith("SIGNERT_CREDENTIAL_")),
    }


def test_the_settings_load(objects: list[Object], tmp_path: Path) -> None:
    """With the files of the mounts in place of those of the pods, each starts with the settings that it is given."""
    password = tmp_path / "password"
    password.write_text("word\n")
    for name, metadata, spec in pods(objects):
        given = {k: v for k, v in environment(spec).items() if k.startswith(PREFIX)}
        if "SIGNERT_BROKER_PASSWORD_FILE" in given:
            given["SIGNERT_BROKER_PASSWORD_FILE"] = str(password)
        settings = load_settings(given)
        context = metadata["labels"]["signert/context"]
        wanted = {context} & {"render", "sign", "deliver"}
        assert settings.capabilities == {Capability(each) for each in wanted}, name
        assert bool(settings.credentials) == (context == "sign" and bool(given.get("SIGNERT_SEAL")))
        assert settings.broker is not None
        assert settings.development_pki or settings.env == "production" or context != "sign"


def test_every_command_line_is_accepted(objects: list[Object]) -> None:
    for _, _, spec in pods(objects):
        (container,) = spec["containers"]
        assert "command" not in container  # the image's entry point: tini, which runs signert
        name, *arguments = container["args"]
        command = cli.commands[name]
        command.make_context(name, list(arguments))  # raises UsageError; runs nothing
        with pytest.raises(click.UsageError):
            command.make_context(name, [*arguments, "--no-such-option"])


def test_probes_ask_what_answers(production: list[Object], tmp_path: Path) -> None:
    app = create_app(load_settings({"SIGNERT_HOME": str(tmp_path)}), store=MemoryStore()).test_client()
    (container,) = context_of(production, "http")["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert app.get(container[probe]["httpGet"]["path"]).status_code == 200
    source = (CHART.parent / "service/entrypoints/worker.py").read_text()
    for context in ("render", "sign", "deliver", "sweeper"):
        (container,) = context_of(production, context)["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert f'"{container[probe]["httpGet"]["path"]}": heart.' in source


def test_queues_that_keda_asks_for_are_queues(production: list[Object]) -> None:
    for capability in (Capability.RENDER, Capability.SIGN):
        spec = of_kind(production, "ScaledObject")[f"trial-signert-{capability}"]["spec"]
        triggers = [trigger["metadata"] for trigger in spec["triggers"]]
        assert [each["queueName"] for each in triggers] == [COMMANDS, queue_of(capability)]
        assert {each["protocol"] for each in triggers} == {"http"}
        assert all(isinstance(value, str) for each in triggers for value in each.values())


# --- what is split, stays split ---


def test_who_has_which_secrets(production: list[Object]) -> None:
    held = {
        context: secrets_of(context_of(production, context))
        for context in ("render", "sign", "sweeper", "deliver", "http")
    }
    transport = {"signert-store", "signert-broker"}
    assert held == {
        "render": transport,
        "sweeper": transport,
        "sign": transport | {"signert-seal", "signert-pseudonyms"},
        "deliver": transport | {"signert-mail"},
        "http": {"signert-store", "signert-pseudonyms", "signert-login", "signert-session", "signert-rates"},
    }


def test_who_reaches_whom(production: list[Object]) -> None:
    def reached(context: str) -> set[int]:
        rules = of_kind(production, "NetworkPolicy")[f"trial-signert-{context}"]["spec"]["egress"]
        return {port["port"] for rule in rules for port in rule["ports"]}

    assert reached("render") == reached("sweeper") == {53, 443, 5671}
    assert reached("sign") == {53, 443, 5671, 80}
    assert reached("deliver") == {53, 443, 5671, 465}
    assert reached("http") == {53, 443, 6379}
    render = of_kind(production, "NetworkPolicy")["trial-signert-render"]["spec"]["egress"]
    assert [rule["to"] for rule in render[1:]] == [
        [{"ipBlock": {"cidr": "192.0.2.16/28"}}],
        [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "rabbitmq"}}}],
    ]


def test_images_are_of_their_context(production: list[Object]) -> None:
    images = {name.rpartition("-")[2]: spec["containers"][0]["image"] for name, _, spec in pods(production)}
    registry = "registry.example.no/signert/signert"
    assert images == {
        "render": f"{registry}-render:0.1.0",
        **dict.fromkeys(("sign", "sweeper", "deliver"), f"{registry}-sign:0.1.0"),
        "http": f"{registry}-http:0.1.0",
    }
    digest = f"sha256:{'a' * 64}"
    pinned = rendered(merged(values_file("production"), {"image": {"sign": {"digest": digest}}}))
    assert context_of(pinned, "deliver")["containers"][0]["image"] == f"{registry}-sign@{digest}"


def test_without_a_mail_server_nothing_delivers() -> None:
    assert "trial-signert-deliver" not in of_kind(rendered(values_file("development")), "Deployment")


# --- objects of others ---

_SHAPES: Mapping[str, Any] = {
    # The fields that are used here, as each project documents them: KEDA 2, Prometheus Operator, Gateway API v1.
    "ScaledObject": {
        "scaleTargetRef": {"name": str},
        "minReplicaCount": int,
        "maxReplicaCount": int,
        "pollingInterval": int,
        "cooldownPeriod": int,
        "fallback": {"failureThreshold": int, "replicas": int},
        "triggers": [
            {
                "type": str,
                "metadata": {"protocol": str, "mode": str, "queueName": str, "value": str, "vhostName": str},
                "authenticationRef": {"name": str},
            }
        ],
    },
    "TriggerAuthentication": {"secretTargetRef": [{"parameter": str, "name": str, "key": str}]},
    "PodMonitor": {
        "jobLabel": str,
        "selector": {
            "matchLabels": {"app.kubernetes.io/instance": str},
            "matchExpressions": [{"key": str, "operator": str}],
        },
        "podMetricsEndpoints": [{"port": str, "path": str, "interval": str}],
    },
    "PrometheusRule": {"groups": list},
    "HTTPRoute": {
        "parentRefs": [{"name": str, "namespace": str, "sectionName": str}],
        "hostnames": [str],
        "rules": [
            {"matches": [{"path": {"type": str, "value": str}}], "backendRefs": [{"name": str, "port": int}]}
        ],
    },
}


def unlike(value: Any, shape: Any, path: str = "$") -> Iterator[str]:
    """Where a value is not of this shape; a mapping may lack some of it."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            yield f"{path} is no mapping"
            return
        for key, each in value.items():
            yield from (
                unlike(each, shape[key], f"{path}.{key}") if key in shape else [f"{path}.{key} is unknown"]
            )
    elif isinstance(shape, list):
        for number, each in enumerate(value):
            yield from unlike(each, shape[0], f"{path}[{number}]")
    elif not isinstance(value, shape):
        yield f"{path} is no {shape.__name__}"


def test_objects_of_others_have_the_fields_that_they_know() -> None:
    found = [each for each in rendered(EVERYTHING) if each["apiVersion"].partition("/")[0] in FOREIGN]
    assert {each["kind"] for each in found} >= {
        "ScaledObject",
        "TriggerAuthentication",
        "PodMonitor",
        "HTTPRoute",
    }
    for each in found:
        assert set(each) == {"apiVersion", "kind", "metadata", "spec"}
        assert list(unlike(each["spec"], _SHAPES[each["kind"]])) == []


def test_rules_and_dashboards_are_taken_from_their_files(tmp_path: Path) -> None:
    """Whatever files are there, and none; what Prometheus and Grafana read between braces stays as it is."""
    copied = Path(
        shutil.copytree(CHART, tmp_path / "signert", ignore=shutil.ignore_patterns("rules", "dashboards"))
    )
    rule = {
        "alert": "SignertParked",
        "expr": 'signert_parked{code="tsa"} > 0',
        "annotations": {"summary": '{{ $labels.code }} is "parked": {{ $value }}'},
    }
    dashboard = {"title": "Signert", "panels": [{"legendFormat": "{{code}}"}]}
    for each in (False, True):
        if each:
            (copied / "rules").mkdir()
            (copied / "rules/signing.yaml").write_text(
                yaml.safe_dump({"groups": [{"name": "s", "rules": [rule]}]})
            )
            (copied / "dashboards").mkdir()
            (copied / "dashboards/signert.json").write_text(json.dumps(dashboard, indent=2))
        texts = helm_python.Chart.load(copied).render(
            dict(values_file("production")), name="trial", namespace="n"
        )
        objects = [
            o for path, text in texts.items() if path.endswith(".yaml") for o in yaml.safe_load_all(text) if o
        ]
        rules, maps = of_kind(objects, "PrometheusRule"), of_kind(objects, "ConfigMap")
        assert bool(rules) == bool(maps) == each
    assert rules["trial-signert-signing"]["spec"]["groups"][0]["rules"] == [rule]
    board = maps["trial-signert-dashboard-signert"]
    assert json.loads(board["data"]["signert.json"]) == dashboard
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_the_chart_is_of_this_release() -> None:
    project = tomllib.loads((CHART.parent / "pyproject.toml").read_text())["project"]
    assert opened().metadata["appVersion"] == project["version"]


def test_what_the_operator_is_told() -> None:
    notes = opened().render(dict(values_file("production")), name="trial", namespace="avtaler")
    told = next(text for path, text in notes.items() if path.endswith("NOTES.txt"))
    assert "render, sign, sweeper, deliver, http" in told
    assert "https://avtaler.example.no/" in told
    assert "WARNING" not in told
    notes = opened().render({"networkPolicy": {"enabled": False}}, name="trial", namespace="avtaler")
    told = next(text for path, text in notes.items() if path.endswith("NOTES.txt"))
    assert "WARNING: there are no NetworkPolicies" in told
    assert "keys are those of development" in told
