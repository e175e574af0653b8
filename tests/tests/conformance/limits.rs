//! Section 9: large messages, whole, in fragments, in small writes; many small ones; and what is over the limit.

use ringway_tests::client::websocket::{Event, Frame, Opcode, WebsocketClient};

use super::case::{Chop, Suite, TOO_BIG, expect_failure, send};
use super::fragmentation::send_fragmented;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// The gateway's default `--max-package-size`.
const PACKAGE_SIZE_MAX: usize = 10_485_760;

/// Text or binary, with payloads that show where bytes got lost.
#[derive(Clone, Copy)]
struct Kind {
    opcode: Opcode,
    event: fn(Vec<u8>) -> Event,
    pattern: &'static [u8],
}

const TEXT: Kind = Kind { opcode: Opcode::TEXT, event: Event::Text, pattern: b"BAsd7&jh23" };
const BINARY: Kind = Kind { opcode: Opcode::BINARY, event: Event::Binary, pattern: b"\x00\xfe\x23\xfa\xf0" };

impl Kind {
    fn frame(self, payload: &[u8]) -> Frame {
        Frame::new(self.opcode, payload)
    }

    fn payload(self, size: usize) -> Vec<u8> {
        self.pattern.iter().copied().cycle().take(size).collect()
    }
}

pub(crate) fn cases(suite: &mut Suite) {
    for (subsection, kind) in [(1, TEXT), (2, BINARY)] {
        for (size, index) in [64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB].into_iter().zip(1..) {
            echo_case(suite, &format!("9.{subsection}.{index}"), kind, size);
        }
    }
    let fragment_sizes = [64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB];
    for (subsection, kind) in [(3, TEXT), (4, BINARY)] {
        for (size, index) in fragment_sizes.into_iter().zip(1..) {
            suite.case(&format!("9.{subsection}.{index}"), move |client| {
                let payload = kind.payload(4 * MIB);
                send_fragmented(client, kind.opcode, &payload, size);
                client.expect(&(kind.event)(payload));
                client.close();
            });
        }
    }
    chopped(suite);
    round_trips(suite);
    pipelined(suite);
    over_the_limit(suite);
}

/// 9.1.6 and 9.2.6, beyond the default limit.
pub(crate) fn large_cases(suite: &mut Suite) {
    echo_case(suite, "9.1.6", TEXT, 16 * MIB);
    echo_case(suite, "9.2.6", BINARY, 16 * MIB);
}

fn echo_case(suite: &mut Suite, number: &str, kind: Kind, size: usize) {
    suite.case(number, move |client| {
        let payload = kind.payload(size);
        client.send(&kind.frame(&payload));
        client.expect(&(kind.event)(payload));
        client.close();
    });
}

fn chopped(suite: &mut Suite) {
    for (subsection, kind) in [(5, TEXT), (6, BINARY)] {
        for (size, index) in [64, 128, 256, 512, 1024, 2048].into_iter().zip(1..) {
            suite.case(&format!("9.{subsection}.{index}"), move |client| {
                let payload = kind.payload(MIB);
                send(client, &[kind.frame(&payload)], Chop::Bytes(size));
                client.expect(&(kind.event)(payload));
                client.close();
            });
        }
    }
}

fn round_trips(suite: &mut Suite) {
    for (subsection, kind) in [(7, TEXT), (8, BINARY)] {
        for (size, index) in [0, 16, 64, 256, 1024, 4096].into_iter().zip(1..) {
            suite.case(&format!("9.{subsection}.{index}"), move |client| {
                let payload = kind.payload(size);
                let expected = (kind.event)(payload.clone());
                for _ in 0..1000 {
                    client.send(&kind.frame(&payload));
                    client.expect(&expected);
                }
                client.close();
            });
        }
    }
}

/// Not in the public suite: a thousand messages at once come back in order.
fn pipelined(suite: &mut Suite) {
    suite.case("9.9.1_pipelined", |client| {
        let texts: Vec<String> = (0..1000).map(|index| format!("message {index}")).collect();
        let frames: Vec<Frame> = texts.iter().map(Frame::text).collect();
        send(client, &frames, Chop::Whole);
        for text in &texts {
            client.expect(&Event::text(text));
        }
        client.close();
    });
}

/// Not in the public suite: the limit holds for frames, by their header alone, and for the sum of fragments.
fn over_the_limit(suite: &mut Suite) {
    suite.case("9.10.1_header_over_the_limit", |client| {
        let header = [&[0x82, 0xff][..], &(PACKAGE_SIZE_MAX as u64 + 1).to_be_bytes()].concat();
        client.send_bytes(&[&header[..], &[0; 4]].concat());
        expect_failure(client, TOO_BIG);
    });
    suite.case("9.10.2_absurd_size", |client| {
        client.send_bytes(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0");
        let first = client.receive();
        assert!(matches!(first, Event::Close(Some(TOO_BIG | 1002))), "{first:?}");
        client.expect(&Event::End);
    });
    suite.case("9.10.3_endless_fragments", |client: &mut WebsocketClient| {
        let part = vec![b'*'; 64 * KIB];
        client.send(&Frame::text(&part).unfinished());
        for _ in 0..PACKAGE_SIZE_MAX / part.len() {
            client.send(&Frame::continuation(&part).unfinished());
        }
        expect_failure(client, TOO_BIG);
    });
    suite.case("9.10.4_endless_empty_fragments", |client: &mut WebsocketClient| {
        client.send(&Frame::text("").unfinished());
        let empty = Frame::continuation("").unfinished().encode().repeat(10_000);
        client.send_bytes(&empty);
        client.send(&Frame::continuation("end"));
        client.expect(&Event::text("end"));
        client.close();
    });
}
