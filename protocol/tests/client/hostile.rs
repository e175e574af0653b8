//! Random conversations: valid ones come back as they were meant, however cut; mutated ones never panic and never
//! depend on the cutting.

use proptest::prelude::*;
use ringway_protocol::client::websocket::WebsocketCodec;
use ringway_protocol::client::websocket::client::encode_frame;
use ringway_protocol::client::{Kind, Limits};

use crate::harness::{LIMITS, REQUEST, Unit, cut, reply, run, run_pieces};

/// What a client does.
#[derive(Clone, Debug)]
enum Act {
    Message { body: Vec<u8>, kind: Kind, cuts: Vec<usize>, ping: Option<Vec<u8>> },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn act() -> impl Strategy<Value = Act> {
    let payload = || prop::collection::vec(any::<u8>(), 0..126);
    let size = prop_oneof![4 => 0usize..40, 1 => 100usize..300, 1 => 65_530usize..65_540];
    let body = size.prop_flat_map(|size| {
        prop_oneof![
            prop::collection::vec(any::<u8>(), size..=size).prop_map(|body| (body, Kind::Binary)),
            prop::collection::vec(any::<char>(), size / 4..=size / 4)
                .prop_map(|chars| (chars.into_iter().collect::<String>().into_bytes(), Kind::Text)),
        ]
    });
    let cuts = prop::collection::vec(0usize..200, 0..4);
    prop_oneof![
        4 => (body, cuts, prop::option::of(payload()))
            .prop_map(|((body, kind), cuts, ping)| Act::Message { body, kind, cuts, ping }),
        1 => payload().prop_map(Act::Ping),
        1 => payload().prop_map(Act::Pong),
    ]
}

/// The bytes of an act, and what a gateway must make of it.
fn perform(act: &Act, mask: [u8; 4], out: &mut Vec<u8>, units: &mut Vec<Unit>) {
    let mut pong = |payload: &[u8]| {
        let answer = [&[0x8a, payload.len() as u8][..], payload].concat();
        match units.last_mut() {
            Some(Unit::Reply(last)) => last.extend(answer),
            _ => units.push(reply(&answer)),
        }
    };
    match act {
        Act::Pong(payload) => encode_frame(0x8a, payload, mask, out),
        Act::Ping(payload) => {
            encode_frame(0x89, payload, mask, out);
            pong(payload);
        }
        Act::Message { body, kind, cuts, ping } => {
            let mut rest = &body[..];
            let mut opcode = if *kind == Kind::Text { 1 } else { 2 };
            for size in cuts {
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                encode_frame(opcode, piece, mask, out);
                (rest, opcode) = (behind, 0);
                if let Some(payload) = ping {
                    encode_frame(0x89, payload, mask, out);
                    pong(payload);
                }
            }
            encode_frame(0x80 | opcode, rest, mask, out);
            units.push(Unit::Message(body.clone(), *kind));
        }
    }
}

fn conversation(acts: &[(Act, [u8; 4])]) -> (Vec<u8>, Vec<Unit>) {
    let mut input = REQUEST.to_vec();
    let mut units = vec![Unit::Handshake(b"/".to_vec())];
    acts.iter().for_each(|(act, mask)| perform(act, *mask, &mut input, &mut units));
    (input, units)
}

fn acts() -> impl Strategy<Value = Vec<(Act, [u8; 4])>> {
    prop::collection::vec((act(), any::<[u8; 4]>()), 0..6)
}

proptest! {
    #[test]
    fn conversations_come_through(acts in acts(), sizes in prop::collection::vec(1usize..300, 1..6)) {
        let (input, expected) = conversation(&acts);
        prop_assert_eq!(&run::<WebsocketCodec>(LIMITS, &input), &expected);
        prop_assert_eq!(&run_pieces::<WebsocketCodec>(LIMITS, cut(&input, &sizes)), &expected);
    }

    #[test]
    fn mutated_conversations_do_no_harm(
        acts in acts(),
        sizes in prop::collection::vec(1usize..300, 1..6),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
    ) {
        let (mut input, _) = conversation(&acts);
        for (index, byte) in changes {
            let frames = input.len() - REQUEST.len();
            if frames > 0 {
                input[REQUEST.len() + index.index(frames)] = byte;
            }
        }
        let limits = Limits::new(1 << 16);
        let units = run::<WebsocketCodec>(limits, &input);
        prop_assert_eq!(&run_pieces::<WebsocketCodec>(limits, cut(&input, &sizes)), &units);
        for unit in &units {
            if let Unit::Message(body, _) = unit {
                prop_assert!(body.len() <= limits.package_size_max);
            }
        }
    }

    /// Headers that are nearly right get further than noise would.
    #[test]
    fn nonsense_does_no_harm(
        frames in prop::collection::vec(
            (prop_oneof![Just(0x81u8), Just(1), Just(0), Just(0x80), Just(0x89), Just(0x88), any::<u8>()],
             prop::collection::vec(any::<u8>(), 0..140)),
            0..8,
        ),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        sizes in prop::collection::vec(1usize..50, 1..6),
    ) {
        let mut input = REQUEST.to_vec();
        frames.iter().for_each(|(first, payload)| encode_frame(*first, payload, [9, 8, 7, 6], &mut input));
        input.extend(noise);
        let limits = Limits::new(256);
        let units = run::<WebsocketCodec>(limits, &input);
        prop_assert_eq!(run_pieces::<WebsocketCodec>(limits, cut(&input, &sizes)), units);
    }
}
