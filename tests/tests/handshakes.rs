//! Handshakes as operators set them up, and as they end when nobody serves them.

use std::process::Command;

use ringway_tests::client::Framing;
use ringway_tests::client::websocket::{Event, Frame, WebsocketClient, request};
use ringway_tests::peer::Link;
use ringway_tests::process::Process;
use ringway_tests::{Clients, Cluster, Listen};

use protocol::inner::Cmd;

/// The answer to a handshake with these headers.
fn answer(cluster: &Cluster, headers: &[&str]) -> String {
    let mut client = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
    client.send_bytes(&request("/", headers));
    client.read_response().expect("a handshake is answered")
}

#[test]
fn without_a_worker_a_handshake_is_refused_after_the_wait() {
    let flags = ["--no-worker-wait", "1"];
    let cluster = Cluster::builder().workers(0).listen(&Listen::ALL).gateway_flags(&flags).start();
    let mut plain = Framing::ALL.map(|framing| cluster.plain(0, framing));
    plain.iter_mut().for_each(|client| client.send(b"anybody?"));
    let answer = answer(&cluster, &[]);
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 5\r\n"), "{answer}");
    for mut client in plain {
        assert_eq!(client.read_to_end(), b"");
    }
    cluster.stop();
}

#[test]
fn answers_have_what_flags_say() {
    let flags = [
        "--subprotocol",
        "chat.2",
        "--subprotocol",
        "chat.1",
        "--response-header",
        "X-Served-By: gateway 1",
        "--response-header",
        "X-Other: yes",
    ];
    let cluster = Cluster::builder().gateway_flags(&flags).start();
    let chosen = answer(&cluster, &["Sec-WebSocket-Protocol: chat.1, chat.2"]);
    assert!(chosen.starts_with("HTTP/1.1 101 "), "{chosen}");
    let lines = "\r\nX-Served-By: gateway 1\r\nX-Other: yes\r\nSec-WebSocket-Protocol: chat.2\r\n\r\n";
    assert!(chosen.ends_with(lines), "{chosen}");
    assert!(!answer(&cluster, &["Sec-WebSocket-Protocol: other"]).contains("Sec-WebSocket-Protocol"));
    cluster.stop();
}

#[test]
fn lenient_text_reaches_the_worker_as_it_came() {
    let gbk = b"\xc4\xe3\xba\xc3";
    let cluster = Cluster::builder().workers(0).gateway_flags(&["--lenient-text"]).start();
    let mut worker = Link::worker(cluster.inner_address(0, 0), "test:0", "");
    let mut client = cluster.websocket(0);
    worker.expect(Cmd::OnConnect);
    worker.expect(Cmd::OnWebsocketConnect);
    client.send(&Frame::text(gbk));
    worker.expect_message(gbk);
    client.close();
    cluster.stop();
}

/// A worker that answers handshakes: by its own word, or by none in time.
#[test]
fn a_worker_answers_handshakes_itself() {
    let cluster = Cluster::builder().workers(0).listen(&[Listen::Websocket]).start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorkeeper"));
    command.args(["--count", "1", "--register-address", &cluster.register_address().to_string()]);
    // One of its handlers never ends.
    command.args(["--drain-timeout", "1"]);
    let mut worker = Process::spawn("doorkeeper", command);
    worker.await_ready("doorkeeper");
    let ask = |path: &str| {
        let mut client = WebsocketClient::connect_silently(cluster.address(0, Listen::Websocket));
        client.send_bytes(&request(path, &["Sec-WebSocket-Protocol: other, chat"]));
        client
    };
    let mut waits = ask("/never");
    for path in ["/", "/slow"] {
        let mut client = ask(path);
        // Said before it is answered.
        client.send_text("hello");
        let answer = client.read_response().expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.ends_with("\r\nSec-WebSocket-Protocol: chat\r\nX-Door: open\r\n\r\n"), "{answer}");
        client.expect(&Event::text("welcome"));
        client.expect(&Event::text("hello"));
    }
    let mut refused = ask("/cellar");
    let answer = refused.read_response().expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{answer}");
    assert!(waits.read_response().expect("an answer").starts_with("HTTP/1.1 503 "));
    worker.terminate();
    worker.await_clean_exit();
    cluster.stop();
}
