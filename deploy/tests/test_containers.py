"""The programs in containers, under the profile that Debian's runtimes have and under ours, as compose.yaml and the chart have
them."""

import os
import re
import sys
import unittest
from pathlib import Path

import chart
import yaml
from containers import Network, seccomp

DEPLOY = Path(__file__).parent.parent
OURS = seccomp(DEPLOY / "seccomp.json")
# Of Debian's golang-github-containers-common.
USUAL = Path("/usr/share/containers/seccomp.json")

# A client of the demo's chat: what it hears first.
CHAT = """
import asyncio, sys, websockets
async def main():
    async with websockets.connect(sys.argv[1]) as client:
        await client.send('{"type": "hello", "name": "ann"}')
        print(await asyncio.wait_for(client.recv(), 20))
asyncio.run(main())
"""

# Asks until it is answered well.
PROBE = """
import sys, time, urllib.error, urllib.request
while True:
    try:
        urllib.request.urlopen(sys.argv[1])
        break
    except urllib.error.HTTPError:
        time.sleep(0.1)
"""


def network():
    return Network(Path(os.environ["RINGWAY_ROOT"]), Path(os.environ["RINGWAY_PROGRAMS"]))


def assert_chats(network, url):
    said = network.call(sys.executable, "-c", CHAT, url)
    assert '"welcome"' in said, said


class Containers(unittest.TestCase):
    def test_without_io_uring_a_program_says_so_in_one_line(self):
        usual = seccomp(USUAL)
        with network() as here:
            for program in ("register", "gateway", "worker"):
                here.add(program)
                flags = {"gateway": ["--listen", "text://0.0.0.0:1"], "worker": ["--app", "echo"]}.get(program, [])
                container = here.start(program, [program, *flags], {}, usual)
                self.assertEqual(container.await_end(), 1)
                stdout, stderr = container.output()
                self.assertEqual((stdout, stderr.count("\n")), ("", 1), stderr)
                for word in (f"{program}: ", "io_uring", "seccomp.json"):
                    self.assertIn(word, stderr)

    def test_compose(self):
        services = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]
        with network() as here:
            for name in services:
                here.add(name)
            running = []
            for name, service in services.items():
                environment = {key: interpolated(value) for key, value in service["environment"].items()}
                self.assertIn("seccomp:./seccomp.json", service["security_opt"])
                container = here.start(name, service["command"], environment, OURS)
                container.await_ready()
                container.execute(*service["healthcheck"]["test"][1:])
                running.append(container)
            assert_chats(here, f"ws://{here.addresses['gateway']}:8282")
            for container in reversed(running):
                self.assertEqual(container.stop(), 0)

    def test_chart(self):
        pods = chart.pods(chart.render())
        with network() as here:
            for name in ("register", "gateway", "worker"):
                here.add(name, f"{chart.RELEASE}-{name}")
            running = []
            for name in here.addresses:
                container = pods[name]["containers"][0]
                # The one that is no value is the pod's address.
                environment = {each["name"]: each.get("value", here.addresses[name]) for each in container["env"]}
                running.append(here.start(name, container["command"], environment, OURS))
                running[-1].await_ready()
            assert_chats(here, f"ws://{here.addresses['gateway']}:8282")
            for name, address in here.addresses.items():
                for probe in ("livenessProbe", "readinessProbe"):
                    path = pods[name]["containers"][0][probe]["httpGet"]["path"]
                    here.call(sys.executable, "-c", PROBE, f"http://{address}:9500{path}")
            for container in reversed(running):
                self.assertEqual(container.stop(), 0)


def interpolated(value):
    """With Compose's `${NAME:-default}` of an environment without variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


if __name__ == "__main__":
    unittest.main()
