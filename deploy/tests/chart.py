"""The chart, rendered by Helm's own engine."""

from pathlib import Path

import helm_python
import yaml

CHART = Path(__file__).parent.parent / "helm" / "ringway"

# What the release is called.
RELEASE = "chat"


def render(values=None):
    """The objects that Helm would create."""
    with helm_python.Chart.load(CHART) as loaded:
        files = loaded.render(values or {}, name=RELEASE, namespace="rooms")
    objects = [each for text in files.values() for each in yaml.safe_load_all(text)]
    return [each for each in objects if each]


def pods(objects):
    """What the pods are, by component."""
    templates = [each["spec"]["template"] for each in objects if "template" in each["spec"]]
    return {each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"] for each in templates}
