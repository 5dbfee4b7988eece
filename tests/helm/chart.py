"""The chart as tests see it: rendered without a cluster, objects by kind and name, and the schemas of Kubernetes."""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import yaml
from jsonschema import Draft7Validator, Draft202012Validator
from kubernetes_validate.utils import SchemaNotFoundError, schema_contents
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm"
VERSIONS = ("1.29.0", "1.32.0", "1.35.0")
FOREIGN = frozenset({"keda.sh", "monitoring.coreos.com", "gateway.networking.k8s.io"})
"""API groups that are not Kubernetes's own."""

Object = dict[str, Any]


class _Strict(yaml.CSafeLoader):
    """YAML in which no key may stand twice: the second would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"twice in one mapping: {twice}"
        return super().construct_mapping(node, deep)


@cache
def opened() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


@cache
def without_schema(*, checks_alone: bool = False) -> helm_python.Chart:
    """The chart, but that values are not checked: Helm reads the schema anew each time, which is most of the work.

    With `checks_alone` it makes no objects, and only says whether values go together.
    """
    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copytree(CHART, Path(folder) / "signert")
        (copied / "values.schema.json").unlink()
        for path in (copied / "templates").rglob("*.yaml") if checks_alone else ():
            if path.name != "checks.yaml":
                path.unlink()
        return helm_python.Chart.load(copied)


@cache
def _schema() -> Draft7Validator:
    return Draft7Validator(json.loads((CHART / "values.schema.json").read_text()))


@cache
def values_file(name: str) -> Mapping[str, Any]:
    """The values of `values-NAME.yaml`; of nothing for `default`."""
    if name == "default":
        return {}
    read: Mapping[str, Any] = yaml.load((CHART / f"values-{name}.yaml").read_text(), _Strict)
    return read


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, as Helm lays values over one another: lists as a whole."""
    result = copy.deepcopy(dict(base))
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(below, value) if both else copy.deepcopy(value)  # type: ignore[arg-type]
    return result


def check(values: Mapping[str, Any]) -> None:
    """Let the chart say whether the values go together, and no more. Raises `HelmRenderError`."""
    without_schema(checks_alone=True).render(dict(values), name="trial", namespace="avtaler")


def rendered(values: Mapping[str, Any], *, quickly: bool = False) -> list[Object]:
    """Every object of the release `trial` in the namespace `avtaler`; `quickly`, the schema is left to Python.

    Raises `HelmError`.
    """
    if quickly:
        _schema().validate(all_values(values))
    chart = without_schema() if quickly else opened()
    made = chart.render(dict(values), name="trial", namespace="avtaler")
    found = [text for path, text in made.items() if path.endswith(".yaml")]
    assert not any("<no value>" in text or "map[" in text for text in found)
    return [each for text in found for each in yaml.load_all(text, _Strict) if each]


def all_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """These values with the chart's own beneath them."""
    return opened().merge_values(dict(values))


def of_kind(objects: Sequence[Object], kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object, Object]]:
    """Name, metadata and spec of each pod, of Deployments and of chart tests."""
    for each in objects:
        if each["kind"] == "Deployment":
            template = each["spec"]["template"]
            yield each["metadata"]["name"], template["metadata"], template["spec"]
        elif each["kind"] == "Pod":
            yield each["metadata"]["name"], each["metadata"], each["spec"]


def environment(spec: Object) -> dict[str, str]:
    (container,) = spec["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def secrets_of(spec: Object) -> set[str]:
    """The Secrets whose files a pod has."""
    return {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}


@cache
def _definitions(version: str) -> Registry[Any]:
    contents = schema_contents(f"kubernetes-json-schema/v{version}-local-strict/_definitions.json", version)
    return Resource.from_contents(contents) @ Registry()


@cache
def _validator(version: str, kind: str, api_version: str) -> Draft202012Validator:
    """The schema that kubernetes-validate has; its own function reads a megabyte of them for each object."""
    group, _, api = api_version.rpartition("/")
    short = f"{group.partition('.')[0]}-{api}" if group else api
    name = f"kubernetes-json-schema/v{version}-local-strict/{kind.lower()}-{short}.json"
    try:
        schema = schema_contents(name, version)
    except FileNotFoundError:
        raise SchemaNotFoundError(kind=kind, version=version, api_version=api_version) from None
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(version))


@cache
def _faults(version: str, text: str) -> tuple[str, ...]:
    each = json.loads(text)
    validator = _validator(version, each["kind"], each["apiVersion"])
    return tuple(
        f"{version} {each['kind']}: {fault.json_path}: {fault.message}"
        for fault in validator.iter_errors(each)
    )


def invalid(objects: Sequence[Object], version: str) -> list[str]:
    """What Kubernetes of this version would not take; what it does not know is left out."""
    own = [each for each in objects if each["apiVersion"].partition("/")[0] not in FOREIGN]
    return [fault for each in own for fault in _faults(version, json.dumps(each, sort_keys=True))]
