//! Commands: queued for the gateways, without an answer (WIRE.md §5).

use protocol::ClientId;
use protocol::calls::command::{self, Command, To};
use protocol::inner::HandshakeAnswer;
use protocol::php::Array;
use tracing::debug;

use super::Gateway;
use crate::{Body, CloseReason, Name};

macro_rules! methods {
    (
        messages { $($(#[$about:meta])* fn $message:ident $(<$of:lifetime>)? ($($name:ident: $kind:ty),*);)* }
        commands { $($(#[$doc:meta])* fn $command:ident $(<$life:lifetime>)? ($($arg:ident: $type:ty),*);)* }
        queries { $($query:tt)* }
    ) => {
        /// Messages.
        impl Gateway {
            $($(#[$about])* pub fn $message $(<$of>)? (&self, $($name: $kind),*) {
                self.send(&command::$message($($name),*));
            })*
        }

        /// Other commands.
        impl Gateway {
            $($(#[$doc])* pub fn $command $(<$life>)? (&self, $($arg: $type),*) {
                self.send(&command::$command($($arg),*));
            })*
        }
    };
}

protocol::with_calls!(methods);

impl Gateway {
    /// Replaces a client's session, serialized already.
    pub(crate) fn store_session(&self, client: ClientId, session: &[u8]) {
        self.send(&command::store_session(client, session.to_vec()));
    }

    /// Answers a client's handshake.
    pub(crate) fn answer_handshake(&self, client: ClientId, answer: &HandshakeAnswer) {
        self.send(&command::answer_handshake(client, answer));
    }

    fn send(&self, command: &Command<'_>) {
        self.count_refused(command);
        let mut core = self.shared.core.borrow_mut();
        match command.to() {
            To::One(gateway) => {
                core.command(gateway, &command.frame(), command.kind());
            }
            To::All => core.broadcast(&command.frame(), command.kind()),
            To::Each(_) => {
                for (gateway, frame) in command.frames(&core.commanded_gateways()) {
                    core.command(gateway, &frame, command.kind());
                }
            }
        }
    }
    /// Names that are none.
    pub(super) fn count_refused(&self, command: &Command<'_>) {
        if command.names_refused() > 0 {
            self.shared.core.borrow_mut().counters.names_refused += command.names_refused();
            debug!("name ignored: neither \"\" nor \"0\" names a uid or a group");
        }
    }
}
