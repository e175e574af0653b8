//! What a gateway, a worker or another program makes of a register that is of no use, and when it tries again: without IO
//! and without a clock.
//!
//! PHP's register closes without a word when the secret key is not its own, and what is at a wrong address may be anything.
//! So it has to be guessed from what was heard, and said in one line.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

/// Why a connection was of no use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// It was closed, and nothing had been said.
    #[error(
        "it closes the connection without an answer, as a register does when the secret key is not its own: compare the \
         secret keys, see that the address is a register's, and that it has no --inner-tls-ca"
    )]
    ClosedUnanswered,
    /// What was said is nothing that a register says.
    #[error("this is no register, it says {0:?}: is the register's address right?")]
    Foreign(String),
    /// The key is to be proven here, and it does not ask for that: it may be one that would have it said.
    #[error(
        "it does not ask for a proof of the secret key: is it a register, and does it have --inner-auth challenge, as this \
         program has?"
    )]
    Unasked,
    /// The key is to be said here, and it asks for a proof.
    #[error("it wants the secret key to be proven, not said: set --inner-auth challenge here, too")]
    Asks,
    /// Its own proof is none.
    #[error(
        "it does not know the secret key itself: compare the secret keys, and see that the address is the register's"
    )]
    NotProven,
    /// It does not answer.
    #[error("this is no register, it does not answer: is the register's address right?")]
    Mute,
}

impl Trouble {
    /// Of something that is no line of a register.
    pub fn foreign(said: &[u8]) -> Trouble {
        let said = String::from_utf8_lossy(&said[..said.len().min(SAID_SIZE_MAX)]);
        Trouble::Foreign(said.trim_end().to_owned())
    }

    /// Of a connection that was closed before it was of use; `said` is what had come.
    pub fn closed(said: &[u8]) -> Trouble {
        if said.is_empty() { Trouble::ClosedUnanswered } else { Trouble::foreign(said) }
    }

    /// Something else is at the register's address.
    fn is_stranger(&self) -> bool {
        matches!(self, Trouble::Foreign(_) | Trouble::Mute)
    }

    /// The trouble that was made an error, if it is one.
    pub fn of(error: &io::Error) -> Option<&Trouble> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<Trouble> for io::Error {
    fn from(trouble: Trouble) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, trouble)
    }
}

/// How it went with one register, for one connection after the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retry {
    /// Troubles in a row.
    troubles: u32,
}

impl Retry {
    /// A connection was of use.
    pub fn held(&mut self) {
        self.troubles = 0;
    }

    /// A connection ended, or could not be had. How long to wait for the next: `delay`, and longer and longer if it was a
    /// trouble, for that seldom mends itself.
    pub fn failed(&mut self, error: &io::Error, delay: Duration) -> Duration {
        if Trouble::of(error).is_none() {
            return delay;
        }
        self.troubles = (self.troubles + 1).min(TROUBLES_MAX);
        (delay * (1 << self.troubles)).min(DELAY_MAX)
    }
}

/// What the log said last of each register, for all threads of a process that keep a connection to it.
#[derive(Debug, Default)]
pub struct RegisterNews(HashMap<String, LastNews>);

#[derive(Debug, Default)]
struct LastNews(Option<News>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum News {
    Held,
    Lost,
    Unreachable,
    Trouble(Trouble),
}

impl RegisterNews {
    /// A connection to `register` is of use. Whether that is new.
    pub fn held(&mut self, register: &str) -> bool {
        self.of(register).is_new(News::Held)
    }

    /// A connection to `register` ended, or could not be had: `had` if it was of use before. Whether that is new.
    pub fn failed(&mut self, register: &str, error: &io::Error, had: bool) -> bool {
        self.of(register).failed(error, had)
    }

    fn of(&mut self, register: &str) -> &mut LastNews {
        if self.0.len() >= REGISTERS_MAX && !self.0.contains_key(register) {
            self.0.clear();
        }
        self.0.entry(register.to_owned()).or_default()
    }
}

impl LastNews {
    fn failed(&mut self, error: &io::Error, had: bool) -> bool {
        match Trouble::of(error) {
            // What it says may differ each time, and whether it says it in time.
            Some(trouble) if trouble.is_stranger() && self.is_about_stranger() => false,
            Some(trouble) => self.is_new(News::Trouble(trouble.clone())),
            None if had => self.0 == Some(News::Held) && self.is_new(News::Lost),
            None => self.is_new(News::Unreachable),
        }
    }

    fn is_about_stranger(&self) -> bool {
        matches!(&self.0, Some(News::Trouble(trouble)) if trouble.is_stranger())
    }

    fn is_new(&mut self, news: News) -> bool {
        let news = Some(news);
        let is_new = self.0 != news;
        self.0 = news;
        is_new
    }
}

/// How long a register may take to answer a first request, before it is taken for something else.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait between two attempts.
const DELAY_MAX: Duration = Duration::from_secs(10);

/// Troubles that are counted: after that many the wait grows no more, whatever it began with.
const TROUBLES_MAX: u32 = 10;

/// Registers that are remembered, whose names may have ever other addresses. With one more all are forgotten, and the log
/// may say once more what it has said of them.
const REGISTERS_MAX: usize = 256;

/// Bytes of what something else says that are repeated in the log.
const SAID_SIZE_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(500);

    fn lost() -> io::Error {
        io::ErrorKind::ConnectionReset.into()
    }

    #[test]
    fn what_was_heard_tells_what_it_is() {
        assert_eq!(Trouble::closed(b""), Trouble::ClosedUnanswered);
        let http = Trouble::closed(b"HTTP/1.1 400 Bad Request\r\n");
        assert_eq!(
            http.to_string(),
            "this is no register, it says \"HTTP/1.1 400 Bad Request\": is the register's address right?"
        );
        let long = Trouble::foreign(&[b'\x1b'; 1_000]).to_string();
        assert!(long.len() < 400 && !long.contains('\x1b'), "{long}");
        assert!(Trouble::ClosedUnanswered.to_string().contains("secret key"));
        assert_eq!(Trouble::of(&http.clone().into()), Some(&http));
        assert_eq!(Trouble::of(&lost()), None);
    }

    #[test]
    fn troubles_are_tried_less_and_less_often_and_losses_are_not() {
        let mut retry = Retry::default();
        let delays = [(); 6].map(|()| retry.failed(&Trouble::Mute.into(), DELAY).as_secs());
        assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
        assert_eq!(retry.failed(&lost(), DELAY), DELAY);
        for _ in 0..1_000 {
            assert_eq!(retry.failed(&Trouble::Mute.into(), DELAY), DELAY_MAX);
        }
        retry.held();
        assert_eq!(retry.failed(&Trouble::Mute.into(), DELAY), 2 * DELAY);
    }

    #[test]
    fn threads_that_find_the_same_say_it_once() {
        let mut all = RegisterNews::default();
        assert_eq!(["a", "b", "a"].map(|register| all.held(register)), [true, true, false]);
        for number in 0..10_000 {
            all.held(&number.to_string());
        }
        assert!(all.0.len() <= REGISTERS_MAX);
        let mut news = LastNews::default();
        let trouble = || Trouble::ClosedUnanswered.into();
        assert_eq!([news.failed(&trouble(), false), news.failed(&trouble(), false)], [true, false]);
        assert_eq!([(); 2].map(|()| news.is_new(News::Held)), [true, false]);
        assert_eq!([news.failed(&lost(), true), news.failed(&lost(), true)], [true, false]);
        assert_eq!([news.failed(&lost(), false), news.failed(&lost(), false)], [true, false]);
        // One that comes late.
        assert!(!news.failed(&lost(), true));
        let said =
            [&b"SSH-2.0"[..], b"SSH-3.0"].map(|said| news.failed(&Trouble::foreign(said).into(), false));
        assert_eq!(said, [true, false]);
        assert!(!news.failed(&Trouble::Mute.into(), false));
        assert!(news.failed(&trouble(), false));
    }
}
