//! What the PHP programs were recorded to say to each other is read as they meant it, and written to the byte.

use crate::traffic::{Kind, Record, records};
use ringway_protocol::client::websocket::WebsocketCodec;
use ringway_protocol::client::{Codec, Decoded, Limits};
use ringway_protocol::inner::ext::{
    ClientConnect, Field, GroupTargets, Select, Targets, Where, WorkerConnect, decode_names, encode_names,
};
use ringway_protocol::inner::{self, Cmd, FLAG_SCALAR, Frame, WebsocketRequest, reply};
use ringway_protocol::php;
use ringway_protocol::register::{Broadcast, Lines, Request};

fn frame(record: &Record) -> Frame<'_> {
    let (frame, size) = inner::decode(&record.bytes, inner::FRAME_SIZE_MAX).unwrap().unwrap();
    assert_eq!(size, record.bytes.len(), "capture {}", record.capture);
    frame
}

/// The frames of a command.
fn frames_of(cmd: Cmd) -> Vec<Record> {
    let frames: Vec<Record> =
        records(Kind::Frame).into_iter().filter(|record| frame(record).cmd == cmd as u8).collect();
    assert!(!frames.is_empty(), "{cmd:?}");
    frames
}

#[test]
fn frames_have_the_annotated_fields_and_the_same_bytes() {
    for record in records(Kind::Frame) {
        let frame = frame(&record);
        let field = |name: &str| record.fields[name];
        assert_eq!(frame.cmd.to_string(), field("cmd"));
        assert_eq!(Cmd::from_u8(frame.cmd).unwrap().name(), field("name"));
        assert_eq!(frame.gateway.to_string(), field("gateway"));
        assert_eq!(frame.client.to_string(), field("client"));
        assert_eq!(frame.connection_id.to_string(), field("connection_id"));
        assert_eq!(frame.flag.to_string(), field("flag"));
        assert_eq!(frame.gateway_port.to_string(), field("gateway_port"));
        assert_eq!(frame.ext.len().to_string(), field("ext_len"));
        let mut encoded = Vec::new();
        frame.encode(&mut encoded);
        assert_eq!(encoded, record.bytes, "capture {}", record.capture);
    }
}

#[test]
fn replies_are_values_that_are_written_the_same() {
    for record in records(Kind::Reply) {
        let (value, size) = reply::decode(&record.bytes, usize::MAX).unwrap().unwrap();
        assert_eq!(size, record.bytes.len());
        assert_eq!(value.len().to_string(), record.fields["length"]);
        let decoded = php::decode(value).unwrap();
        assert_eq!(php::to_bytes(&decoded), value, "capture {}", record.capture);
        let mut encoded = Vec::new();
        reply::encode(value, &mut encoded);
        assert_eq!(encoded, record.bytes);
    }
}

#[test]
fn sessions_and_bodies_are_written_the_same() {
    let mut seen = 0;
    for record in records(Kind::Frame) {
        let frame = frame(&record);
        let cmd = Cmd::from_u8(frame.cmd).unwrap();
        let serialized_body = (frame.flag & FLAG_SCALAR == 0).then_some(frame.body);
        let session = matches!(cmd, Cmd::OnMessage | Cmd::OnClose | Cmd::SetSession | Cmd::UpdateSession)
            .then_some(frame.ext);
        for serialized in
            [serialized_body, session].into_iter().flatten().filter(|serialized| !serialized.is_empty())
        {
            let value = php::decode(serialized).unwrap();
            assert_eq!(php::to_bytes(&value), serialized, "capture {}", record.capture);
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[test]
fn ext_data_is_written_the_same() {
    for record in frames_of(Cmd::SendToAll) {
        let ext = frame(&record).ext;
        assert_eq!(Targets::decode(ext).unwrap().encode(), ext);
    }
    for record in frames_of(Cmd::SendToGroup) {
        let ext = frame(&record).ext;
        assert_eq!(GroupTargets::decode(ext).unwrap().encode(), ext);
    }
    for record in frames_of(Cmd::Select) {
        let ext = frame(&record).ext;
        assert_eq!(Select::decode(ext).unwrap().encode(), ext);
    }
    for cmd in [Cmd::BatchGetClientIdByUid, Cmd::BatchGetClientCountByGroup] {
        for record in frames_of(cmd) {
            let ext = frame(&record).ext;
            assert_eq!(encode_names(&decode_names(ext).unwrap()), ext);
        }
    }
    for record in frames_of(Cmd::SendToUid) {
        // The PHP caller gave an int here; ours always writes strings.
        assert_eq!(frame(&record).ext, br#"["u1",100]"#);
        assert_eq!(decode_names(frame(&record).ext), Some(vec![b"u1".to_vec(), b"100".to_vec()]));
    }
    for record in frames_of(Cmd::WorkerConnect) {
        let connect = WorkerConnect::decode(frame(&record).body).unwrap();
        assert_eq!(
            (connect.worker_key.as_str(), connect.secret_key.as_deref(), connect.ringway),
            ("BW:0", Some("k3y"), false)
        );
        assert_eq!(connect.encode(), frame(&record).body);
    }
    for record in frames_of(Cmd::GatewayClientConnect) {
        let connect = ClientConnect::decode(frame(&record).body).unwrap();
        assert_eq!(connect.secret_key.as_deref(), Some("k3y"));
        assert_eq!(connect.encode(), frame(&record).body);
    }
}

#[test]
fn selections_mean_what_php_meant() {
    let selections: Vec<Select> =
        frames_of(Cmd::Select).iter().map(|record| Select::decode(frame(record).ext).unwrap()).collect();
    let by_connection = Where { connection_ids: vec![1], ..Where::default() };
    let by_group = Where { groups: vec![b"g1".to_vec()], ..Where::default() };
    for (fields, condition) in [
        (vec![Field::Uid], Some(by_connection)),
        (vec![Field::Uid], Some(by_group)),
        (vec![Field::Uid], None),
        (vec![Field::Uid, Field::Groups], None),
        (vec![Field::Groups], None),
    ] {
        let select = Select { fields, condition };
        assert!(selections.contains(&select), "{select:?}");
    }
}

#[test]
fn a_merge_gives_the_session_that_php_stored() {
    let stored =
        |text: &str| records(Kind::Frame).into_iter().any(|record| frame(&record).ext == text.as_bytes());
    let before = r#"a:7:{s:1:"i";i:1;s:1:"f";d:0.1;s:1:"b";b:1;s:1:"n";N;s:1:"u";s:3:"你";s:1:"a";a:2:{i:0;i:1;i:1;a:1:{s:1:"k";s:1:"v";}}i:5;s:4:"five";}"#;
    let after = r#"a:7:{s:1:"i";i:2;s:1:"f";d:0.1;s:1:"b";b:1;s:1:"n";N;s:1:"u";s:3:"你";s:1:"a";a:2:{i:0;s:1:"x";i:1;a:1:{s:1:"k";s:1:"v";}}i:5;s:4:"five";}"#;
    assert!(stored(before) && stored(after));
    for record in frames_of(Cmd::UpdateSession) {
        let mut merged = Vec::new();
        php::merge_serialized(before.as_bytes(), frame(&record).ext, &mut merged).unwrap();
        assert_eq!(String::from_utf8(merged).unwrap(), after);
    }
}

#[test]
fn a_handshake_becomes_the_recorded_body() {
    for record in frames_of(Cmd::OnWebsocketConnect) {
        let frame = frame(&record);
        let recorded = WebsocketRequest::decode(frame.body).unwrap();
        let mut encoded = Vec::new();
        recorded.encode(&mut encoded);
        assert_eq!(encoded, frame.body);

        let mut input = b"GET /chat?tok=1 HTTP/1.1\r\nHost: 127.0.0.1:11382\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: obxIsYRnYN9iPpz2lzLSHA==\r\nSec-WebSocket-Version: 13\r\nCookie: a=b\r\n\r\n".to_vec();
        let mut codec = WebsocketCodec::default();
        let limits = Limits::new(1 << 20);
        let Decoded::Handshake { request, .. } = codec.decode(&limits, &mut input, &mut Vec::new()) else {
            panic!("a handshake");
        };
        let ours = WebsocketRequest::from_request(&request, frame.client.into(), frame.gateway_port);
        let mut encoded = Vec::new();
        ours.encode(&mut encoded);
        assert_eq!(String::from_utf8_lossy(&encoded), String::from_utf8_lossy(frame.body));
    }
}

#[test]
fn register_lines_are_written_the_same() {
    let mut broadcasts = 0;
    for record in records(Kind::Register) {
        let mut lines = Lines::default();
        lines.push(&record.bytes);
        let line = lines.next_line().unwrap().unwrap();
        let mut encoded = Vec::new();
        if let Ok(broadcast) = Broadcast::decode(line) {
            broadcast.encode(&mut encoded);
            broadcasts += 1;
        } else {
            Request::decode(line).unwrap().encode(&mut encoded);
        }
        assert_eq!(String::from_utf8(encoded).unwrap(), String::from_utf8_lossy(&record.bytes));
    }
    assert!(broadcasts > 0);
}
