"""What the chart renders to: valid for Kubernetes' API, and of one piece."""

import re
import unittest

import chart
import helm_python
import kubernetes_validate

# The oldest that the chart takes, and a new one.
KUBERNETES = ("1.30", "1.36")

# Everything that may be left out.
ALL = {
    "image": {"repository": "registry.example/ringway", "tag": "1"},
    "imagePullSecrets": [{"name": "pull"}],
    "secretName": "key",
    "gateway": {"shards": 4, "drainTimeout": 60, "service": {"annotations": {"a": "b"}}},
    "worker": {"image": {"repository": "registry.example/chat"}, "command": ["chat"], "env": {"DATABASE": "mysql://db"}},
    "networkPolicy": {"monitoring": {"app": "prometheus"}},
}


class Chart(unittest.TestCase):
    def test_lint(self):
        # 1 is a hint: it would like an icon.
        self.assertEqual([each for each in helm_python.lint(chart.CHART)["messages"] if each["severity"] > 1], [])

    def test_objects_are_what_the_api_takes(self):
        for values in ({}, ALL, {"networkPolicy": {"enabled": False}}):
            for each in chart.render(values):
                for version in KUBERNETES:
                    kubernetes_validate.validate(each, version, strict=True)

    def test_names_and_labels_fit_each_other(self):
        objects = chart.render(ALL)
        self.assertEqual(len({(each["kind"], each["metadata"]["name"]) for each in objects}), len(objects))
        labels = [each["spec"]["template"]["metadata"]["labels"] for each in objects if "template" in each["spec"]]
        selectors = [
            selector
            for each in objects
            for selector in found(each, ("selector", "podSelector", "labelSelector"))
            if "ringway" in str(selector) and "pusher" not in str(selector)
        ]
        self.assertGreater(len(selectors), 12)
        for selector in selectors:
            wanted = (selector.get("matchLabels") or selector).items()
            self.assertEqual(sum(wanted <= each.items() for each in labels), 1, selector)

    def test_pods_are_restricted(self):
        """As the Pod Security Standard of this name wants it."""
        for pod in chart.pods(chart.render()).values():
            security, container = pod["securityContext"], pod["containers"][0]
            self.assertTrue(security["runAsNonRoot"])
            self.assertEqual(security["seccompProfile"], {"type": "Localhost", "localhostProfile": "ringway.json"})
            self.assertEqual(container["securityContext"]["capabilities"], {"drop": ["ALL"]})
            self.assertFalse(container["securityContext"]["allowPrivilegeEscalation"])
            ports = {port["name"] for port in container["ports"]}
            self.assertTrue(all(probe["port"] in ports for probe in found(pod, ("httpGet", "tcpSocket"))))

    def test_stops_have_the_time_they_need(self):
        pods = chart.pods(chart.render(ALL))
        self.assertEqual(pods["gateway"]["terminationGracePeriodSeconds"], 75)
        self.assertEqual(pods["worker"]["terminationGracePeriodSeconds"], 55)

    def test_the_policy_opens_the_ports_of_all_shards(self):
        policy = next(each for each in chart.render(ALL) if each["kind"] == "NetworkPolicy" and "gateway" in each["metadata"]["name"])
        self.assertIn({"port": 2900, "endPort": 2903}, [port for rule in policy["spec"]["ingress"] for port in rule["ports"]])

    def test_flags_are_those_of_the_values(self):
        pods = chart.pods(chart.render(ALL))
        container = pods["gateway"]["containers"][0]
        self.assertIn({"name": "RINGWAY_GATEWAY_COUNT", "value": "4"}, container["env"])
        self.assertEqual(container["image"], "registry.example/ringway:1")
        self.assertTrue(re.search(r"SECRET_KEY.*'key'", str(container["env"])))
        self.assertEqual(pods["worker"]["containers"][0]["image"], "registry.example/chat:1")


def found(value, keys):
    """All values below with one of these keys."""
    if isinstance(value, dict):
        for key, below in value.items():
            if key in keys and below:
                yield below
            yield from found(below, keys)
    elif isinstance(value, list):
        for below in value:
            yield from found(below, keys)


if __name__ == "__main__":
    unittest.main()
