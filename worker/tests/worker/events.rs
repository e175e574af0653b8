//! What gateways send and handlers get.

use std::sync::mpsc::Sender;

use protocol::inner::{Cmd, FLAG_BINARY, FLAG_SCALAR, FLAG_TEXT, WebsocketRequest};
use ringway_worker::{Client, Gateway, Kind, Message, php};

use crate::fake::{CLIENT, FakeGateway, FakeRegister, FakeWorker, config, echo, sent};

#[test]
fn the_worker_says_who_it_is() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let mut settings = config(&[&register]);
    settings.secret_key = "k3y".to_owned();
    let _worker = FakeWorker::start_with(settings, echo);
    assert_eq!(register.line(), "{\"event\":\"worker_connect\",\"secret_key\":\"k3y\"}\n");
    let hello = gateway.accept().frame();
    let (cmd, client, flag, ext, body) = sent(&hello);
    assert_eq!((cmd, client, flag, ext), (200, 0, 1, ""));
    // Behind it are the 16 digits of the run, and the window.
    let rest = body.strip_prefix(r#"{"worker_key":"BW:0","secret_key":"k3y","ringway":1,"run":""#);
    let (run, window) = rest.and_then(|rest| rest.split_once('"')).unwrap();
    assert_eq!(run.len(), 16, "{body}");
    assert_eq!(window, r#","acks":1,"window_events":625,"window_bytes":4194304}"#);
}

/// Behind the handler's answer, and alone when there is none.
#[test]
fn a_gateway_with_windows_is_told_what_is_done() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, echo);
    let mut link = gateway.accept_worker();
    link.greet_with_windows();
    link.event(Cmd::OnConnect, CLIENT, b"");
    assert_eq!(link.expect(Cmd::EventsDone).body, [0, 0, 0, 0, 0, 0, 0, 1]);
    link.message("hello");
    assert_eq!(link.expect(Cmd::SendToOne).body, b"hello");
    assert_eq!(link.expect(Cmd::EventsDone).body, [0, 0, 0, 1, 0, 0, 0, 1]);
    drop(worker);
}

#[test]
fn every_event_reaches_its_handler() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(
        &register,
        async |_: &Gateway, client: &Client, message: Message, tell: &Sender<String>| {
            tell.send(format!("message {} {}", client.id().connection_id, message.text())).unwrap();
        },
    );
    let mut link = gateway.accept_worker();
    let mut request = WebsocketRequest::default();
    request.get.insert("name", "ann");
    let mut body = Vec::new();
    request.encode(&mut body);
    link.event(Cmd::Ping, 0, b"");
    link.event(Cmd::OnConnect, 7, b"");
    link.event_with(Cmd::OnWebsocketConnect, 7, 0, b"", &body);
    link.event_with(Cmd::OnWebsocketConnect, 8, 0, b"", b"not serialized");
    link.event(Cmd::OnMessage, 7, b"hi");
    link.event(Cmd::OnClose, 7, b"");
    assert_eq!(worker.told(), "connect 7 from 127.0.0.1:40000 at 8282");
    assert_eq!(worker.told(), "websocket 7 ann");
    assert_eq!(worker.told(), "message 7 hi");
    assert_eq!(worker.told(), "close 7");
}

#[test]
fn an_echo_keeps_its_kind_towards_gateways_that_know_it() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    let mut link = gateway.accept_worker();
    link.event_with(Cmd::OnMessage, CLIENT, FLAG_SCALAR | FLAG_TEXT, b"", b"before");
    assert_eq!(sent(&link.frame()), (5, CLIENT, FLAG_SCALAR, "", "before"));
    link.event(Cmd::RingwayHello, 0, br#"{"ringway":1}"#);
    for kind in [0, FLAG_TEXT, FLAG_BINARY] {
        link.event_with(Cmd::OnMessage, CLIENT, FLAG_SCALAR | kind, b"", b"after");
        assert_eq!(sent(&link.frame()), (5, CLIENT, FLAG_SCALAR | kind, "", "after"));
    }
}

#[test]
fn a_changed_session_is_stored_after_the_handler() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(
        &register,
        async |gateway: &Gateway, client: &Client, message: Message, _: &Sender<String>| {
            let visits = client.with_session(|session| session.get("visits").and_then(php::Value::as_int));
            match message.text().as_ref() {
                "write" => client.edit_session(|session| {
                    session.insert("visits", visits.unwrap_or(0) + 1);
                }),
                "same" => client.set_session(client.session()),
                _ => {}
            }
            gateway.send_to_client(client.id(), format!("{visits:?}"));
        },
    );
    let mut link = gateway.accept_worker();
    let stored = "a:1:{s:6:\"visits\";i:1;}";
    link.message("write");
    assert_eq!(sent(&link.frame()), (5, CLIENT, 1, "", "None"));
    assert_eq!(sent(&link.frame()), (204, CLIENT, 1, stored, ""));
    for text in ["same", "read"] {
        link.event_with(Cmd::OnMessage, CLIENT, 1, stored.as_bytes(), text.as_bytes());
        assert_eq!(sent(&link.frame()), (5, CLIENT, 1, "", "Some(1)"));
    }
    link.event_with(Cmd::OnMessage, CLIENT, 1, stored.as_bytes(), b"write");
    assert_eq!(sent(&link.frame()).4, "Some(1)");
    assert_eq!(sent(&link.frame()), (204, CLIENT, 1, "a:1:{s:6:\"visits\";i:2;}", ""));
}

#[test]
fn many_messages_cut_anywhere_come_back_in_order() {
    const COUNT: u32 = 20_000;
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    let mut link = gateway.accept_worker();
    let mut writer = link.writer();
    let sender = std::thread::spawn(move || {
        for number in 0..COUNT {
            writer.event(Cmd::OnMessage, number % 100, &number.to_be_bytes());
        }
    });
    for number in 0..COUNT {
        let frame = link.frame();
        assert_eq!((frame.connection_id, frame.body), (number % 100, number.to_be_bytes().to_vec()));
    }
    sender.join().unwrap();
}

#[test]
fn the_largest_message_passes() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(&register, echo);
    let mut link = gateway.accept_worker();
    let body = vec![b'x'; protocol::inner::FRAME_SIZE_MAX - protocol::inner::HEADER_SIZE];
    link.event(Cmd::OnMessage, CLIENT, &body);
    assert!(link.frame().body == body);
}

#[test]
fn stopping_delivers_what_handlers_and_on_stop_sent() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(
        &register,
        async |gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>| {
            tell.send("begun".to_owned()).unwrap();
            while !gateway.is_online(client.id()).await.is_complete() {}
            gateway.send_to_client(client.id(), message);
        },
    );
    let mut link = gateway.accept_worker();
    link.message("slow");
    assert_eq!(worker.told(), "begun");
    let mut queries = gateway.accept();
    assert_eq!(queries.frame().cmd, Cmd::IsOnline as u8);
    let stopping = std::thread::spawn(move || worker.running.stop());
    queries.reply("i:1;");
    assert_eq!(sent(&link.frame()).4, "slow");
    assert_eq!(sent(&link.frame()), (6, 0, 1, "", "bye"));
    assert_eq!(link.receive(), None);
    drop(link);
    stopping.join().unwrap().unwrap();
}

#[test]
fn kinds_are_what_bodies_say() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _worker = FakeWorker::start(
        &register,
        async |gateway: &Gateway, client: &Client, message: Message, _: &Sender<String>| {
            assert_eq!(message.kind(), Kind::Unspecified);
            gateway.send_to_client(client.id(), "text");
            gateway.send_to_client(client.id(), b"bytes");
            gateway.send_to_client(client.id(), Message::new("binary", Kind::Binary));
        },
    );
    let mut link = gateway.accept_worker();
    link.event(Cmd::RingwayHello, 0, br#"{"ringway":1}"#);
    link.message("go");
    for kind in [Kind::Text, Kind::Unspecified, Kind::Binary] {
        assert_eq!(link.frame().flag, FLAG_SCALAR | crate::fake::kind_flag(kind));
    }
}
