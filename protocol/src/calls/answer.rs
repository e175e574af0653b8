//! What queries return.

use std::net::SocketAddrV4;
use std::ops::Deref;

use super::Name;

/// What the gateways answered, and which of them did not. Reads like its value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer<T> {
    /// From the gateways that answered.
    pub value: T,
    /// Gateways that were asked and did not answer: not connected, too slow, or gone. What they hold is not in `value`.
    pub missing: Vec<SocketAddrV4>,
}

/// What a gateway has of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientDetails {
    /// `None` if it has none.
    pub uid: Option<Name>,
    /// In the order in which it joined them.
    pub groups: Vec<Name>,
    /// The session as it is stored: PHP's serialized array, if nobody has stored anything else.
    pub session: Vec<u8>,
}

impl<T> Answer<T> {
    /// Whether every gateway answered.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The value, of however many gateways.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> Deref for Answer<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
