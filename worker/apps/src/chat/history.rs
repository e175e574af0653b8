//! What was said in rooms: how a chat keeps it and shows it to newcomers.

use ringway_worker::{ClientId, Gateway};

/// Keeps what is said in rooms for those who come later.
///
/// Calls may wait, as for a database: that holds up the one client they are made for. They are made on every core, so what is
/// behind a history is shared by cores, and by workers.
pub trait History: 'static {
    /// Whether anything is kept at all. Pages are told.
    const KEEPS: bool = true;

    /// Called on each core before its first event.
    fn start(&self, gateway: &Gateway) -> impl Future<Output = ()> {
        let _ = gateway;
        std::future::ready(())
    }

    /// Keeps a line, before it is shown to the room. Returns its number: the later line of a room has the greater one.
    /// `None`: it could not be kept, and is shown all the same.
    fn keep(&self, gateway: &Gateway, line: NewLine<'_>) -> impl Future<Output = Option<u64>>;

    /// The latest lines of a room, in order, as many as a newcomer is to see. `None`: they cannot be had now.
    fn latest(&self, gateway: &Gateway, room: &str) -> impl Future<Output = Option<Vec<Line>>>;
}

/// A line that somebody says now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewLine<'a> {
    /// At most 32 characters.
    pub room: &'a str,
    /// Who says it.
    pub from: ClientId,
    /// That client's name at the time, at most 32 characters.
    pub name: &'a str,
    /// At most 2,000 characters.
    pub text: &'a str,
}

/// A line that was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What [`History::keep`] returned for it.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Who said it. It may be gone.
    pub from: ClientId,
    /// That client's name at the time.
    pub name: String,
    /// What was said.
    pub text: String,
}

/// Keeps nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Forgetful;

impl History for Forgetful {
    const KEEPS: bool = false;

    async fn keep(&self, _gateway: &Gateway, _line: NewLine<'_>) -> Option<u64> {
        None
    }

    async fn latest(&self, _gateway: &Gateway, _room: &str) -> Option<Vec<Line>> {
        None
    }
}
