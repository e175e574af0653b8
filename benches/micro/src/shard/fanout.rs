//! One message for many clients, counted by delivery.

use protocol::inner::ext::GroupTargets;
use protocol::inner::{Cmd, Frame};

use super::fixture::{ClientProtocol, Fixture, encoded, to_client};
use crate::codecs::text;
use crate::meter::{Bench, FEW};

const GROUP: &[u8] = b"lobby";

/// Broadcasts that arrive in one piece, and for how many clients.
const BURST: (u64, u32) = (20, 900);

pub(super) fn benches() -> Vec<Bench> {
    let mut benches = vec![burst()];
    for (clients, how_many) in [(1_000, "1,000"), (10_000, "10,000")] {
        // Up to `gateway_core::config::COPY_MAX` bodies are copied, beyond they are shared.
        for (size, body) in [(64, "64 B copied"), (4096, "4 KiB shared")] {
            benches.push(to_all(clients, how_many, size, body));
            benches.push(to_group(clients, how_many, size, body));
        }
    }
    benches
}

fn to_all(clients: u32, how_many: &str, size: usize, body: &str) -> Bench {
    fan_out(format!("shard/delivery to all of {how_many}, {body}"), clients, move || {
        encoded(&Frame { body: &text(size), ..Frame::command(Cmd::SendToAll) })
    })
}

fn to_group(clients: u32, how_many: &str, size: usize, body: &str) -> Bench {
    fan_out(format!("shard/delivery to a group of {how_many}, {body}"), clients, move || {
        let ext = GroupTargets { groups: vec![GROUP.to_vec()], ..GroupTargets::default() }.encode();
        encoded(&Frame { ext: &ext, body: &text(size), ..Frame::command(Cmd::SendToGroup) })
    })
}

/// What is queued for a client within a batch leaves in one send.
fn burst() -> Bench {
    let (broadcasts, clients) = BURST;
    let bench = fan_out("shard/delivery in 20 broadcasts to 900, 64 B".into(), clients, move || {
        let frame = encoded(&Frame { body: &text(64), ..Frame::command(Cmd::SendToAll) });
        frame.repeat(broadcasts as usize)
    });
    bench.per(broadcasts * u64::from(clients))
}

/// The frames that `bytes` makes, for clients that are all in one group.
fn fan_out(name: String, clients: u32, bytes: impl Fn() -> Vec<u8> + 'static) -> Bench {
    let bench = Bench::new(name, FEW, move |meter| {
        let mut fixture = Fixture::new(ClientProtocol::Websocket, clients);
        for id in 1..=clients {
            fixture.command(&Frame { ext: GROUP, ..to_client(Cmd::JoinGroup, id) });
        }
        let at_least = clients as usize * 64;
        meter.each(&bytes, |bytes| assert!(fixture.receive(fixture.worker, bytes) > at_least, "all get it"));
    });
    bench.per(clients.into())
}
