//! Whose addresses workers are told of clients that come through nginx and haproxy, by IPv6, or say so themselves.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::client::{Framing, PlainClient, TlsClient};
use ringway_tests::process::Process;
use ringway_tests::proxy::{Between, Kind, Proxy, Tells};
use ringway_tests::{Cluster, Listen, app, own_address};
use tls::Connector;

/// A gateway and a worker that says where its clients come from.
struct Server {
    cluster: Cluster,
    worker: Process,
}

impl Server {
    /// The gateway trusts proxies of this test, whose addresses are alike; that of its clients is another one.
    fn start(flags: &[&str]) -> Server {
        let [a, b, c, _] = own_address().octets();
        let trusted = format!("{}/24", Ipv4Addr::new(a, b, c, 0));
        let flags = [&["--trusted-proxies", &trusted], flags].concat();
        let listen = [Listen::Websocket, Listen::Text];
        let cluster = Cluster::builder().workers(0).listen(&listen).gateway_flags(&flags).start();
        let worker = app::start(&cluster, 1);
        Server { cluster, worker }
    }

    /// Where the gateway listens by this scheme.
    fn address(&mut self, scheme: &str) -> SocketAddr {
        let ready = self.cluster.gateway(0).stdout();
        let mut words = ready.split_whitespace();
        let found = words.find_map(|word| word.strip_prefix(scheme)?.strip_prefix("://"));
        found.unwrap_or_else(|| panic!("no {scheme} in {ready}")).parse().unwrap()
    }

    fn stop(mut self) {
        self.worker.terminate();
        self.worker.await_clean_exit();
        self.cluster.stop();
    }
}

fn proxy(kind: Kind, tells: Tells, gateway: SocketAddr) -> Option<Proxy> {
    Proxy::start(kind, Between { certificate: None, gateway, gateway_tls: false, tells })
}

/// Where the worker says that a client comes from.
fn asked(client: &mut WebsocketClient) -> String {
    client.send_text("from");
    match client.receive() {
        Event::Text(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn passed_on(kind: Kind, tells: Tells) {
    let server = Server::start(&["--proxy-protocol"]);
    let (websocket, text) =
        (server.cluster.address(0, Listen::Websocket), server.cluster.address(0, Listen::Text));
    let Some(before) = proxy(kind, tells, websocket) else { return };
    let mut client = WebsocketClient::connect(before.address());
    assert_eq!(asked(&mut client), client.local_address().to_string());
    let before = proxy(kind, tells, text).unwrap();
    let mut client = PlainClient::connect(before.address(), Framing::Text);
    client.send(b"from");
    assert_eq!(client.receive(), Some(client.local_address().to_string().into_bytes()));
    server.stop();
}

#[test]
fn haproxy_passes_clients_on_by_version_1() {
    passed_on(Kind::Haproxy, Tells::ProxyV1);
}

#[test]
fn haproxy_passes_clients_on_by_version_2() {
    passed_on(Kind::Haproxy, Tells::ProxyV2);
}

#[test]
fn nginx_passes_clients_on_by_version_1() {
    passed_on(Kind::Nginx, Tells::ProxyV1);
}

/// The proxy's header comes before the client's first byte of TLS, which only the gateway can read.
#[test]
fn tls_passes_through_proxies() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (cert, key) = (folder.join("proxied.pem"), folder.join("proxied.key"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let listen = ["--proxy-protocol", "--listen", "ssl+text://127.0.0.1:0"];
    let mut server = Server::start(&[&listen[..], &tls].concat());
    let gateway = server.address("ssl+text");
    let trusting = Connector::trusting("--tls-ca", &cert).unwrap();
    for (kind, tells) in
        [(Kind::Haproxy, Tells::ProxyV1), (Kind::Haproxy, Tells::ProxyV2), (Kind::Nginx, Tells::ProxyV1)]
    {
        let Some(before) = proxy(kind, tells, gateway) else { continue };
        let mut client = TlsClient::connect(before.address(), &trusting).unwrap();
        let address = client.local_address().to_string();
        assert_eq!(client.ask("from"), address);
    }
    server.stop();
}

/// What a client says of itself is passed on, and not believed.
fn told_by_header(kind: Kind, flag: &str, header: &str) {
    let server = Server::start(&["--forwarded-header", flag]);
    let gateway = server.cluster.address(0, Listen::Websocket);
    let Some(before) = proxy(kind, Tells::Headers, gateway) else { return };
    for headers in [&[][..], &[header]] {
        let mut client = WebsocketClient::connect_to(before.address(), "/", headers);
        // These headers say no port.
        assert_eq!(asked(&mut client), format!("{}:0", client.local_address().ip()));
    }
    // Who comes without a proxy is nobody's client.
    let mut client = WebsocketClient::connect_to(gateway, "/", &[header]);
    assert_eq!(asked(&mut client), client.local_address().to_string());
    server.stop();
}

#[test]
fn nginx_tells_by_x_forwarded_for() {
    told_by_header(Kind::Nginx, "x-forwarded-for", "X-Forwarded-For: 203.0.113.9");
}

#[test]
fn nginx_tells_by_x_real_ip() {
    told_by_header(Kind::Nginx, "x-real-ip", "X-Real-IP: 203.0.113.9");
}

#[test]
fn nginx_tells_by_forwarded() {
    told_by_header(Kind::Nginx, "forwarded", "Forwarded: for=203.0.113.9;by=\"");
}

#[test]
fn haproxy_tells_by_x_forwarded_for() {
    told_by_header(Kind::Haproxy, "x-forwarded-for", "X-Forwarded-For: 203.0.113.9");
}

#[test]
fn who_is_not_trusted_speaks_for_nobody() {
    let server = Server::start(&["--proxy-protocol"]);
    let gateway = server.cluster.address(0, Listen::Websocket);
    let mut client = WebsocketClient::connect(gateway);
    assert_eq!(asked(&mut client), client.local_address().to_string());
    let mut liar = WebsocketClient::connect_silently(gateway);
    liar.send_bytes(b"PROXY TCP4 203.0.113.9 10.0.0.1 56324 443\r\n");
    assert!(liar.read_response().unwrap().starts_with("HTTP/1.1 400 "));
    server.stop();
}

#[test]
fn a_client_that_comes_by_ipv6_has_its_address() {
    let mut server = Server::start(&["--listen", "frame://[::1]:0"]);
    let mut client = PlainClient::connect(server.address("frame"), Framing::Frame);
    client.send(b"from");
    let address = client.local_address();
    assert!(address.is_ipv6());
    assert_eq!(client.receive(), Some(address.to_string().into_bytes()));
    server.stop();
}

#[test]
fn pages_of_other_origins_get_a_403() {
    let server = Server::start(&[
        "--allow-origin",
        "https://*.example.com",
        "--allow-origin",
        "http://localhost:8080",
    ]);
    let gateway = server.cluster.address(0, Listen::Websocket);
    for origin in ["https://chat.example.com", "http://localhost:8080"] {
        WebsocketClient::connect_to(gateway, "/", &[&format!("Origin: {origin}")]).send_text("from");
    }
    let mut refused = WebsocketClient::connect_silently(gateway);
    refused.send_bytes(
        b"GET / HTTP/1.1\r\nHost: h\r\nOrigin: https://example.org\r\nSec-WebSocket-Version: 13\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert!(refused.read_response().unwrap().starts_with("HTTP/1.1 403 "));
    server.stop();
}
