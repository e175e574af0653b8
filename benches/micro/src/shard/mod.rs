//! Paths through a shard: all that it does between the calls of its glue. Its sockets take everything at once.

mod clients;
mod fanout;
mod fixture;
mod heartbeat;
mod messages;

use crate::meter::Bench;

pub(crate) fn benches() -> Vec<Bench> {
    [messages::benches(), fanout::benches(), heartbeat::benches(), clients::benches()].concat()
}
