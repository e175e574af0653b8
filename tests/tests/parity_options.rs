//! Options of the programs: their names, their defaults, and that each reaches what it is about.

use std::collections::BTreeMap;

use protocol::inner::{Cmd, Frame};
use ringway_tests::client::websocket::{Event, Opcode};
use ringway_tests::client::{Framing, websocket};
use ringway_tests::peer::Link;
use ringway_tests::process::Process;
use ringway_tests::{Clients, Cluster, Listen, own_address};

/// What `--help-all` says about each option.
fn help(program: &str) -> BTreeMap<String, String> {
    let mut process = Process::start(program, program, &["--help-all".to_owned()]);
    process.await_clean_exit();
    let mut options: BTreeMap<String, String> = BTreeMap::new();
    let mut current = String::new();
    let help = process.stdout();
    let (_, list) = help.split_once("\nOptions:\n").expect("there is a list of options");
    // The example behind the list has no texts.
    let list = list.split_once("\nExamples:").map_or(list, |(list, _)| list);
    // An option's text may go on in the next lines.
    for word in list.split_whitespace() {
        if let Some(name) = word.strip_prefix("--") {
            current = name.to_owned();
        } else {
            options.entry(current.clone()).or_default().push_str(&format!("{word} "));
        }
    }
    options
}

#[test]
fn options_have_the_names_and_defaults_of_gatewayworker() {
    let gateway = [
        ("lan-ip", "default 127.0.0.1)"),
        ("register-address", "default: 127.0.0.1:1236;"),
        ("secret-key", "default: none)"),
        ("ping-interval", "default 0)"),
        ("ping-not-response-limit", "default 0)"),
        ("ping-data", "default: none)"),
        ("router", "default least-connections)"),
        ("max-package-size", "default 10485760)"),
        ("send-to-client-buffer-size", "default 1024000)"),
        ("send-to-worker-buffer-size", "default 10240000)"),
        // The class has 2000; 2900 is what its start_gateway.php sets.
        ("start-port", "default 2900)"),
    ];
    let worker = [
        ("register-address", "default 127.0.0.1:1236)"),
        ("secret-key", "default: none)"),
        ("name", ""),
        ("count", ""),
    ];
    let register = [("listen", "default 127.0.0.1:1236)"), ("secret-key", "")];
    for (program, expected) in [("gateway", &gateway[..]), ("worker", &worker), ("register", &register)] {
        let options = help(program);
        for (name, default) in expected {
            let text = options.get(*name).unwrap_or_else(|| panic!("{program} has no --{name}"));
            assert!(text.contains(default), "{program} --{name}: {text}");
        }
    }
}

#[test]
fn a_message_of_the_default_limit_passes_and_one_byte_more_does_not() {
    const LIMIT: usize = 10_485_760;
    const LENGTH_SIZE: usize = 4;
    let cluster = Cluster::builder().listen(&[Listen::Frame]).start();
    let mut client = cluster.plain(0, Framing::Frame);
    client.echo(&vec![b'x'; LIMIT - LENGTH_SIZE]);
    client.send_bytes(&u32::to_be_bytes(LIMIT as u32 + 1));
    assert_eq!(client.read_to_end(), b"", "closed by the header alone");
    drop(client);
    cluster.stop();
}

#[test]
fn a_silent_client_is_pinged_and_closed() {
    let flags = ["--ping-interval", "0.5", "--ping-not-response-limit", "1", "--ping-data", "are you there?"];
    let cluster = Cluster::builder().listen(&[Listen::Text, Listen::Websocket]).gateway_flags(&flags).start();
    let mut plain = cluster.plain(0, Framing::Text);
    let mut websocket = cluster.websocket(0);
    assert_eq!(plain.read_to_end(), b"are you there?\n");
    websocket.expect(&Event::text("are you there?"));
    assert!(matches!(websocket.receive(), Event::End | Event::Close(_)));
    drop((plain, websocket));
    cluster.stop();
}

#[test]
fn websocket_clients_may_be_pinged_by_websocket_pings() {
    let flags = ["--ping-interval", "0.5", "--ping-not-response-limit", "1", "--websocket-ping"];
    let cluster = Cluster::builder().gateway_flags(&flags).start();
    let mut client = cluster.websocket(0);
    // More than a client that does not answer would live to see.
    for _ in 0..4 {
        client.expect(&Event::Ping(Vec::new()));
        client.send(&websocket::Frame::new(Opcode::PONG, b""));
    }
    client.close();
    cluster.stop();
}

#[test]
fn the_inner_port_may_listen_elsewhere_than_is_told() {
    let elsewhere = own_address();
    let flags = ["--inner-listen", &elsewhere.to_string()];
    let cluster = Cluster::builder().workers(0).listen(&[Listen::Text]).gateway_flags(&flags).start();
    let inner = cluster.inner_address(0, 0);
    assert!(std::net::TcpStream::connect(inner).is_err(), "nobody listens where workers are sent");
    let mut worker = Link::worker(std::net::SocketAddrV4::new(elsewhere, inner.port()), "w:0", "");
    let client = cluster.plain(0, Framing::Text);
    assert_eq!(worker.expect(Cmd::OnConnect).gateway, inner, "client ids name the lan ip");
    drop(client);
    cluster.stop();
}

#[test]
fn the_type_of_websocket_messages_may_be_set() {
    let body = b"plain words";
    for (websocket_type, expected) in [
        ("auto", Event::text("plain words")),
        ("text", Event::text("plain words")),
        ("binary", Event::Binary(body.to_vec())),
    ] {
        let flags = ["--websocket-type", websocket_type];
        let cluster = Cluster::builder().workers(0).gateway_flags(&flags).start();
        let mut worker = Link::worker(cluster.inner_address(0, 0), "w:0", "");
        let mut client = cluster.websocket(0);
        worker.send(&Frame { body, ..Frame::command(Cmd::SendToAll) });
        client.expect(&expected);
        client.close();
        cluster.stop();
    }
}
