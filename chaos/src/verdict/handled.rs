//! What workers did, by message.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::journal::{self, Record, What};
use crate::request::MessageId;

/// A handler that began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Begun {
    /// Which run of which worker: the number of its journal.
    pub run: u32,
    pub again: bool,
    pub at: Duration,
    pub event_id: u128,
}

/// What all runs of workers did with a message, in the order of time.
#[derive(Default, Debug)]
pub(super) struct Handled {
    pub begun: Vec<Begun>,
    pub ended: Vec<Duration>,
}

impl Handled {
    /// No worker has had it.
    pub(super) const NOTHING: Handled = Handled { begun: Vec::new(), ended: Vec::new() };
}

/// What all runs of workers did with all messages.
#[derive(Default, Debug)]
pub struct Journals {
    pub(super) handled: HashMap<MessageId, Handled>,
}

impl Journals {
    /// Reads the journals of workers that have ended, one line after the other.
    ///
    /// # Errors
    /// One cannot be read, or has a line that no worker writes.
    pub fn read(paths: &[PathBuf]) -> io::Result<Journals> {
        let mut journals = Journals::default();
        for (run, path) in (0..).zip(paths) {
            journal::read(path, |record| journals.add(run, &record))?;
        }
        for message in journals.handled.values_mut() {
            message.begun.sort_by_key(|begun| begun.at);
        }
        Ok(journals)
    }

    pub(super) fn add(&mut self, run: u32, record: &Record) {
        let message = self.handled.entry(record.id).or_default();
        // Most have one of each, and there are many.
        if record.what == What::End {
            message.ended.reserve_exact(1);
            message.ended.push(record.at);
        } else {
            let (again, at, event_id) = (record.what == What::Again, record.at, record.event_id);
            message.begun.reserve_exact(1);
            message.begun.push(Begun { run, again, at, event_id });
        }
    }
}
