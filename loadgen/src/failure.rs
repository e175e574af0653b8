//! Why connections are not there: causes, and counts of them.

use std::io;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Why a connection could not be made or did not last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// Nobody listens there.
    Refused,
    /// The server reset it.
    Reset,
    /// The server ended it.
    Closed,
    /// No answer to the connect or the handshake in time, or lost in the network.
    TimedOut,
    /// An HTTP status other than 101.
    HandshakeRefused,
    /// TLS failed: a certificate that is not trusted, nothing in common, or no TLS at all.
    Tls,
    /// The server broke the protocol.
    Protocol,
    /// This side has no free port, file or memory for it.
    Local,
    /// Anything else.
    Other,
}

impl Cause {
    /// What an error of a socket means.
    pub fn of(error: &io::Error) -> Cause {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Cause::Refused,
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe => {
                Cause::Reset
            }
            io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                Cause::TimedOut
            }
            io::ErrorKind::AddrNotAvailable
            | io::ErrorKind::AddrInUse
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::OutOfMemory => Cause::Local,
            _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS)) => Cause::Local,
            _ => Cause::Other,
        }
    }
}

/// How many connections ended for each cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Failures {
    /// Nobody listened.
    pub refused: u64,
    /// Reset by the server.
    pub reset: u64,
    /// Ended by the server.
    pub closed: u64,
    /// No answer in time.
    pub timed_out: u64,
    /// An HTTP status other than 101.
    pub handshake_refused: u64,
    /// TLS failed.
    #[serde(default)]
    pub tls: u64,
    /// The server broke the protocol.
    pub protocol: u64,
    /// This side had no free port, file or memory.
    pub local: u64,
    /// Anything else.
    pub other: u64,
}

impl Failures {
    /// Counts one more.
    pub fn count(&mut self, cause: Cause) {
        *match cause {
            Cause::Refused => &mut self.refused,
            Cause::Reset => &mut self.reset,
            Cause::Closed => &mut self.closed,
            Cause::TimedOut => &mut self.timed_out,
            Cause::HandshakeRefused => &mut self.handshake_refused,
            Cause::Tls => &mut self.tls,
            Cause::Protocol => &mut self.protocol,
            Cause::Local => &mut self.local,
            Cause::Other => &mut self.other,
        } += 1;
    }

    /// Of all causes.
    pub fn total(&self) -> u64 {
        self.by_cause().iter().map(|(_, count)| count).sum()
    }

    /// Every cause in words, with its count.
    pub fn by_cause(&self) -> [(&'static str, u64); 9] {
        [
            ("refused", self.refused),
            ("reset", self.reset),
            ("closed by server", self.closed),
            ("timed out", self.timed_out),
            ("handshake refused", self.handshake_refused),
            ("TLS failed", self.tls),
            ("protocol violated", self.protocol),
            ("no local port, file or memory", self.local),
            ("other", self.other),
        ]
    }

    /// Those that happened, in one line; empty if none did.
    pub fn summary(&self) -> String {
        let happened = self.by_cause().into_iter().filter(|(_, count)| *count > 0);
        happened.map(|(cause, count)| format!("{count} {cause}")).collect::<Vec<_>>().join(", ")
    }
}

impl AddAssign for Failures {
    fn add_assign(&mut self, more: Failures) {
        self.refused += more.refused;
        self.reset += more.reset;
        self.closed += more.closed;
        self.timed_out += more.timed_out;
        self.handshake_refused += more.handshake_refused;
        self.tls += more.tls;
        self.protocol += more.protocol;
        self.local += more.local;
        self.other += more.other;
    }
}

const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_causes() {
        for (errno, cause) in [
            (111, Cause::Refused),
            (104, Cause::Reset),
            (32, Cause::Reset),
            (110, Cause::TimedOut),
            (113, Cause::TimedOut),
            (99, Cause::Local),
            (24, Cause::Local),
            (105, Cause::Local),
            (22, Cause::Other),
        ] {
            assert_eq!(Cause::of(&io::Error::from_raw_os_error(errno)), cause, "{errno}");
        }
    }

    #[test]
    fn every_cause_is_counted_once() {
        let mut failures = Failures::default();
        for cause in [
            Cause::Refused,
            Cause::Reset,
            Cause::Closed,
            Cause::TimedOut,
            Cause::HandshakeRefused,
            Cause::Tls,
            Cause::Protocol,
            Cause::Local,
            Cause::Other,
        ] {
            failures.count(cause);
        }
        assert!(failures.by_cause().iter().all(|(_, count)| *count == 1));
        failures += failures;
        assert_eq!(failures.total(), 18);
        assert!(failures.summary().starts_with("2 refused, 2 reset, "));
        assert_eq!(Failures::default().summary(), "");
    }
}
