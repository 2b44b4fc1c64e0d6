"""The Helm chart: rendered by helm, held against Kubernetes' own schemas, and read as somebody who reviews it would."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from orchestrator import __version__
from orchestrator.settings import Settings
from orchestrator.stream.desk import LIVE, READY, STARTUP
from orchestrator.stream.ending import STOP_TIMEOUT_S
from tests.deploy.tools import KUBERNETES
from tests.house.tree import ROOT

# The first test builds helm where nobody has yet.
pytestmark = pytest.mark.timeout(1200)

CHART = ROOT / "deploy/helm/journey-orchestrator"
LEAST = {"kafka": {"bootstrapServers": "kafka-1:9093,kafka-2:9093"}}
EVERYTHING: dict[str, Any] = {
    "kafka": {
        **LEAST["kafka"],
        "settings": {"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "w", "linger.ms": 5},
        "secrets": [{"setting": "sasl.password", "secretName": "kafka", "key": "password"}],
        "tls": {"secretName": "kafka-tls", "clientCertificate": True},
    },
    "settings": {"log_level": "debug", "stuck_after_s": 90, "commit_interval_ms": 50, "allow_sasl_plaintext": False},
    "topologies": {"files": {"streams.yaml": "app: x\n", "journeys/a.yaml": "journey: a\nversion: 1\n"}},
    "topics": {"create": True, "replicationFactor": 3},
    "http": {"accessSecret": "access", "tlsSecret": "tls", "clientCertificates": True},
    "persistence": {"storageClassName": "fast"},
    "networkPolicy": {"enabled": True, "kafkaPeers": [{"ipBlock": {"cidr": "10.0.0.0/8"}}], "ingressFrom": [{"podSelector": {}}]},
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True, "runbookUrl": "https://runbooks.example/alerts.md"},
        "dashboards": {"enabled": True},
    },
    "autoscaling": {"enabled": True},
    "imagePullSecrets": [{"name": "pull"}],
    "priorityClassName": "high",
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "journeys", "operator": "Exists"}],
}
# Of operators, not of Kubernetes: no schema for them comes with it.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}


def template(helm: Path, folder: Path, values: dict[str, Any], *more: str) -> subprocess.CompletedProcess[str]:
    (folder / "values.yaml").write_text(json.dumps(values))
    return subprocess.run(
        [helm, "template", "r", CHART, "--namespace", "n", "--kube-version", KUBERNETES, "-f", folder / "values.yaml", *more],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def manifests(helm: Path, folder: Path, values: dict[str, Any]) -> list[dict[str, Any]]:
    done = template(helm, folder, values)
    assert done.returncode == 0, done.stderr
    return [each for each in YAML(typ="safe").load_all(done.stdout) if each]


def of_kind(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(each for each in found if each["kind"] == kind)


@pytest.mark.parametrize("values", [LEAST, EVERYTHING], ids=["least", "everything"])
def test_what_is_rendered_is_what_kubernetes_takes(helm: Path, tmp_path: Path, values: dict[str, Any]) -> None:
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    linted = subprocess.run(
        [helm, "lint", "--strict", CHART, "-f", tmp_path / "values.yaml"], capture_output=True, text=True, check=False
    )
    assert linted.returncode == 0, linted.stdout

    found = manifests(helm, tmp_path, values)

    names = [(each["kind"], each["metadata"]["name"]) for each in found]
    assert len(names) == len(set(names))
    for each in found:
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, KUBERNETES.rpartition(".")[0], strict=True)


def test_a_worker_is_known_by_its_pod_and_keeps_its_volume(helm: Path, tmp_path: Path) -> None:
    spec = of_kind(manifests(helm, tmp_path, LEAST), "StatefulSet")["spec"]
    pod = spec["template"]["spec"]
    (worker,) = pod["containers"]
    environment = {each["name"]: each for each in worker["env"]}

    assert environment["ORCHESTRATOR_WORKER_ID"]["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.name"
    assert spec["podManagementPolicy"] == "Parallel"
    assert spec["volumeClaimTemplates"][0]["metadata"]["name"] == "state"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenScaled": "Retain", "whenDeleted": "Retain"}
    assert pod["terminationGracePeriodSeconds"] > STOP_TIMEOUT_S
    assert worker["args"] == ["worker"]


def test_probes_ask_what_they_are_for(helm: Path, tmp_path: Path) -> None:
    (worker,) = of_kind(manifests(helm, tmp_path, LEAST), "StatefulSet")["spec"]["template"]["spec"]["containers"]
    asked = {name: worker[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    startup = worker["startupProbe"]

    assert asked == {"startupProbe": STARTUP, "livenessProbe": LIVE, "readinessProbe": READY}
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 3600, "a restore may take an hour"


def test_pods_may_do_nothing_that_they_need_not(helm: Path, tmp_path: Path) -> None:
    found = manifests(helm, tmp_path, EVERYTHING)
    pods = [each["spec"]["template"]["spec"] for each in found if each["kind"] in {"StatefulSet", "Job"}]
    pods.append(of_kind(found, "Pod")["spec"])
    assert len(pods) == 3
    for pod in pods:
        (container,) = pod["containers"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
        }  # fmt: skip


def test_the_settings_file_is_one_that_a_worker_takes_and_holds_no_secret(
    helm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifests(helm, tmp_path, EVERYTHING)
    text = of_kind(found, "ConfigMap")["data"]["settings.toml"]
    pod = of_kind(found, "StatefulSet")["spec"]["template"]["spec"]
    mounts = {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    files = [value for value in _texts(tomllib.loads(text)) if value.startswith("/run/secrets/")]

    assert len(files) == 8
    assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files)
    # The same file with its secret at hand.
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "settings.toml").write_text(text.replace("/run/secrets/kafka/0/password", str(tmp_path / "secret")))
    settings = Settings.load(tmp_path / "settings.toml")
    assert (settings.stuck_after_s, settings.commit_interval_ms, settings.log_level) == (90, 50, "debug")
    assert settings.kafka["sasl.password"] == "hunter2"
    assert settings.kafka["linger.ms"] == "5"


def _texts(values: Any) -> list[str]:
    if isinstance(values, dict):
        return [text for value in values.values() for text in _texts(value)]
    return [values] if isinstance(values, str) else []


def test_journeys_of_the_values_are_files_below_the_topologies(helm: Path, tmp_path: Path) -> None:
    found = manifests(helm, tmp_path, EVERYTHING)
    pod = of_kind(found, "StatefulSet")["spec"]["template"]["spec"]
    (volume,) = (each for each in pod["volumes"] if each["name"] == "topologies")
    (written,) = (each for each in found if each["metadata"]["name"] == volume["configMap"]["name"])

    placed = {item["path"]: written["data"][item["key"]] for item in volume["configMap"]["items"]}
    assert placed == EVERYTHING["topologies"]["files"]


def test_alerts_and_dashboards_are_those_of_the_folder(helm: Path, tmp_path: Path) -> None:
    found = manifests(helm, tmp_path, EVERYTHING)
    rules = of_kind(found, "PrometheusRule")["spec"]["groups"][0]["rules"]
    boards = [each for each in found if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"]

    own = YAML(typ="safe").load((CHART / "files/alerts.yaml").read_text())["groups"][0]["rules"]
    assert [(each["alert"], each["expr"]) for each in rules] == [(each["alert"], each["expr"]) for each in own]
    assert all(each["annotations"]["runbook_url"].startswith("https://runbooks.example/alerts.md#") for each in rules)
    assert {name: text for each in boards for name, text in each["data"].items()} == {
        path.name: path.read_text().rstrip("\n") for path in (CHART / "files/dashboards").iterdir()
    }


def test_who_scales_is_off_by_default_and_never_two(helm: Path, tmp_path: Path) -> None:
    kinds = {each["kind"] for each in manifests(helm, tmp_path, LEAST)}
    assert kinds == {"ConfigMap", "StatefulSet", "Service", "ServiceAccount", "PodDisruptionBudget", "Pod"}

    scaled = manifests(helm, tmp_path, LEAST | {"keda": {"enabled": True}})
    assert "replicas" not in of_kind(scaled, "StatefulSet")["spec"]
    assert of_kind(scaled, "ScaledObject")["spec"]["minReplicaCount"] == 2
    both = template(helm, tmp_path, LEAST | {"keda": {"enabled": True}, "autoscaling": {"enabled": True}})
    assert "exclude each other" in both.stderr


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "which Kafka?"),
        (LEAST | {"replicas": 3}, "replicas"),
        ({"kafka": {"bootstrapServers": "kafka"}}, "bootstrapServers"),
        ({"kafka": {"bootstrapServers": "k:1", "settings": {"sasl.password": "hunter2"}}}, "sasl.password"),
        (LEAST | {"http": {"accessSecret": "a"}}, "tlsSecret"),
        (LEAST | {"terminationGracePeriodSeconds": 10}, "terminationGracePeriodSeconds"),
        (LEAST | {"settings": {"worker_id": "same-for-all"}}, "worker_id"),
        (LEAST | {"settings": {"processes": 4}}, "processes"),
    ],
)
def test_values_that_cannot_work_are_refused(helm: Path, tmp_path: Path, values: dict[str, Any], said: str) -> None:
    done = template(helm, tmp_path, values)
    assert done.returncode != 0
    assert said in done.stderr


def test_the_default_values_keep_to_the_schema_and_the_version_is_the_packages() -> None:
    values = YAML(typ="safe").load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, json.loads((CHART / "values.schema.json").read_text()))
    assert YAML(typ="safe").load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__
