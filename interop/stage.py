"""Clients, calls and events of one run, and the transcript of what came of them.

Two runs of one scenario must give the same transcript, whoever's programs they use. So whatever is different by nature
is named instead: client ids and ports by whose they are.
"""

import hashlib
import json
import socket
import time

from clients import KINDS, Closed, Late
from cluster import PATIENCE, BesideWorker, Failed

# Calls whose answer lists clients in an order that is free: ours puts clients with uid and group first, which makes
# getAllGroupUidList complete.
FREE_ORDER = {
    "getAllUidList",
    "getAllClientIdList",
    "getAllGroupUidList",
    "getAllGroupUidCount",
    "getAllGroupClientIdList",
    "getAllGroupClientIdCount",
}
# Longer texts are told by their hash.
TEXT_MAX = 1000
# Calls whose serialized answer is compared: sessions hold what JSON cannot express.
SERIALIZED = {"getSession", "readSession"}


class Events:
    """What the worker tells the driver, one datagram per event."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(PATIENCE)
        self._waiting = []
        self.address = self._socket.getsockname()

    def wait(self, what, matches):
        """Takes the first event that matches."""
        deadline = time.monotonic() + PATIENCE
        while True:
            for index, event in enumerate(self._waiting):
                if matches(event):
                    return self._waiting.pop(index)
            if time.monotonic() > deadline:
                raise Late(f"no event: {what}")
            self._waiting.append(self._next(what))

    def forget(self):
        """Forgets what came and nobody waited for."""
        self._waiting.clear()
        self._socket.setblocking(False)
        try:
            while True:
                self._socket.recv(65536)
        except BlockingIOError:
            self._socket.settimeout(PATIENCE)

    def close(self):
        """Ends it."""
        self._socket.close()

    def _next(self, what):
        try:
            return json.loads(self._socket.recv(65536))
        except TimeoutError:
            raise Late(f"no event: {what}") from None


class Stage:
    """Where a scenario plays."""

    def __init__(self, cluster, events):
        self.cluster = cluster
        self.events = events
        self.transcript = []
        self.clients = {}
        self.ids = {}
        self.gateway_client = None
        self.actor = None
        self._count = 0
        self._workers = {}

    # Programs

    def start(self):
        """Starts everything and waits until it is connected."""
        for role in self.cluster.setup.processes():
            self.cluster.start(role)
        self.wait_linked()

    def wait_linked(self):
        """Waits until every worker process has a link to every shard, and every shard has taken it in."""
        self.cluster.wait_listed()
        if self.cluster.setup.is_embedded():
            self.cluster.wait_own_links_logged()
        if self.cluster.setup.worker == "ours":
            self.cluster.wait_links_logged()
        elif self.cluster.setup.worker == "php":
            self._wait_links_told()
        self._pass_all_shards()

    def _wait_links_told(self):
        wanted = self.cluster.inner_addresses()
        for worker in range(self.cluster.WORKERS):
            self.events.wait(f"links of worker {worker}", lambda event: linked(event, worker, wanted))

    def _pass_all_shards(self):
        """A query is answered behind what connected before it."""
        client = self.cluster.gateway_client(persistent=False)
        client.call("getAllClientIdCount")
        client.stop()

    # Clients

    def connect(self, name, target="/", recorded=True):
        """A new client; records the events of its coming."""
        setup = self.cluster.setup
        client = KINDS[setup.protocol](name, self.address_for(name))
        self.clients[name] = client
        event = self._wait_event("onConnect", lambda event: event["server"]["REMOTE_PORT"] == client.port)
        self.ids[name] = event["client"]
        self._workers[name] = event["worker"]
        seen = [event]
        client.open(target)
        if setup.protocol == "websocket":
            seen.append(self.client_event(name, "onWebSocketConnect"))
            seen += self._drain(client, lambda item: item == "welcome")
        if recorded:
            self.record(f"{name} connects", seen)

    def address_for(self, name):
        """Where a client connects: every second one elsewhere, if there are two processes."""
        is_second = len(self.cluster.gateways()) > 1 and ord(name) % 2 == 0
        return self.cluster.listen2 if is_second else self.cluster.listen

    def client_event(self, name, kind):
        """Waits for an event of a client; it must come from the worker that has the client."""
        event = self._wait_event(kind, lambda event: event["client"] == self.ids[name])
        if self._workers[name] not in (None, event["worker"]):
            raise Failed(f"{kind} of {name} went to another worker")
        return event

    def forget_workers(self):
        """From here on clients may be with other workers than before."""
        self._workers = dict.fromkeys(self._workers)

    def closed(self, label, name, code=1000):
        """Waits for the end of a client that the gateway ends, and records what it got and its event.

        Our gateway tells websocket clients why, by this `code`; PHP's says nothing, and so does the record then.
        """
        received = self._drain(self.clients[name], lambda item: isinstance(item, Closed))
        if self.cluster.setup.gateway != "php" and received[-1].code == code:
            received[-1] = Closed(None)
        self.record(label, {"received": received, "event": self.client_event(name, "onClose")})

    def leave(self, name):
        """A client goes by itself."""
        self.clients[name].close()
        self.record(f"{name} leaves", self.client_event(name, "onClose"))

    # Calls

    def ask(self, name, op, *args):
        """Has a client's worker call the API; what else the client gets meanwhile is kept."""
        client = self.clients[name]
        self._count += 1
        number = self._count
        client.send(json.dumps({"call": number, "op": op, "args": args}))
        while True:
            item = client.receive()
            if isinstance(item, Closed):
                raise Failed(f"{name} was closed at {op}")
            answer = answer_of(item, number)
            if answer is not None:
                return answer
            client.inbox.append(item)

    def fire(self, name, op, *args):
        """The same for a call that ends the client: no answer comes."""
        self.clients[name].send(json.dumps({"call": 0, "op": op, "args": args}))

    def call(self, op, *args):
        """Calls the API as the actor, or by GatewayClient when there is none."""
        if self.actor is not None:
            return self.ask(self.actor, op, *args)
        answer = self.gateway_client.call(op, *args)
        # A command travels on a connection of its own; the query's reply shows that it was served.
        self.gateway_client.call("getAllClientIdCount")
        return answer

    def step(self, label, op, *args):
        """Calls the API; records the answer and what every client got."""
        answer = self.call(op, *args)
        self.record(label, {"answer": self._comparable(op, answer), "received": self.collect()})

    def collect(self):
        """What clients have got since last time. A message to all, behind everything else, says that it is all."""
        self._count += 1
        barrier = f"barrier {self._count}"
        if self.actor is None and isinstance(self.gateway_client, BesideWorker):
            # Behind what it has said on its links.
            self.gateway_client.call("sendToAll", barrier)
        else:
            self._speak(barrier)
        received = {}
        for name, client in self.clients.items():
            items = self._drain(client, lambda item: item == barrier)
            if items:
                received[name] = items
        return received

    def _speak(self, barrier):
        speaker = self.actor or next(name for name, client in self.clients.items() if client.is_open)
        self.ask(speaker, "sendToAll", barrier)

    # Transcript

    def record(self, label, value):
        """Adds a line to the transcript."""
        self.transcript.append((label, json.dumps(self._named(value), ensure_ascii=False)))

    def _comparable(self, op, answer):
        if op in SERIALIZED:
            return {key: answer[key] for key in ("serialized", "error") if key in answer}
        kept = self._named({key: answer[key] for key in ("result", "error") if key in answer})
        if op in FREE_ORDER or self.cluster.setup.shards > 1:
            kept = ordered(kept)
        return kept

    def _named(self, value):
        if isinstance(value, dict):
            return {self._named(key): self._named(item) for key, item in value.items() if key != "worker"}
        if isinstance(value, list):
            return [self._named(item) for item in value]
        if isinstance(value, Closed):
            return {"closed": value.code}
        if isinstance(value, bytes):
            return {"bytes": value.hex()}
        if isinstance(value, str) and len(value) > TEXT_MAX:
            return {"size": len(value), "sha1": hashlib.sha1(value.encode()).hexdigest()}
        if isinstance(value, str):
            return self._named_text(value)
        return self._named_number(value)

    def _named_text(self, text):
        for name, client_id in self.ids.items():
            text = text.replace(client_id, f"<{name}>")
        return text

    def _named_number(self, number):
        if isinstance(number, int) and not isinstance(number, bool):
            if number in (self.cluster.listen[1], self.cluster.listen2[1]):
                return "<listening port>"
            for name, client in self.clients.items():
                if number == client.port:
                    return f"<port of {name}>"
        return number

    # Helpers

    def _wait_event(self, kind, matches):
        return self.events.wait(kind, lambda event: event["event"] == kind and matches(event))

    def _drain(self, client, is_last):
        """What a client got before the item that `is_last`, which is not part of it unless it is the end."""
        items = []
        while client.inbox or client.is_open:
            item = client.inbox.pop(0) if client.inbox else client.receive()
            if is_last(item) and not isinstance(item, Closed):
                break
            # A shard without clients may get to a barrier when a new client has come.
            if not (isinstance(item, str) and item.startswith("barrier ")):
                items.append(item)
        return items


def linked(event, worker, wanted):
    """Whether an event says that this worker is linked to all these shards, and knows of no other."""
    return (
        event["event"] == "links"
        and event["worker"] == worker
        and sorted(event["linked"]) == wanted
        and sorted(event["listed"]) == wanted
    )


def answer_of(item, number):
    """The answer to a call, if the message is one."""
    if not isinstance(item, str) or not item.startswith('{"answer":'):
        return None
    answer = json.loads(item)
    return answer if answer["answer"] == number else None


def ordered(value):
    """The same value in an order that does not depend on where clients are."""
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted((ordered(item) for item in value), key=json.dumps)
    return value
