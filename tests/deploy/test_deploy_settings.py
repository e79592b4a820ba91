"""Whatever the files of deployment set, ask or run exists."""

from __future__ import annotations

import re
import tomllib

import pytest
from deployed import DEPLOY, KUBERNETES, ROOT, documents, values

from service.app import create_app
from service.settings import Settings

FILES = [
    ROOT / "Dockerfile",
    ROOT / "compose.yaml",
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(ROOT / "docs").glob("*.md"),
    *(path for path in DEPLOY.rglob("*") if path.suffix in (".yaml", ".yml")),
]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
NAMES = {f"RWAE_{name.upper()}" for name in Settings.model_fields} | {"RWAE_DATA"}  # the latter is the tests'


def manifests():
    return [document for path in KUBERNETES.glob("*.yaml") for document in documents(path)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_exist(path):
    assert set(re.findall(r"\bRWAE_[A-Z_]*[A-Z]\b", path.read_text())) <= NAMES


def test_the_images_settings_are_valid(monkeypatch):
    environment = dict(re.findall(r"\b(RWAE_\w+)=(\S+)", DOCKERFILE))
    environment |= {
        entry["name"]: entry["value"]
        for listed in values(manifests(), "env")
        for entry in listed
        if entry["name"].startswith("RWAE_")
    }
    assert len(environment) > 3
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Settings().port == 8000


def test_ports_are_the_images():
    (exposed,) = re.findall(r"^EXPOSE (\d+)$", DOCKERFILE, re.MULTILINE)
    assert exposed == dict(re.findall(r"\b(RWAE_\w+)=(\S+)", DOCKERFILE))["RWAE_PORT"]
    (composed,) = documents(ROOT / "compose.yaml")
    for name in ("cpu", "gpu"):
        assert [port.rpartition(":")[2] for port in composed["services"][name]["ports"]] == [exposed]
    (scraping,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    assert list(values(scraping, "port")) == [int(exposed)]
    named = {
        port["name"]: port["containerPort"]
        for ports in values(manifests(), "ports")
        for port in ports
        if "containerPort" in port
    }
    assert named["http"] == named["serve"] == int(exposed)
    used = {*values(manifests(), "targetPort"), *(probe["port"] for probe in values(manifests(), "httpGet"))}
    assert used - {52365} <= set(named), "52365 is where Ray's agent listens by default"


def test_paths_are_answered():
    app = create_app(Settings())
    answered = set(app.openapi()["paths"])
    asked = {probe["path"] for probe in values(manifests(), "httpGet")}
    rays = {"/-/healthz", "/api/gcs_healthz", "/api/local_raylet_healthz"}
    assert {"/healthz", "/readyz"} <= asked
    assert asked - rays <= answered
    annotations = next(values(manifests(), "annotations"))
    assert annotations["prometheus.io/path"] in answered
    assert "/healthz" in DOCKERFILE


def test_time_to_end_is_longer_than_the_grace_period():
    grace = Settings().grace_s
    (composed,) = documents(ROOT / "compose.yaml")
    for name in ("cpu", "gpu"):
        assert int(composed["services"][name]["stop_grace_period"].removesuffix("s")) > grace
    (deployment,) = documents(KUBERNETES / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert {"name": "RWAE_GRACE_S", "value": f"{grace}"} in container["env"]
    assert pod["terminationGracePeriodSeconds"] > waits + grace


def test_what_writes_has_where_to():
    (composed,) = documents(ROOT / "compose.yaml")
    for name, service in composed["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"]
        for entry in service["volumes"]:
            source = entry.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in composed["volumes"], entry
    for pod in values(manifests(), "template"):
        spec = pod["spec"]
        volumes = {volume["name"] for volume in spec["volumes"]}
        assert spec["securityContext"]["runAsNonRoot"]
        for container in spec["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"]
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert set(mounts.values()) == volumes
            assert "/tmp" in mounts  # noqa: S108


def test_who_it_runs_as_is_the_images_user():
    (user,) = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)
    contexts = [context for context in values(manifests(), "securityContext") if "runAsUser" in context]
    assert len(contexts) == 3
    assert {(f"{context['runAsUser']}", f"{context['runAsGroup']}") for context in contexts} == {user}


def test_images_are_those_that_the_guide_builds():
    guide = (ROOT / "docs" / "deployment.md").read_text()
    built = set(re.findall(r"docker build -t (\S+)", guide + DOCKERFILE))
    (composed,) = documents(ROOT / "compose.yaml")
    built |= {service["image"] for service in composed["services"].values() if "build" in service}
    assert set(values(manifests(), "image")) <= built
    for argument in re.findall(r"--build-arg (\w+)=", guide + DOCKERFILE):
        assert re.search(rf"^ARG {argument}=", DOCKERFILE, re.MULTILINE), argument
    for service in composed["services"].values():
        for argument in service.get("build", {}).get("args", {}):
            assert re.search(rf"^ARG {argument}=", DOCKERFILE, re.MULTILINE), argument


def test_one_version_everywhere():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'image.version="{version}"' in DOCKERFILE


def test_files_that_are_copied_are_let_in():
    allowed = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for name in line.split()
    }
    assert copied == set(allowed)
    assert all((ROOT / name).exists() for name in copied)


def test_secrets_of_the_environment_are_no_part_of_the_project():
    (composed,) = documents(ROOT / "compose.yaml")
    ignored = (ROOT / ".gitignore").read_text().split()
    for service in ("cpu", "gpu"):
        for entry in composed["services"][service]["env_file"]:
            assert entry["path"] in ignored
            assert not entry["required"]
