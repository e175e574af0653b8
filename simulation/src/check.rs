//! What must hold when everything has come to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::faults::Faults;
use crate::world::{Client, GATEWAYS, WORKERS, World};

impl World {
    /// What a run came to: when it ended, how many connections there were, and what was handled.
    pub fn history(&self) -> (Duration, usize, Vec<String>) {
        (self.now.get(), self.pipes.len() / 2, self.handled.borrow().clone())
    }

    /// Checks what must hold when all has come to its end.
    pub fn check(&mut self) {
        let mut handled: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for text in self.handled.borrow().iter() {
            let client = text.split(':').next().and_then(|number| number.parse().ok());
            handled.entry(client.expect("messages begin with their client")).or_default().push(text.clone());
        }
        for (index, client) in self.clients.iter().enumerate() {
            let handled = handled.remove(&index).unwrap_or_default();
            let Client { said, heard, .. } = client;
            match self.faults {
                Faults::Reloads | Faults::Pauses => {
                    assert_eq!(&handled, said, "client {index}: each message is handled, once and in order");
                    assert_eq!(heard, said, "client {index}: each message is answered");
                }
                Faults::Deaths | Faults::Outages => {
                    assert!(is_part(&handled, said), "client {index}: doubled or out of order: {handled:?}");
                    assert!(is_part(heard, &handled), "client {index}: {heard:?} of {handled:?}");
                }
                Faults::Cuts | Faults::Freezes => {
                    let times = handled.len();
                    let handled: BTreeSet<_> = handled.iter().collect();
                    assert_eq!(handled.len(), times, "client {index}: doubled");
                    assert!(
                        handled.is_subset(&said.iter().collect()),
                        "client {index}: never said: {handled:?}"
                    );
                    let answered: BTreeSet<_> = heard.iter().collect();
                    assert_eq!(answered.len(), heard.len(), "client {index}: answered twice");
                    assert!(answered.is_subset(&handled), "client {index}: answers to what nobody handled");
                }
            }
        }
        let workers: Vec<_> = self.workers.iter().flatten().collect();
        assert_eq!(workers.len(), WORKERS, "those that ended have ended");
        for worker in workers {
            let status = worker.runtime.status();
            assert_eq!(status.links, GATEWAYS, "every worker is connected to every gateway");
            assert_eq!((status.handlers_running, status.events_waiting, status.queued_bytes), (0, 0, 0));
        }
        for gateway in &self.gateways {
            assert_eq!(gateway.shard.worker_count(), WORKERS);
        }
        self.outlive_half_open();
        self.check_register();
    }
}

/// Whether `part` is what is left of `whole` when some of it is lost.
fn is_part(part: &[String], whole: &[String]) -> bool {
    let mut whole = whole.iter();
    part.iter().all(|item| whole.any(|other| other == item))
}
