//! Keeps an event for longer than its handler runs.

use std::fmt;
use std::rc::Rc;

use super::Shared;
use crate::core::Ticket;

/// Keeps an event from being done while it lives: see [`Client::hold`](crate::Client::hold). It belongs to its core's thread.
#[must_use = "the event is held only while this lives"]
pub struct Hold(Option<(Rc<Shared>, Ticket)>);

impl Hold {
    /// Of an event whose handler runs now.
    pub(crate) fn new(ticket: Option<Ticket>) -> Hold {
        Hold(ticket.map(|ticket| {
            let shared = Shared::current();
            shared.core.borrow_mut().hold(ticket);
            (shared, ticket)
        }))
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some((shared, ticket)) = self.0.take() {
            shared.core.borrow_mut().let_go(ticket);
        }
    }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}
