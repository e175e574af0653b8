//! Owns the signals that end a program, and the one that lets it look at its files again.
//!
//! The first SIGINT or SIGTERM asks the program to end; a second one ends the process at once. No runtime is involved:
//! the thread that called [`Shutdown::wait`] sleeps until then and tells the others in its own way.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;

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
    signals: Signals,
    requested: Arc<AtomicBool>,
}

impl Shutdown {
    /// Takes over SIGINT and SIGTERM from here on. Call it once, before threads start.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in Signal::ALL {
            // In this order: the handler that ends the process sees the flag as the signal before left it.
            flag::register_conditional_shutdown(signal.number(), signal.exit_code(), Arc::clone(&requested))?;
            flag::register(signal.number(), Arc::clone(&requested))?;
        }
        Self::listen_with(requested)
    }

    /// The same for a process whose master tells it to end: signals after the first change nothing, since it may get
    /// the terminal's or the init system's beside its master's.
    ///
    /// # Errors
    /// The system refuses the handlers.
    pub fn listen_patiently() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        for signal in Signal::ALL {
            flag::register(signal.number(), Arc::clone(&requested))?;
        }
        Self::listen_with(requested)
    }

    fn listen_with(requested: Arc<AtomicBool>) -> io::Result<Self> {
        let signals = Signals::new(Signal::ALL.map(Signal::number))?;
        Ok(Self { signals, requested })
    }

    /// Takes over SIGHUP, too, which ends a program that does not: see [`Shutdown::wait_and_reload`].
    ///
    /// # Errors
    /// The system refuses the handler.
    pub fn take_hangups(&self) -> io::Result<()> {
        self.signals.handle().add_signal(SIGHUP)
    }

    /// Sleeps until the first signal. Returns at once if it has come already.
    pub fn wait(&mut self) -> Signal {
        self.wait_and_reload(|| ())
    }

    /// As [`Shutdown::wait`]; until then each SIGHUP calls `reload`, if hangups are taken. Several that come while it runs
    /// are one.
    pub fn wait_and_reload(&mut self, mut reload: impl FnMut()) -> Signal {
        loop {
            for number in self.signals.wait() {
                if number == SIGHUP {
                    reload();
                }
                if let Some(signal) = Signal::ALL.into_iter().find(|signal| signal.number() == number) {
                    return signal;
                }
            }
        }
    }

    /// Whether a signal has come, for a control thread that has other things to do than to wait.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, since handlers are the process': a second SIGTERM would end it.
    #[test]
    fn hangups_reload_and_the_first_signal_wakes_the_waiter() {
        let mut shutdown = Shutdown::listen().unwrap();
        shutdown.take_hangups().unwrap();
        assert!(!shutdown.requested());
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
