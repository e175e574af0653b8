"""The processes of one run: a register, a gateway and a worker, each ours or PHP's, and GatewayClient.

An embedded gateway has workers of ours in its threads; with several shards it is two processes.
"""

import json
import os
import random
import re
import select
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Seconds that a program may take to start or to stop.
PATIENCE = 15.0
# Seconds between looks at something that cannot be waited for.
PAUSE = 0.02
# Ports below those that the kernel hands out.
PORTS = range(20000, 32000)


@dataclass(frozen=True)
class Setup:
    """What a run consists of. `register`, `gateway` and `worker` are "php" or "ours"; `gateway` may be "embedded", and beside
    such a one `worker` is "php" or "none".
    """

    register: str
    gateway: str
    worker: str
    protocol: str
    key: str
    shards: int

    def is_embedded(self):
        """Whether the gateway has workers in it."""
        return self.gateway == "embedded"

    def processes(self):
        """What is started, in this order."""
        gateways = ("gateway", "gateway2") if self.is_embedded() and self.shards > 1 else ("gateway",)
        return ("register", *gateways, *(() if self.worker == "none" else ("worker",)))

    def roles(self):
        """The cell's name without what is common to a column."""
        return (self.register, self.gateway, self.worker)

    def variant(self):
        """What the reference has in common with it."""
        return (self.protocol, self.key, self.shards)


@dataclass(frozen=True)
class Places:
    """Where things are on this machine."""

    php: Path
    binaries: Path
    run: Path


class Failed(Exception):
    """A program did not do what a run needs of it."""


class Cluster:
    """Starts and stops the programs of a setup."""

    WORKERS = 2

    def __init__(self, setup, places, events):
        self.setup = setup
        self.places = places
        self.register_address = ("127.0.0.1", free_ports(1))
        first = free_ports(2)
        self.listen = ("127.0.0.1", first)
        self.listen2 = ("127.0.0.1", first + 1)
        self.orders = ("127.0.0.1", free_ports(1))
        self.start_port = free_ports(setup.shards)
        self._running = {}
        # Where to look for what our worker says about its links.
        self._worker_log_mark = 0
        self._gateway_log_marks = {}
        self._environment = {
            "INTEROP_PHP": str(places.php),
            "INTEROP_RUN": str(places.run),
            "INTEROP_REGISTER": joined(self.register_address),
            "INTEROP_LISTEN": joined(self.listen),
            "INTEROP_PROTOCOL": setup.protocol,
            "INTEROP_SHARDS": str(setup.shards),
            "INTEROP_START_PORT": str(self.start_port),
            "INTEROP_KEY": setup.key,
            "INTEROP_WORKERS": str(self.WORKERS),
            "INTEROP_EVENTS": joined(events),
            "INTEROP_ORDERS": joined(self.orders),
        }

    def inner_addresses(self):
        """What the register must list."""
        return sorted(f"127.0.0.1:{self.start_port + index}" for index in range(self.setup.shards))

    def start(self, role, mode=""):
        """Starts the register, the gateway (which in the mode "pings" pings its clients and closes those who are
        silent) or the worker (which in the mode "echo" only returns messages).
        """
        if role == "worker" and self.setup.is_embedded():
            mode = "beside"
        command = self._command(role, mode)
        log = open(self.places.run / f"{role}.log", "ab")
        self._gateway_log_marks[role] = log.tell()
        worker_log = self.places.run / "worker.log"
        self._worker_log_mark = worker_log.stat().st_size if worker_log.exists() else 0
        environment = os.environ | self._environment | {"INTEROP_MODE": mode}
        if role.startswith("gateway") and self.setup.is_embedded():
            environment["INTEROP_EMBEDDED"] = "1"
        self._running[role] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, start_new_session=True
        )
        log.close()

    def stop(self, role):
        """Stops a program in good order, by force if it does not."""
        process = self._running.pop(role)
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._running[role] = process
            self.kill(role)
            raise Failed(f"{role} did not stop within {PATIENCE} s") from None

    def kill(self, role):
        """Ends a program, with all its processes, without a chance to say anything."""
        process = self._running.pop(role)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def signal(self, role, number):
        """Sends a signal to a program (to the master, if it has several processes)."""
        self._running[role].send_signal(number)

    def reload_our_worker(self):
        """Has our worker replaced by itself, and waits until the old process is gone."""
        log = self.places.run / "worker.log"
        self._worker_log_mark = log.stat().st_size
        self.signal("worker", signal.SIGUSR1)

        def replaced():
            with open(log, encoding="utf-8") as lines:
                lines.seek(self._worker_log_mark)
                return re.search(r"the old worker process \d+ has ended", lines.read())

        wait_for(replaced, "our worker to be replaced", self)

    def stop_all(self):
        """Stops what runs, clients' side first."""
        for role in reversed(self.setup.processes()):
            if role in self._running:
                self.stop(role)

    def check_alive(self):
        """A program that ended by itself is a failure."""
        for role, process in self._running.items():
            if process.poll() is not None:
                raise Failed(f"{role} ended with {process.returncode}")

    def wait_listed(self):
        """Waits until the register lists exactly our gateway's inner ports."""
        wait_for(lambda: self._listed() == self.inner_addresses(), "the register to list the gateway", self)

    def wait_links_logged(self):
        """Waits until our worker has said that each core is connected to each shard, since a program was started."""
        wanted = {
            (address, str(core)) for address in self.inner_addresses() for core in range(self.WORKERS)
        }
        wait_for(lambda: wanted <= self._links_logged(), "our worker's links", self)

    def wait_own_links_logged(self):
        """Waits until each worker in a gateway has said that it is connected to each shard."""
        gateways = self.gateways()
        cores = range(self.setup.shards // len(gateways))
        wanted = {(address, str(core)) for address in self.inner_addresses() for core in cores}
        for role in gateways:
            log = self.places.run / f"{role}.log"
            mark = self._gateway_log_marks[role]
            wait_for(lambda: wanted <= links_in(log, mark), f"the links of {role}", self)

    def gateways(self):
        """What is started as the gateway."""
        return [role for role in self.setup.processes() if role.startswith("gateway")]

    def _links_logged(self):
        return links_in(self.places.run / "worker.log", self._worker_log_mark)

    def _listed(self):
        request = json.dumps({"event": "worker_connect", "secret_key": self.setup.key}) + "\n"
        try:
            with socket.create_connection(self.register_address, timeout=PATIENCE) as connection:
                connection.sendall(request.encode())
                answer = json.loads(connection.makefile().readline())
        except (ConnectionError, ValueError):
            return None
        addresses = answer["addresses"]
        return sorted(addresses.values() if isinstance(addresses, dict) else addresses)

    def gateway_client(self, persistent):
        """GatewayClient as a process that takes calls."""
        return GatewayClient(self._environment, persistent, self.places.run / "client.log")

    def _command(self, role, mode):
        if role == "gateway2" or self.setup.is_embedded() and role == "gateway":
            flags = MODES[mode][1:] if mode else []
            return [str(self.places.binaries / BINARIES["worker"]), *flags, *self._embedded_flags(role), *self._key_flags()]
        if getattr(self.setup, role) == "php":
            return ["php", str(HERE / f"start_{role}.php"), "start", "-q"]
        program, *flags = MODES.get(mode, [BINARIES[role]])
        return [str(self.places.binaries / program), *flags, *self._flags(role), *self._key_flags()]

    def _flags(self, role):
        register = joined(self.register_address)
        if role == "register":
            return ["--listen", register]
        if role == "worker":
            flags = ["--name", "InteropWorker", "--count", str(self.WORKERS), "--register-address", register]
            # A link that another core had before is told at this level only.
            return [*flags, "--log-level", "debug"]
        return [
            "--listen", f"{self.setup.protocol}://{joined(self.listen)}",
            "--count", str(self.setup.shards),
            "--start-port", str(self.start_port),
            "--register-address", register,
        ]  # fmt: skip

    def _embedded_flags(self, role):
        number, count = int(role == "gateway2"), self.setup.shards // len(self.gateways())
        return [
            "--listen", f"{self.setup.protocol}://{joined((self.listen, self.listen2)[number])}",
            "--count", str(count),
            "--start-port", str(self.start_port + number * count),
            "--register-address", joined(self.register_address),
            "--log-level", "debug",
        ]  # fmt: skip

    def _key_flags(self):
        return ["--secret-key", self.setup.key] if self.setup.key else []


BINARIES = {"register": "register", "gateway": "gateway", "worker": "interop-worker"}
MODES = {
    "echo": ["worker", "--app", "echo"],
    "pings": ["gateway", "--ping-interval", "1", "--ping-not-response-limit", "1", "--ping-data", "ping"],
}


def links_in(log, mark):
    """Which core has said there, behind the mark, that it is connected to which shard."""
    with open(log, encoding="utf-8") as lines:
        lines.seek(mark)
        return set(re.findall(r"connected to gateway gateway=(\S+) core=(\d+)", lines.read()))


ONLY_GATEWAY_CLIENT = {"batchGetClientIdByUid", "isUidsOnline", "batchGetClientIdCountByGroup"}

# Ids of no client of any gateway: each of PHP's two libraries has errors of its own for them.
NO_IDS = ("7f0000010001ffffffff", "xyz")


class BesideWorker:
    """PHP's worker beside gateways that have workers of their own; `client` has what only GatewayClient can do."""

    def __init__(self, address, client):
        self._client = client
        self._connection = socket.create_connection(address, timeout=PATIENCE)
        self._answers = self._connection.makefile("rb")

    def call(self, op, *args):
        """Has it call a method, and returns its answer."""
        if op in ONLY_GATEWAY_CLIENT or args and args[0] in NO_IDS:
            return self._client.call(op, *args)
        self._connection.sendall(json.dumps({"op": op, "args": args}).encode() + b"\n")
        return json.loads(self._answers.readline())

    def stop(self):
        """Lets it be."""
        self._connection.close()
        self._client.stop()


class GatewayClient:
    """A PHP process that calls GatewayClient's API."""

    def __init__(self, environment, persistent, log):
        command = ["php", str(HERE / "client.php")] + (["--persistent"] if persistent else [])
        with open(log, "ab") as errors:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ | environment,
                text=True,
            )

    def call(self, op, *args):
        """Calls a method and returns its answer."""
        self._process.stdin.write(json.dumps({"op": op, "args": args}) + "\n")
        self._process.stdin.flush()
        # PHP's blocking reads know no end.
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            raise Failed(f"GatewayClient got no answer to {op}")
        line = self._process.stdout.readline()
        if not line:
            raise Failed(f"GatewayClient ended at {op}")
        return json.loads(line)

    def stop(self):
        """Ends the process."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(PATIENCE)


def wait_for(condition, what, cluster):
    """Looks again and again until `condition` holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        cluster.check_alive()
        if time.monotonic() > deadline:
            raise Failed(f"waited {PATIENCE} s for {what}")
        time.sleep(PAUSE)


def joined(address):
    """`host:port` of a socket address."""
    return f"{address[0]}:{address[1]}"


def free_ports(count):
    """The first of `count` ports in a row that nobody listens on."""
    while True:
        first = random.choice(PORTS)
        if all(is_free(port) for port in range(first, first + count)):
            return first


def is_free(port):
    """Whether the port can be bound at this moment."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
