//! Both ends of connections between programs, in memory, and whoever means harm.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair as Key};
use tls::{HANDSHAKES_PER_TURN, InnerTls};

use super::*;

const LISTENER: ListenerId = ListenerId(0);

/// A program's certificate of an authority that nobody else has.
fn mutual(name: &str) -> Mutual {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tmp");
    fs::create_dir_all(&folder).unwrap();
    let file = |end: &str| folder.join(format!("links-{name}.{end}"));
    let files = InnerTls { ca: file("ca"), cert: file("pem"), key: file("key") };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = Key::generate().unwrap();
    fs::write(&files.ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = Key::generate().unwrap();
    let signed = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(&files.cert, signed.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    Mutual::load(&files).unwrap()
}

/// One end: the connections of a thread, and what whoever is above was told.
struct End {
    links: Links,
    told: Vec<String>,
    acts: Vec<Act>,
}

impl End {
    fn new(mutual: &Mutual) -> End {
        let mut links = Links::new(mutual.clone());
        links.listen(LISTENER);
        End { links, told: Vec::new(), acts: Vec::new() }
    }

    fn on(&mut self, event: Event<'_>) {
        let told = &mut self.told;
        self.links.on_event(0, event, &mut |event| told.push(describe(&event)));
    }

    fn turn(&mut self, now: u64) {
        let told = &mut self.told;
        let mut deliver = |event: Event<'_>| told.push(describe(&event));
        self.links.continue_handshakes(now, &mut deliver);
        self.links.expire(now, &mut deliver);
    }

    fn accept(&mut self, socket: SocketId) {
        let peer = "127.0.0.1:1".parse().unwrap();
        self.on(Event::Accepted { listener: LISTENER, socket, peer });
    }

    fn receive(&mut self, socket: SocketId, bytes: &[u8]) {
        self.on(Event::Received { socket, bytes: &mut bytes.to_vec() });
    }

    /// What is on its way from here on a socket; the kernel takes it all.
    fn take(&mut self, socket: SocketId) -> Vec<u8> {
        let bytes = self.links.unsent(socket).to_vec();
        self.links.dirty.clear();
        self.links.on_sent(socket, bytes.len());
        self.acts.append(&mut self.links.acts);
        bytes
    }

    /// Sends; how much there was no room for.
    fn send(&mut self, socket: SocketId, bytes: &[u8]) -> usize {
        let slices = [io::IoSlice::new(bytes)];
        let (mut sends, mut short) = (vec![Sealed::new(Send { socket, slices: &slices })], Vec::new());
        while !sends.is_empty() {
            self.links.seal(&mut sends, &mut short);
        }
        short.first().map_or(0, |short| bytes.len() - short.sent)
    }
}

fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Received { bytes, .. } => format!("{}", String::from_utf8_lossy(bytes)),
        Event::Accepted { .. } => "accepted".to_owned(),
        Event::Connected { .. } => "connected".to_owned(),
        Event::EndOfStream { .. } => "end".to_owned(),
        Event::Writable { .. } => "writable".to_owned(),
        Event::Failed { error, .. } => format!("failed: {error}"),
        other => format!("{other:?}"),
    }
}

fn socket(index: u32) -> SocketId {
    SocketId::new(index, 0)
}

/// Two programs, connected by one socket, which has the same name at both ends.
struct Pair {
    client: End,
    server: End,
}

const LINK: SocketId = SocketId::new(7, 0);

impl Pair {
    fn new(client: &Mutual, server: &Mutual) -> Pair {
        let mut pair = Pair { client: End::new(client), server: End::new(server) };
        pair.client.links.connect(LINK);
        pair.server.accept(LINK);
        pair.client.on(Event::Connected { socket: LINK });
        pair.settle();
        pair
    }

    fn settle(&mut self) {
        loop {
            let (to_server, to_client) = (self.client.take(LINK), self.server.take(LINK));
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            for (end, bytes) in [(&mut self.server, to_server), (&mut self.client, to_client)] {
                if !bytes.is_empty() {
                    end.receive(LINK, &bytes);
                    end.turn(0);
                }
            }
        }
    }
}

#[test]
fn who_is_above_hears_of_a_connection_when_its_handshake_is_done_and_of_its_end() {
    let mutual = mutual("same");
    let mut pair = Pair::new(&mutual, &mutual);
    assert_eq!(
        (&pair.client.told[..], &pair.server.told[..]),
        (&["connected".to_owned()][..], &["accepted".to_owned()][..])
    );
    assert_eq!(pair.client.send(LINK, b"question"), 0);
    pair.settle();
    // The end of one direction is not that of the other.
    pair.client.links.shut_down(LINK);
    pair.settle();
    assert_eq!(pair.client.acts[0], Act::Shutdown(LINK));
    assert_eq!(pair.server.send(LINK, b"answer"), 0);
    pair.settle();
    pair.server.links.shut_down(LINK);
    pair.settle();
    assert_eq!(pair.server.told, ["accepted", "question", "end"]);
    assert_eq!(pair.client.told, ["connected", "answer", "end"]);
    // Then the kernel says so, too.
    pair.server.on(Event::EndOfStream { socket: LINK });
    assert_eq!(pair.server.told.len(), 3);
}

#[test]
fn an_end_that_nobody_said_is_a_lost_connection() {
    let mutual = mutual("lost");
    let mut pair = Pair::new(&mutual, &mutual);
    pair.server.on(Event::EndOfStream { socket: LINK });
    pair.client.on(Event::Failed { socket: LINK, error: io::ErrorKind::ConnectionReset.into() });
    assert_eq!(pair.server.told[1..], ["failed: it ended without saying so"]);
    assert_eq!(pair.client.told[1..], ["failed: connection reset"]);
}

#[test]
fn what_there_is_no_room_for_waits_and_is_told_when_there_is() {
    let mutual = mutual("room");
    let mut pair = Pair::new(&mutual, &mutual);
    let large = vec![b'l'; 3 * crate::config::SEAL_SIZE_MAX];
    // Nothing is taken of what is encrypted.
    let left = pair.client.send(LINK, &large);
    assert_eq!(left, 2 * crate::config::SEAL_SIZE_MAX);
    let unsent = pair.client.links.unsent(LINK).len();
    pair.client.links.on_sent(LINK, unsent / 2);
    assert_eq!(pair.client.send(LINK, b"more"), 4);
    assert!(pair.client.links.roomy.is_empty());
    pair.client.take(LINK);
    pair.client.turn(0);
    assert_eq!(pair.client.told[1..], ["writable"]);
    assert_eq!(pair.client.send(LINK, b"more"), 0);
}

#[test]
fn who_is_none_of_the_cluster_gets_nothing_and_nobody_hears_of_it() {
    let (ours, foreign) = (mutual("ours"), mutual("foreign"));
    let pair = Pair::new(&foreign, &ours);
    assert!(pair.server.told.is_empty());
    assert!(pair.client.told[0].starts_with("failed: TLS: "), "{:?}", pair.client.told);
    let mut server = End::new(&ours);
    for (index, said) in [&b"{\"event\":\"worker_connect\"}\n"[..], &[0; 65_536], &[22, 3, 3, 255, 255]]
        .into_iter()
        .enumerate()
    {
        let socket = socket(index as u32);
        server.accept(socket);
        server.receive(socket, said);
        let _ = server.take(socket);
    }
    assert!(server.told.is_empty());
    assert_eq!(server.links.refused(), Refused { plain: 2, failed: 1 });
    assert_eq!(server.acts.len(), 3, "{:?}", server.acts);
}

#[test]
fn a_peer_without_tls_is_named_to_who_connected_to_it() {
    let mut client = End::new(&mutual("dialler"));
    client.links.connect(LINK);
    client.on(Event::Connected { socket: LINK });
    client.receive(LINK, &[0, 0, 0, 28, 240, 0]);
    client.on(Event::EndOfStream { socket: LINK });
    assert_eq!(client.told.len(), 1);
    assert!(client.told[0].contains("speaks no TLS"), "{:?}", client.told);
}

#[test]
fn who_takes_too_long_and_who_is_one_too_many_go() {
    let mutual = mutual("slow");
    let mut server = End::new(&mutual);
    let count = STRANGERS_MAX as u32 + 10;
    for index in 0..count {
        server.accept(socket(index));
    }
    let closed: Vec<_> = (0..10).map(|index| Act::Close(socket(index))).collect();
    assert_eq!(server.links.acts, closed);
    server.turn(HANDSHAKE_TIMEOUT_MS - 1);
    assert_eq!(server.links.acts.len(), 10);
    server.turn(HANDSHAKE_TIMEOUT_MS);
    assert_eq!(server.links.acts.len(), count as usize);
    assert_eq!((server.links.strangers, server.links.deadline()), (0, None));
}

#[test]
fn handshakes_take_turns() {
    let mutual = mutual("storm");
    let (mut client, mut server) = (End::new(&mutual), End::new(&mutual));
    let sockets: Vec<_> = (0..3 * HANDSHAKES_PER_TURN as u32).map(socket).collect();
    for socket in sockets.iter().copied() {
        client.links.connect(socket);
        server.accept(socket);
        client.on(Event::Connected { socket });
        client.turn(0);
    }
    server.turn(0);
    for socket in sockets.iter().copied() {
        let hello = client.take(socket);
        server.receive(socket, &hello);
    }
    let answered =
        |server: &End| sockets.iter().filter(|socket| !server.links.unsent(**socket).is_empty()).count();
    assert_eq!(answered(&server), HANDSHAKES_PER_TURN);
    assert!(server.links.is_pending());
    server.turn(0);
    assert_eq!(answered(&server), 2 * HANDSHAKES_PER_TURN);
}
