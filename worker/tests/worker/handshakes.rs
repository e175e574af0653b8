//! Handshakes that a worker answers, of a gateway that leaves them to it and of one that does not.

use protocol::inner::{Cmd, FLAG_ANSWER_WANTED, Frame, HandshakeAnswer, WebsocketRequest, ext};
use ringway_worker::{Client, Events, Gateway, Message, Worker};

use crate::fake::{FakeGateway, FakeRegister, config};

/// Lets in who says a name, under it; who says none is refused; "panic" has it panic.
struct Doorkeeper;

impl Events for Doorkeeper {
    const ANSWERS_HANDSHAKES: bool = true;

    async fn on_handshake(&self, _: &Gateway, _: &Client, request: &WebsocketRequest) -> HandshakeAnswer {
        match request.get.get("name").and_then(|name| name.as_str()) {
            Some("panic") => panic!("asked to"),
            Some(name) => HandshakeAnswer::accept().with_header("X-Name", name),
            None => HandshakeAnswer::refuse(403, "who are you?"),
        }
    }

    async fn on_websocket_connect(&self, gateway: &Gateway, client: &Client, _: &WebsocketRequest) {
        gateway.send_to_client(client.id(), "welcome");
    }

    async fn on_message(&self, _: &Gateway, _: &Client, _: Message) {}
}

fn request(name: Option<&str>) -> Vec<u8> {
    let mut request = WebsocketRequest::default();
    if let Some(name) = name {
        request.get.insert("name", name);
    }
    let mut body = Vec::new();
    request.encode(&mut body);
    body
}

#[test]
fn a_handshake_is_answered_before_anything_else_is_said() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let _running = Worker::start(config(&[&register]), |_| Doorkeeper).unwrap();
    let mut link = gateway.accept();
    let said = link.expect(Cmd::WorkerConnect);
    assert!(ext::WorkerConnect::decode(&said.body).unwrap().handshakes);

    link.event_with(Cmd::OnWebsocketConnect, 1, FLAG_ANSWER_WANTED, b"", &request(Some("ann")));
    let answer = link.expect(Cmd::HandshakeAnswer);
    let frame = Frame { ext: &answer.ext, body: &answer.body, ..Frame::command(Cmd::HandshakeAnswer) };
    assert_eq!(answer.connection_id, 1);
    assert_eq!(HandshakeAnswer::decode(&frame), HandshakeAnswer::accept().with_header("X-Name", "ann"));
    assert_eq!(link.expect(Cmd::SendToOne).body, b"welcome");

    // One that is refused has not connected.
    for (name, expected) in [
        (None, HandshakeAnswer::refuse(403, "who are you?")),
        (Some("panic"), HandshakeAnswer::refuse(500, "")),
    ] {
        link.event_with(Cmd::OnWebsocketConnect, 2, FLAG_ANSWER_WANTED, b"", &request(name));
        let answer = link.expect(Cmd::HandshakeAnswer);
        let frame = Frame { ext: &answer.ext, body: &answer.body, ..Frame::command(Cmd::HandshakeAnswer) };
        assert_eq!(HandshakeAnswer::decode(&frame), expected);
    }

    // A gateway that has answered by itself, as PHP's do, is not told.
    link.event_with(Cmd::OnWebsocketConnect, 3, 0, b"", &request(None));
    assert_eq!(link.expect(Cmd::SendToOne).connection_id, 3);
}
