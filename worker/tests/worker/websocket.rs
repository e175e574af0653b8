//! A websocket request, as a PHP gateway was seen to tell it.

use std::sync::mpsc::{Sender, channel};

use ringway_worker::php::{self, Array};
use ringway_worker::{Client, Events, Gateway, Message, WebsocketRequest, Worker};

use crate::fake::{FakeGateway, FakeRegister, LIMIT, config};

/// ON_WEBSOCKET_CONNECT of connection 1 at 127.0.0.2:11400.
const FRAME: &str = "\
    00000296cd7f0000022c887f00000155c200000001002c7600000000613a333a7b733a333a22676574223b613a313a7b733a\
    333a22746f6b223b733a313a2231223b7d733a363a22736572766572223b613a31353a7b733a31323a2251554552595f5354\
    52494e47223b733a353a22746f6b3d31223b733a31343a22524551554553545f4d4554484f44223b733a333a22474554223b\
    733a31313a22524551554553545f555249223b733a31313a222f636861743f746f6b3d31223b733a31353a22534552564552\
    5f50524f544f434f4c223b733a383a22485454502f312e31223b733a31313a225345525645525f4e414d45223b733a31353a\
    223132372e302e302e313a3131333832223b733a31323a22434f4e54454e545f54595045223b4e3b733a31313a2252454d4f\
    54455f41444452223b733a393a223132372e302e302e31223b733a31313a2252454d4f54455f504f5254223b693a32313935\
    343b733a31313a225345525645525f504f5254223b693a31313338323b733a393a22485454505f484f5354223b733a31353a\
    223132372e302e302e313a3131333832223b733a31323a22485454505f55504752414445223b733a393a22776562736f636b\
    6574223b733a31353a22485454505f434f4e4e454354494f4e223b733a373a2255706772616465223b733a32323a22485454\
    505f5345435f574542534f434b45545f4b4559223b733a32343a226f6278497359526e594e396950707a326c7a4c5348413d\
    3d223b733a32363a22485454505f5345435f574542534f434b45545f56455253494f4e223b733a323a223133223b733a3131\
    3a22485454505f434f4f4b4945223b733a333a22613d62223b7d733a363a22636f6f6b6965223b613a313a7b733a313a2261\
    223b733a313a2262223b7d7d";

struct Requests(Sender<(String, WebsocketRequest)>);

impl Events for Requests {
    async fn on_websocket_connect(&self, _: &Gateway, client: &Client, request: &WebsocketRequest) {
        self.0.send((format!("{} {}", client.id(), client.address()), request.clone())).unwrap();
    }

    async fn on_message(&self, _: &Gateway, _: &Client, _: Message) {}
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|digits| std::str::from_utf8(digits).unwrap());
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

#[test]
fn get_server_and_cookie_are_those_of_php() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let (send, requests) = channel();
    let _running = Worker::start(config(&[&register]), move |_| Requests(send.clone())).unwrap();
    gateway.accept_worker().send_bytes(&bytes(FRAME));
    let (client, request) = requests.recv_timeout(LIMIT).unwrap();
    assert_eq!(client, "7f0000022c8800000001 127.0.0.1:21954");
    assert_eq!(request.get, Array::from([("tok", "1")]));
    assert_eq!(request.cookie, Array::from([("a", "b")]));
    let null = php::Value::Null;
    let text = php::Value::from;
    let server = [
        ("QUERY_STRING", text("tok=1")),
        ("REQUEST_METHOD", text("GET")),
        ("REQUEST_URI", text("/chat?tok=1")),
        ("SERVER_PROTOCOL", text("HTTP/1.1")),
        ("SERVER_NAME", text("127.0.0.1:11382")),
        ("CONTENT_TYPE", null),
        ("REMOTE_ADDR", text("127.0.0.1")),
        ("REMOTE_PORT", php::Value::Int(21954)),
        ("SERVER_PORT", php::Value::Int(11382)),
        ("HTTP_HOST", text("127.0.0.1:11382")),
        ("HTTP_UPGRADE", text("websocket")),
        ("HTTP_CONNECTION", text("Upgrade")),
        ("HTTP_SEC_WEBSOCKET_KEY", text("obxIsYRnYN9iPpz2lzLSHA==")),
        ("HTTP_SEC_WEBSOCKET_VERSION", text("13")),
        ("HTTP_COOKIE", text("a=b")),
    ];
    assert_eq!(request.server, Array::from(server));
}
