//! Owns how many lines of one kind are written: a peer may cause a line again and again, and none of them may fill the log.
//!
//! A kind is a place in our code that logs.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::LogLimit;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

use super::notice;
use crate::Uptime;
use crate::outlet::STDERR;

/// Lets events through as [`log_to_stderr`](super::log_to_stderr) says.
pub(super) struct PerKind;

impl<S: Subscriber> Filter<S> for PerKind {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        if !is_limited(event.metadata()) {
            return true;
        }
        // Bound to a name, so that the lock is not held while the outlet is told.
        let verdict = lock().judge(event);
        match verdict {
            Verdict::Written { notice } => {
                notice.iter().for_each(|line| STDERR.push(line.as_bytes()));
                true
            }
            Verdict::LeftOut { is_first } => {
                if is_first {
                    STDERR.look_at_notices();
                }
                false
            }
        }
    }
}

/// What becomes of a line.
enum Verdict {
    Written {
        /// What is to be said in front of it of those left out before.
        notice: Option<String>,
    },
    LeftOut {
        /// Of its kind, and in this period.
        is_first: bool,
    },
}

/// What is due to be said of lines that were not written, and when to look again.
pub(super) fn notices() -> (Vec<String>, Option<Duration>) {
    lock().notices()
}

/// The kinds that there have been: as many as places in our code that log.
static KINDS: LazyLock<Mutex<Kinds>> =
    LazyLock::new(|| Mutex::new(Kinds { clock: Uptime::start(), kinds: HashMap::new() }));

struct Kinds {
    clock: Uptime,
    kinds: HashMap<Identifier, Kind>,
}

struct Kind {
    limit: LogLimit,
    /// The module of the lines.
    target: &'static str,
    /// One of those left out, as an example.
    example: String,
}

impl Kinds {
    fn judge(&mut self, event: &Event<'_>) -> Verdict {
        let (metadata, now_ms) = (event.metadata(), self.now_ms());
        let kind = self.kinds.entry(metadata.callsite()).or_insert_with(|| Kind {
            limit: LogLimit::new(LINES_MAX, PERIOD_MS),
            target: metadata.target(),
            example: String::new(),
        });
        let is_first = !kind.limit.owes();
        match kind.limit.admit(now_ms) {
            Some(0) => Verdict::Written { notice: None },
            Some(count) => Verdict::Written { notice: Some(kind.notice(count)) },
            None => {
                if is_first {
                    kind.example = message(event);
                }
                Verdict::LeftOut { is_first }
            }
        }
    }

    fn notices(&mut self) -> (Vec<String>, Option<Duration>) {
        let now_ms = self.now_ms();
        let mut lines = Vec::new();
        for kind in self.kinds.values_mut() {
            if let Some(count) = kind.limit.take_left_out(now_ms) {
                lines.push(kind.notice(count));
            }
        }
        let owes = self.kinds.values().any(|kind| kind.limit.owes());
        (lines, owes.then_some(LOOK_PERIOD))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Kind {
    fn notice(&self, count: u64) -> String {
        notice(&format_args!("{}: {count} more lines like this one: {}", self.target, self.example))
    }
}

fn lock() -> MutexGuard<'static, Kinds> {
    // Whatever panicked while it held the lock, the counts are whole.
    KINDS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines that only an operator asks for are not limited, nor are those of programs that use our crates.
fn is_limited(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    *metadata.level() <= Level::INFO && OUR_CRATES.iter().any(|name| target.starts_with(name))
}

/// The words of an event, without its fields.
fn message(event: &Event<'_>) -> String {
    struct Message(String);
    impl Visit for Message {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                self.0 = format!("{value:?}");
            }
        }
    }
    let mut message = Message(String::new());
    event.record(&mut message);
    message.0
}

/// What the targets of our lines begin with.
const OUR_CRATES: [&str; 4] = ["ringway", "gateway_core", "gateway_client", "loadgen"];

/// Lines of one kind in each period; those beyond it are counted. Enough for a cluster that starts to be seen line by line,
/// too few for anybody to fill a disk.
const LINES_MAX: u32 = 50;

/// See [`LINES_MAX`].
const PERIOD_MS: u64 = 10_000;

/// While there is a count to be told.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
