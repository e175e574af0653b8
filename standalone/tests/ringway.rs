//! The binary `ringway` as a person starts it: page, chat, busy ports, Ctrl-C.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use ringway_tests::client::websocket::{Event, Frame, WebsocketClient, request};
use ringway_tests::own_address;
use ringway_tests::process::Process;
use ringway_tests::wait::wait_until;

fn ringway(flags: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringway"));
    command.args(flags);
    Process::spawn("ringway", command)
}

/// Where the page and the websocket are, from the ready line.
fn addresses(ready: &str) -> (SocketAddr, SocketAddr) {
    let (page, rest) = ready.strip_prefix("open http://").unwrap().split_once(" (websocket ").unwrap();
    let (websocket, _) = rest.split_once(", ").unwrap();
    (page.parse().unwrap(), websocket.parse().unwrap())
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn page_and_websocket_are_served_until_ctrl_c() {
    let mut ringway =
        ringway(&["--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0", "--count", "2"]);
    let ready = ringway.await_ready("ringway");
    assert!(ready.ends_with("2 shards)"), "{ready}");
    let (page, websocket) = addresses(&ready);

    assert!(get(page, "/health").ends_with("\r\n\r\nok\n"));
    let response = get(page, "/");
    assert!(response.starts_with("HTTP/1.1 200"));
    assert!(response.contains(&format!("content=\"{}\"", websocket.port())));
    assert!(response.to_ascii_lowercase().contains("content-security-policy: default-src 'none'"));
    assert!(get(page, "/etc/passwd").starts_with("HTTP/1.1 404"));

    let mut client = WebsocketClient::connect(websocket);
    client.send_text(r#"{"type":"hello","name":"Ann","rooms":["lobby"]}"#);
    let reply = format!("{:?}", client.receive());
    assert!(reply.contains("welcome"), "{reply}");

    // Neither an open chat nor a request that never ends holds it up.
    let mut slow = TcpStream::connect(page).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    ringway.interrupt();
    ringway.await_clean_exit();
}

#[test]
fn handshakes_are_answered_as_flags_say() {
    let mut ringway = ringway(&[
        "--listen",
        "websocket://127.0.0.1:0",
        "--page",
        "127.0.0.1:0",
        "--count",
        "1",
        "--app",
        "echo",
        "--subprotocol",
        "chat",
        "--response-header",
        "X-Served-By: ringway",
        "--lenient-text",
    ]);
    let (_, websocket) = addresses(&ringway.await_ready("ringway"));
    let mut client = WebsocketClient::connect_silently(websocket);
    client.send_bytes(&request("/", &["Sec-WebSocket-Protocol: chat"]));
    let answer = client.read_response().unwrap();
    assert!(answer.ends_with("\r\nX-Served-By: ringway\r\nSec-WebSocket-Protocol: chat\r\n\r\n"), "{answer}");
    let mut raw = client.writer();
    client.send(&Frame::text(b"\xc4\xe3"));
    let mut echo = [0; 4];
    raw.read_exact(&mut echo).unwrap();
    assert_eq!(echo, *b"\x81\x02\xc4\xe3");
    drop(client);
    ringway.interrupt();
    ringway.await_clean_exit();
}

#[test]
fn the_echo_app_echoes() {
    let mut ringway = ringway(&["--app", "echo", "--listen", "ws://127.0.0.1:0", "--page", "127.0.0.1:0"]);
    let (_, websocket) = addresses(&ringway.await_ready("ringway"));
    WebsocketClient::connect(websocket).echo("hello");
    ringway.stop();
}

#[test]
fn silent_clients_are_pinged_and_then_closed() {
    let heartbeat =
        ["--ping-interval", "0.3", "--ping-not-response-limit", "3", "--ping-data", "still there?"];
    let mut flags = vec!["--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0"];
    flags.extend(heartbeat);
    let mut ringway = ringway(&flags);
    let (_, websocket) = addresses(&ringway.await_ready("ringway"));
    let mut client = WebsocketClient::connect(websocket);
    assert!(matches!(client.receive(), Event::Text(text) if *text == *b"still there?"));
    while matches!(client.receive(), Event::Text(_)) {}
    ringway.stop();
}

#[test]
fn it_ends_though_the_register_that_it_joins_is_away() {
    let nowhere = format!("{}:1236", own_address());
    let flags =
        ["--register-address", &nowhere, "--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0"];
    let mut ringway = ringway(&flags);
    wait_until("it to say that the register is away", || ringway.stderr().contains(&nowhere).then_some(()));
    assert_eq!(ringway.stdout(), "");
    ringway.stop();
}

#[test]
fn its_register_is_either_its_own_or_another_one() {
    let mut ringway =
        ringway(&["--register-address", "127.0.0.1:1236", "--register-listen", "127.0.0.1:1236"]);
    assert_eq!(ringway.await_exit().code(), Some(2));
    assert!(
        ringway.stderr().contains("--register-listen is for a register of our own"),
        "{}",
        ringway.stderr()
    );
}

#[test]
fn the_page_alone_needs_no_gateway() {
    let flags = ["--page-only", "--listen", "websocket://127.0.0.1:4711", "--page", "127.0.0.1:0"];
    let mut ringway = ringway(&flags);
    let ready = ringway.await_ready("ringway");
    let (page, _) = ready.strip_prefix("open http://").unwrap().split_once(' ').unwrap();
    assert!(get(page.parse().unwrap(), "/").contains("content=\"4711\""));
    ringway.stop();
}

#[test]
fn a_busy_port_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let websocket = format!("websocket://{address}");
    let (any, page) = ("websocket://127.0.0.1:0", "127.0.0.1:0");
    for (flags, advice) in [
        (vec!["--listen", any, "--page", &address], "choose another --page"),
        (vec!["--listen", &websocket, "--page", page], "choose another --listen"),
        (
            vec!["--listen", any, "--page", page, "--register-listen", &address],
            "choose another --register-listen",
        ),
    ] {
        let mut ringway = ringway(&flags);
        assert_eq!(ringway.await_exit().code(), Some(1));
        let told = ringway.stderr();
        let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("ringway: ")).collect();
        assert_eq!(lines.len(), 1, "{told}");
        assert!(lines[0].contains(&address) && lines[0].contains(advice), "{told}");
    }
}

#[test]
fn a_page_without_websocket_is_refused() {
    let mut ringway = ringway(&["--listen", "text://127.0.0.1:0", "--page", "127.0.0.1:0"]);
    assert_eq!(ringway.await_exit().code(), Some(2));
    assert!(ringway.stderr().contains("add --listen websocket://"));
}
