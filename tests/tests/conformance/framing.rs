//! Sections 1 to 4: sizes of messages, pings and pongs, reserved bits, reserved opcodes.

use ringway_tests::client::websocket::{Event, Frame, Opcode, WebsocketClient};

use super::case::{Chop, PROTOCOL_ERROR, Suite, expect_failure, expect_failure_after, send};

const HELLO: &str = "Hello, world!";
/// Bytes that no UTF-8 text contains.
const NOT_TEXT: &[u8] = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";

pub(crate) fn cases(suite: &mut Suite) {
    section_1(suite);
    pings(suite);
    pongs(suite);
    section_3(suite);
    section_4(suite);
}

fn section_1(suite: &mut Suite) {
    let whole = Chop::Whole;
    let sizes = [
        (0, whole),
        (125, whole),
        (126, whole),
        (127, whole),
        (128, whole),
        (65_535, whole),
        (65_536, whole),
        (65_536, Chop::Bytes(997)),
    ];
    for (index, (size, chop)) in sizes.into_iter().enumerate() {
        suite.case(&format!("1.1.{}", index + 1), move |client| {
            let payload = "*".repeat(size);
            send(client, &[Frame::text(&payload)], chop);
            client.expect(&Event::text(&payload));
            client.close();
        });
        suite.case(&format!("1.2.{}", index + 1), move |client| {
            let payload = vec![0xfe; size];
            send(client, &[Frame::binary(&payload)], chop);
            client.expect(&Event::Binary(payload));
            client.close();
        });
    }
    // Text comes back as text and binary as binary even where the bytes would allow both.
    suite.case("1.2.9_binary_that_could_be_text", |client| {
        client.echo_binary(HELLO.as_bytes());
        client.echo(HELLO);
        client.echo_binary(b"");
        client.echo("");
        client.close();
    });
}

fn pings(suite: &mut Suite) {
    let answered: [(&str, &[u8], Chop); 5] = [
        ("2.1", b"", Chop::Whole),
        ("2.2", HELLO.as_bytes(), Chop::Whole),
        ("2.3", NOT_TEXT, Chop::Whole),
        ("2.4", &[0xfe; 125], Chop::Whole),
        ("2.6", &[0xfe; 125], Chop::Bytes(1)),
    ];
    for (number, payload, chop) in answered {
        suite.case(number, move |client| {
            send(client, &[Frame::ping(payload)], chop);
            client.expect(&Event::pong(payload));
            client.close();
        });
    }
    suite.case("2.5", |client| {
        client.send(&Frame::ping(&[0xfe; 126]));
        expect_failure(client, PROTOCOL_ERROR);
    });
    for (number, chop) in [("2.10", Chop::Frames), ("2.11", Chop::Bytes(1))] {
        suite.case(number, move |client| {
            let payloads: Vec<String> = (0..10).map(|index| format!("payload-{index}")).collect();
            let pings: Vec<Frame> = payloads.iter().map(|payload| Frame::ping(payload.as_bytes())).collect();
            send(client, &pings, chop);
            for payload in &payloads {
                client.expect(&Event::pong(payload.as_bytes()));
            }
            client.close();
        });
    }
}

fn pongs(suite: &mut Suite) {
    for (number, payload) in [("2.7", ""), ("2.8", "unsolicited pong payload")] {
        suite.case(number, move |client| {
            client.send(&Frame::pong(payload.as_bytes()));
            client.close();
        });
    }
    suite.case("2.9", |client| {
        client.send(&Frame::pong(b"unsolicited pong payload"));
        client.send(&Frame::ping(b"ping payload"));
        client.expect(&Event::pong(b"ping payload"));
        client.close();
    });
}

fn section_3(suite: &mut Suite) {
    fails_alone(suite, "3.1", Frame::text(HELLO).rsv(1));
    fails_in_the_middle(suite, "3.2", Frame::text(HELLO).rsv(2), Chop::Whole);
    fails_in_the_middle(suite, "3.3", Frame::text(HELLO).rsv(3), Chop::Frames);
    fails_in_the_middle(suite, "3.4", Frame::text(HELLO).rsv(4), Chop::Bytes(1));
    fails_alone(suite, "3.5", Frame::binary(NOT_TEXT).rsv(5));
    fails_alone(suite, "3.6", Frame::ping(HELLO.as_bytes()).rsv(6));
    fails_alone(suite, "3.7", Frame::new(Opcode::CLOSE, b"").rsv(7));
    // Not in the public suite, but the same class of error.
    fails_alone(suite, "3.8_no_mask", Frame::text(HELLO).unmasked());
}

fn section_4(suite: &mut Suite) {
    let reserved = |opcode, payload: &str| Frame::new(Opcode(opcode), payload.as_bytes());
    for (subsection, first) in [("4.1", 3), ("4.2", 11)] {
        fails_alone(suite, &format!("{subsection}.1"), reserved(first, ""));
        fails_alone(suite, &format!("{subsection}.2"), reserved(first + 1, "reserved opcode payload"));
        fails_in_the_middle(suite, &format!("{subsection}.3"), reserved(first + 2, ""), Chop::Whole);
        fails_in_the_middle(suite, &format!("{subsection}.4"), reserved(first + 3, HELLO), Chop::Frames);
        fails_in_the_middle(suite, &format!("{subsection}.5"), reserved(first + 4, HELLO), Chop::Bytes(1));
    }
}

/// A frame that breaks the protocol fails the connection.
fn fails_alone(suite: &mut Suite, number: &str, frame: Frame) {
    suite.case(number, move |client| {
        client.send(&frame);
        expect_failure(client, PROTOCOL_ERROR);
    });
}

/// A good message before the bad frame may be answered, a ping after it may not.
fn fails_in_the_middle(suite: &mut Suite, number: &str, frame: Frame, chop: Chop) {
    suite.case(number, move |client: &mut WebsocketClient| {
        send(client, &[Frame::text(HELLO), frame, Frame::ping(b"")], chop);
        expect_failure_after(client, &Event::text(HELLO), PROTOCOL_ERROR);
    });
}
