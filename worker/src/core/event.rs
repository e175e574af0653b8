//! What happened to a client, as it waits for its handler.

use bytes::Bytes;
use protocol::client::Kind;
use protocol::inner::{FLAG_BINARY, FLAG_TEXT, Frame, WebsocketRequest};
use protocol::php::DecodeError;

use crate::{Client, Message};

/// What happened to a client.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) client: Client,
    pub(crate) what: What,
    /// What it holds while it waits, in bytes: itself, session and body.
    pub(super) size: usize,
}

#[derive(Debug)]
pub(crate) enum What {
    Connect,
    WebsocketConnect(Box<WebsocketRequest>),
    Message(Message),
    Close,
}

impl What {
    /// What its handler is called.
    pub(crate) fn handler(&self) -> &'static str {
        match self {
            What::Connect => "on_connect",
            What::WebsocketConnect(_) => "on_websocket_connect",
            What::Message(_) => "on_message",
            What::Close => "on_close",
        }
    }
}

impl Event {
    pub(super) fn connect(frame: &Frame<'_>) -> Event {
        Event::new(frame, What::Connect)
    }

    pub(super) fn websocket_connect(frame: &Frame<'_>) -> Result<Event, DecodeError> {
        let request = Box::new(WebsocketRequest::decode(frame.body)?);
        Ok(Event::new(frame, What::WebsocketConnect(request)))
    }

    pub(super) fn message(frame: &Frame<'_>) -> Event {
        let kind = match frame.flag & (FLAG_TEXT | FLAG_BINARY) {
            FLAG_TEXT => Kind::Text,
            FLAG_BINARY => Kind::Binary,
            _ => Kind::Unspecified,
        };
        // Copied: a body that shared the read buffer would keep all of it for as long as a handler keeps the body.
        let message = Message::new(Bytes::copy_from_slice(frame.body), kind);
        Event::new(frame, What::Message(message))
    }

    pub(super) fn close(frame: &Frame<'_>) -> Event {
        Event::new(frame, What::Close)
    }

    fn new(frame: &Frame<'_>, what: What) -> Event {
        Event {
            client: Client::new(frame),
            what,
            size: size_of::<Event>() + frame.ext.len() + frame.body.len(),
        }
    }
}
