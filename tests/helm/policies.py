"""What holds of every installation, whatever the values are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from service.entrypoints.http.server import _STOP_WITHIN
from tests.helm.chart import Object, environment, of_kind, pods, secrets_of

Values = Mapping[str, Any]
Policy = Callable[[Sequence[Object], Values], Iterator[str]]

_PASSWORD = re.compile(r"://[^/@\s]*:[^/@\s]*@|pin-value|BEGIN [A-Z ]*PRIVATE KEY")
_SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|PASSPHRASE|ACCESS_KEY|_PIN")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")


def nobody_is_root(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    for name, _, spec in pods(objects):
        who = spec["securityContext"]
        if not who["runAsNonRoot"] or who["runAsUser"] < 1 or who["runAsGroup"] < 1 or who["fsGroup"] < 1:
            yield f"{name} may be root"
        if who["seccompProfile"] != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile"
        if spec["automountServiceAccountToken"] is not False:
            yield f"{name} has a token of the cluster"
        for what in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if spec.get(what):
                yield f"{name} shares {what}"
        for container in spec["containers"]:
            held = container["securityContext"]
            if (
                held["allowPrivilegeEscalation"] is not False
                or held["privileged"] is not False
                or held["readOnlyRootFilesystem"] is not True
                or held["capabilities"] != {"drop": ["ALL"]}
                or held["runAsNonRoot"] is not True
            ):
                yield f"{name} is held too loosely"


def images_stay_the_same(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    for name, _, spec in pods(objects):
        for container in spec["containers"]:
            last = container["image"].rpartition("/")[2]
            tag = last.partition("@")[2] or last.partition(":")[2]
            if not tag or tag.lower() == "latest":
                yield f"{name} runs {container['image']}"


def everything_is_limited(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    for name, _, spec in pods(objects):
        for container in spec["containers"]:
            for what in ("requests", "limits"):
                if not {"cpu", "memory"} <= set(container["resources"].get(what, {})):
                    yield f"{name} has no {what}"
        for volume in spec["volumes"]:
            if set(volume) - {"name", "secret", "configMap", "projected", "emptyDir"}:
                yield f"{name} has a volume of another kind: {volume}"
            if "emptyDir" in volume and not volume["emptyDir"].get("sizeLimit"):
                yield f"{name} may fill its node by {volume['name']}"


def secrets_are_files(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    for name, _, spec in pods(objects):
        for container in spec["containers"]:
            if "envFrom" in container or any("valueFrom" in each for each in container["env"]):
                yield f"{name} takes its environment from elsewhere"
            for argument in container["args"]:
                if _PASSWORD.search(argument):
                    yield f"{name} is called with a secret"
        for variable, value in environment(spec).items():
            if _PASSWORD.search(value) or (_SECRET_NAME.search(variable) and not value.startswith("/")):
                yield f"{name} has a secret in {variable}"


def every_path_is_there(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    for name, _, spec in pods(objects):
        (container,) = spec["containers"]
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        if len(volumes) != len(spec["volumes"]) or len(mounts) != len(container["volumeMounts"]):
            yield f"{name} has volumes or mounts of one name"
        if {mount["name"] for mount in mounts.values()} != set(volumes):
            yield f"{name} mounts other volumes than it has"
        for mount in mounts.values():
            if not mount.get("readOnly") and "emptyDir" not in volumes[mount["name"]]:
                yield f"{name} may write to {mount['mountPath']}"
        for variable, value in environment(spec).items():
            if variable in {"SIGNERT_SEAL"} or variable.startswith("SIGNERT_CREDENTIAL_"):
                continue
            if value.startswith("/") and not any(value == m or value.startswith(f"{m}/") for m in mounts):
                yield f"{name}: nothing is mounted where {variable} points"
            folder, _, file = value.rpartition("/")
            items = volumes[mounts[folder]["name"]] if folder in mounts else {}
            listed = (items.get("secret") or items.get("configMap") or {}).get("items")
            if listed and [item["path"] for item in listed] != [file]:
                yield f"{name}: {variable} names a file that is not mounted"


def keys_are_where_signatures_are_made(objects: Sequence[Object], values: Values) -> Iterator[str]:
    keys = set(values["keys"]["secrets"])
    transport = {
        values["store"]["credentialsSecret"]["name"],
        values["broker"]["passwordSecret"]["name"],
        values["broker"]["certificateSecret"],
    }
    may_have = {
        "render": transport,
        "sweeper": transport,
        "sign": transport | keys | {values["people"]["pseudonymKeySecret"]["name"]},
        "deliver": transport | {values["mail"]["passwordSecret"]["name"]},
        "http": {
            values["store"]["credentialsSecret"]["name"],
            values["people"]["pseudonymKeySecret"]["name"],
            values["http"]["loginSecret"]["name"],
            values["http"]["sessionKeySecret"]["name"],
            values["http"]["rateStorePasswordSecret"]["name"],
        },
    }
    for name, metadata, spec in pods(objects):
        context, told = metadata["labels"]["signert/context"], environment(spec)
        if more := secrets_of(spec) - may_have[context]:
            yield f"{name} has {more}"
        if context != "sign" and any(
            v in {"SIGNERT_SEAL", "SIGNERT_TSA"} or v.startswith("SIGNERT_CREDENTIAL_") for v in told
        ):
            yield f"{name} knows of keys"
        can = {"render": "render", "sign": "sign", "deliver": "deliver"}.get(context, "none")
        if told["SIGNERT_CAPABILITIES"] != can:
            yield f"{name} can {told['SIGNERT_CAPABILITIES']}"


def one_thing_scales_each(objects: Sequence[Object], values: Values) -> Iterator[str]:
    by: dict[str, list[str]] = {}
    for kind in ("HorizontalPodAutoscaler", "ScaledObject"):
        for each in of_kind(objects, kind).values():
            by.setdefault(each["spec"]["scaleTargetRef"]["name"], []).append(kind)
    deployments = of_kind(objects, "Deployment")
    if not set(by) <= set(deployments):
        yield "something is scaled that is not there"
    for name, each in deployments.items():
        context = each["spec"]["template"]["metadata"]["labels"]["signert/context"]
        wanted = []
        if values["autoscaling"]["enabled"] and context in {"render", "sign", "http"}:
            keda = values["autoscaling"]["keda"]["enabled"] and context != "http"
            wanted = ["ScaledObject" if keda else "HorizontalPodAutoscaler"]
        if by.get(name, []) != wanted:
            yield f"{name} is scaled by {by.get(name)}"
        if ("replicas" in each["spec"]) == bool(wanted):
            yield f"{name} has a number of pods, and something that scales it, or neither"
        if context == "sweeper" and (
            each["spec"]["replicas"] != 1 or each["spec"]["strategy"] != {"type": "Recreate"}
        ):
            yield "there may be two sweepers"


def drains_are_not_held_up(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    for name, each in of_kind(objects, "PodDisruptionBudget").items():
        if each["spec"].get("maxUnavailable", 0) < 1 or "minAvailable" in each["spec"]:
            yield f"{name} may hold up a drain"
        chosen = [
            deployment
            for deployment, metadata, _ in pods(objects)
            if _selects(each["spec"]["selector"], metadata)
        ]
        if chosen != [name]:
            yield f"{name} is for {chosen}"


def every_pod_is_shut_in(objects: Sequence[Object], values: Values) -> Iterator[str]:
    found = of_kind(objects, "NetworkPolicy")
    if not values["networkPolicy"]["enabled"]:
        if found:
            yield "there are policies although none is wanted"
        return
    for name, metadata, spec in pods(objects):
        policies = [each for each in found.values() if _selects(each["spec"]["podSelector"], metadata)]
        if len(policies) != 1:
            yield f"{name} has {len(policies)} policies"
            continue
        (policy,) = (each["spec"] for each in policies)
        if set(policy["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{name} is open one way"
        if any(not rule.get("from") or not rule.get("ports") for rule in policy["ingress"]):
            yield f"{name} lets anybody in"
        context = metadata["labels"]["signert/context"]
        if context != "http" and any(rule["ports"][0]["port"] != "management" for rule in policy["ingress"]):
            yield f"{name} lets in more than the platform"
        if sorted(map(str, policy["egress"])) != sorted(map(str, _allowed(context, values))):
            yield f"{name} reaches others than it may"
        ports = {port["name"] for container in spec["containers"] for port in container.get("ports", [])}
        named = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
        if ports and not named <= ports:
            yield f"{name} has not the ports {named - ports}"


def _allowed(context: str, values: Values) -> list[Object]:
    """The egress that the values name for a context, as NetworkPolicy has it."""
    wanted = {
        "render": ["store", "broker"],
        "sign": ["store", "broker", "outside"],
        "sweeper": ["store", "broker"],
        "deliver": ["store", "broker", "mail"],
        "http": ["store", "providers"],
    }[context]
    if context == "http" and values["http"]["rateStore"] != "memory://":
        wanted = [*wanted, "rateStore"]
    if values["telemetry"]["endpoint"]:
        wanted = [*wanted, "telemetry"]
    policy = values["networkPolicy"]
    rules = [_rule(policy[name], ("TCP",)) for name in wanted]
    return [_rule(policy["dns"], ("UDP", "TCP")), *rules]


def _rule(reach: Object, protocols: Sequence[str]) -> Object:
    rule: Object = {
        "ports": [{"port": port, "protocol": protocol} for port in reach["ports"] for protocol in protocols]
    }
    if reach["to"]:
        rule["to"] = [_peer(peer) for peer in reach["to"]]
    return rule


def _peer(peer: Object) -> Object:
    if "cidr" in peer:
        excepted = {"except": peer["except"]} if peer.get("except") else {}
        return {"ipBlock": {"cidr": peer["cidr"], **excepted}}
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": peer["namespace"]}}
    chosen = {"podSelector": {"matchLabels": peer["podLabels"]}} if peer.get("podLabels") else {}
    return {"namespaceSelector": namespace, **chosen}


def probes_fit(objects: Sequence[Object], values: Values) -> Iterator[str]:
    for name, each in of_kind(objects, "Deployment").items():
        spec = each["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        if len(set(ports.values())) != len(ports):
            yield f"{name} has two servers on one port"
        told = environment(spec)
        if ports["management"] != int(told["SIGNERT_MANAGEMENT_PORT"]):
            yield f"{name} is asked on another port than it listens on"
        for what in ("startupProbe", "livenessProbe", "readinessProbe"):
            if container[what]["httpGet"]["port"] not in ports:
                yield f"{name} has no port for its {what}"
        if container["livenessProbe"]["httpGet"]["path"] == container["readinessProbe"]["httpGet"]["path"]:
            yield f"{name} would be ended for what is only not ready"
        needs = int(told.get("SIGNERT_SHUTDOWN_GRACE", 0))
        if container["name"] == "http":
            needs = _STOP_WITHIN + int(container["lifecycle"]["preStop"]["exec"]["command"][1])
        if spec["terminationGracePeriodSeconds"] < needs + 5:
            yield f"{name} is killed while it ends its work"


def names_and_labels_hold_together(objects: Sequence[Object], _values: Values) -> Iterator[str]:
    seen = [(each["kind"], each["metadata"]["name"]) for each in objects]
    if len(set(seen)) != len(seen):
        yield f"two of one kind and name: {seen}"
    for each in objects:
        name = each["metadata"]["name"]
        if len(name) > (253 if each["kind"] == "ServiceAccount" else 63) or not _NAME.match(name):
            yield f"{name} is no name"
        if each["metadata"]["namespace"] != "avtaler":
            yield f"{name} is in another namespace"
        if any(len(str(value)) > 63 for value in each["metadata"]["labels"].values()):
            yield f"{name} has a label that is too long"
        if each["kind"] == "Deployment" and not _selects(
            each["spec"]["selector"], each["spec"]["template"]["metadata"]
        ):
            yield f"{name} does not select its own pods"
    selectors = [each["spec"]["selector"]["matchLabels"] for each in of_kind(objects, "Deployment").values()]
    if any(selectors.count(selector) > 1 for selector in selectors):
        yield "two Deployments select the same pods"
    for name, each in of_kind(objects, "Service").items():
        chosen = [
            spec
            for _, metadata, spec in pods(objects)
            if _selects({"matchLabels": each["spec"]["selector"]}, metadata)
        ]
        if [spec["containers"][0]["name"] for spec in chosen] != ["http"]:
            yield f"{name} leads elsewhere than to http"
    accounts = {spec["serviceAccountName"] for _, _, spec in pods(objects)}
    made = set(of_kind(objects, "ServiceAccount"))
    if made and accounts != made:
        yield f"pods are {accounts}, and {made} is made"


def _selects(selector: Object, metadata: Object) -> bool:
    assert set(selector) == {"matchLabels"}
    return bool(selector["matchLabels"].items() <= metadata["labels"].items())


POLICIES: tuple[Policy, ...] = (
    nobody_is_root,
    images_stay_the_same,
    everything_is_limited,
    secrets_are_files,
    every_path_is_there,
    keys_are_where_signatures_are_made,
    one_thing_scales_each,
    drains_are_not_held_up,
    every_pod_is_shut_in,
    probes_fit,
    names_and_labels_hold_together,
)


def broken(objects: Sequence[Object], values: Values) -> list[str]:
    """What is against the policies; `values` with the chart's own."""
    return [f"{policy.__name__}: {fault}" for policy in POLICIES for fault in policy(objects, values)]
