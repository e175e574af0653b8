//! The bytes of every call, as the PHP GatewayClient was seen to send them, and what is made of the replies to it.

use std::thread;

use gateway_client::php::{self, Array, Value};
use gateway_client::{Body, ClientId, CloseReason, blocking};
use protocol::inner::Cmd;

use crate::fake::{FakeGateway, FakeRegister, KEY, Link, command, config};

/// A call: `ws` is client 1 of the first of two gateways, `text` client 1 of the second. Returns what came of it.
type Act = fn(&blocking::Client, ws: ClientId, text: ClientId) -> String;

/// Name of the recording, the call, and its result.
type Golden = (&'static str, Act, &'static str);

const TO_ONE: &str = "1 reached, 0 missing";
const TO_BOTH: &str = "2 reached, 0 missing";

const GOLDEN: &[Golden] = &[
    ("bindUid", |c, _, text| told(c.bind_uid(text, "u1")), TO_ONE),
    ("bindUid-int", |c, ws, _| told(c.bind_uid(ws, 100)), TO_ONE),
    ("getClientIdByUid", |c, _, text| found(&c.client_ids_of_uid("u1"), text), "[text]"),
    ("getUidByClientId", |c, ws, _| format!("{:?}", c.uid_of_client(ws).value), r#"Some("100")"#),
    ("getAllUidList", |c, _, _| format!("{:?}", c.uids().value), r#"["100", "u1"]"#),
    ("isUidOnline", |c, _, _| format!("{:?}", c.is_uid_online("u1").value), "true"),
    (
        "batchGetClientIdByUid",
        |c, _, _| counted(c.client_ids_of_uids(["u1", "100", "none"]).value),
        r#"[("u1", 1), ("100", 1), ("none", 0)]"#,
    ),
    ("joinGroup", |c, _, text| told(c.join_group(text, "g1")), TO_ONE),
    ("joinGroup-int", |c, ws, _| told(c.join_group(ws, 7)), TO_ONE),
    ("sendToGroup", |c, _, _| told(c.send_to_group("g1", "to-group")), TO_BOTH),
    ("sendToGroup-exclude", |c, _, text| told(c.send_to_groups(["g1", "7"], &[text], "to-groups")), TO_BOTH),
    ("getClientIdCountByGroup", |c, _, _| format!("{:?}", c.client_count_of_group("g1").value), "1"),
    ("getClientIdListByGroup", |c, _, text| found(&c.client_ids_of_group("g1"), text), "[text]"),
    (
        "batchGetClientIdCountByGroup",
        |c, _, _| format!("{:?}", c.client_counts_of_groups(["g1", "7", "none"]).value),
        r#"[("g1", 1), ("7", 1), ("none", 0)]"#,
    ),
    ("getAllGroupIdList", |c, _, _| format!("{:?}", c.groups().value), r#"["7", "g1"]"#),
    (
        "getAllGroupUidList",
        |c, _, _| format!("{:?}", c.all_group_uids().value),
        r#"[("7", ["100"]), ("g1", ["u1"])]"#,
    ),
    (
        "getAllGroupClientIdList",
        |c, _, _| counted(c.all_group_client_ids().value),
        r#"[("7", 1), ("g1", 1)]"#,
    ),
    ("setSession", |c, _, text| told(c.set_session(text, session())), TO_ONE),
    (
        "updateSession",
        |c, _, text| {
            let list = Value::Array(Array::from(vec!["x"]));
            told(c.update_session(text, Array::from([("i", Value::Int(2)), ("a", list)])))
        },
        TO_ONE,
    ),
    ("getSession", |c, _, text| format!("{:?}", c.session(text).value.map(|array| array.len())), "Some(7)"),
    ("getAllClientSessions", |c, _, _| lengths(&c.sessions()), "[0, 7]"),
    ("getClientSessionsByGroup", |c, _, _| lengths(&c.sessions_of_group("g1")), "[7]"),
    ("getSession-nobody", |c, _, text| format!("{:?}", c.session(nobody(text)).value), "None"),
    ("isOnline", |c, _, text| format!("{:?}", c.is_online(text).value), "true"),
    ("isOnline-nobody", |c, _, text| format!("{:?}", c.is_online(nobody(text)).value), "false"),
    ("getAllClientIdCount", |c, _, _| format!("{:?}", c.client_count().value), "2"),
    ("getAllClientIdList", |c, ws, text| format!("{:?}", *c.client_ids() == [ws, text]), "true"),
    ("sendToClient", |c, ws, _| told(c.send_to_client(ws, "to-one")), TO_ONE),
    ("sendToClient-array", |c, ws, _| told(c.send_to_client(ws, Body::php(&array()))), TO_ONE),
    ("sendToAll", |c, _, _| told(c.send_to_all("to-all")), TO_BOTH),
    ("sendToAll-list", |c, ws, text| told(c.send_to_clients(&[ws, text], "to-list")), TO_BOTH),
    ("sendToAll-exclude", |c, _, text| told(c.send_to_all_except(&[text], "to-others")), TO_BOTH),
    ("leaveGroup", |c, _, text| told(c.leave_group(text, "g1")), TO_ONE),
    ("ungroup", |c, _, _| told(c.ungroup(7)), TO_BOTH),
    ("setSession-empty", |c, _, text| told(c.set_session(text, Array::new())), TO_ONE),
];

/// Calls that PHP writes otherwise to the same effect: it keeps uids that were ints in the program, and adds the uid to
/// UNBIND_UID.
const OTHERWISE: [&str; 3] = ["sendToUid", "unbindUid", "unbindUid-int"];

#[test]
fn every_call_is_that_of_php_byte_for_byte() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::with_key(KEY, &[&gateways[0], &gateways[1]]);
    let client = blocking::Client::connect(config(&register)).unwrap();
    assert_eq!(register.line(), "{\"event\":\"worker_connect\",\"secret_key\":\"k3y\"}\n");
    let [ws, text] = [gateways[0].client(1), gateways[1].client(1)];
    let mut connections: [Option<Link>; 2] = [None, None];
    for (name, act, result) in GOLDEN {
        thread::scope(|scope| {
            let call = scope.spawn(|| act(&client, ws, text));
            for (gateway, direction, hex) in recorded(name) {
                let connection = connections[gateway].get_or_insert_with(|| gateways[gateway].accept());
                // Behind what PHP's older gateways do not know there is a question that they do.
                let is_guarded = name.starts_with("batch");
                match direction {
                    ">" => {
                        assert_eq!(command(connection).bytes, unhex(hex), "{name}");
                        if is_guarded {
                            assert_eq!(connection.receive().unwrap().cmd, Cmd::IsOnline as u8);
                        }
                    }
                    _ => {
                        connection.send_bytes(&unhex(hex));
                        if is_guarded {
                            connection.reply("i:0;");
                        }
                    }
                }
            }
            assert_eq!(call.join().unwrap(), *result, "{name}");
        });
    }
}

/// PHP has no such call, and its gateways ignore the ext_data.
#[test]
fn a_client_is_closed_with_a_reason() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::with_key(KEY, &[&gateway]);
    let client = blocking::Client::connect(config(&register)).unwrap();
    let reason = CloseReason::new(4003, "bye").unwrap();
    let id = gateway.client(4);
    thread::scope(|scope| {
        let call = scope.spawn(|| client.close_client_because(id, &reason));
        let kick = command(&mut gateway.accept());
        assert_eq!(
            kick.bytes,
            unhex("000000230700000000000000000000000000000004000000000000050fa36279654e3b")
        );
        assert_eq!(told(call.join().unwrap()), TO_ONE);
    });
}

#[test]
fn every_recording_has_its_call() {
    for line in RECORDED.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(' ').next().unwrap();
        assert!(GOLDEN.iter().any(|golden| golden.0 == name) || OTHERWISE.contains(&name), "{name}");
    }
}

const RECORDED: &str = include_str!("../golden/calls.txt");

/// Gateway, direction and bytes in hex of what was recorded.
fn recorded(name: &str) -> Vec<(usize, &'static str, &'static str)> {
    let lines = RECORDED.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_call = lines.filter(|words| words[0] == name);
    let found: Vec<_> = of_call.map(|words| (usize::from(words[1] == "text"), words[2], words[3])).collect();
    assert!(!found.is_empty(), "{name} was not recorded");
    found
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn told(delivery: gateway_client::Delivery) -> String {
    format!("{} reached, {} missing", delivery.reached, delivery.missing.len())
}

fn found(clients: &[ClientId], text: ClientId) -> String {
    format!("{clients:?}").replace(&format!("{text:?}"), "text")
}

fn counted(members: Vec<(gateway_client::Name, Vec<ClientId>)>) -> String {
    format!("{:?}", members.into_iter().map(|(name, clients)| (name, clients.len())).collect::<Vec<_>>())
}

fn lengths(sessions: &[(ClientId, Array)]) -> String {
    format!("{:?}", sessions.iter().map(|(_, session)| session.len()).collect::<Vec<_>>())
}

fn nobody(client: ClientId) -> ClientId {
    ClientId { connection_id: u32::MAX, ..client }
}

fn session() -> Array {
    let bytes = "a:7:{s:1:\"i\";i:1;s:1:\"f\";d:0.1;s:1:\"b\";b:1;s:1:\"n\";N;s:1:\"u\";s:3:\"\u{4f60}\";\
                 s:1:\"a\";a:2:{i:0;i:1;i:1;a:1:{s:1:\"k\";s:1:\"v\";}}i:5;s:4:\"five\";}";
    match php::decode(bytes.as_bytes()).unwrap() {
        Value::Array(array) => array,
        other => panic!("{other:?}"),
    }
}

fn array() -> Value {
    php::decode(b"a:2:{s:1:\"k\";s:1:\"v\";s:1:\"l\";a:2:{i:0;i:1;i:1;i:2;}}").unwrap()
}
