//! What may be found.

/// What a message may suffer, or a client.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Finding {
    /// The client wanted to say it, and not even the kernel has taken it for the gateway.
    NotAccepted,
    /// Accepted, and no handler began.
    NotBegun,
    /// A handler began, and none ended.
    NotEnded,
    /// A handler ended, and the client heard nothing.
    NotAnswered,
    /// The other client that was to hear of it heard nothing.
    ForeignMissing,
    /// The session has forgotten a count.
    SessionLost,
    /// A handler began again and was told so.
    MarkedTwice,
    /// Handlers of two workers began, and none was told.
    UnmarkedTwice,
    /// Handlers of one worker began twice, and none was told.
    UnmarkedTwiceInOne,
    /// More answers than handlers that began.
    AnsweredTwice,
    /// The other client heard it more often than handlers began.
    ForeignTwice,
    /// The event has had two names.
    OtherName,
    /// First deliveries to two workers came in another order than the client's.
    FirstDisordered,
    /// First deliveries to one worker came in another order than the client's.
    FirstDisorderedInOne,
    /// A message came again, and newer ones that had come before did not come again behind it.
    ReplayDisordered,
    /// Heard only after 30 s.
    Late,
    /// A client's connection ended.
    Disconnected,
}

impl Finding {
    /// All of them.
    pub const ALL: [Finding; 17] = [
        Finding::NotAccepted,
        Finding::NotBegun,
        Finding::NotEnded,
        Finding::NotAnswered,
        Finding::ForeignMissing,
        Finding::SessionLost,
        Finding::MarkedTwice,
        Finding::UnmarkedTwice,
        Finding::UnmarkedTwiceInOne,
        Finding::AnsweredTwice,
        Finding::ForeignTwice,
        Finding::OtherName,
        Finding::FirstDisordered,
        Finding::FirstDisorderedInOne,
        Finding::ReplayDisordered,
        Finding::Late,
        Finding::Disconnected,
    ];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Finding::NotAccepted => "never accepted",
            Finding::NotBegun => "accepted, no handler began",
            Finding::NotEnded => "began, did not end",
            Finding::NotAnswered => "ended, no answer",
            Finding::ForeignMissing => "foreign message missing",
            Finding::SessionLost => "session forgot a count",
            Finding::MarkedTwice => "twice, marked",
            Finding::UnmarkedTwice => "twice, unmarked",
            Finding::UnmarkedTwiceInOne => "twice, unmarked, in one worker",
            Finding::AnsweredTwice => "answered twice, begun once",
            Finding::ForeignTwice => "foreign message twice, begun once",
            Finding::OtherName => "two event ids",
            Finding::FirstDisordered => "first deliveries out of order",
            Finding::FirstDisorderedInOne => "first deliveries out of order, in one worker",
            Finding::ReplayDisordered => "out of order by a replay",
            Finding::Late => "later than 30 s",
            Finding::Disconnected => "clients disconnected",
        }
    }
}
