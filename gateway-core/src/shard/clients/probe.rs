//! Load balancers that ask a websocket's listener whether to send clients there (`--health-path`). No worker hears of them.

use protocol::client::websocket::{Probe, encode_probe_answer, probe, probe_size};

use super::ClientSlot;
use crate::shard::Shard;

impl Shard {
    /// Answers who asks for the health path. Whether nothing else is to be done with what has come: it was answered, or may still
    /// become such a request.
    pub(super) fn answers_probe(&mut self, slot: ClientSlot, bytes: &[u8]) -> bool {
        let Some(path) = self.settings.health_path.as_deref() else { return false };
        let client = &self.clients[slot];
        if !client.codec.is_handshaking() {
            return false;
        }
        let begun: Vec<u8> = client.rest.iter().chain(bytes).copied().take(probe_size(path)).collect();
        let head = match probe(&begun, path) {
            Probe::No => return false,
            Probe::Asked { head } => head,
            Probe::NeedMore => {
                self.clients[slot].rest.extend(bytes);
                return true;
            }
        };
        self.counters.health_checks += 1;
        let wrong = self.why_no_clients();
        let client = &mut self.clients[slot];
        self.output.append_with(client.socket, &mut client.out, |out| encode_probe_answer(wrong, head, out));
        self.close_client_when_sent(slot);
        true
    }

    /// Why load balancers are to send clients elsewhere: at once when it is cordoned, while clients are still taken.
    fn why_no_clients(&self) -> Option<&'static str> {
        if self.cordon.is_some() {
            Some("cordoned, takes no new clients")
        } else if self.worker_count() == 0 {
            Some("no worker")
        } else {
            None
        }
    }
}
