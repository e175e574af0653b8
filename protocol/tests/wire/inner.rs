//! Frames and replies whole, in pieces and broken.

use crate::traffic::{Kind, records};
use proptest::prelude::*;
use ringway_protocol::ClientId;
use ringway_protocol::inner::ext::{
    ClientConnect, GroupTargets, Select, Targets, Where, WorkerConnect, decode_names,
};
use ringway_protocol::inner::{
    self, Cmd, FRAME_SIZE_MAX, Frame, FrameError, HEADER_SIZE, Run, WebsocketRequest, Window, reply,
};
use ringway_protocol::register::{Broadcast, Lines, Request};

/// All recorded units of a kind behind each other, and where each ends.
fn stream(kind: Kind) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let ends = records(kind).into_iter().map(|record| {
        bytes.extend_from_slice(&record.bytes);
        bytes.len()
    });
    let ends = ends.collect();
    (bytes, ends)
}

/// Feeds `bytes` in pieces to a decoder that gives the size of the first unit; where each unit ended.
fn ends_in_pieces(
    bytes: &[u8],
    sizes: impl IntoIterator<Item = usize>,
    decode: impl Fn(&[u8]) -> Option<usize>,
) -> Vec<usize> {
    let (mut ends, mut done, mut there) = (Vec::new(), 0, 0);
    for size in sizes.into_iter().chain([bytes.len()]) {
        there = (there + size).min(bytes.len());
        while let Some(size) = decode(&bytes[done..there]) {
            done += size;
            ends.push(done);
        }
    }
    ends
}

fn frame_size(input: &[u8]) -> Option<usize> {
    inner::decode(input, FRAME_SIZE_MAX).unwrap().map(|(_, size)| size)
}

fn reply_size(input: &[u8]) -> Option<usize> {
    reply::decode(input, usize::MAX).unwrap().map(|(_, size)| size)
}

#[test]
fn byte_by_byte() {
    let (frames, ends) = stream(Kind::Frame);
    assert_eq!(ends_in_pieces(&frames, std::iter::repeat_n(1, frames.len()), frame_size), ends);
    let (replies, ends) = stream(Kind::Reply);
    assert_eq!(ends_in_pieces(&replies, std::iter::repeat_n(1, replies.len()), reply_size), ends);
}

proptest! {
    #[test]
    fn in_random_chunks(sizes in prop::collection::vec(0_usize..700, 0..200)) {
        let (frames, ends) = stream(Kind::Frame);
        prop_assert_eq!(ends_in_pieces(&frames, sizes.iter().copied(), frame_size), ends);
        let (replies, ends) = stream(Kind::Reply);
        prop_assert_eq!(ends_in_pieces(&replies, sizes.iter().copied(), reply_size), ends);
    }

    #[test]
    fn lines_in_random_chunks(sizes in prop::collection::vec(0_usize..90, 0..60)) {
        let whole: Vec<u8> = records(Kind::Register).into_iter().flat_map(|record| record.bytes).collect();
        let expected: Vec<&[u8]> = whole.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let (mut lines, mut rest, mut got) = (Lines::default(), &whole[..], Vec::new());
        for size in sizes.into_iter().chain([whole.len()]) {
            let (chunk, behind) = rest.split_at(size.min(rest.len()));
            rest = behind;
            lines.push(chunk);
            while let Some(line) = lines.next_line().unwrap() {
                got.push(line.to_vec());
            }
        }
        prop_assert_eq!(got, expected);
    }

    /// Nothing that arrives makes a decoder panic, and what is taken for a frame lies within the input.
    #[test]
    fn mutated(at in 0_usize..10_000, bytes in prop::collection::vec(any::<u8>(), 1..5), which in any::<prop::sample::Index>()) {
        let mut input = which.get(&records(Kind::Frame)).bytes.clone();
        for (offset, byte) in bytes.into_iter().enumerate() {
            let size = input.len();
            input[(at + offset) % size] = byte;
        }
        if let Ok(Some((frame, size))) = inner::decode(&input, FRAME_SIZE_MAX) {
            prop_assert!(size <= input.len());
            // A wrong ext_len is cut to what is there, so the size stays that of the packet.
            prop_assert_eq!(frame.size(), size);
            decode_all(frame.ext);
            decode_all(frame.body);
        }
        let _ = reply::decode(&input, 1 << 20);
    }

    #[test]
    fn arbitrary_bytes(input in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = inner::decode(&input, FRAME_SIZE_MAX);
        let _ = reply::decode(&input, 100);
        decode_all(&input);
    }

    #[test]
    fn arbitrary_json(input in r#"[\[\]{}",:0-9a-z\\ ]{0,40}"#, field in "fields|where|group|exclude|connections|event|addresses|uid|secret_key") {
        decode_all(input.as_bytes());
        decode_all(format!(r#"{{"{field}":{input}}}"#).as_bytes());
        decode_all(format!(r#"{{"where":{{"{field}":{input}}}}}"#).as_bytes());
    }

    #[test]
    fn frames_round_trip(header in any::<[u8; 24]>(), ext in prop::collection::vec(any::<u8>(), 0..100), body in prop::collection::vec(any::<u8>(), 0..100)) {
        let mut bytes = header.to_vec();
        bytes[..4].copy_from_slice(&((HEADER_SIZE + ext.len() + body.len()) as u32).to_be_bytes());
        bytes.extend_from_slice(&(ext.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&ext);
        bytes.extend_from_slice(&body);
        let (frame, size) = inner::decode(&bytes, FRAME_SIZE_MAX).unwrap().unwrap();
        prop_assert_eq!((frame.ext, frame.body, size), (&ext[..], &body[..], bytes.len()));
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        prop_assert_eq!(encoded, bytes);
    }

    #[test]
    fn ext_data_round_trips(ids in prop::collection::vec(any::<u32>(), 0..20), names in prop::collection::vec(any::<String>(), 0..5)) {
        let groups: Vec<Vec<u8>> = names.iter().map(|name| name.clone().into_bytes()).collect();
        let only = Targets::Only(ids.clone());
        prop_assert_eq!(Targets::decode(&only.encode()), Some(only));
        let targets = GroupTargets { groups: groups.clone(), exclude: ids.iter().copied().collect() };
        prop_assert_eq!(GroupTargets::decode(&targets.encode()), Some(targets));
        let condition = Where { groups: groups.clone(), uids: groups.clone(), connection_ids: ids };
        let select = Select { fields: vec![], condition: Some(condition) };
        prop_assert_eq!(Select::decode(&select.encode()), Some(select));
        let connect = WorkerConnect { worker_key: names.concat(), secret_key: names.first().cloned(), ringway: names.len() > 2, acks: names.len() > 3, handshakes: names.len() > 4, resume: (names.len() > 2).then_some(names.len() as u32), run: (names.len() > 3).then_some(Run(names.len() as u64)), window: (names.len() > 1).then_some(Window { events: names.len() as u32, bytes: 7 }) };
        prop_assert_eq!(WorkerConnect::decode(&connect.encode()), Some(connect));
        let mut line = Vec::new();
        let broadcast = Broadcast { addresses: names };
        broadcast.encode(&mut line);
        prop_assert_eq!(Broadcast::decode(&line), Ok(broadcast));
    }

    #[test]
    fn client_ids_round_trip(ip in any::<u32>(), port in any::<u16>(), connection_id in any::<u32>(), text in ".{0,24}") {
        let id = ClientId::new(ip.into(), port, connection_id);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        if let Ok(id) = text.parse::<ClientId>() {
            prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
        }
    }
}

fn decode_all(input: &[u8]) {
    let _ = Targets::decode(input);
    let _ = GroupTargets::decode(input);
    let _ = decode_names(input);
    let _ = Select::decode(input);
    let _ = WorkerConnect::decode(input);
    let _ = ClientConnect::decode(input);
    let _ = WebsocketRequest::decode(input);
    let _ = Request::decode(input);
    let _ = Broadcast::decode(input);
}

#[test]
fn the_limit_passes_and_more_does_not() {
    let body = vec![b'x'; FRAME_SIZE_MAX - HEADER_SIZE];
    let frame = Frame { body: &body, ..Frame::command(Cmd::SendToAll) };
    let mut encoded = Vec::new();
    frame.encode(&mut encoded);
    assert_eq!(inner::decode(&encoded, FRAME_SIZE_MAX), Ok(Some((frame, FRAME_SIZE_MAX))));
    assert_eq!(inner::decode(&encoded[..FRAME_SIZE_MAX - 1], FRAME_SIZE_MAX), Ok(None));
    for (size, refused) in [
        (FRAME_SIZE_MAX + 1, true),
        (FRAME_SIZE_MAX, false),
        (HEADER_SIZE, false),
        (HEADER_SIZE - 1, true),
        (0, true),
        (u32::MAX as usize, true),
    ] {
        let length = (size as u32).to_be_bytes();
        assert_eq!(inner::decode(&length, FRAME_SIZE_MAX) == Err(FrameError), refused, "{size}");
        assert_eq!(inner::decode(&length[..3], FRAME_SIZE_MAX), Ok(None));
    }
}

#[test]
#[should_panic(expected = "must not be sent")]
fn a_frame_over_the_limit_is_not_written() {
    let body = vec![b'x'; inner::FRAME_SIZE_MAX_RINGWAY];
    Frame { body: &body, ..Frame::command(Cmd::SendToAll) }.encode(&mut Vec::new());
}

#[test]
fn ext_len_beyond_the_packet_is_what_is_there() {
    let mut encoded = Vec::new();
    Frame { body: b"abc", ..Frame::command(Cmd::JoinGroup) }.encode(&mut encoded);
    encoded[24..28].copy_from_slice(&u32::MAX.to_be_bytes());
    let (frame, size) = inner::decode(&encoded, FRAME_SIZE_MAX).unwrap().unwrap();
    assert_eq!((frame.ext, frame.body, size), (&b"abc"[..], &b""[..], encoded.len()));
}

#[test]
fn replies_have_a_limit() {
    assert_eq!(reply::decode(&[0, 0, 0, 4, b'i'], 4), Ok(None));
    assert_eq!(reply::decode(b"\0\0\0\x04i:0;rest", 4), Ok(Some((&b"i:0;"[..], 8))));
    assert_eq!(reply::decode(&[0, 0, 0, 5], 4), Err(FrameError));
    assert_eq!(reply::decode(&[0, 0, 0], 4), Ok(None));
    let mut out = b"before".to_vec();
    let start = reply::begin(&mut out);
    out.extend_from_slice(b"N;");
    reply::finish(start, &mut out);
    assert_eq!(out, b"before\0\0\0\x02N;");
}
