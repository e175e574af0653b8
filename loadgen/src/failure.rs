//! Why connections failed or were lost: causes, and counts of them.

use std::io;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Declares [`Cause`] and [`Failures`] from one table: cause, its count's name, its words in reports.
macro_rules! causes {
    ($($(#[$about:meta])* $cause:ident $count:ident $words:literal,)+) => {
        /// Why a connection could not be made or did not last.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Cause {
            $($(#[$about])* $cause,)+
        }

        /// How many connections ended for each cause.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Failures {
            $($(#[$about])* pub $count: u64,)+
        }

        impl Failures {
            /// Counts one more.
            pub fn count(&mut self, cause: Cause) {
                match cause {
                    $(Cause::$cause => self.$count += 1,)+
                }
            }

            /// Every cause in words, with its count.
            fn by_cause(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($words, self.$count)),+].into_iter()
            }
        }

        impl AddAssign for Failures {
            fn add_assign(&mut self, more: Failures) {
                $(self.$count += more.$count;)+
            }
        }
    };
}

causes! {
    /// Nobody listens there.
    Refused refused "refused",
    /// The server reset it.
    Reset reset "reset",
    /// The server ended it.
    Closed closed "closed by server",
    /// No answer to the connect or the handshake in time, or lost in the network.
    TimedOut timed_out "timed out",
    /// An HTTP status other than 101.
    HandshakeRefused handshake_refused "handshake refused",
    /// TLS failed: a certificate that is not trusted, nothing in common, or no TLS at all.
    Tls tls "TLS failed",
    /// The server broke the protocol.
    Protocol protocol "protocol violated",
    /// This side has no free port, file or memory for it.
    Local local "no local port, file or memory",
    /// Anything else.
    Other other "other",
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

impl Failures {
    /// Of all causes.
    pub fn total(&self) -> u64 {
        self.by_cause().map(|(_, count)| count).sum()
    }

    /// The causes that happened, in one line; empty if none did.
    pub fn summary(&self) -> String {
        let happened = self.by_cause().filter(|(_, count)| *count > 0);
        happened.map(|(cause, count)| format!("{count} {cause}")).collect::<Vec<_>>().join(", ")
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
        assert!(failures.by_cause().all(|(_, count)| count == 1));
        failures += failures;
        assert_eq!(failures.total(), 18);
        assert!(failures.summary().starts_with("2 refused, 2 reset, "));
        assert_eq!(Failures::default().summary(), "");
    }
}
