//! The register's JSON lines (WIRE.md §2).

/// What a register is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// A gateway's inner address is there as long as this connection is.
    GatewayConnect {
        /// `ip:port`, not empty.
        address: String,
        /// `""` when the field is missing.
        secret_key: String,
    },
    /// Tell this connection the list, now and whenever it changes.
    WorkerConnect {
        /// `""` when the field is missing.
        secret_key: String,
    },
    /// Nothing, kept alive.
    Ping,
}

/// Why a line is no request. The connection ends in any case.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or without an event. Answered with [`BAD_REQUEST`].
    #[error("not a request")]
    NotARequest,
    /// An event that a register does not know. Closed silently.
    #[error("unknown event")]
    UnknownEvent,
    /// A gateway without an address. Closed silently.
    #[error("empty address")]
    EmptyAddress,
    /// A key that is no string and so equals none. Closed silently.
    #[error("secret_key is not a string")]
    BadKey,
}

/// The line that answers [`RequestError::NotARequest`], with its newline.
pub const BAD_REQUEST: &[u8] = b"Bad request for Register service.\n";

impl Request {
    /// Reads one line, with or without its line end.
    pub fn decode(line: &[u8]) -> Result<Request, RequestError> {
        let _ = line;
        Err(RequestError::NotARequest)
    }

    /// Appends the line as PHP writes it, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
}

/// The register's list of gateways.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Broadcast {
    /// Inner addresses, `ip:port` each.
    pub addresses: Vec<String>,
}

/// A line that is no list of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a broadcast of addresses")]
pub struct BroadcastError;

impl Broadcast {
    /// Reads one line; the addresses may be a list or an object. Entries that are no strings are left out.
    pub fn decode(line: &[u8]) -> Result<Broadcast, BroadcastError> {
        let _ = line;
        Err(BroadcastError)
    }

    /// Appends the line, the addresses as a list, newline included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let _ = out;
    }
}

/// The longest line in bytes; beyond it is [`LineTooLong`]. Enough for the addresses of 40,000 shards.
pub const LINE_SIZE_MAX: usize = 1 << 20;

/// More than [`LINE_SIZE_MAX`] bytes without a line end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line too long")]
pub struct LineTooLong;

/// Cuts what arrives into lines. It holds at most [`LINE_SIZE_MAX`] bytes and what was last pushed, if every push is
/// followed by taking lines until there is none.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the first line not yet taken begins.
    start: usize,
    /// Up to here there is no line end; `start <= scanned <= buffer.len()`.
    scanned: usize,
}

impl Lines {
    /// Appends what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next line without its line end, or `None` while it is not whole.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, LineTooLong> {
        let Some(size) = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n') else {
            self.scanned = self.buffer.len();
            return if self.scanned - self.start > LINE_SIZE_MAX { Err(LineTooLong) } else { Ok(None) };
        };
        let end = self.scanned + size;
        let line = &self.buffer[self.start..end];
        (self.start, self.scanned) = (end + 1, end + 1);
        if line.len() > LINE_SIZE_MAX {
            return Err(LineTooLong);
        }
        let trimmed = line.iter().rposition(|&byte| byte != b'\r').map_or(0, |last| last + 1);
        Ok(Some(&line[..trimmed]))
    }
}
