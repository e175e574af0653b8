//! Hooks whose panics cost what they were about: one client, and not its shard.

use program::catch;
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
    to_close: Vec<u32>,
    log: LogLimit,
}

impl CaughtHooks {
    /// Without its hooks a shard is not what its operator wants: here a panic goes on.
    pub(super) fn start(mut hooks: Box<dyn Hooks>, shard: Identity) -> CaughtHooks {
        hooks.on_worker_start(shard);
        CaughtHooks { hooks, panics: 0, to_close: Vec::new(), log: LogLimit::new(1, HOOK_LOG_PERIOD_MS) }
    }

    /// How many calls have panicked.
    pub(super) fn panics(&self) -> u64 {
        self.panics
    }

    /// A client about whom the hook panics is refused.
    pub(super) fn on_connect(&mut self, now: Millis, client: &ClientInfo) -> Admission {
        self.call(now, "on_connect", |hooks| hooks.on_connect(client)).unwrap_or(Admission::Refuse)
    }

    /// A client about whom the hook panics gets a 500.
    pub(super) fn on_websocket_connect(
        &mut self,
        now: Millis,
        client: &ClientInfo,
        request: &Request<'_>,
    ) -> Handshake {
        self.call(now, "on_websocket_connect", |hooks| hooks.on_websocket_connect(client, request))
            .unwrap_or(Handshake::Refuse { status: 500 })
    }

    /// Whether [`CaughtHooks::route`] is to be asked.
    pub(super) fn routes(&mut self, now: Millis) -> bool {
        self.call(now, "routes", |hooks| hooks.routes()).unwrap_or(false)
    }

    /// A client about whom the hook panics, or for whom it chooses a worker that there is not, goes with the end of the
    /// turn. Until then it has the worker that the settings give it.
    pub(super) fn route(
        &mut self,
        now: Millis,
        client: &ClientInfo,
        workers: &[WorkerInfo<'_>],
    ) -> Option<usize> {
        let chosen = self.call(now, "route", |hooks| {
            let index = hooks.route(client, workers);
            assert!(
                index.is_none_or(|index| index < workers.len()),
                "it chose worker {index:?} of {}",
                workers.len()
            );
            index
        });
        if chosen.is_none() {
            self.to_close.push(client.id.connection_id);
        }
        chosen.flatten()
    }

    /// Whether clients are to be sent away.
    pub(super) fn are_to_close(&self) -> bool {
        !self.to_close.is_empty()
    }

    /// Calls a hook; none if it has panicked, which is counted and logged.
    pub(super) fn call<T>(
        &mut self,
        now: Millis,
        hook: &str,
        call: impl FnOnce(&mut dyn Hooks) -> T,
    ) -> Option<T> {
        let panic = match catch(|| call(&mut *self.hooks)) {
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
    pub(crate) fn close_after_hook_panics(&mut self) {
        while let Some(connection_id) = self.hooks.to_close.pop() {
            if let Some(slot) = self.clients.by_id(connection_id) {
                self.close_client_when_sent(slot);
            }
        }
    }
}
