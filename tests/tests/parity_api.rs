//! Every call of the Gateway API, made by a worker written in Rust behind two gateways of two shards, by the names that
//! PHP has for them. The worker is the one of `scripts/interop`: it calls what its clients ask for.

use std::net::UdpSocket;
use std::process::Command;

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::process::{Process, binary_path};
use ringway_tests::{Clients, Cluster, Listen};
use serde_json::{Value as Json, json};

const KEY: &str = "k3y";
/// The worker's, each with a link of its own to every shard.
const CORES: usize = 2;

/// Four clients, A to D, two at each gateway. A makes the calls.
struct Stage {
    cluster: Cluster,
    worker: Process,
    clients: Vec<PlainClient>,
    ids: Vec<String>,
    calls: u64,
    /// What A was sent beside the answers to its calls.
    received: Vec<String>,
    /// The worker tells it what happens; nobody listens.
    _driver: UdpSocket,
}

impl Stage {
    fn set() -> Stage {
        let cluster = Cluster::builder()
            .gateways(2)
            .shards(2)
            .workers(0)
            .secret_key(KEY)
            .listen(&[Listen::Text])
            .start();
        let driver = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let mut command = Command::new(binary_path("interop-worker"));
        let registers = cluster.register_address().to_string();
        command.args(["--count", &CORES.to_string(), "--secret-key", KEY, "--register-address", &registers]);
        command.env("INTEROP_EVENTS", driver.local_addr().expect("it has an address").to_string());
        let worker = Process::spawn("worker", command);
        worker.await_ready("InteropWorker");
        for (gateway, shard) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            cluster.await_links(gateway, shard, CORES);
        }
        let clients = (0..4).map(|index| cluster.plain(index % 2, Framing::Text)).collect();
        let ids = Vec::new();
        let mut stage =
            Stage { cluster, worker, clients, ids, calls: 0, received: Vec::new(), _driver: driver };
        stage.ids = (0..4).map(|client| stage.id_of(client)).collect();
        stage
    }

    fn id_of(&mut self, client: usize) -> String {
        let server = self.call_of(client, "server", json!([]));
        server["GATEWAY_CLIENT_ID"].as_str().expect("an id is a string").to_owned()
    }

    /// Has A call `op` with `args`, and returns what the call returns. `$A` to `$D` stand for client ids.
    fn call(&mut self, op: &str, args: Json) -> Json {
        let args = self.filled_in(&args);
        self.call_of(0, op, args)
    }

    fn call_of(&mut self, client: usize, op: &str, args: Json) -> Json {
        self.calls += 1;
        let call = json!({ "call": self.calls, "op": op, "args": args });
        self.clients[client].send(call.to_string().as_bytes());
        loop {
            let line = self.receive(client);
            match serde_json::from_str::<Json>(&line) {
                Ok(answer) if answer["answer"] == self.calls => return answer["result"].clone(),
                _ => self.received.push(line),
            }
        }
    }

    fn receive(&mut self, client: usize) -> String {
        let line = self.clients[client].receive().expect("the gateway stays");
        String::from_utf8(line).expect("it is text")
    }

    fn filled_in(&self, template: &Json) -> Json {
        let mut text = template.to_string();
        for (name, id) in ["$A", "$B", "$C", "$D"].iter().zip(&self.ids) {
            text = text.replace(name, id);
        }
        serde_json::from_str(&text).expect("ids have nothing to escape")
    }

    /// What each client was sent since the last time. Commands are done in order by each gateway, so when a mark has
    /// come from all of them everything before it is done.
    fn deliveries(&mut self) -> [String; 4] {
        self.call("sendToAll", json!(["mark"]));
        [0, 1, 2, 3].map(|client| {
            let mut lines = if client == 0 { std::mem::take(&mut self.received) } else { Vec::new() };
            while lines.last().is_none_or(|line| line != "mark") {
                lines.push(self.receive(client));
            }
            lines.pop();
            lines.join(" ")
        })
    }

    #[track_caller]
    fn assert_sent(&mut self, op: &str, args: Json, expected: [&str; 4]) {
        self.call(op, args.clone());
        assert_eq!(self.deliveries(), expected, "{op} {args}");
    }

    #[track_caller]
    fn assert_returns(&mut self, op: &str, args: Json, expected: Json) {
        let returned = self.call(op, args.clone());
        assert_eq!(returned, self.filled_in(&expected), "{op} {args}");
    }

    /// Calls that change something, all done when this returns.
    fn change(&mut self, calls: &[(&str, Json)]) {
        for (op, args) in calls {
            self.call(op, args.clone());
        }
        self.deliveries();
    }

    fn stop(mut self) {
        drop(self.clients);
        self.worker.stop();
        self.cluster.stop();
    }
}

#[test]
fn messages_reach_whom_they_are_for() {
    let mut stage = Stage::set();
    stage.assert_sent("sendToClient", json!(["$B", "m"]), ["", "m", "", ""]);
    stage.assert_sent("sendToCurrentClient", json!(["m"]), ["m", "", "", ""]);
    stage.assert_sent("sendToAll", json!(["m"]), ["m", "m", "m", "m"]);
    stage.assert_sent("sendToAll", json!(["m", ["$B", "$C"]]), ["", "m", "m", ""]);
    stage.assert_sent("sendToAll", json!(["m", []]), ["", "", "", ""]);
    stage.assert_sent("sendToAll", json!(["m", null, ["$A", "$D"]]), ["", "m", "m", ""]);
    stage.change(&[
        ("bindUid", json!(["$A", "u"])),
        ("bindUid", json!(["$D", "u"])),
        ("bindUid", json!(["$B", 7])),
    ]);
    stage.assert_sent("sendToUid", json!(["u", "m"]), ["m", "", "", "m"]);
    stage.assert_sent("sendToUid", json!([["u", "7", "u", "none"], "m"]), ["m m", "m", "", "m m"]);
    stage.change(&[("joinGroup", json!(["$B", "g"])), ("joinGroup", json!(["$C", "g"]))]);
    stage.change(&[("joinGroup", json!(["$C", 7])), ("joinGroup", json!(["$D", "0"]))]);
    stage.assert_sent("sendToGroup", json!(["g", "m"]), ["", "m", "m", ""]);
    stage.assert_sent("sendToGroup", json!([["g", 7], "m"]), ["", "m", "m m", ""]);
    stage.assert_sent("sendToGroup", json!(["g", "m", ["$B"]]), ["", "", "m", ""]);
    stage.assert_sent("leaveGroup", json!(["$B", "g"]), ["", "", "", ""]);
    stage.assert_sent("sendToGroup", json!(["g", "m"]), ["", "", "m", ""]);
    stage.assert_sent("ungroup", json!(["g"]), ["", "", "", ""]);
    stage.assert_sent("sendToGroup", json!(["g", "m"]), ["", "", "", ""]);
    stage.assert_sent("unbindUid", json!(["$A", "u"]), ["", "", "", ""]);
    stage.assert_sent("sendToUid", json!(["u", "m"]), ["", "", "", "m"]);
    stage.stop();
}

/// Encoded, each would end with one more line, an empty one.
#[test]
fn messages_that_are_encoded_already_go_out_as_they_are() {
    let mut stage = Stage::set();
    stage.change(&[("bindUid", json!(["$B", "u"])), ("joinGroup", json!(["$C", "g"]))]);
    let raw = "one\ntwo\n";
    stage.assert_sent("sendToClient", json!(["$B", raw, true]), ["", "one two", "", ""]);
    stage.assert_sent("sendToUid", json!(["u", raw, true]), ["", "one two", "", ""]);
    stage.assert_sent("sendToGroup", json!(["g", raw, null, true]), ["", "", "one two", ""]);
    stage.assert_sent("sendToAll", json!([raw, ["$D"], null, true]), ["", "", "", "one two"]);
    stage.assert_sent("sendToClient", json!(["$B", raw]), ["", "one two ", "", ""]);
    stage.stop();
}

#[test]
fn queries_about_clients_and_uids_have_the_answers_of_php() {
    let mut stage = Stage::set();
    stage.change(&[
        ("bindUid", json!(["$A", "u"])),
        ("bindUid", json!(["$D", "u"])),
        ("bindUid", json!(["$B", 7])),
    ]);
    stage.assert_returns("isOnline", json!(["$C"]), json!(1));
    stage.assert_returns("isOnline", json!(["7f0000010001ffffffff"]), json!(0));
    let everybody = json!({ "$A": "$A", "$B": "$B", "$C": "$C", "$D": "$D" });
    stage.assert_returns("getAllClientIdList", json!([]), everybody);
    for op in ["getAllClientIdCount", "getAllClientCount", "getClientIdCountByGroup"] {
        stage.assert_returns(op, json!([]), json!(4));
    }
    stage.assert_returns("isUidOnline", json!(["u"]), json!(1));
    stage.assert_returns("isUidOnline", json!(["none"]), json!(0));
    stage.assert_returns("getUidByClientId", json!(["$B"]), json!("7"));
    stage.assert_returns("getUidByClientId", json!(["$C"]), json!(null));
    stage.assert_returns("getAllUidCount", json!([]), json!(2));
    stage.assert_returns("getAllUidList", json!([]), json!({ "u": "u", "7": "7" }));
    let mut clients = stage.call("getClientIdByUid", json!(["u"]));
    clients.as_array_mut().expect("a list").sort_by_key(Json::to_string);
    let mut expected = vec![stage.ids[0].clone(), stage.ids[3].clone()];
    expected.sort_unstable();
    assert_eq!(clients, json!(expected));
    stage.stop();
}

#[test]
fn queries_about_groups_have_the_answers_of_php() {
    let mut stage = Stage::set();
    stage.change(&[
        ("bindUid", json!(["$A", "u"])),
        ("bindUid", json!(["$D", "u"])),
        ("bindUid", json!(["$B", "v"])),
    ]);
    let joins = [("$A", "g"), ("$B", "g"), ("$D", "g"), ("$A", "h"), ("$C", "h")];
    stage.change(&joins.map(|(client, group)| ("joinGroup", json!([client, group]))));
    let of_group = json!(["g"]);
    stage.assert_returns("getClientIdCountByGroup", of_group.clone(), json!(3));
    stage.assert_returns("getClientCountByGroup", of_group.clone(), json!(3));
    stage.assert_returns("getClientCountByGroup", json!(["none"]), json!(0));
    stage.assert_returns(
        "getClientIdListByGroup",
        of_group.clone(),
        json!({ "$A": "$A", "$B": "$B", "$D": "$D" }),
    );
    stage.assert_returns("getUidListByGroup", of_group.clone(), json!({ "u": "u", "v": "v" }));
    stage.assert_returns("getUidCountByGroup", of_group, json!(2));
    let mut groups = stage.call("getAllGroupIdList", json!([]));
    assert_eq!(groups.take(), json!({ "g": "g", "h": "h" }));
    stage.assert_returns(
        "getAllGroupUidList",
        json!([]),
        json!({ "g": { "u": "u", "v": "v" }, "h": { "u": "u" } }),
    );
    stage.assert_returns("getAllGroupUidCount", json!([]), json!({ "g": 2, "h": 1 }));
    stage.assert_returns(
        "getAllGroupClientIdList",
        json!([]),
        json!({ "g": { "$A": "$A", "$B": "$B", "$D": "$D" }, "h": { "$A": "$A", "$C": "$C" } }),
    );
    stage.assert_returns("getAllGroupClientIdCount", json!([]), json!({ "g": 3, "h": 2 }));
    stage.stop();
}

#[test]
fn sessions_are_set_merged_and_listed() {
    let mut stage = Stage::set();
    stage.change(&[
        ("setSession", json!(["$A", { "name": "ann", "list": { "x": 1 } }])),
        ("updateSession", json!(["$A", { "list": { "y": 0.5 } }])),
        ("setSession", json!(["$B", { "name": "bob" }])),
        ("joinGroup", json!(["$B", "g"])),
    ]);
    let ann = json!({ "name": "ann", "list": { "x": 1, "y": 0.5 } });
    let bob = json!({ "name": "bob" });
    stage.assert_returns("getSession", json!(["$A"]), ann.clone());
    stage.assert_returns("getSession", json!(["$C"]), json!([]));
    stage.assert_returns("getSession", json!(["7f0000010001ffffffff"]), json!(null));
    let all = json!({ "$A": ann, "$B": bob, "$C": [], "$D": [] });
    stage.assert_returns("getAllClientSessions", json!([]), all.clone());
    stage.assert_returns("getAllClientInfo", json!([]), all);
    for op in ["getClientSessionsByGroup", "getClientInfoByGroup"] {
        stage.assert_returns(op, json!(["g"]), json!({ "$B": bob }));
    }
    // The session of the client whose message is handled, as `$_SESSION` is.
    stage.assert_returns("readSession", json!([]), json!({ "name": "ann", "list": { "x": 1, "y": 0.5 } }));
    stage.call("writeSession", json!(["name", "eve"]));
    stage.assert_returns("readSession", json!([]), json!({ "name": "eve", "list": { "x": 1, "y": 0.5 } }));
    stage.stop();
}

#[test]
fn clients_are_closed_with_and_without_last_words() {
    let mut stage = Stage::set();
    stage.call("closeClient", json!(["$B", "bye"]));
    assert_eq!(stage.clients[1].read_to_end(), b"bye\n");
    stage.call("closeClient", json!(["$C"]));
    assert_eq!(stage.clients[2].read_to_end(), b"");
    stage.call("destoryClient", json!(["$D"]));
    assert_eq!(stage.clients[3].read_to_end(), b"");
    // Of its own client: without an answer, or one that is lost.
    for (op, last) in [("closeCurrentClient", &b"bye\n"[..]), ("destoryCurrentClient", b"")] {
        let mut client = stage.cluster.plain(0, Framing::Text);
        client.send(json!({ "call": 1, "op": op, "args": ["bye"] }).to_string().as_bytes());
        assert_eq!(client.read_to_end(), last, "{op}");
    }
    stage.stop();
}
