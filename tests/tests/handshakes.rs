//! Handshakes as operators set them up, and as they end when nobody serves them.

use ringway_tests::client::Framing;
use ringway_tests::client::websocket::{Frame, WebsocketClient, request};
use ringway_tests::peer::Link;
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
