//! The bytes of every command, as PHP workers were seen to send them.

use std::sync::mpsc::Sender;

use protocol::inner::Cmd;
use ringway_worker::php::{Array, Value};
use ringway_worker::{Client, ClientId, CloseReason, Gateway, Message};

use crate::fake::{CLIENT, FakeGateway, FakeRegister, FakeWorker, Link, sent};

/// A command: `other` is client 1 of the first of two gateways, `own` the client of the second whose message is handled.
type Act = fn(&Gateway, ClientId, ClientId);

/// Name of the PHP call, what to do, and the frames that each of the gateways gets, in hex.
type Golden = (&'static str, Act, &'static [&'static str], &'static [&'static str]);

const GOLDEN: &[Golden] = &[
    (
        "sendToClient",
        |gateway, other, _| gateway.send_to_client(other, "to-one"),
        &["00000022050000000000000000000000000000000101000000000000746f2d6f6e65"],
        &[],
    ),
    (
        "sendToAll",
        |gateway, _, _| gateway.send_to_all("to-all"),
        &["00000022060000000000000000000000000000000001000000000000746f2d616c6c"],
        &["00000022060000000000000000000000000000000001000000000000746f2d616c6c"],
    ),
    (
        "sendToAll with a list",
        |gateway, other, own| gateway.send_to_clients(&[other, own], "to-list"),
        &[
            "0000003a0600000000000000000000000000000000010000000000177b22636f6e6e656374696f6e73223a7b2231223a317d7d746f2d6c697374",
        ],
        &[
            "0000003a0600000000000000000000000000000000010000000000177b22636f6e6e656374696f6e73223a7b2231223a317d7d746f2d6c697374",
        ],
    ),
    (
        "sendToAll with an exclusion",
        |gateway, _, own| gateway.send_to_all_except(&[own], "to-others"),
        &["00000025060000000000000000000000000000000001000000000000746f2d6f7468657273"],
        &[
            "000000380600000000000000000000000000000000010000000000137b226578636c756465223a7b2231223a317d7d746f2d6f7468657273",
        ],
    ),
    (
        "sendToGroup",
        |gateway, _, _| gateway.send_to_group("g1", "to-group"),
        &[
            "0000004316000000000000000000000000000000000100000000001f7b2267726f7570223a5b226731225d2c226578636c756465223a6e756c6c7d746f2d67726f7570",
        ],
        &[
            "0000004316000000000000000000000000000000000100000000001f7b2267726f7570223a5b226731225d2c226578636c756465223a6e756c6c7d746f2d67726f7570",
        ],
    ),
    (
        "sendToGroup with an exclusion",
        |gateway, _, own| gateway.send_to_groups(["g1", "7"], &[own], "to-groups"),
        &[
            "000000481600000000000000000000000000000000010000000000237b2267726f7570223a5b226731222c2237225d2c226578636c756465223a6e756c6c7d746f2d67726f757073",
        ],
        &[
            "0000004b1600000000000000000000000000000000010000000000267b2267726f7570223a5b226731222c2237225d2c226578636c756465223a7b2231223a317d7d746f2d67726f757073",
        ],
    ),
    (
        "bindUid",
        |gateway, _, own| gateway.bind_uid(own, "u1"),
        &[],
        &["0000001e0c00000000000000000000000000000001010000000000027531"],
    ),
    (
        "bindUid with an int",
        |gateway, _, own| gateway.bind_uid(own, 100),
        &[],
        &["0000001f0c0000000000000000000000000000000101000000000003313030"],
    ),
    (
        "joinGroup",
        |gateway, _, own| gateway.join_group(own, "g1"),
        &[],
        &["0000001e1400000000000000000000000000000001010000000000026731"],
    ),
    (
        "joinGroup with an int",
        |gateway, _, own| gateway.join_group(own, 7),
        &[],
        &["0000001d14000000000000000000000000000000010100000000000137"],
    ),
    (
        "leaveGroup",
        |gateway, _, own| gateway.leave_group(own, "g1"),
        &[],
        &["0000001e1500000000000000000000000000000001010000000000026731"],
    ),
    (
        "ungroup",
        |gateway, _, _| gateway.ungroup(7),
        &["0000001d1b000000000000000000000000000000000100000000000137"],
        &["0000001d1b000000000000000000000000000000000100000000000137"],
    ),
    (
        "setSession",
        |gateway, _, own| gateway.set_session(own, Array::new()),
        &[],
        &["00000022cc0000000000000000000000000000000101000000000006613a303a7b7d"],
    ),
    (
        "updateSession",
        |gateway, _, own| {
            let list = Array::from(vec!["x"]);
            gateway.update_session(own, Array::from([("i", Value::Int(2)), ("a", Value::Array(list))]));
        },
        &[],
        &[
            "0000004809000000000000000000000000000000010100000000002c613a323a7b733a313a2269223b693a323b733a313a2261223b613a313a7b693a303b733a313a2278223b7d7d",
        ],
    ),
    (
        "closeClient with a message",
        |gateway, other, _| gateway.close_client_with(other, "bye"),
        &["0000001f070000000000000000000000000000000101000000000000627965"],
        &[],
    ),
    (
        "closeClient",
        |gateway, other, _| gateway.close_client(ClientId { connection_id: 2, ..other }),
        &["0000001e0700000000000000000000000000000002000000000000004e3b"],
        &[],
    ),
    (
        // PHP has no such call, and its gateways ignore the ext_data.
        "closeClient with a code",
        |gateway, other, _| {
            let reason = CloseReason::new(4003, "bye").unwrap();
            gateway.close_client_because(ClientId { connection_id: 4, ..other }, &reason);
        },
        &["000000230700000000000000000000000000000004000000000000050fa36279654e3b"],
        &[],
    ),
    (
        "destoryClient",
        |gateway, other, _| gateway.destroy_client(ClientId { connection_id: 3, ..other }),
        &["0000001c080000000000000000000000000000000301000000000000"],
        &[],
    ),
    (
        "names that are none",
        |gateway, _, own| {
            gateway.bind_uid(own, 0);
            gateway.join_group(own, "");
            gateway.leave_group(own, "0");
            gateway.ungroup("");
            gateway.send_to_uid("0", "nobody");
            gateway.send_to_groups(["", "0"], &[], "nobody");
            assert_eq!(gateway.counters().names_refused, 7);
        },
        &[],
        &[],
    ),
];

/// What a gateway gets up to the mark behind the command.
fn frames(link: &mut Link) -> Vec<String> {
    let mut frames = Vec::new();
    loop {
        let frame = link.frame();
        if frame.body == b"mark" {
            return frames;
        }
        frames.push(frame.bytes.iter().map(|byte| format!("{byte:02x}")).collect());
    }
}

#[test]
fn commands_are_those_of_php_byte_for_byte() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&gateways[0], &gateways[1]]);
    let other = gateways[0].client(CLIENT);
    let _worker = FakeWorker::start(
        &register,
        async move |gateway: &Gateway, client: &Client, message: Message, _: &Sender<String>| {
            let number: usize = message.text().parse().unwrap();
            (GOLDEN[number].1)(gateway, other, client.id());
            gateway.send_to_all("mark");
        },
    );
    let mut links = gateways.each_ref().map(FakeGateway::accept_worker);
    for (number, (name, _, first, second)) in GOLDEN.iter().enumerate() {
        links[1].message(&number.to_string());
        assert_eq!(frames(&mut links[0]), *first, "{name}, the other gateway");
        assert_eq!(frames(&mut links[1]), *second, "{name}, the client's gateway");
        // A new client next time, whose session nobody has written.
        links[1].event(Cmd::OnClose, CLIENT, b"");
    }
}

#[test]
fn commands_that_php_sends_otherwise_mean_the_same() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(
        &register,
        async |gateway: &Gateway, client: &Client, _: Message, _: &Sender<String>| {
            gateway.send_to_uids(["u1", "100"], "to-uid");
            gateway.unbind_uid(client.id());
        },
    );
    let mut link = gateway.accept_worker();
    link.message("go");
    // PHP writes uids that were ints in the program as ints, and adds the uid to UNBIND_UID: gateways see no difference.
    assert_eq!(sent(&link.frame()), (Cmd::SendToUid as u8, 0, 1, r#"["u1","100"]"#, "to-uid"));
    assert_eq!(sent(&link.frame()), (Cmd::UnbindUid as u8, CLIENT, 1, "", ""));
}

#[test]
fn a_client_of_an_unknown_gateway_gets_nothing_and_nobody_else_either() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(
        &register,
        async |gateway: &Gateway, client: &Client, _: Message, tell: &Sender<String>| {
            let stranger = ClientId::new([192, 0, 2, 1].into(), 2900, client.id().connection_id);
            gateway.send_to_client(stranger, "lost");
            gateway.send_to_clients(&[stranger], "lost");
            tell.send(gateway.counters().commands_dropped.to_string()).unwrap();
            gateway.send_to_client(client.id(), "found");
        },
    );
    let mut link = gateway.accept_worker();
    link.message("go");
    assert_eq!(worker.told(), "2");
    assert_eq!(link.frame().body, b"found");
}
