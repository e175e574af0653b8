//! What handlers do to clients, on whichever gateway they are.

mod commands;
mod queries;
mod reports;

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

pub use self::reports::Reported;
use crate::Counters;
use crate::config::TIMEOUT_MAX;
use crate::runtime::Shared;

/// What handlers do to clients, on whichever gateway they are. Cheap to clone; it belongs to its core.
///
/// **Commands** (`send_to_…`, `bind_uid`, `join_group`, …) return at once. They are queued, sent in one piece when
/// the core has handled what was ready, and arrive in order at each gateway. A command for a gateway that is not
/// connected is dropped and counted. However much is queued for one that is, nothing is dropped: it is the starting of
/// handlers that waits (see [`send_to_gateway_buffer_size`](crate::Config::send_to_gateway_buffer_size)). What handlers
/// that have begun, and spawned futures, still say may add up to 512 MiB per core; then the link with the most queued is
/// closed.
///
/// **Queries** (`is_online`, `session`, `groups`, …) are answered by the gateways, in at most
/// [`query_timeout`](crate::Config::query_timeout). The [`Answer`](crate::Answer) says which gateways did not answer.
/// Each sees what this core commanded that gateway before: `join_group` and then the count of the group, say. Only PHP's gateways
/// are asked on connections of their own, where a query may overtake a command (WIRE.md §5).
///
/// **Reports**: [`Gateway::reported`] sends messages and says for how many clients each was queued.
#[derive(Clone)]
pub struct Gateway {
    shared: Rc<Shared>,
    query_timeout: Duration,
}

impl Gateway {
    pub(crate) fn new(shared: Rc<Shared>) -> Gateway {
        Gateway { query_timeout: shared.query_timeout, shared }
    }

    pub(crate) fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// The same, with queries limited to `query_timeout`.
    #[must_use]
    pub fn with_query_timeout(&self, query_timeout: Duration) -> Gateway {
        Gateway { shared: Rc::clone(&self.shared), query_timeout: query_timeout.min(TIMEOUT_MAX) }
    }

    /// The core this belongs to, counted from 0.
    pub fn core_index(&self) -> usize {
        self.shared.index
    }

    /// What the core has counted since its start.
    pub fn counters(&self) -> Counters {
        self.shared.core.borrow().counters
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("core", &self.shared.index).finish_non_exhaustive()
    }
}
