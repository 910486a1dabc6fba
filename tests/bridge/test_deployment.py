"""The files in examples/bridge: valid for their tools, and about the same ports, paths, users and options."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import requests

from otel_posthog.bridge._bodies import ENCODINGS
from otel_posthog.bridge.commands.consume import consume
from otel_posthog.bridge.commands.serve import serve
from tests.bridge.conftest import need
from tests.support.bridges import BridgeInThread

FOLDER = Path(__file__).parents[2] / "examples" / "bridge"
UNIT = FOLDER / "otel-posthog-bridge.service"


def documents(name: str) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def manifest() -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in documents("kubernetes.yaml")}


def instructions(name: str) -> list[str]:
    """The arguments of an instruction of the Dockerfile, lines joined."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    return re.findall(rf"^{name} (.*)$", text, re.MULTILINE)


def options_of(command: list[str]) -> dict[str, Any]:
    """The options of an ``otel-posthog serve`` command; an unknown one fails."""
    assert command[:1] == ["serve"]
    return dict(serve.make_context("serve", command[1:]).params)


def test_the_manifest_is_valid_kubernetes(kubernetes_validate: Any) -> None:
    for document in documents("kubernetes.yaml"):
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)


def test_the_manifest_agrees_with_the_image() -> None:
    found = manifest()
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    image = options_of(json.loads(instructions("CMD")[0]))
    ports = {image["port"], image["grpc_port"]}
    assert {port["containerPort"] for port in container["ports"]} == ports
    assert {port["port"] for port in found["Service"]["spec"]["ports"]} == ports
    assert set(map(int, instructions("EXPOSE")[0].split())) == ports
    assert container["readinessProbe"]["httpGet"]["port"] == image["port"]
    assert f"--uid {pod['securityContext']['runAsUser']} " in instructions("RUN")[0]
    assert instructions("ENV") == [f"POSTHOG_SPOOL_DIR={container['volumeMounts'][0]['mountPath']}"]


def test_the_manifest_refers_to_what_it_defines() -> None:
    found = manifest()
    spec = found["StatefulSet"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    reference = container["env"][0]["valueFrom"]["secretKeyRef"]
    assert reference["name"] == found["Secret"]["metadata"]["name"]
    assert reference["key"] in found["Secret"]["stringData"]
    assert spec["serviceName"] == found["Service"]["metadata"]["name"]
    assert spec["selector"]["matchLabels"] == found["Service"]["spec"]["selector"]
    assert spec["template"]["metadata"]["labels"] == found["Service"]["spec"]["selector"]
    assert container["volumeMounts"][0]["name"] == spec["volumeClaimTemplates"][0]["metadata"]["name"]


def test_the_image_installs_extras_that_exist() -> None:
    named = re.search(r"otel-posthog\[(.*?)\]", instructions("RUN")[0])
    assert named is not None
    assert set(named[1].split(",")) <= set(metadata("otel-posthog").get_all("Provides-Extra") or ())


def test_the_probes_of_image_and_manifest_are_answered(bridge: BridgeInThread) -> None:
    command = json.loads(instructions("HEALTHCHECK")[0].removeprefix("CMD "))
    here = [sys.executable, *(part.replace("http://127.0.0.1:4318", bridge.url) for part in command[1:])]
    subprocess.run(here, check=True, timeout=30)
    (container,) = manifest()["StatefulSet"]["spec"]["template"]["spec"]["containers"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert requests.get(bridge.url + container[probe]["httpGet"]["path"], timeout=5).status_code == 200


def test_the_unit_is_valid_for_systemd(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    need(program is not None, "systemd-analyze")
    assert program is not None
    # Only the program's path differs from that of an installation.
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", UNIT.read_text()))
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_starts_serve_with_options_that_exist() -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", UNIT.read_text(), re.MULTILINE)
    program, *arguments = shlex.split(line)
    assert program.endswith("/otel-posthog")
    assert options_of(arguments)["window_seconds"] == 10


def collector() -> dict[str, Any]:
    (configuration,) = documents("collector.yaml")
    return configuration


def test_the_collector_uses_only_what_it_defines() -> None:
    found = collector()
    for pipeline in found["service"]["pipelines"].values():
        for section, names in pipeline.items():
            assert set(names) <= set(found[section])
    assert set(found["service"]["extensions"]) == set(found["extensions"])
    used = json.dumps(found["exporters"])
    assert set(re.findall(r'"storage": "(\w+)"', used)) == set(found["extensions"])


def test_the_collector_sends_what_the_bridges_take() -> None:
    exporters = collector()["exporters"]
    service = manifest()["Service"]
    ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    one, many, kafka = (exporters[f"{kind}/posthog"] for kind in ("otlp_http", "load_balancing", "kafka"))
    assert one["endpoint"] == f"http://{service['metadata']['name']}:{ports['otlp-http']}"
    assert one["compression"] in ENCODINGS
    assert many["resolver"]["dns"] == {"hostname": service["metadata"]["name"], "port": str(ports["otlp-grpc"])}
    defaults = consume.make_context("consume", ["--brokers", kafka["brokers"][0]]).params
    assert (kafka["traces"]["topic"], kafka["logs"]["topic"]) == (*defaults["traces"], *defaults["logs"])
