use std::sync::Arc;

use fastrand::Rng;
use ringway_tls::{Acceptor, Connector, Failure, REST_SIZE_MAX, SEALED_OVERHEAD_MAX, Session};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

use crate::files::{certificate, folder};

/// Two ends, and what each has received.
struct Pair {
    server: Session,
    client: Session,
    server_got: Vec<u8>,
    client_got: Vec<u8>,
}

impl Pair {
    fn new() -> Pair {
        let server = acceptor().accept();
        let client = Connector::insecure().connect("localhost").expect("a test's own settings are good");
        Pair { server, client, server_got: Vec::new(), client_got: Vec::new() }
    }

    /// Both speak until neither has anything to say; what is on the way comes in pieces of `size`.
    fn talk(&mut self, to_server: Vec<u8>, to_client: Vec<u8>, size: usize) -> Result<(), Failure> {
        let (mut to_server, mut to_client) = (to_server, to_client);
        while !to_server.is_empty() || !to_client.is_empty() {
            let mut replies = Vec::new();
            for piece in to_server.chunks_mut(size) {
                self.server.receive(piece, &mut self.server_got, &mut replies)?;
            }
            to_client.append(&mut replies);
            to_server.clear();
            for piece in to_client.chunks_mut(size) {
                self.client.receive(piece, &mut self.client_got, &mut to_server)?;
            }
            to_client.clear();
        }
        Ok(())
    }

    fn greet(&mut self, size: usize) {
        let mut hello = Vec::new();
        self.client.receive(&mut [], &mut Vec::new(), &mut hello).expect("a test's own settings are good");
        self.talk(hello, Vec::new(), size).expect("a test's own settings are good");
        assert!(self.server.is_open() && self.client.is_open());
    }
}

fn acceptor() -> Acceptor {
    // Each call has files of its own, or tests would read what others are writing.
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let folder = folder(&format!("sessions-{count}"));
    Acceptor::load(&[certificate(&folder, "server", &["localhost"], |_| ())])
        .expect("a test's own settings are good")
}

#[test]
fn handshakes_and_messages_come_in_pieces_of_any_size() {
    for size in [1, 2, 3, 7, 100, 1_000, 100_000] {
        let mut pair = Pair::new();
        pair.greet(size);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let large = vec![b'l'; 40_000];
        for message in [b"one".as_slice(), b"", &large, b"two"] {
            pair.client.seal(message, &mut to_server).unwrap();
            pair.server.seal(message, &mut to_client).unwrap();
        }
        pair.talk(to_server, to_client, size).unwrap();
        let all = [b"one".as_slice(), &large, b"two"].concat();
        assert!(pair.server_got == all && pair.client_got == all, "in pieces of {size}");
    }
}

#[test]
fn who_comes_back_shows_a_ticket() {
    let (acceptor, new, back) = (acceptor(), Connector::insecure(), Connector::insecure().resuming());
    let is_resumed = |connector: &Connector| {
        let client = connector.connect("localhost").unwrap();
        let server = acceptor.accept();
        let mut pair = Pair { server, client, server_got: Vec::new(), client_got: Vec::new() };
        pair.greet(1_000);
        assert_eq!(pair.client.is_resumed(), pair.server.is_resumed());
        pair.client.is_resumed()
    };
    assert_eq!([&back, &back, &back, &new].map(is_resumed), [false, true, true, false]);
}

#[test]
fn one_records_seal_is_as_short_as_promised() {
    let mut pair = Pair::new();
    pair.greet(1_000);
    for size in [1, 100, 16_384] {
        let mut sealed = Vec::new();
        pair.server.seal(&vec![b'x'; size], &mut sealed).unwrap();
        assert!(sealed.len() <= size + SEALED_OVERHEAD_MAX);
    }
}

#[test]
fn either_side_says_that_it_ends() {
    let mut pair = Pair::new();
    pair.greet(1_000);
    let mut farewell = Vec::new();
    pair.client.seal(b"last words", &mut farewell).unwrap();
    pair.client.close(&mut farewell);
    pair.client.close(&mut farewell);
    farewell.extend_from_slice(b"nobody reads this");
    pair.talk(farewell, Vec::new(), 10).unwrap();
    assert_eq!(pair.server_got, b"last words");
    assert!(pair.server.has_ended() && pair.server.is_open());
    let mut answer = Vec::new();
    pair.server.seal(b"answer", &mut answer).unwrap();
    pair.server.close(&mut answer);
    assert!(!pair.server.is_open());
    pair.server.close(&mut answer);
    pair.client.receive(&mut answer, &mut pair.client_got, &mut Vec::new()).unwrap();
}

#[test]
fn nothing_is_said_before_the_handshake_is_done() {
    let mut server = acceptor().accept();
    let mut out = Vec::new();
    server.close(&mut out);
    assert!(out.is_empty() && !server.is_open());
}

#[test]
fn garbage_ends_a_session_with_an_alert() {
    let mut plain = Vec::new();
    let mut server = acceptor().accept();
    let mut reply = Vec::new();
    let wrong = server.receive(&mut b"GET / HTTP/1.1\r\n\r\n".to_vec(), &mut plain, &mut reply);
    assert!(matches!(wrong, Err(Failure::NotTls)), "{wrong:?}");
    assert_eq!(reply, b"");
    for mut garbage in [
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec(),
        b"\x16\x03\x01\x00\x04\x02\x00\x00\x00".to_vec(),
        b"\x16\x03\x01\xff\xff".to_vec(),
        b"\x16\x09\x01\x00\x01\x00".to_vec(),
    ] {
        let mut server = acceptor().accept();
        assert!(server.receive(&mut garbage, &mut plain, &mut reply).is_err(), "{garbage:?}");
        assert!(!server.is_open() && !server.is_handshaking());
        // It takes nothing more, and says nothing more.
        let said = reply.len();
        server.receive(&mut b"\x16\x03\x01".to_vec(), &mut plain, &mut reply).unwrap();
        server.close(&mut reply);
        assert_eq!(reply.len(), said);
    }
    assert!(reply.starts_with(b"\x15\x03"), "{reply:?}");
    assert_eq!(plain, b"");
}

#[test]
fn a_changed_record_ends_a_session_behind_what_came_before() {
    let mut pair = Pair::new();
    pair.greet(1_000);
    let mut sealed = Vec::new();
    pair.client.seal(b"good", &mut sealed).unwrap();
    pair.client.seal(b"bad", &mut sealed).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    let mut alert = Vec::new();
    let wrong = pair.server.receive(&mut sealed, &mut pair.server_got, &mut alert);
    assert!(matches!(wrong, Err(Failure::Tls(rustls::Error::DecryptError))), "{wrong:?}");
    assert_eq!(pair.server_got, b"good");
    let told = pair.client.receive(&mut alert, &mut pair.client_got, &mut Vec::new());
    assert!(matches!(told, Err(Failure::Tls(rustls::Error::AlertReceived(_)))), "{told:?}");
}

#[test]
fn what_is_kept_of_a_handshake_has_a_bound() {
    // A hello that is announced as long as one can be, in records of one byte.
    let mut hello = vec![1, 0, 0xff, 0xf0];
    hello.resize(REST_SIZE_MAX, 0);
    let mut records: Vec<u8> = hello.iter().flat_map(|byte| [22, 3, 1, 0, 1, *byte]).collect();
    let mut server = acceptor().accept();
    let failed = records
        .chunks_mut(1_000)
        .find_map(|piece| server.receive(piece, &mut Vec::new(), &mut Vec::new()).err());
    assert!(failed.is_some());
}

#[test]
fn random_changes_of_a_handshake_never_panic() {
    let acceptor = acceptor();
    let mut random = Rng::with_seed(1);
    for _ in 0..300 {
        let mut client = Connector::insecure().connect("localhost").unwrap();
        let mut hello = Vec::new();
        client.receive(&mut [], &mut Vec::new(), &mut hello).unwrap();
        for _ in 0..3 {
            let at = random.usize(..hello.len());
            hello[at] = random.u8(..);
        }
        let mut server = acceptor.accept();
        for piece in hello.chunks_mut(50) {
            // Some are still good.
            let _ = server.receive(piece, &mut Vec::new(), &mut Vec::new());
        }
        assert!(!server.is_open());
    }
}

/// A client of rustls' own, which is no code of this crate, with one version of TLS.
fn others_client(version: &'static SupportedProtocolVersion, pem: &[u8]) -> ClientConnection {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem).expect("a test's own settings are good"))
        .expect("a test's own settings are good");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("a test's own settings are good")
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientConnection::new(
        Arc::new(config),
        ServerName::try_from("localhost").expect("a test's own settings are good"),
    )
    .expect("a test's own settings are good")
}

#[test]
fn both_versions_are_spoken_and_keys_are_renewed() {
    use std::io::{Read as _, Write as _};
    let folder = folder("versions");
    let files = certificate(&folder, "server", &["localhost"], |_| ());
    let acceptor = Acceptor::load(std::slice::from_ref(&files)).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        let mut client = others_client(version, &std::fs::read(&files.cert).unwrap());
        let mut server = acceptor.accept();
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        for turn in 0..10 {
            let mut sent = Vec::new();
            if turn == 5 && version.version == rustls::ProtocolVersion::TLSv1_3 {
                client.refresh_traffic_keys().unwrap();
            }
            if turn > 4 {
                client.writer().write_all(b"ping").unwrap();
            }
            while client.wants_write() {
                client.write_tls(&mut sent).unwrap();
            }
            server.receive(&mut sent, &mut plain, &mut reply).unwrap();
            if server.is_open() {
                server.seal(b"pong", &mut reply).unwrap();
            }
            let mut said = reply.as_slice();
            while !said.is_empty() {
                client.read_tls(&mut said).unwrap();
                client.process_new_packets().unwrap();
            }
            reply.clear();
        }
        assert_eq!(client.protocol_version(), Some(version.version));
        assert_eq!(plain, b"ping".repeat(5));
        let mut got = vec![0; 20];
        client.reader().read_exact(&mut got).unwrap();
        assert_eq!(got, b"pong".repeat(5));
    }
}
