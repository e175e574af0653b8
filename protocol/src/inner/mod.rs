//! The inner protocol between workers and gateways (WIRE.md §3 to §5).

mod ask;
mod challenge;
mod client_address;
mod close_reason;
mod cmd;
pub mod drain;
pub mod ext;
mod frame;
mod handshake_answer;
mod hello;
mod parse_str;
mod receipt;
mod repeat;
pub mod reply;
mod websocket_request;
mod window;

pub use ask::{
    ANSWER_SLICE_SIZE, AskId, MessageReport, QUESTIONS_UNANSWERED_MAX, QUESTIONS_UNANSWERED_SIZE_MAX,
};
pub use challenge::{
    Acceptor, Answer, Dialler, NONCE_SIZE, Nonce, NotProven, PROOF_SIZE, Proof, Scope, Step,
};
pub use client_address::ClientAddress;
pub use close_reason::{CloseReason, CloseReasonError};
pub use cmd::Cmd;
pub use frame::{
    FLAG_ANSWER_WANTED, FLAG_BINARY, FLAG_MORE, FLAG_RAW, FLAG_RECEIPT_WANTED, FLAG_REPORT_WANTED,
    FLAG_SCALAR, FLAG_TEXT, FRAME_SIZE_MAX, FRAME_SIZE_MAX_RINGWAY, Frame, FrameError, HEADER_SIZE, decode,
};
pub use handshake_answer::HandshakeAnswer;
pub use hello::{Hello, Origin, Refused, Run};
pub use receipt::Receipt;
pub use repeat::{EventId, Repeat};
pub use websocket_request::WebsocketRequest;
pub use window::{EventRange, UNSAFE_WINDOWS_MAX, Window};
