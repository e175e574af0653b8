//! Sections 12 and 13: compressed messages of many sizes, whole and in fragments, of clients with any offer.

use protocol::client::websocket::{Deflater, Inflater};
use ringway_tests::client::websocket::{Event, Frame, Opcode, WebsocketClient, request};

use super::case::{Chop, Suite, send};

/// Sizes of messages in bytes, and of the fragments that they are sent in when they are compressed.
const SIZES: [(usize, usize); 18] = [
    (16, usize::MAX),
    (64, usize::MAX),
    (256, usize::MAX),
    (1024, usize::MAX),
    (4096, usize::MAX),
    (8192, usize::MAX),
    (16_384, usize::MAX),
    (32_768, usize::MAX),
    (65_536, usize::MAX),
    (131_072, usize::MAX),
    (8192, 256),
    (16_384, 256),
    (32_768, 256),
    (65_536, 256),
    (131_072, 256),
    (131_072, 1024),
    (131_072, 4096),
    (131_072, 32_768),
];

const AGREED: Option<&str> =
    Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover");
const AGREED_WINDOW: Option<&str> = Some(
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15",
);

/// What section 12 offers.
const ANYTHING: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits";

/// What the subsections of section 13 offer, and what comes of it.
const OFFERS: [(&str, Option<&str>); 12] = [
    (ANYTHING, AGREED),
    ("permessage-deflate; client_max_window_bits; server_no_context_takeover", AGREED),
    ("permessage-deflate; client_max_window_bits; server_max_window_bits=9", None),
    ("permessage-deflate; client_max_window_bits; server_max_window_bits=15", AGREED_WINDOW),
    ("permessage-deflate; server_no_context_takeover; server_max_window_bits=9", None),
    ("permessage-deflate; server_no_context_takeover; server_max_window_bits=15", AGREED_WINDOW),
    (
        "permessage-deflate; server_no_context_takeover; server_max_window_bits=9, \
        permessage-deflate; server_no_context_takeover, permessage-deflate",
        AGREED,
    ),
    // Those of our own: a window of the client's, both, a value that is none, twice the same, and somebody else's.
    ("permessage-deflate; client_max_window_bits=9", AGREED),
    ("permessage-deflate; client_max_window_bits=\"10\"; server_max_window_bits=\"15\"", AGREED_WINDOW),
    ("permessage-deflate; server_max_window_bits=16, permessage-deflate; client_max_window_bits=7", None),
    ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", None),
    ("permessage-bzip2, x-webkit-deflate-frame", None),
];

/// Of each kind that a case has.
const MESSAGES: usize = 3;

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Binary,
}

/// They need a gateway that compresses from 16 bytes on.
pub(crate) fn cases(suite: &mut Suite) {
    for (subsection, kinds) in [(1, &[Kind::Text][..]), (2, &[Kind::Binary])] {
        add(suite, &format!("12.{subsection}"), (ANYTHING, AGREED), kinds);
    }
    for (offer, subsection) in OFFERS.into_iter().zip(1..) {
        add(suite, &format!("13.{subsection}"), offer, &[Kind::Text, Kind::Binary]);
    }
}

fn add(suite: &mut Suite, number: &str, offer: (&'static str, Option<&'static str>), kinds: &'static [Kind]) {
    for ((size, fragment_size), index) in SIZES.into_iter().zip(1..) {
        suite.unconnected(&format!("{number}.{index}"), move |address| {
            let mut client = WebsocketClient::connect_silently(address);
            let deflates = shake_hands(&mut client, offer);
            for seed in 0..MESSAGES {
                for kind in kinds {
                    let message = kind.message(size, seed);
                    echo(&mut client, *kind, &message, deflates.then_some(fragment_size));
                }
            }
            client.close();
        });
    }
}

/// Makes the offer, and asserts what is agreed upon; whether that is compression.
fn shake_hands(client: &mut WebsocketClient, (offer, agreed): (&str, Option<&str>)) -> bool {
    client.send_bytes(&request("/", &[&format!("Sec-WebSocket-Extensions: {offer}")]));
    let response = client.read_response().expect("the handshake is answered");
    assert!(response.starts_with("HTTP/1.1 101 "), "refused: {response}");
    let answer = response.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Extensions: "));
    assert_eq!(answer, agreed, "to {offer}");
    agreed.is_some()
}

/// Sends a message, in fragments of so many bytes where it may be compressed, and asserts that it comes back.
fn echo(client: &mut WebsocketClient, kind: Kind, message: &[u8], fragment_size: Option<usize>) {
    let Some(fragment_size) = fragment_size else {
        client.send(&Frame::new(kind.opcode(), message));
        return client.expect(&kind.event(message.to_vec()));
    };
    let mut deflated = Vec::new();
    Deflater::new(6).deflate(message, &mut deflated);
    let last = deflated.chunks(fragment_size).count() - 1;
    let frames = deflated.chunks(fragment_size).enumerate().map(|(index, piece)| {
        let frame = match index {
            0 => Frame::new(kind.opcode(), piece).rsv(4),
            _ => Frame::continuation(piece),
        };
        if index < last { frame.unfinished() } else { frame }
    });
    send(client, &frames.collect::<Vec<_>>(), Chop::Whole);
    match client.receive() {
        Event::Deflated(opcode, payload) => {
            let mut inflated = Vec::new();
            Inflater::default().inflate(&payload, message.len(), &mut inflated).expect("it is compressed");
            assert!(payload.len() < message.len(), "what does not become smaller goes out plain");
            assert!(opcode == kind.opcode().0 && inflated == message, "another message");
        }
        plain => {
            assert!(plain == kind.event(message.to_vec()), "another message: {plain:?}");
            assert!(message.len() < 256, "{} bytes can be made smaller", message.len());
        }
    }
}

impl Kind {
    fn opcode(self) -> Opcode {
        match self {
            Kind::Text => Opcode::TEXT,
            Kind::Binary => Opcode::BINARY,
        }
    }

    fn event(self, message: Vec<u8>) -> Event {
        match self {
            Kind::Text => Event::Text(message),
            Kind::Binary => Event::Binary(message),
        }
    }

    /// A message of exactly this size: rows of JSON, or a picture of few colours with some noise.
    fn message(self, size: usize, seed: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let mut message = Vec::with_capacity(size + 64);
        while message.len() < size {
            match self {
                Kind::Text => {
                    let row = format!("{{\"id\":{},\"name\":\"Größe\",\"on\":true}},", random.u32(..));
                    if message.len() + row.len() > size {
                        break;
                    }
                    message.extend_from_slice(row.as_bytes());
                }
                Kind::Binary => {
                    message.extend(std::iter::repeat_n(random.u8(..16), random.usize(1..32)));
                    message.push(random.u8(..));
                }
            }
        }
        message.resize(size, b'x');
        message
    }
}
