//! Section 6: text is UTF-8, also where fragments cut through characters, and what is not is refused at once.

use ringway_tests::client::websocket::{Event, Frame, Opcode};

use super::case::{Chop, INVALID_PAYLOAD, Suite, expect_failure, send};
use super::fragmentation::send_fragmented;
use super::utf8_sequences::{Group, KOSME, groups};

const ACCENTS: &str = "Hello-µ@ßöäüàá-UTF-8!!";

/// Good text, then a surrogate, then good text.
const SURROGATE: [&[u8]; 3] = [KOSME, b"\xed\xa0\x80", b"edited"];
/// Good text, then a code point behind the last one, then good text. Its 13th byte is the one that cannot be.
const OUT_OF_RANGE: [&[u8]; 3] = [KOSME, b"\xf4\x90\x80\x80", b"edited"];

pub(crate) fn cases(suite: &mut Suite) {
    empty_fragments(suite);
    valid(suite);
    invalid(suite);
    fail_fast(suite);
    sequences(suite);
}

fn empty_fragments(suite: &mut Suite) {
    suite.case("6.1.1", |client| {
        client.echo("");
        client.close();
    });
    for (number, middle) in [("6.1.2", ""), ("6.1.3", "middle frame payload")] {
        suite.case(number, move |client| {
            let frames = [
                Frame::text("").unfinished(),
                Frame::continuation(middle).unfinished(),
                Frame::continuation(""),
            ];
            send(client, &frames, Chop::Whole);
            client.expect(&Event::text(middle));
            client.close();
        });
    }
}

fn valid(suite: &mut Suite) {
    suite.case("6.2.1", |client| {
        client.echo(ACCENTS);
        client.close();
    });
    suite.case("6.2.2", |client| {
        let (before, behind) = ACCENTS.split_at("Hello-µ@ßöä".len());
        send(client, &[Frame::text(before).unfinished(), Frame::continuation(behind)], Chop::Whole);
        client.expect(&Event::text(ACCENTS));
        client.close();
    });
    for (number, text) in [("6.2.3", ACCENTS.as_bytes()), ("6.2.4", KOSME)] {
        suite.case(number, move |client| {
            send_fragmented(client, Opcode::TEXT, text, 1);
            client.expect(&Event::text(text));
            client.close();
        });
    }
    suite.case("6.2.5_all_code_points", |client| {
        let text: String = ('\0'..=char::MAX).collect();
        client.echo(&text);
        client.close();
    });
    // Only text has to be UTF-8.
    suite.case("6.2.6_binary_is_not_checked", |client| {
        client.echo_binary(&SURROGATE.concat());
        client.close();
    });
}

fn invalid(suite: &mut Suite) {
    suite.case("6.3.1", |client| {
        client.send(&Frame::text(SURROGATE.concat()));
        expect_failure(client, INVALID_PAYLOAD);
    });
    suite.case("6.3.2", |client| {
        send_fragmented(client, Opcode::TEXT, &SURROGATE.concat(), 1);
        expect_failure(client, INVALID_PAYLOAD);
    });
}

/// The connection fails at the byte that makes the text wrong: the rest is never sent, so a server that waits for
/// it does not pass. (The public suite would let it pass as non-strict.)
fn fail_fast(suite: &mut Suite) {
    let payload = OUT_OF_RANGE.concat();
    let impossible = KOSME.len() + 1;
    let by_parts = (OUT_OF_RANGE[0].to_vec(), OUT_OF_RANGE[1].to_vec());
    let by_byte = (payload[..impossible].to_vec(), payload[impossible..=impossible].to_vec());
    for (number, (good, bad)) in [("6.4.1", by_parts.clone()), ("6.4.2", by_byte.clone())] {
        suite.case(number, move |client| {
            // The pong shows that the first part was accepted.
            send(client, &[Frame::text(good).unfinished(), Frame::ping(b"still here?")], Chop::Whole);
            client.expect(&Event::pong(b"still here?"));
            client.send(&Frame::continuation(bad).unfinished());
            expect_failure(client, INVALID_PAYLOAD);
        });
    }
    for (number, (good, bad)) in [("6.4.3", by_parts), ("6.4.4", by_byte)] {
        let frame = Frame::text(&payload).encode();
        let header_size = frame.len() - payload.len();
        suite.case(number, move |client| {
            let (before, behind) = frame.split_at(header_size + good.len());
            client.send_bytes(before);
            client.send_bytes(&behind[..bad.len()]);
            expect_failure(client, INVALID_PAYLOAD);
        });
    }
}

/// Cases 6.5 to 6.23.
fn sequences(suite: &mut Suite) {
    for (group, number) in groups().into_iter().zip(5..) {
        let Group { valid, invalid } = group;
        let wanted =
            valid.into_iter().map(|text| (text, true)).chain(invalid.into_iter().map(|text| (text, false)));
        for ((text, is_valid), index) in wanted.zip(1..) {
            suite.case(&format!("6.{number}.{index}"), move |client| {
                client.send(&Frame::text(&text));
                if is_valid {
                    client.expect(&Event::text(&text));
                    client.close();
                } else {
                    expect_failure(client, INVALID_PAYLOAD);
                }
            });
        }
    }
}
