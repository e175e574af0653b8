//! Owns the signals of a program: those that end it, the one that lets it look at its files again, and those that it
//! ignores.
//!
//! The first SIGINT or SIGTERM asks the program to end; a second one ends the process at once. SIGQUIT is left to the
//! system: it ends the process at once, with a core file where that is allowed. All others that somebody may send do no
//! harm: SIGHUP where something is to be reloaded does that, and else is said to be ignored, as are the rest of
//! [`IGNORED`]; SIGPIPE and SIGXFSZ are ignored without a word, for a line about them may be what causes the next.
//!
//! A thread of its own takes the signals. No runtime is involved: the thread that called [`Shutdown::wait`] sleeps until
//! then and tells the others in its own way.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{
    SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXFSZ,
};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;
use tracing::{info, warn};

use crate::notify::{Phase, notify, notify_around};
use crate::panics::spawn_vital;

/// Why a program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: an init system, or `kill`.
    Terminate,
}

impl Signal {
    const ALL: [Self; 2] = [Self::Interrupt, Self::Terminate];

    const fn number(self) -> i32 {
        match self {
            Self::Interrupt => SIGINT,
            Self::Terminate => SIGTERM,
        }
    }

    /// What a shell reports for a process that this signal killed.
    const fn exit_code(self) -> i32 {
        128 + self.number()
    }
}

/// Waits for SIGINT or SIGTERM.
#[derive(Debug)]
pub struct Shutdown {
    requests: Receiver<Request>,
    requested: Arc<AtomicBool>,
    reloads: Arc<AtomicBool>,
    no_reload: Arc<OnceLock<&'static str>>,
}

/// What the signals' thread passes on.
#[derive(Debug)]
enum Request {
    End(Signal),
    Reload,
}

impl Shutdown {
    /// Takes over the signals from here on. Call it once, before threads start.
    ///
    /// # Errors
    /// The system refuses the handlers, or the thread.
    pub fn listen() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in Signal::ALL {
            // In this order: the handler that ends the process sees the flag as the signal before left it.
            flag::register_conditional_shutdown(signal.number(), signal.exit_code(), Arc::clone(&requested))?;
        }
        Self::listen_with(requested)
    }

    /// The same for a process whose master tells it to end: signals after the first change nothing, since it may get
    /// the terminal's or the init system's beside its master's.
    ///
    /// # Errors
    /// As [`Shutdown::listen`].
    pub fn listen_patiently() -> io::Result<Self> {
        Self::listen_with(Arc::default())
    }

    fn listen_with(requested: Arc<AtomicBool>) -> io::Result<Self> {
        // Behind what a second signal does: the flags are set in the order in which they are registered.
        for signal in Signal::ALL {
            flag::register(signal.number(), Arc::clone(&requested))?;
        }
        let (sender, requests) = channel();
        let reloads = Arc::new(AtomicBool::new(false));
        let hears_of_reloads = Arc::clone(&reloads);
        let no_reload = Arc::new(OnceLock::new());
        let explanation = Arc::clone(&no_reload);
        take(&Signal::ALL.map(Signal::number), move |number| match explanation.get() {
            Some(why) if number == SIGUSR1 => warn!("no reload: {why}"),
            _ => pass_on(number, &sender, &hears_of_reloads),
        })?;
        Ok(Self { requests, requested, reloads, no_reload })
    }

    /// SIGUSR1, by which a worker is reloaded, is from here on answered with a line that says why it is not. Once.
    pub fn explain_reload(&self, why: &'static str) {
        self.no_reload.set(why).expect("there is one reason");
    }

    /// SIGHUP reloads from here on: see [`Shutdown::wait_and_reload`].
    pub fn take_hangups(&self) {
        self.reloads.store(true, Ordering::Relaxed);
    }

    /// Sleeps until the first signal. Returns at once if it has come already.
    pub fn wait(&mut self) -> Signal {
        self.wait_and_reload(|| ())
    }

    /// As [`Shutdown::wait`]; until then each SIGHUP calls `reload`, if hangups are taken. Several that come while it runs
    /// are one. A service manager is told of the reloads and of the end.
    pub fn wait_and_reload(&mut self, mut reload: impl FnMut()) -> Signal {
        loop {
            let first = self.requests.recv().expect("the thread of the signals lives as long as the process");
            let end =
                std::iter::once(first).chain(self.requests.try_iter()).find_map(|request| match request {
                    Request::End(signal) => Some(signal),
                    Request::Reload => None,
                });
            match end {
                Some(signal) => {
                    notify(Phase::Stopping);
                    return signal;
                }
                None => notify_around(&mut reload),
            }
        }
    }

    /// Whether a signal has come, for a control thread that has other things to do than to wait.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

fn pass_on(number: i32, tell: &Sender<Request>, reloads: &AtomicBool) {
    let request = match Signal::ALL.into_iter().find(|signal| signal.number() == number) {
        Some(signal) => Request::End(signal),
        None if number == SIGHUP && reloads.load(Ordering::Relaxed) => Request::Reload,
        None => return tell_ignored(number),
    };
    // Who asked for it may be past waiting.
    let _ = tell.send(request);
}

/// Takes over the signals that are ignored, but for those in `own`, for a process that has a use for these.
///
/// # Errors
/// The system refuses the handlers, or the thread.
pub fn ignore_other_signals(own: &[i32]) -> io::Result<()> {
    let own = own.to_vec();
    take(&[], move |number| {
        if !own.contains(&number) {
            tell_ignored(number);
        }
    })
}

/// Has a thread of its own call `on_signal` for each that comes of `numbers` and [`IGNORED`].
fn take(numbers: &[i32], on_signal: impl Fn(i32) + Send + 'static) -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::default())?;
    let mut signals = Signals::new(numbers.iter().chain(&IGNORED))?;
    spawn_vital("signals", move || signals.forever().for_each(on_signal)).map(drop)
}

fn tell_ignored(number: i32) {
    let name = signal_name(number).unwrap_or("a signal");
    let why = if number == SIGHUP { "there is nothing to reload" } else { "it means nothing here" };
    info!("{name} ignored: {why}");
}

/// Signals that would end a process that does not take them, and that mean nothing to most of our programs. (Rust ignores
/// SIGPIPE by itself.)
const IGNORED: [i32; 7] = [SIGHUP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO];

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since handlers are the process': a second SIGTERM would end it.
    #[test]
    fn hangups_reload_and_the_first_signal_wakes_the_waiter() {
        let mut shutdown = Shutdown::listen().unwrap();
        shutdown.take_hangups();
        assert!(!shutdown.requested());
        for ignored in [SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXFSZ] {
            signal_hook::low_level::raise(ignored).unwrap();
        }
        signal_hook::low_level::raise(SIGHUP).unwrap();
        let mut reloads = 0;
        let ended = shutdown.wait_and_reload(|| {
            reloads += 1;
            signal_hook::low_level::raise(SIGTERM).unwrap();
        });
        assert_eq!((ended, reloads), (Signal::Terminate, 1));
        assert!(shutdown.requested());
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(Signal::ALL.map(Signal::exit_code), [130, 143]);
    }
}
