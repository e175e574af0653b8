//! TLS 1.2 and 1.3 without IO.
//!
//! * [`Session`]: one connection's TLS. Received bytes in, plain bytes and bytes to send out, for either side.
//! * [`Acceptor`]: the server's side of the settings: certificates chosen by the name that a client asks for, loaded from
//!   files and loaded again.
//! * [`Connector`]: the client's side: whom to trust.
//! * [`Mutual`]: both sides' between programs that trust one authority, of which each has a certificate ([`InnerTls`]).
//! * [`Handshakes`]: which of them a thread answers in a turn, and which wait.
//!
//! Cryptography and the protocol are rustls'. Nothing here opens a socket or a thread; files and the clock are read when
//! certificates are loaded, and the clock by rustls for the age of tickets and a server's certificate.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod acceptor;
mod certificate;
mod config;
mod connector;
mod handshakes;
mod mutual;
mod session;

pub use acceptor::Acceptor;
pub use certificate::{CertificateError, KeyPair};
pub use config::{EXPIRY_NOTICE_DAYS, HANDSHAKES_PER_TURN, REST_SIZE_MAX, SEALED_OVERHEAD_MAX};
pub use connector::{Connector, NameError};
pub use handshakes::Handshakes;
pub use mutual::{InnerTls, Mutual, unnamed};
pub use session::{Failure, Session, is_client_hello};
