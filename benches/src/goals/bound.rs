//! Memory of clients that have a uid, a group and a session, and of a worker whose clients are idle.

use cluster::Cluster;
use gateway_client::{Config, blocking, php};

use super::harness::Harness;
use super::idle::hold;
use super::{Goal, Round, Scenario, Setup};
use crate::shards::shards;
use crate::watch::Stopped;

pub(crate) const BOUND: Scenario = Scenario {
    name: "bound",
    usual: Setup { rounds: 1, conns: 50_000, ..Setup::USUAL },
    columns: &["idle B", "bound B", "worker B"],
    goals: &[
        Goal::at_most("bytes of the gateway per client with uid, group and session", 1, 900.0),
        // Pages and buffers of the whole process, on few clients.
        Goal::at_most("bytes of the worker per idle client", 2, 8.0),
    ],
    start,
};

/// Starts a cluster for each round, so that every round begins with empty processes.
fn start<'a>(harness: &'a Harness<'_>) -> Result<Round<'a>, Stopped> {
    Ok(Box::new(|_| {
        let half = harness.setup.conns.div_ceil(2);
        let mut cluster = harness.cluster(shards(2 * half, program::raise_open_files(), 1));
        let gateway_before = cluster.gateway(0).rss();
        let first = hold(harness, &cluster, 0, half)?;
        // The worker's buffers have grown with the first half: what grows with the second is for the clients.
        let worker_before = cluster.worker(0).rss();
        let second = hold(harness, &cluster, SOURCES_OF_FIRST, half)?;
        let per_client =
            |after: u64, before: u64, count: usize| (after as f64 - before as f64) / count as f64;
        let idle = per_client(cluster.gateway(0).rss(), gateway_before, 2 * half);
        let worker = per_client(cluster.worker(0).rss(), worker_before, half);
        bind(&cluster)?;
        let bound = per_client(cluster.gateway(0).rss(), gateway_before, 2 * half);
        drop((first, second));
        Ok(vec![idle, bound, worker])
    }))
}

/// Gives every client a uid of its own, a group that it shares with nine others, and a session of 100 bytes.
fn bind(cluster: &Cluster) -> Result<(), Stopped> {
    let config =
        Config { register_addresses: vec![cluster.register_address().to_string()], ..Config::default() };
    let caller = blocking::Client::connect(config).map_err(|error| error.to_string())?;
    let mut session = php::Array::new();
    session.insert("name", ".".repeat(SESSION_BYTES - EMPTY_SESSION_BYTES));
    for (index, client) in caller.client_ids().value.into_iter().enumerate() {
        let sent = [
            caller.bind_uid(client, format!("user-{index}")),
            caller.join_group(client, format!("room-{}", index / 10)),
            caller.set_session(client, session.clone()),
        ];
        if let Some(missed) = sent.iter().find(|sent| !sent.is_complete()) {
            return Err(format!("not reached: {:?}", missed.missing));
        }
    }
    // Commands to a gateway are carried out in order, so this is answered behind them.
    match caller.uid_count() {
        answer if answer.missing.is_empty() => Ok(()),
        answer => Err(format!("no answer from {:?}", answer.missing)),
    }
}

/// Addresses that the first half of the clients comes from, at most.
const SOURCES_OF_FIRST: usize = 100;

/// Of a session in the gateway, as PHP serializes it.
const SESSION_BYTES: usize = 100;

/// `a:1:{s:4:"name";s:75:"";}`
const EMPTY_SESSION_BYTES: usize = 25;
