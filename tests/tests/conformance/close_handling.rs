//! Section 7: taking leave.

use ringway_tests::client::websocket::{Event, Frame, Opcode};

use super::case::{Chop, INVALID_PAYLOAD, PROTOCOL_ERROR, Suite, expect_failure, expect_goodbye, send};

const HELLO: &str = "Hello World!";

pub(crate) fn cases(suite: &mut Suite) {
    suite.case("7.1.1", |client| {
        client.echo(HELLO);
        client.close();
    });
    ignored_after_close(suite);
    close_behind_messages(suite);
    payloads(suite);
    codes(suite);
}

fn ignored_after_close(suite: &mut Suite) {
    let close = || Frame::close(1000);
    let table = [
        ("7.1.2", vec![close(), Frame::new(Opcode::CLOSE, b"")]),
        ("7.1.3", vec![close(), Frame::ping(b"")]),
        ("7.1.4", vec![close(), Frame::text(HELLO)]),
        ("7.1.5", vec![Frame::text("fragment1").unfinished(), close(), Frame::continuation("fragment2")]),
    ];
    for (number, frames) in table {
        for (how, chop) in [("", Chop::Frames), ("_in_one_write", Chop::Whole)] {
            let frames = frames.clone();
            suite.case(&format!("{number}{how}"), move |client| {
                send(client, &frames, chop);
                expect_goodbye(client, &[1000]);
            });
        }
    }
}

/// The echoes may or may not come before the answer to the close frame, but in order; the ping is not answered.
fn close_behind_messages(suite: &mut Suite) {
    suite.case("7.1.6", |client| {
        let large = "BAsd7&jh23".repeat(256 * 1024 / 10);
        let frames = [Frame::text(&large), Frame::text(HELLO), Frame::close(1000), Frame::ping(b"")];
        send(client, &frames, Chop::Whole);
        let mut echoes = [Event::text(&large), Event::text(HELLO)].into_iter();
        loop {
            match client.receive() {
                Event::Close(code) => break assert_eq!(code, Some(1000)),
                event => assert!(Some(&event) == echoes.next().as_ref(), "received {event:?}"),
            }
        }
        client.expect(&Event::End);
    });
}

fn payloads(suite: &mut Suite) {
    let good = [
        ("7.3.1", Frame::new(Opcode::CLOSE, b"")),
        ("7.3.3", Frame::close(1000)),
        ("7.3.4", Frame::close_because(1000, HELLO.as_bytes())),
        ("7.3.5", Frame::close_because(1000, &[b'*'; 123])),
    ];
    for (number, frame) in good {
        suite.case(number, move |client| {
            client.send(&frame);
            expect_goodbye(client, &[1000]);
        });
    }
    let bad = [
        ("7.3.2", Frame::new(Opcode::CLOSE, b"a"), PROTOCOL_ERROR),
        ("7.3.6", Frame::close_because(1000, &[b'*'; 124]), PROTOCOL_ERROR),
    ];
    for (number, frame, code) in bad {
        suite.case(number, move |client| {
            client.send(&frame);
            expect_failure(client, code);
        });
    }
    suite.case("7.5.1", |client| {
        client.send(&Frame::close_because(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited"));
        expect_goodbye(client, &[PROTOCOL_ERROR, INVALID_PAYLOAD]);
    });
}

fn codes(suite: &mut Suite) {
    let good =
        [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
    for (code, index) in good.into_iter().zip(1..) {
        suite.case(&format!("7.7.{index}"), move |client| {
            client.send(&Frame::close(code));
            expect_goodbye(client, &[1000, code]);
        });
    }
    let bad = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999];
    for (code, index) in bad.into_iter().zip(1..) {
        suite.case(&format!("7.9.{index}"), move |client| {
            client.send(&Frame::close(code));
            expect_failure(client, PROTOCOL_ERROR);
        });
    }
    // Beyond 4999 the RFC says nothing; that the connection ends is all there is to ask.
    for (code, index) in [5000, 65_535].into_iter().zip(1..) {
        suite.case(&format!("7.13.{index}"), move |client| {
            client.send(&Frame::close(code));
            expect_goodbye(client, &[1000, PROTOCOL_ERROR, code]);
        });
    }
}
