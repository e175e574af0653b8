//! What a worker has begun and ended, in a file that outlives it: each record is one write, so whatever the process was told to
//! do next, the kernel has it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::request::MessageId;

/// Writes the journal of one run of a worker.
#[derive(Debug)]
pub struct Journal {
    file: File,
    clock: Clock,
}

impl Journal {
    /// Begins a journal, in a file that is not there yet.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, clock: Clock) -> io::Result<Journal> {
        Ok(Journal { file: OpenOptions::new().append(true).create_new(true).open(path)?, clock })
    }

    /// Notes that a handler begins.
    ///
    /// # Panics
    /// The disk is full: nothing can be proved without the journal.
    pub fn begin(&self, id: MessageId, event_id: u128, is_repeat: bool) {
        let what = if is_repeat { What::Again } else { What::First };
        self.write(&Record { what, id, at: self.clock.now(), event_id });
    }

    /// Notes that it ends.
    ///
    /// # Panics
    /// As [`Journal::begin`].
    pub fn end(&self, id: MessageId, event_id: u128) {
        self.write(&Record { what: What::End, id, at: self.clock.now(), event_id });
    }

    fn write(&self, record: &Record) {
        let line = format!("{record}\n");
        (&self.file).write_all(line.as_bytes()).expect("a journal can be written");
    }
}

/// What happened to a message in a worker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// A handler began with it, and was not told that it is a repeat.
    First,
    /// A handler began with it, and was told so.
    Again,
    /// The handler has ended.
    End,
}

/// A line of a journal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What happened.
    pub what: What,
    /// To which message.
    pub id: MessageId,
    /// When, since the run began.
    pub at: Duration,
    /// What the gateway calls the event.
    pub event_id: u128,
}

impl Record {
    fn parse(line: &str) -> Option<Record> {
        let mut words = line.split(' ');
        let what = match words.next()? {
            "first" => What::First,
            "again" => What::Again,
            "end" => What::End,
            _ => return None,
        };
        let id = MessageId::parse(words.next()?)?;
        let at = Duration::from_micros(words.next()?.parse().ok()?);
        let event_id = u128::from_str_radix(words.next()?, 16).ok()?;
        Some(Record { what, id, at, event_id })
    }
}

impl fmt::Display for Record {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::First => "first",
            What::Again => "again",
            What::End => "end",
        };
        write!(out, "{what} {} {} {:x}", self.id, self.at.as_micros(), self.event_id)
    }
}

/// Reads the journal of a worker that has ended, record by record.
///
/// # Errors
/// It cannot be read, or has a line that no worker writes.
pub fn read(path: &Path, mut each: impl FnMut(Record)) -> io::Result<()> {
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let record = Record::parse(&line);
        each(record.ok_or_else(|| io::Error::other(format!("bad record in {}: {line}", path.display())))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        for what in [What::First, What::Again, What::End] {
            let id = MessageId { client: 3, number: 4 };
            let record = Record { what, id, at: Duration::from_micros(1_234_567), event_id: u128::MAX - 1 };
            assert_eq!(Record::parse(&record.to_string()), Some(record));
        }
        assert_eq!(Record::parse("first 3:4 12"), None);
    }
}
