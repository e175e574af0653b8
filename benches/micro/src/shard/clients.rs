//! What happens to a client beside messages: it comes, is given names, goes.

use protocol::inner::{Cmd, Frame};

use super::fixture::{ClientProtocol, Fixture, encoded, to_client};
use crate::codecs::HANDSHAKE;
use crate::meter::{Bench, MANY};
use crate::php::session;

/// Who is there already.
const CLIENTS: u32 = 1_000;

pub(super) fn benches() -> Vec<Bench> {
    let update = protocol::php::to_bytes(&{
        let mut update = protocol::php::Array::new();
        update.insert("room", "kitchen");
        update.into()
    });
    vec![
        connect(),
        disconnect(),
        command("bind uid", Cmd::BindUid, b"grete"),
        command("join group", Cmd::JoinGroup, b"lobby"),
        command("set session", Cmd::SetSession, &session()),
        command("update session", Cmd::UpdateSession, &update),
        command("session of a client", Cmd::GetSessionByClientId, b""),
    ]
}

/// Accepted, shaken hands with, and told to the worker: ON_CONNECT and ON_WEBSOCKET_CONNECT.
fn connect() -> Bench {
    Bench::new("shard/client comes, websocket", MANY, |meter| {
        let mut fixture = Fixture::new(ClientProtocol::Websocket, CLIENTS);
        meter.each(|| HANDSHAKE.to_vec(), |request| fixture.connect(request));
    })
}

/// It has a uid, a group and a session; its worker is told.
fn disconnect() -> Bench {
    Bench::new("shard/client goes, with uid and group", MANY, |meter| {
        let mut fixture = Fixture::new(ClientProtocol::Websocket, CLIENTS);
        let session = session();
        for id in 1..=CLIENTS {
            let uid = format!("user {id}");
            fixture.command(&Frame { ext: uid.as_bytes(), ..to_client(Cmd::BindUid, id) });
            fixture.command(&Frame { ext: b"lobby", ..to_client(Cmd::JoinGroup, id) });
            fixture.command(&Frame { ext: &session, ..to_client(Cmd::SetSession, id) });
        }
        meter.each(
            || (),
            |()| {
                let client = fixture.clients.pop().expect("more clients than rounds");
                fixture.shard.on_failed(fixture.now, client);
                fixture.send();
            },
        );
    })
}

/// A command or a query about each of the clients in turn, who all have a session.
fn command(what: &str, cmd: Cmd, ext: &[u8]) -> Bench {
    let ext = ext.to_vec();
    Bench::new(format!("shard/{what}"), MANY, move |meter| {
        let mut fixture = Fixture::new(ClientProtocol::Websocket, CLIENTS);
        let session = session();
        for id in 1..=CLIENTS {
            fixture.command(&Frame { ext: &session, ..to_client(Cmd::SetSession, id) });
        }
        let mut id = 0;
        meter.each(
            || {
                id += 1;
                encoded(&Frame { ext: &ext, ..to_client(cmd, id) })
            },
            |bytes| {
                fixture.receive(fixture.worker, bytes);
            },
        );
    })
}
