//! What was recorded between PHP programs, asked of our gateways: every answer and every message must be the same.

use std::net::SocketAddrV4;

use protocol::inner::{Cmd, Frame};
use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::peer::Link;
use ringway_tests::{Clients, Cluster, Listen};

const REPLAY: &str = include_str!("golden/replay.txt");

/// One of the two gateways of the recording.
struct Side {
    link: Link,
    /// Keeps the client alive: without a worker it would be closed.
    _worker: Link,
    client: Client,
    connection_id: u32,
    /// The reply to the query before.
    reply: Option<String>,
}

enum Client {
    Websocket(WebsocketClient),
    Text(PlainClient),
}

#[test]
fn recorded_commands_and_queries_have_the_recorded_effects() {
    let cluster = Cluster::builder().gateways(2).workers(0).listen(&Listen::ALL).start();
    let mut websocket = Side::start(cluster.inner_address(0, 0), || Client::Websocket(cluster.websocket(0)));
    let mut text = Side::start(cluster.inner_address(1, 0), || Client::Text(cluster.plain(1, Framing::Text)));
    for (index, line) in REPLAY.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (gateway, step) = line.split_once(' ').unwrap();
        let side = if gateway == "ws" { &mut websocket } else { &mut text };
        side.replay(index + 1, step);
    }
    cluster.stop();
}

impl Side {
    fn start(inner: SocketAddrV4, connect: impl FnOnce() -> Client) -> Side {
        let mut worker = Link::worker(inner, "test:0", "");
        let client = connect();
        let connection_id = worker.expect(Cmd::OnConnect).connection_id;
        let link = Link::gateway_client(inner, "");
        Side { link, _worker: worker, client, connection_id, reply: None }
    }

    fn replay(&mut self, line: usize, step: &str) {
        let step = step.replace('$', &self.connection_id.to_string());
        if let Some(command) = step.strip_prefix("> ") {
            self.send(command);
        } else if let Some(query) = step.strip_prefix("? ") {
            self.send(query);
            let reply = self.link.read_reply().expect("the query is answered");
            self.reply = Some(utf8(reply));
        } else if let Some(expected) = step.strip_prefix("= ") {
            assert_eq!(self.reply.take().as_deref(), Some(expected), "line {line}");
        } else if let Some(expected) = step.strip_prefix("client < ") {
            assert_eq!(self.client.receive(), expected, "line {line}");
        } else {
            panic!("line {line} is no step: {step}");
        }
    }

    /// Sends `COMMAND <connection id> [flag=N] [ext=…] [body=…]`.
    fn send(&mut self, command: &str) {
        let (head, body) = command.split_once(" body=").unwrap_or((command, ""));
        let (head, ext) = head.split_once(" ext=").unwrap_or((head, ""));
        let (head, flag) = head.split_once(" flag=").unwrap_or((head, "1"));
        let (name, connection_id) = head.split_once(' ').expect("a name and an id");
        self.link.send(&Frame {
            cmd: *Cmd::ALL.iter().find(|cmd| cmd.name() == name).expect("a command") as u8,
            connection_id: connection_id.parse().expect("a number"),
            flag: flag.parse().expect("a number"),
            ext: ext.as_bytes(),
            body: body.as_bytes(),
            ..Frame::command(Cmd::Ping)
        });
    }
}

impl Client {
    fn receive(&mut self) -> String {
        let body = match self {
            Client::Websocket(client) => match client.receive() {
                Event::Text(body) => body,
                other => panic!("received {other:?}"),
            },
            Client::Text(client) => client.receive().expect("the gateway stays"),
        };
        utf8(body)
    }
}

fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the recording is UTF-8")
}
