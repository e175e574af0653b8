"""Plays the scenarios with PHP's programs and ours in each other's places, and compares with PHP among itself."""

import argparse
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import scenarios
from clients import Late
from cluster import BesideWorker, Cluster, Failed, Places, Setup
from stage import Events, Stage

ROOT = Path(__file__).resolve().parent.parent
PROTOCOLS = ("websocket", "text", "frame")
KEYS = ("", "s3cr3t")
SHARDS = (1, 4)
# Repositories and the versions with which docs/INTEROP.md was written.
CHECKOUTS = {
    "GatewayWorker": ("walkor/GatewayWorker", "7828ec7"),
    "workerman": ("walkor/workerman", "v5.2.2"),
    "coroutine": ("workerman-php/coroutine", "v1.1.4"),
    "GatewayClient": ("walkor/GatewayClient", "5dfa435"),
}
# Lines printed of the differences of one run; transcripts stay for the rest.
LINES_MAX = 60
REFERENCE = ("php", "php", "php")
CELLS = [roles for roles in itertools.product(("php", "ours"), repeat=3) if roles != REFERENCE]
CELLS += itertools.product(("php", "ours"), ("embedded",), ("none", "php"))
# What is about a worker's own process.
WORKER_SCENARIOS = (scenarios.worker_restarts, scenarios.worker_reloads, scenarios.echo)


def main():
    """Returns the exit code."""
    options = parse()
    missing = [name for name in CHECKOUTS if not (options.php / name).is_dir()]
    if missing:
        clones = " && ".join(clone(name) for name in missing)
        print(f"missing: mkdir -p {options.php} && cd {options.php} && {clones}")
        return 2
    if shutil.which("php") is None:
        print("missing: apt-get install php-cli")
        return 2
    if options.binaries is None:
        options.binaries = build()
    # Asked to end, it still stops what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    return 0 if Matrix(options).run() else 1


def clone(name):
    """How to get a checkout."""
    repository, version = CHECKOUTS[name]
    return f"git clone -q https://github.com/{repository} {name} && git -C {name} checkout -q {version}"


def parse():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--php", type=Path, required=True, help="folder with "+", ".join(CHECKOUTS))
    parser.add_argument("--binaries", type=Path, help="folder with our binaries (default: they are built)")
    parser.add_argument("--cells", nargs="*", help="register/gateway/worker, e.g. ours/ours/php (default: all)")
    parser.add_argument("--protocols", nargs="*", default=PROTOCOLS, choices=PROTOCOLS)
    parser.add_argument("--keys", nargs="*", default=KEYS, help="secret keys; '' is none")
    parser.add_argument("--shards", nargs="*", type=int, default=SHARDS)
    parser.add_argument("--scenarios", nargs="*", help="only these (default: all)")
    parser.add_argument("--keep", type=Path, help="folder in which logs and transcripts stay")
    options = parser.parse_args()
    options.php = options.php.resolve()
    options.cells = [tuple(cell.split("/")) for cell in options.cells] if options.cells else CELLS
    return options


def build():
    """Builds our programs and returns where they are."""
    packages = ("ringway-register", "ringway-gateway-core", "ringway-apps", "ringway-interop-worker")
    command = ["cargo", "build", "--quiet", "--bins"]
    for package in packages:
        command += ["-p", package]
    subprocess.run(command, cwd=ROOT, check=True)
    return target_directory() / "debug"


def target_directory():
    """Where cargo puts what it builds: CARGO_TARGET_DIR and its config files have a say."""
    command = ["cargo", "metadata", "--no-deps", "--offline", "--format-version", "1"]
    told = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return Path(json.loads(told.stdout)["target_directory"])


class Matrix:
    """All runs asked for."""

    def __init__(self, options):
        self.options = options
        self.folder = options.keep or Path(tempfile.mkdtemp(prefix="interop-"))
        self.results = {}

    def run(self):
        """Plays everything, prints the table, and says whether all passed."""
        variants = list(itertools.product(self.options.protocols, self.options.keys, self.options.shards))
        for variant in variants:
            reference = self.play(Setup(*REFERENCE, *variant))
            self.judge(REFERENCE, variant, reference, reference)
            for roles in self.options.cells:
                self.judge(roles, variant, reference, self.play(Setup(*roles, *variant)))
        self.print_table(variants)
        passed = not any(self.results.values())
        if passed and not self.options.keep:
            shutil.rmtree(self.folder)
        else:
            print(f"logs and transcripts: {self.folder}")
        return passed

    def play(self, setup):
        """One run: returns its transcript."""
        name = "-".join((*setup.roles(), setup.protocol, "key" if setup.key else "nokey", str(setup.shards)))
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        started = time.monotonic()
        transcript = play(setup, Places(self.options.php, self.options.binaries, folder), self.options.scenarios)
        lines = [f"{label}: {value}" for label, value in transcript]
        (folder / "transcript.txt").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(lines)} checks in {time.monotonic() - started:.1f} s", flush=True)
        return lines

    def judge(self, roles, variant, reference, transcript):
        """Compares a run with the reference and prints what differs."""
        differences = list(compare(reference, transcript, is_part="embedded" in roles))
        failures = [line for line in transcript if line.startswith("FAILED")]
        self.results[roles, variant] = len(differences) + len(failures)
        for line in [*differences[:LINES_MAX], *failures]:
            print("   ", line, flush=True)

    def print_table(self, variants):
        """One row per cell, one column per variant."""
        heads = [f"{protocol}{' key' if key else ''} {shards}" for protocol, key, shards in variants]
        print("\n| register / gateway / worker | " + " | ".join(heads) + " |")
        print("| --- |" + " --- |" * len(heads))
        for roles in dict.fromkeys([REFERENCE, *self.options.cells]):
            marks = ["pass" if not self.results[roles, variant] else "FAIL" for variant in variants]
            print(f"| {' / '.join(roles)} | " + " | ".join(marks) + " |")


def compare(reference, transcript, is_part):
    """Says where transcripts differ, scenario by scenario. `is_part`: not all scenarios are played."""
    played = scenes(transcript)
    for title, expected in scenes(reference).items():
        if is_part and title not in played:
            continue
        got = played.get(title, [])
        for pair in itertools.zip_longest(expected, got, fillvalue=""):
            if pair[0] != pair[1]:
                yield from difference(title, *pair)


def scenes(transcript):
    """The lines of each scenario."""
    lines = {}
    for line in transcript:
        if line.startswith("== "):
            title = line
            lines[title] = []
        else:
            lines[title].append(line)
    return lines


def difference(title, expected, got):
    """Two lines, from shortly before where they part."""
    start = max(0, len(os.path.commonprefix([expected, got])) - 60)
    label = (expected or got).split(":")[0]
    yield f"{title.strip('= :')}: {label}"
    yield f"    PHP  …{expected[start : start + 300]}"
    yield f"    here …{got[start : start + 300]}"


def play(setup, places, only):
    """Plays all scenarios with one set of programs."""
    events = Events()
    cluster = Cluster(setup, places, events.address)
    stage = Stage(cluster, events)
    try:
        attempt(stage, "start", Stage.start)
        for title, scenario in programme():
            if setup.is_embedded() and scenario in WORKER_SCENARIOS:
                continue
            if only is None or scenario.__name__ in only or scenario is scenarios.arrivals:
                attempt(stage, title, scenario)
                cluster.check_alive()
    except Broken:
        pass
    finally:
        finish(stage)
        events.close()
    return stage.transcript


class Broken(Exception):
    """The run cannot go on."""


def attempt(stage, title, scenario):
    """Plays one scenario. What goes wrong is a line of the transcript that no reference has."""
    stage.transcript.append((f"== {title}", ""))
    try:
        stage_for(stage, title)
        scenario(stage)
    except (Late, Failed, ConnectionError, OSError, KeyError) as error:
        stage.transcript.append((f"FAILED {title}", f"{type(error).__name__}: {error}"))
        raise Broken from error


def stage_for(stage, title):
    """Who calls the API in a scenario."""
    if stage.gateway_client is not None:
        stage.gateway_client.stop()
        stage.gateway_client = None
    by_client = "GatewayClient" in title
    if "kept" in title and stage.cluster.setup.is_embedded() and stage.cluster.setup.worker == "php":
        stage.gateway_client = BesideWorker(stage.cluster.orders, stage.cluster.gateway_client(persistent=True))
    elif by_client:
        stage.gateway_client = stage.cluster.gateway_client(persistent="kept" in title)
    stage.actor = None if by_client else "A"


def programme():
    """The scenarios in the order in which they are played."""
    yield "arrivals", scenarios.arrivals
    for by in ("worker", "GatewayClient", "GatewayClient, connections kept"):
        for scenario in (
            scenarios.sending,
            scenarios.sending_raw,
            scenarios.uids,
            scenarios.groups,
            scenarios.sessions,
            scenarios.counts,
            scenarios.endings,
        ):
            yield f"{scenario.__name__} by {by}", scenario
    yield "endings of the own client", scenarios.endings_of_the_own_client
    yield "all at once", scenarios.all_at_once
    yield "large", scenarios.large
    yield "wrong key, by GatewayClient", scenarios.wrong_key
    yield "worker restarts", scenarios.worker_restarts
    yield "worker reloads", scenarios.worker_reloads
    yield "register restarts", scenarios.register_restarts
    yield "gateway restarts", scenarios.gateway_restarts
    yield "heartbeats", scenarios.heartbeats
    yield "echo", scenarios.echo


def finish(stage):
    """Ends what still runs."""
    if stage.gateway_client is not None:
        stage.gateway_client.stop()
    for client in stage.clients.values():
        client.close()
    try:
        stage.cluster.stop_all()
    except (Failed, subprocess.TimeoutExpired) as error:
        stage.transcript.append(("FAILED to stop", str(error)))


if __name__ == "__main__":
    sys.exit(main())
