"""Containers by crun, each with an address of its own in a network that only they are in."""

import json
import os
import platform
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# How long anything may take. A limit that is reached is a failure, never a measurement.
LIMIT_SECONDS = 30

# What deploy/Dockerfile and the chart run as.
USER = 65532

# crun looks at the cgroups, though these containers have none of their own, and does not take those of versions 1 and 2 at once.
UNIFIED = ["unshare", "--mount", "sh", "-c", 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"', "sh"]


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def wait_until(what, condition):
    deadline = time.monotonic() + LIMIT_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {LIMIT_SECONDS} s in vain for {what}")
        time.sleep(0.01)
    return value


def seccomp(path):
    """A profile of Docker's format, as a runtime gets it for a container without capabilities."""
    profile = json.loads(Path(path).read_text(encoding="utf-8"))
    machine = platform.machine()
    names = {"x86_64": ("amd64", "SCMP_ARCH_X86_64"), "aarch64": ("arm64", "SCMP_ARCH_AARCH64")}
    name, architecture = names[machine]

    def applies(rule):
        includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
        if includes.get("caps") or name not in (includes.get("arches") or [name]):
            return False
        return name not in (excludes.get("arches") or [])

    rules = []
    for rule in filter(applies, profile["syscalls"]):
        kept = {"names": rule["names"], "action": rule["action"], "args": rule.get("args") or []}
        if "errnoRet" in rule:
            kept["errnoRet"] = rule["errnoRet"]
        rules.append(kept)
    return {
        "defaultAction": profile["defaultAction"],
        "defaultErrnoRet": profile.get("defaultErrnoRet", 1),
        "architectures": [architecture],
        "syscalls": rules,
    }


class Network:
    """Containers by name, which they find each other by. Closed, all of it is gone."""

    def __init__(self, root, programs):
        self.root, self.programs = root, programs
        self.folder = tempfile.TemporaryDirectory(prefix="ringway-containers-")
        self.place = Path(self.folder.name)
        self.mark = f"rw{os.getpid()}"
        self.addresses = {}
        self.running = []
        run("ip", "netns", "add", self.mark)
        for words in ("add bridge type bridge", "set lo up", "set bridge up"):
            run("ip", "-n", self.mark, "link", *words.split())
        run("ip", "-n", self.mark, "address", "add", "10.77.0.1/24", "dev", "bridge")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for container in self.running:
            container.kill()
        for name in [*map(self.namespace, self.addresses), self.mark]:
            run("ip", "netns", "delete", name)
        self.folder.cleanup()

    def namespace(self, name):
        return f"{self.mark}-{name}"

    def add(self, name, *aliases):
        """Gives it an address; what is started later finds it by its name and the aliases."""
        number = len(self.addresses) + 2
        address, space, outer = f"10.77.0.{number}", self.namespace(name), f"port{number}"
        run("ip", "netns", "add", space)
        run("ip", "-n", self.mark, "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", space)
        run("ip", "-n", self.mark, "link", "set", outer, "master", "bridge", "up")
        run("ip", "-n", space, "address", "add", f"{address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            run("ip", "-n", space, "link", "set", device, "up")
        self.addresses[name] = address
        with open(self.place / "hosts", "a", encoding="utf-8") as hosts:
            hosts.write(f"{address} {name} {' '.join(aliases)}\n")
        return address

    def start(self, name, command, environment, profile):
        container = Container(self, name, command, environment, profile)
        self.running.append(container)
        return container

    def call(self, *command):
        """Runs a command of this machine in the network, and gives what it prints."""
        whole = ["ip", "netns", "exec", self.mark, *command]
        done = subprocess.run(whole, check=True, capture_output=True, text=True, timeout=LIMIT_SECONDS)
        return done.stdout


class Container:
    def __init__(self, network, name, command, environment, profile):
        self.name, self.state = f"{network.mark}-{name}", network.place / "state"
        bundle = network.place / f"bundle-{name}"
        bundle.mkdir()
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            bind(network.place / "hosts", "/etc/hosts"),
            bind(network.programs, "/usr/local/bin"),
        ]
        kinds = [{"type": kind} for kind in ("pid", "mount", "ipc", "uts")]
        kinds.append({"type": "network", "path": f"/run/netns/{network.namespace(name)}"})
        config = {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": USER, "gid": USER},
                "args": command,
                "env": ["PATH=/usr/local/bin:/usr/bin:/bin", *(f"{key}={value}" for key, value in environment.items())],
                "cwd": "/",
                "capabilities": {},
                "noNewPrivileges": True,
            },
            "root": {"path": str(network.root), "readonly": True},
            "mounts": mounts,
            "linux": {"namespaces": kinds, "seccomp": profile},
        }
        (bundle / "config.json").write_text(json.dumps(config), encoding="utf-8")
        self.outputs = [bundle / "stdout", bundle / "stderr"]
        with open(self.outputs[0], "wb") as stdout, open(self.outputs[1], "wb") as stderr:
            self.process = subprocess.Popen(
                self.crun("run", "--bundle", bundle, self.name), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )

    def crun(self, *words):
        return [*UNIFIED, "crun", "--root", self.state, "--cgroup-manager=disabled", *words]

    def output(self):
        return tuple(path.read_text(encoding="utf-8") for path in self.outputs)

    def await_ready(self):
        def is_ready():
            assert self.process.poll() is None, self.output()
            return " ready: " in self.output()[0]

        wait_until(f"{self.name} to be ready", is_ready)

    def execute(self, *command):
        """Runs a command in the container, as its user."""
        whole = self.crun("exec", f"--user={USER}:{USER}", self.name, *command)
        subprocess.run(whole, check=True, timeout=LIMIT_SECONDS, stdout=subprocess.DEVNULL)

    def await_end(self):
        return self.process.wait(LIMIT_SECONDS)

    def stop(self):
        """Asks it to end; its exit code."""
        run(*self.crun("kill", self.name, "TERM"))
        return self.await_end()

    def kill(self):
        if self.process.poll() is None:
            subprocess.run(self.crun("delete", "--force", self.name), check=False, capture_output=True)
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def bind(source, destination):
    return {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", "ro"]}
