//! The client an event is about, with its session.

use std::cell::RefCell;
use std::net::SocketAddr;

use bytes::Bytes;
use protocol::ClientId;
use protocol::inner::{EventId, Frame};
use protocol::php::{self, Array, ConvertError, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::Delivery;
use crate::runtime::Hold;

/// The client an event is about. It lives for that event only: keep its [`ClientId`], not this.
///
/// Its session is the one that the event brought, or a newer one when this core has written to it since. What a handler
/// makes of it is stored when the handler has ended. [`Gateway::set_session`](crate::Gateway::set_session) and
/// [`update_session`](crate::Gateway::update_session) change what is stored at once and are not seen here before the
/// client's next event: for the client of the event use the methods below, not both.
#[derive(Debug)]
pub struct Client {
    id: ClientId,
    address: SocketAddr,
    gateway_port: u16,
    delivery: Delivery,
    session: RefCell<Session>,
}

/// The session as it came, and what the handler made of it.
#[derive(Debug)]
struct Session {
    /// Serialized, as the gateway holds it; empty when there is none (WIRE.md §4).
    stored: Bytes,
    /// Set once it was asked for or written.
    array: Option<Array>,
    changed: bool,
}

impl Client {
    pub(crate) fn new(frame: &Frame<'_>, address: SocketAddr, delivery: Delivery) -> Client {
        Client {
            id: ClientId { gateway: frame.gateway, connection_id: frame.connection_id },
            address,
            gateway_port: frame.gateway_port,
            delivery,
            session: RefCell::new(Session {
                stored: Bytes::copy_from_slice(frame.ext),
                array: None,
                changed: false,
            }),
        }
    }

    /// The name by which commands and queries reach it, from every worker.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Where it connects from, as the gateway knows it by now; behind proxies, what those say (`--trusted-proxies` of the gateway):
    /// of a websocket perhaps from `on_websocket_connect` on only, and without a port, which is 0 then. A gateway of PHP's says
    /// `0.0.0.0:0` of clients that come by IPv6.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port it connected to: tells the listeners of a gateway apart.
    pub fn gateway_port(&self) -> u16 {
        self.gateway_port
    }

    /// What the event is called: the same each time that it is given to a handler, and different from all others. Gateways of
    /// PHP's have no name for events, nor has one in the worker's own process: theirs are different each time.
    pub fn event_id(&self) -> EventId {
        self.delivery.id
    }

    /// Whether a handler may have begun with this event before, here or in another worker that has died, frozen or was cut off
    /// since. What that one did is done, up to any point; it did not end, or its gateway has not heard of it.
    pub fn is_repeat(&self) -> bool {
        self.delivery.is_repeat
    }

    /// Keeps the event from being done when its handler ends, for as long as the [`Hold`] lives: for work that is spawned, or a
    /// timer. Until then the gateway keeps the event, and gives it to another worker if this one dies. The client's next event
    /// does not wait for it, but no more than 16 of one client are in hand at once, and one with more than 8 held may not be
    /// read. Only gateways of ours in other processes keep events. What spawned work says is heard in any case, also when the link of
    /// the event was lost meanwhile and another worker has it: it may say the same.
    pub fn hold(&self) -> Hold {
        Hold::new(self.delivery.ticket)
    }

    pub(crate) fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// A copy of its session; empty when there is none, or when what is stored is not an array.
    pub fn session(&self) -> Array {
        self.with_session(|array| array.clone())
    }

    /// Looks at its session without a copy. `look` must not use this client's session itself.
    pub fn with_session<T>(&self, look: impl FnOnce(&Array) -> T) -> T {
        look(self.session.borrow_mut().array())
    }

    /// Replaces its session. The gateway gets it when the handler has ended, unless it is what was stored already.
    pub fn set_session(&self, array: Array) {
        let mut session = self.session.borrow_mut();
        session.array = Some(array);
        session.changed = true;
    }

    /// Changes its session in place; kept as by [`Client::set_session`]. `edit` must not use this client's session itself.
    pub fn edit_session(&self, edit: impl FnOnce(&mut Array)) {
        let mut session = self.session.borrow_mut();
        edit(session.array());
        session.changed = true;
    }

    /// Its session as the type `T`, from the elements that `T` has fields for; see [`php`] for what is read as what.
    ///
    /// Of a client without a session it is made from an empty array, so fields want `#[serde(default)]`.
    ///
    /// # Errors
    /// The session does not fit `T`; the error says where.
    pub fn session_as<T: DeserializeOwned>(&self) -> Result<T, ConvertError> {
        self.with_session(|array| php::from_array(array))
    }

    /// Replaces its session by `typed`, a struct or map; kept as by [`Client::set_session`].
    ///
    /// # Errors
    /// `typed` is no struct or map, or is nested too deep; the session stays as it was.
    pub fn set_session_as<T: Serialize + ?Sized>(&self, typed: &T) -> Result<(), ConvertError> {
        let mut array = Array::new();
        php::assign(&mut array, typed)?;
        self.set_session(array);
        Ok(())
    }

    /// Sets the elements of its session that `typed` has, and leaves what other programs keep there as it is.
    ///
    /// # Errors
    /// As [`Client::set_session_as`].
    pub fn assign_session<T: Serialize + ?Sized>(&self, typed: &T) -> Result<(), ConvertError> {
        let mut session = self.session.borrow_mut();
        php::assign(session.array(), typed)?;
        session.changed = true;
        Ok(())
    }

    /// Looks at the session as it is stored, serialized.
    pub(crate) fn with_stored_session<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.session.borrow().stored)
    }

    /// Takes what the gateway says in place of what the event brought.
    pub(crate) fn refresh_session(&self, stored: Bytes) {
        *self.session.borrow_mut() = Session { stored, array: None, changed: false };
    }

    /// The session to store, serialized, if the handler changed it.
    pub(crate) fn changed_session(&self) -> Option<Vec<u8>> {
        let mut session = self.session.borrow_mut();
        if !session.changed {
            return None;
        }
        session.changed = false;
        let mut encoded = Vec::new();
        php::encode(&Value::Array(std::mem::take(session.array())), &mut encoded);
        (encoded != session.stored).then_some(encoded)
    }
}

impl Session {
    fn array(&mut self) -> &mut Array {
        self.array.get_or_insert_with(|| decode_array(&self.stored))
    }
}

/// The array in serialized bytes; empty when there is none in them.
pub(crate) fn decode_array(stored: &[u8]) -> Array {
    if stored.is_empty() {
        return Array::default();
    }
    match php::decode(stored) {
        Ok(Value::Array(array)) => array,
        _ => Array::default(),
    }
}
