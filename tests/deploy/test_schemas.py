"""Manifests and configurations are of the form that those who read them want."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import yaml
from deployed import DEPLOY, KUBERNETES, ROOT, assert_passes, documents, values
from ray.serve.schema import ServeDeploySchema

from service import cluster

PLAIN = sorted(path for path in KUBERNETES.glob("*.yaml") if path.name != "rayservice.yaml")


def test_compose():
    assert_passes("check-jsonschema", "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml")


@pytest.mark.parametrize("path", PLAIN, ids=lambda path: path.name)
def test_kubernetes(path):
    assert_passes("kubernetes-validate", "--strict", path)


def test_a_wrong_manifest_would_not_pass(tmp_path):
    (deployment,) = documents(KUBERNETES / "deployment.yaml")
    deployment["spec"]["template"]["spec"]["containers"][0]["readinessprobe"] = {}
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(deployment))
    with pytest.raises(AssertionError, match="readinessprobe"):
        assert_passes("kubernetes-validate", "--strict", tmp_path / "wrong.yaml")


def test_the_ray_service(tmp_path):
    """Its own fields by a schema here, its pods by Kubernetes'."""
    path = KUBERNETES / "rayservice.yaml"
    assert_passes("check-jsonschema", "--schemafile", Path(__file__).with_name("rayservice.schema.json"), path)
    (service,) = documents(path)
    pods = list(values(service["spec"]["rayClusterConfig"], "template"))
    assert len(pods) == 2
    for number, pod in enumerate(pods):
        whole = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"pod-{number}"},
            "spec": deepcopy(pod["spec"]),
        }
        (tmp_path / "pod.yaml").write_text(yaml.safe_dump(whole))
        assert_passes("kubernetes-validate", "--strict", tmp_path / "pod.yaml")


def test_the_ray_service_is_of_the_locked_ray():
    (service,) = documents(KUBERNETES / "rayservice.yaml")
    version = service["spec"]["rayClusterConfig"]["rayVersion"]
    assert f"ray=={version}" in (DEPLOY / "requirements.lock").read_text().split()


def serve_configurations():
    (service,) = documents(KUBERNETES / "rayservice.yaml")
    (shipped,) = documents(DEPLOY / "ray" / "serve.yaml")
    return {"rayservice.yaml": yaml.safe_load(service["spec"]["serveConfigV2"]), "serve.yaml": shipped}


@pytest.mark.parametrize("name", ["rayservice.yaml", "serve.yaml"])
def test_configurations_of_serve(name):
    checked = ServeDeploySchema.model_validate(serve_configurations()[name])
    (application,) = checked.applications
    module, _, function = application.import_path.partition(":")
    assert module == cluster.__name__
    assert callable(getattr(cluster, function))
    cluster.Size.model_validate(application.args)


def test_a_replica_fits_a_worker():
    (service,) = documents(KUBERNETES / "rayservice.yaml")
    (workers,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    (application,) = serve_configurations()["rayservice.yaml"]["applications"]
    assert float(container["resources"]["limits"]["cpu"]) >= application["args"]["cpus"]
    assert float(container["resources"]["limits"]["nvidia.com/gpu"]) == application["args"]["gpus"]
    assert workers["maxReplicas"] == application["args"]["max_replicas"]
