//! Hooks whose panics cost what they were about: one client, and not its shard.

use program::{Panic, catch};
use protocol::LogLimit;
use protocol::client::websocket::Request;
use tracing::error;

use crate::config::HOOK_LOG_PERIOD_MS;
use crate::shard::Shard;
use crate::{Admission, ClientInfo, Handshake, Hooks, Identity, Millis, WorkerInfo};

/// The hooks of a shard.
pub(crate) struct CaughtHooks {
    hooks: Box<dyn Hooks>,
    panics: u64,
    /// Clients that are to go because a hook has panicked about them.
    /// By connection id, since one that is gone already may be asked about.
    victims: Vec<u32>,
    log: LogLimit,
}

impl CaughtHooks {
    /// Without its hooks a shard is not what its operator wants: here a panic goes on.
    pub fn start(mut hooks: Box<dyn Hooks>, shard: Identity) -> CaughtHooks {
        hooks.on_worker_start(shard);
        CaughtHooks { hooks, panics: 0, victims: Vec::new(), log: LogLimit::new(1, HOOK_LOG_PERIOD_MS) }
    }

    /// How many calls have panicked.
    pub fn panics(&self) -> u64 {
        self.panics
    }

    pub fn on_worker_stop(&mut self, now: Millis) {
        let done = catch(|| self.hooks.on_worker_stop());
        self.look(now, "on_worker_stop", done);
    }

    /// A client about whom the hook panics is refused.
    pub fn on_connect(&mut self, now: Millis, client: &ClientInfo) -> Admission {
        let done = catch(|| self.hooks.on_connect(client));
        self.look(now, "on_connect", done).unwrap_or(Admission::Refuse)
    }

    /// A client about whom the hook panics gets a 500.
    pub fn on_websocket_connect(
        &mut self,
        now: Millis,
        client: &ClientInfo,
        request: &Request<'_>,
    ) -> Handshake {
        let done = catch(|| self.hooks.on_websocket_connect(client, request));
        self.look(now, "on_websocket_connect", done).unwrap_or(Handshake::Refuse { status: 500 })
    }

    pub fn on_close(&mut self, now: Millis, client: &ClientInfo) {
        let done = catch(|| self.hooks.on_close(client));
        self.look(now, "on_close", done);
    }

    pub fn on_worker_connected(&mut self, now: Millis, key: &str) {
        let done = catch(|| self.hooks.on_worker_connected(key));
        self.look(now, "on_worker_connected", done);
    }

    pub fn on_worker_closed(&mut self, now: Millis, key: &str) {
        let done = catch(|| self.hooks.on_worker_closed(key));
        self.look(now, "on_worker_closed", done);
    }

    /// Whether [`CaughtHooks::route`] is to be asked.
    pub fn routes(&mut self, now: Millis) -> bool {
        let done = catch(|| self.hooks.routes());
        self.look(now, "routes", done).unwrap_or(false)
    }

    /// A client about whom the hook panics, or for whom it chooses a worker that there is not, goes with the end of the
    /// turn. Until then it has the worker that the settings give it.
    pub fn route(&mut self, now: Millis, client: &ClientInfo, workers: &[WorkerInfo<'_>]) -> Option<usize> {
        let done = catch(|| {
            let index = self.hooks.route(client, workers);
            assert!(
                index.is_none_or(|index| index < workers.len()),
                "it chose worker {index:?} of {}",
                workers.len()
            );
            index
        });
        let chosen = self.look(now, "route", done);
        if chosen.is_none() {
            self.victims.push(client.id.connection_id);
        }
        chosen.flatten()
    }

    fn look<T>(&mut self, now: Millis, hook: &str, done: Result<T, Panic>) -> Option<T> {
        let panic = match done {
            Ok(value) => return Some(value),
            Err(panic) => panic,
        };
        self.panics += 1;
        if let Some(unsaid) = self.log.admit(now.0) {
            error!(unsaid, "the hook {hook} panicked: {panic}");
        }
        None
    }
}

impl Shard {
    /// Sends those away about whom a hook has panicked.
    pub(crate) fn end_hook_victims(&mut self) {
        while let Some(connection_id) = self.hooks.victims.pop() {
            if let Some(slot) = self.clients.by_id(connection_id) {
                self.close_client_when_sent(slot);
            }
        }
    }
}
