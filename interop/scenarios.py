"""What is played: each scenario is a function of a stage. Together they make every call of the API."""

import base64
import signal

from clients import KINDS


RAW = {"websocket": b"\x81\x03raw", "text": b"raw\n", "frame": b"\x00\x00\x00\x07raw"}

POINT = 'O:12:"InteropPoint":3:{s:1:"x";i:5;s:4:"\0*\0y";d:0.5;s:18:"\0InteropPoint\0path";a:1:{s:1:"a";N;}}'
SUIT = 'E:18:"InteropSuit:Hearts";'


def arrivals(stage):
    """Clients come, and their messages reach the worker as they are."""
    stage.connect("A", "/chat/room?name=J%C3%BCrgen+B&list[]=1&list[]=2&map[k][]=v&a.b=c&empty=&flag&session=query")
    for name in "BCD":
        stage.connect(name)
    stage.actor = "A"
    stage.step("the welcome and the session of the handshake", "readSession")
    stage.step("the server variables of a message", "server")
    for text in ("hello", "Grüße 日本 😀", " spaces ", "x" * 70000):
        stage.clients["B"].send(text)
        event = stage.client_event("B", "onMessage")
        stage.record("a message arrives", event)


def sending(stage):
    """Messages to one and to all."""
    ids = stage.ids
    for message in ("hello", "", "Grüße 日本 😀", 42, -1.5, 1e25, True, False, "0", "y" * 70000):
        stage.step("sendToClient", "sendToClient", ids["B"], message)
    if stage.cluster.setup.protocol == "websocket":
        for message in ({"a": ["ü/", 1.0, None]}, [], None):
            stage.step("sendToClient of a value", "sendToClient", ids["B"], message)
    stage.step("sendToClient, binary", "sendToClient", ids["B"], {"base64": "AP+A/w=="})
    stage.step("sendToClient, nobody", "sendToClient", ids["B"][:12] + "ffffffff", "x")
    stage.step("sendToClient, no such gateway", "sendToClient", "7f0000010001ffffffff", "x")
    stage.step("sendToClient, no id", "sendToClient", "xyz", "x")
    if stage.actor:
        stage.step("sendToCurrentClient", "sendToCurrentClient", "you")
    stage.step("sendToAll", "sendToAll", "all")
    stage.step("sendToAll, some", "sendToAll", "some", [ids["B"], ids["D"]])
    stage.step("sendToAll, none", "sendToAll", "none", [])
    stage.step("sendToAll, not A", "sendToAll", "not A", None, [ids["A"]])
    stage.step("sendToAll, not A and C", "sendToAll", "not A and C", None, [ids["A"], ids["C"]])
    stage.step("sendToAll, not B by its id", "sendToAll", "not B", None, ids["B"])
    stage.step("sendToAll, some but not D", "sendToAll", "some", [ids["B"], ids["D"]], [ids["D"]])


def sending_raw(stage):
    """Messages that are encoded already."""
    raw = {"base64": base64.b64encode(RAW[stage.cluster.setup.protocol]).decode()}
    if stage.actor:
        stage.step("sendToClient, raw", "sendToClient", stage.ids["B"], raw, True)
    stage.call("joinGroup", stage.ids["C"], "raw")
    stage.call("bindUid", stage.ids["D"], "raw")
    stage.step("sendToGroup, raw", "sendToGroup", "raw", raw, None, True)
    if stage.actor:
        stage.step("sendToUid, raw", "sendToUid", "raw", raw, True)
    stage.call("leaveGroup", stage.ids["C"], "raw")
    stage.call("unbindUid", stage.ids["D"], "raw")
    stage.step("sendToAll, raw", "sendToAll", raw, None, None, True)


def uids(stage):
    """Uids, among them names that PHP takes for numbers and names that are none."""
    ids = stage.ids
    binding = (("A", "alice"), ("B", "alice"), ("C", "100"), ("D", 7), ("C", ""), ("C", "0"), ("B", "bob é"))
    for name, uid in binding:
        stage.step(f"bindUid {name} {uid!r}", "bindUid", ids[name], uid)
        stage.step("getUidByClientId", "getUidByClientId", ids[name])
    for uid in ("alice", "100", 100, "7", "bob é", "nobody", "01"):
        stage.step(f"getClientIdByUid {uid!r}", "getClientIdByUid", uid)
        stage.step(f"isUidOnline {uid!r}", "isUidOnline", uid)
        stage.step(f"sendToUid {uid!r}", "sendToUid", uid, f"to {uid}")
    everybody(stage, "getAllUidList", "getAllUidCount")
    stage.step("sendToUid, several", "sendToUid", ["alice", 100, "7", "alice", "nobody"], "several")
    if stage.actor is None:
        names = ["alice", "100", 7, "nobody"]
        stage.step("batchGetClientIdByUid", "batchGetClientIdByUid", names)
        stage.step("isUidsOnline", "isUidsOnline", names)
    stage.step("unbindUid", "unbindUid", ids["A"], "alice")
    stage.step("unbindUid, int", "unbindUid", ids["D"], 7)
    stage.step("unbindUid of another's", "unbindUid", ids["B"], "alice")
    stage.step("getUidByClientId, unbound", "getUidByClientId", ids["A"])
    everybody(stage, "getAllUidList", "getAllUidCount")


def groups(stage):
    """Groups. Everybody is in one and has a uid, else PHP's lists of all groups end early."""
    ids = stage.ids
    for name, uid in zip("ABCD", ("u1", "u2", 3, "u1")):
        stage.step("bindUid", "bindUid", ids[name], uid)
        stage.step("joinGroup, everybody", "joinGroup", ids[name], "everybody")
    joining = (("A", "red"), ("B", "red"), ("B", "red"), ("C", 7), ("A", "7"), ("D", ""), ("D", "0"), ("D", "grün"))
    for name, group in joining:
        stage.step(f"joinGroup {name} {group!r}", "joinGroup", ids[name], group)
    of_group = (
        "getClientIdCountByGroup",
        "getClientCountByGroup",
        "getClientIdListByGroup",
        "getUidListByGroup",
        "getUidCountByGroup",
        "getClientSessionsByGroup",
        "getClientInfoByGroup",
    )
    for group in ("red", 7, "7", "grün", "none", "0", ""):
        for op in of_group:
            stage.step(f"{op} {group!r}", op, group)
    of_all = ("getAllGroupIdList", "getAllGroupUidList", "getAllGroupUidCount")
    everybody(stage, *of_all, "getAllGroupClientIdList", "getAllGroupClientIdCount")
    for op in ("getClientIdListByGroup", "getUidListByGroup", "getUidCountByGroup"):
        stage.step(f"{op}, several", op, ["red", "7", "none"])
    if stage.actor is None:
        stage.step("batchGetClientIdCountByGroup", "batchGetClientIdCountByGroup", ["red", 7, "none"])
    stage.step("sendToGroup", "sendToGroup", "red", "to red")
    stage.step("sendToGroup, int", "sendToGroup", 7, "to 7")
    stage.step("sendToGroup, several", "sendToGroup", ["red", 7, "none"], "to several")
    stage.step("sendToGroup, not A", "sendToGroup", "red", "not A", [ids["A"]])
    stage.step("sendToGroup, not A by its id", "sendToGroup", "everybody", "not A", ids["A"])
    stage.step("sendToGroup, no group", "sendToGroup", "0", "nobody")
    stage.step("leaveGroup", "leaveGroup", ids["A"], "red")
    stage.step("leaveGroup, not a member", "leaveGroup", ids["D"], "red")
    stage.step("sendToGroup, without A", "sendToGroup", "red", "without A")
    stage.step("ungroup", "ungroup", "7")
    stage.step("ungroup, unknown", "ungroup", "none")
    stage.step("ungroup, no group", "ungroup", "")
    stage.step("sendToGroup, dissolved", "sendToGroup", "7", "nobody")
    everybody(stage, "getAllGroupIdList", "getAllGroupClientIdCount")
    stage.step("ungroup, everybody", "ungroup", "everybody")


def sessions(stage):
    """Sessions: set, merged, read, and written by `$_SESSION`."""
    ids = stage.ids
    stage.step("setSession, nothing", "setSession", ids["B"], [])
    stage.step("getSession, empty", "getSession", ids["B"])
    values = {"s": "Grüße", "f": 0.1, "one": 1.0, "big": 1e300, "n": None, "t": True, "5": "five", "l": [1, [2, {"a": 3}]]}
    stage.step("setSession", "setSession", ids["B"], values)
    stage.step("getSession", "getSession", ids["B"])
    updates = (
        {"f": 2.5, "l": [9], "new": {"deep": {"er": [True, None]}}},
        {"l": {"1": {"1": {"b": 4}}}, "s": ["now", "a list"]},
        {"5": None, "07": "seven", "-0": 0, "-3": "int"},
        {"point": {"serialized": POINT}, "inf": {"serialized": "d:INF;"}},
        {"point": {"serialized": POINT.replace("i:5", "i:6")}, "tiny": 5e-324, "third": 1 / 3},
        {"f": {"serialized": "d:NAN;"}, "bytes": {"base64": "AP/+"}},
    )
    for update in updates:
        stage.step("updateSession", "updateSession", ids["B"], update)
        stage.step("getSession, merged", "getSession", ids["B"])
    # An enum only whole: a PHP gateway that does not know its class ends when it has to merge it.
    stage.step("setSession, enum", "setSession", ids["D"], {"suit": {"serialized": SUIT}})
    stage.step("getSession, enum", "getSession", ids["D"])
    stage.step("setSession", "setSession", ids["D"], {"plain": True})
    stage.step("updateSession of none", "updateSession", ids["C"], {"first": [1, 2]})
    stage.step("getSession of C", "getSession", ids["C"])
    stage.step("getSession, nobody", "getSession", "7f000001" + ids["B"][8:12] + "ffffffff")
    for op in ("getAllClientSessions", "getAllClientInfo"):
        stage.step(op, op)
    stage.actor = "B"
    stage.step("B's worker reads what others wrote", "readSession")
    stage.step("$_SESSION written", "writeSession", "counter", 1.5)
    stage.step("$_SESSION read", "readSession")
    stage.step("setSession of the own client", "setSession", ids["B"], {"only": "this"})
    stage.step("$_SESSION read", "readSession")
    stage.step("updateSession of the own client", "updateSession", ids["B"], {"and": {"that": 1}})
    stage.step("$_SESSION read", "readSession")
    stage.step("$_SESSION forgotten", "forgetSession")
    stage.step("$_SESSION read", "readSession")
    stage.step("getSession, forgotten", "getSession", ids["B"])


def counts(stage):
    """Who is there."""
    for op in ("getAllClientIdCount", "getAllClientCount", "getClientIdCountByGroup", "getAllClientIdList"):
        stage.step(op, op)
    stage.step("isOnline", "isOnline", stage.ids["C"])
    stage.step("isOnline, nobody", "isOnline", stage.ids["C"][:12] + "ffffffff")
    stage.step("isOnline, no id", "isOnline", "xyz")


def endings(stage):
    """Clients are closed, or leave."""
    ids = stage.ids
    stage.connect("E")
    stage.call("bindUid", ids["E"], "e")
    stage.call("setSession", ids["E"], {"last": 1})
    stage.collect()
    stage.call("closeClient", ids["E"], "good bye")
    stage.closed("closeClient with a message", "E")
    stage.step("its uid is gone", "isUidOnline", "e")
    for label, op, args in (
        ("closeClient with an empty message", "closeClient", [""]),
        ("closeClient without a message", "closeClient", []),
        ("destoryClient", "destoryClient", []),
    ):
        stage.connect("E")
        stage.call(op, ids["E"], *args)
        stage.closed(label, "E")
    stage.connect("E")
    stage.call("joinGroup", ids["E"], "leavers")
    stage.collect()
    stage.leave("E")
    stage.step("its group is gone", "getAllGroupIdList")
    if stage.cluster.setup.protocol == "websocket":
        stage.connect("E")
        stage.clients["E"].leave()
        stage.closed("leaving with a close frame", "E", code=None)
    stage.step("it is offline", "isOnline", ids["E"])


def endings_of_the_own_client(stage):
    """The same by the client's own worker."""
    for label, op, args in (
        ("closeCurrentClient with a message", "closeCurrentClient", ["good bye"]),
        ("closeCurrentClient", "closeCurrentClient", []),
        ("destoryCurrentClient", "destoryCurrentClient", []),
    ):
        stage.connect("E")
        stage.fire("E", op, *args)
        stage.closed(label, "E")


def all_at_once(stage):
    """Many messages of several clients at once: each gets all its own answers in order."""
    names = "ABCD"
    count = 200
    for number in range(count):
        for name in names:
            stage.fire(name, "sendToClient", stage.ids[name], f"{name}{number}")
    for name in names:
        got = []
        while len(got) < 2 * count:
            got.append(stage.clients[name].receive())
        sent = [item for item in got if not item.startswith('{"answer"')]
        stage.record(f"{name}'s messages in order", sent == [f"{name}{number}" for number in range(count)])


def large(stage):
    """Messages far larger than what one read takes, in both directions."""
    message = "large " * 500_000
    stage.clients["B"].send(message)
    stage.record("it arrives", stage.client_event("B", "onMessage"))
    # Less than sendToClientBufferSize: what comes behind more than that is dropped while the client does not read. The
    # result is not compared: it says whether Workerman could write all of it at once.
    stage.call("sendToClient", stage.ids["C"], message[:900_000])
    stage.record("it is sent", stage.collect())
    stage.step("it is a session", "setSession", stage.ids["C"], {"large": message})
    stage.step("it is read again", "getSession", stage.ids["C"])
    stage.actor = "C"
    stage.step("it comes with a message", "readSession")
    stage.step("it is gone", "setSession", stage.ids["C"], [])


def wrong_key(stage):
    """GatewayClient with another key gets nothing."""
    if not stage.cluster.setup.key:
        return
    stage.gateway_client.call("useKey", "wrong")
    for op, *args in (["getAllClientIdCount"], ["isOnline", stage.ids["A"]], ["getSession", stage.ids["A"]]):
        answer = stage.gateway_client.call(op, *args)
        stage.record(f"{op} with a wrong key", {key: answer.get(key) for key in ("result", "error")})
    stage.gateway_client.call("sendToClient", stage.ids["A"], "not for you")
    stage.gateway_client.call("useKey", stage.cluster.setup.key)
    stage.record("nobody got anything", stage.collect())


def worker_restarts(stage):
    """The worker program restarts: clients, their uids, groups and sessions stay."""
    stage.step("bindUid", "bindUid", stage.ids["A"], "stays")
    stage.step("joinGroup", "joinGroup", stage.ids["B"], "stays too")
    stage.step("setSession", "setSession", stage.ids["A"], {"kept": 0.3})
    stage.cluster.stop("worker")
    stage.events.forget()
    stage.cluster.start("worker")
    after_worker(stage)


def worker_reloads(stage):
    """The same by SIGUSR1: PHP's one process after the other, ours all at once."""
    if stage.cluster.setup.worker == "ours":
        stage.cluster.reload_our_worker()
    else:
        stage.events.forget()
        stage.cluster.signal("worker", signal.SIGUSR1)
    after_worker(stage)


def after_worker(stage):
    """What must be as before when a worker has come back."""
    stage.wait_linked()
    stage.forget_workers()
    stage.step("session", "readSession")
    stage.step("uid", "sendToUid", "stays", "still there")
    stage.step("group", "sendToGroup", "stays too", "still there")
    stage.step("count", "getAllClientIdCount")
    stage.connect("F")
    stage.leave("F")


def register_restarts(stage):
    """The register is away for a while: nothing is lost, and afterwards all find each other again."""
    # By force: a PHP register that ends in good order tells workers that there are no gateways.
    stage.cluster.kill("register")
    stage.step("without a register, commands", "sendToAll", "still there")
    stage.step("without a register, queries", "getAllClientIdCount")
    stage.connect("F")
    stage.leave("F")
    stage.cluster.start("register")
    stage.cluster.wait_listed()
    stage.step("with the register again, commands", "sendToAll", "still there")
    stage.connect("F")
    stage.leave("F")


def gateway_restarts(stage):
    """The gateway restarts: its clients are gone, and new ones are served."""
    restart_gateway(stage)
    # PHP gives ids anew after a restart, and its worker still knows the session of the one who had the id: not recorded.
    stage.connect("A", recorded=False)
    stage.step("the new client", "getAllClientIdCount")
    stage.step("is served", "sendToAll", "hello")


def heartbeats(stage):
    """A silent client is pinged once and then closed, as a gateway with these settings does."""
    restart_gateway(stage, "pings")
    stage.connect("E", recorded=False)
    stage.closed("it was silent", "E", code=4000)


def restart_gateway(stage, mode=""):
    """Another gateway process; the clients of the old one are gone."""
    for role in stage.cluster.gateways():
        stage.cluster.stop(role)
    for client in stage.clients.values():
        client.close()
    stage.clients.clear()
    stage.ids.clear()
    stage.events.forget()
    for role in stage.cluster.gateways():
        stage.cluster.start(role, mode)
    stage.wait_linked()


def echo(stage):
    """Another worker program takes over: the app that comes with ours, or PHP's like it."""
    stage.cluster.stop("worker")
    stage.events.forget()
    stage.cluster.start("worker", "echo")
    stage.wait_linked()
    client = KINDS[stage.cluster.setup.protocol]("E", stage.cluster.listen)
    client.open("/")
    for text in ("hello", "", "Grüße 日本 😀", "x" * 70000):
        client.send(text)
        stage.record("comes back", client.receive())
    client.close()


def everybody(stage, *ops):
    """Calls without arguments, about all clients."""
    for op in ops:
        stage.step(op, op)
