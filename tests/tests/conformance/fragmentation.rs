//! Section 5, fragmentation, and section 10, a message in many equal fragments.

use ringway_tests::client::websocket::{Event, Frame, Opcode, WebsocketClient};

use super::case::{Chop, PROTOCOL_ERROR, Suite, expect_failure, expect_failure_after, send};

/// The three ways that most cases of this section are sent.
const CHOPS: [Chop; 3] = [Chop::Whole, Chop::Frames, Chop::Bytes(1)];

pub(crate) fn cases(suite: &mut Suite) {
    legal(suite);
    nothing_to_continue(suite);
    illegal(suite);
    section_10(suite);
}

fn first(payload: &str) -> Frame {
    Frame::text(payload).unfinished()
}

fn middle(payload: &str) -> Frame {
    Frame::continuation(payload).unfinished()
}

fn last(payload: &str) -> Frame {
    Frame::continuation(payload)
}

fn legal(suite: &mut Suite) {
    for (number, chop) in ["5.3", "5.4", "5.5"].into_iter().zip(CHOPS) {
        suite.case(number, move |client| {
            send(client, &[first("fragment1"), last("fragment2")], chop);
            client.expect(&Event::text("fragment1fragment2"));
            client.close();
        });
    }
    for (number, chop) in ["5.6", "5.7", "5.8"].into_iter().zip(CHOPS) {
        suite.case(number, move |client| {
            send(client, &[first("fragment1"), Frame::ping(b"ping payload"), last("fragment2")], chop);
            client.expect(&Event::pong(b"ping payload"));
            client.expect(&Event::text("fragment1fragment2"));
            client.close();
        });
    }
    for (number, chop) in [("5.19", Chop::Whole), ("5.20", Chop::Frames)] {
        suite.case(number, move |client| {
            send(client, &[first("fragment1"), middle("fragment2"), Frame::ping(b"pongme 1!")], chop);
            // Answered before the message is whole.
            client.expect(&Event::pong(b"pongme 1!"));
            let rest =
                [middle("fragment3"), middle("fragment4"), Frame::ping(b"pongme 2!"), last("fragment5")];
            send(client, &rest, chop);
            client.expect(&Event::pong(b"pongme 2!"));
            client.expect(&Event::text("fragment1fragment2fragment3fragment4fragment5"));
            client.close();
        });
    }
}

fn nothing_to_continue(suite: &mut Suite) {
    let stray = "non-continuation payload";
    for (number, chop) in ["5.9", "5.10", "5.11"].into_iter().zip(CHOPS) {
        fails(suite, number, vec![last(stray), Frame::text("Hello, world!")], chop);
    }
    for (number, chop) in ["5.12", "5.13", "5.14"].into_iter().zip(CHOPS) {
        fails(suite, number, vec![middle(stray), Frame::text("Hello, world!")], chop);
    }
    suite.case("5.15", |client| {
        let frames = [first("fragment1"), last("fragment2"), middle("fragment3"), Frame::text("fragment4")];
        send(client, &frames, Chop::Whole);
        expect_failure_after(client, &Event::text("fragment1fragment2"), PROTOCOL_ERROR);
    });
    for (number, stray) in [("5.16", middle("fragment1")), ("5.17", last("fragment1"))] {
        let round = [stray, first("fragment2"), last("fragment3")];
        fails(suite, number, [round.clone(), round].concat(), Chop::Frames);
    }
}

fn illegal(suite: &mut Suite) {
    let control_frames = [("5.1", Frame::ping(b"fragment1")), ("5.2", Frame::pong(b"fragment1"))];
    for (number, frame) in control_frames {
        fails(suite, number, vec![frame.unfinished(), last("fragment2")], Chop::Frames);
    }
    fails(suite, "5.18", vec![first("fragment1"), Frame::text("fragment2")], Chop::Whole);
    fails(suite, "5.18_binary", vec![first("fragment1"), Frame::binary(b"fragment2")], Chop::Whole);
    fails(suite, "5.18_close", vec![Frame::close(1000).unfinished(), last("")], Chop::Frames);
}

fn fails(suite: &mut Suite, number: &str, frames: Vec<Frame>, chop: Chop) {
    suite.case(number, move |client: &mut WebsocketClient| {
        send(client, &frames, chop);
        expect_failure(client, PROTOCOL_ERROR);
    });
}

fn section_10(suite: &mut Suite) {
    suite.case("10.1.1", |client| {
        let payload = "*".repeat(65_536);
        send_fragmented(client, Opcode::TEXT, payload.as_bytes(), 1300);
        client.expect(&Event::text(&payload));
        client.close();
    });
}

/// Sends a message in fragments of `size`, each in a write of its own.
pub(crate) fn send_fragmented(client: &mut WebsocketClient, opcode: Opcode, payload: &[u8], size: usize) {
    let count = payload.len().div_ceil(size);
    for (index, part) in payload.chunks(size).enumerate() {
        let frame = Frame::new(if index == 0 { opcode } else { Opcode::CONTINUATION }, part);
        client.send(&if index + 1 < count { frame.unfinished() } else { frame });
    }
}
