//! Owns what a panic does: a thread that the process cannot do without takes the process with it, at once and with one
//! line; what is caught costs what it was about; any other is logged.
//!
//! Threads say themselves that they are vital ([`mark_vital`], [`spawn_vital`]), and code that is not ours runs in
//! [`catch`]. Without [`watch_panics`], in a program that only uses our libraries, panics do what that program wants: then
//! the thread ends, and its owner knows by its channels.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use tracing::error;

use crate::process::exit_saying;

/// The exit code of a process that a panic has ended: EX_SOFTWARE.
pub const PANIC_EXIT_CODE: u8 = 70;

/// This process is a program of ours.
static IS_OURS: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// The process cannot do without this thread.
    static IS_VITAL: Cell<bool> = const { Cell::new(false) };
    /// How many calls of [`catch`] are under way.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    /// Where the panic happened that is on its way to [`catch`].
    static PLACE: Cell<Option<String>> = const { Cell::new(None) };
}

/// What somebody's code panicked with, and where, if that is known.
pub struct Panic {
    payload: Box<dyn Any + Send>,
    place: Option<String>,
}

/// Runs code that may panic without harm to others. What it shares with others is left as it was at that moment.
///
/// # Errors
/// It has panicked.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, Panic> {
    CATCHING.set(CATCHING.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(CATCHING.get() - 1);
    done.map_err(|payload| Panic { payload, place: PLACE.take() })
}

/// From here on the process ends when this thread panics, if it is a program of ours.
pub fn mark_vital() {
    IS_VITAL.set(true);
}

/// Starts a thread that the process cannot do without.
///
/// # Errors
/// The system gives no thread.
pub fn spawn_vital<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        mark_vital();
        work()
    })
}

/// Ends a vital thread that cannot go on, and the process as a panic would, in one line that names the thread. In a
/// program that is not ours this is a panic.
pub fn give_up(why: impl fmt::Display) -> ! {
    if !IS_OURS.load(Ordering::Relaxed) {
        panic!("{why}");
    }
    let thread = thread::current();
    end_process(&format!("thread {}: {why}", thread.name().unwrap_or(NAMELESS)))
}

/// Ends the process with a line about the first thread that has to. Others that fail meanwhile, of the same cause as a
/// rule, wait for that end.
fn end_process(why: &str) -> ! {
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    if IS_ENDING.swap(true, Ordering::Relaxed) {
        loop {
            thread::park();
        }
    }
    exit_saying(why, PANIC_EXIT_CODE)
}

/// Makes panics of this process do what this module says. The calling thread is the main one, and vital.
pub(crate) fn watch_panics() {
    mark_vital();
    IS_OURS.store(true, Ordering::Relaxed);
    set_hook(Box::new(on_panic));
}

fn on_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let panics_again = PLACE.take().is_some();
    let is_caught = CATCHING.get() > 0 && !panics_again && !cfg!(panic = "abort");
    let (thread, what) = (thread::current(), text(info.payload()));
    let thread = thread.name().unwrap_or(NAMELESS);
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        error!("backtrace of a panic at {place}:\n{backtrace}");
    }
    if is_caught {
        PLACE.set(Some(place));
    } else if IS_VITAL.get() || CATCHING.get() > 0 || cfg!(panic = "abort") {
        end_process(&format!("thread {thread} panicked, this ends the process: {what} (at {place})"));
    } else {
        error!(thread, "panicked: {what} (at {place})");
    }
}

fn text(payload: &dyn Any) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a text",
    }
}

/// The text of the panic, and where it was.
impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(text(self.payload.as_ref()))?;
        match &self.place {
            Some(place) => write!(f, " (at {place})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Panic({self})")
    }
}

/// What a thread without a name is called.
const NAMELESS: &str = "without a name";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_panics_within_is_told_and_what_does_not_gives_its_value() {
        assert_eq!(catch(|| 5).unwrap(), 5);
        assert_eq!(catch(|| -> () { panic!("fixed") }).unwrap_err().to_string(), "fixed");
        let number = 5;
        assert_eq!(catch(|| -> () { panic!("number {number}") }).unwrap_err().to_string(), "number 5");
        let other = catch(|| -> () { std::panic::panic_any(5) });
        assert_eq!(other.unwrap_err().to_string(), "without a text");
        let nested = catch(|| catch(|| -> () { panic!("inner") }).unwrap_err().to_string());
        assert_eq!(nested.unwrap(), "inner");
    }
}
