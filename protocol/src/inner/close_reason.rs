//! What KICK's ext_data says to a gateway of ours: with which close frame a websocket client is closed (WIRE.md §14).

use std::borrow::Cow;

use crate::client::websocket::{NORMAL, REASON_SIZE_MAX, is_close_code};

/// Why a client is closed: a code and a few words, which a websocket client gets in the close frame. Other clients get
/// neither, and nor do those of PHP gateways and of Ringway's before this was there.
///
/// ```
/// use ringway_protocol::inner::CloseReason;
///
/// let reason = CloseReason::new(4003, "logged in elsewhere").unwrap();
/// assert_eq!((reason.code(), reason.text()), (4003, "logged in elsewhere"));
/// assert!(CloseReason::new(1006, "").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CloseReason<'a> {
    code: u16,
    text: Cow<'a, str>,
}

/// Why a [`CloseReason`] cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CloseReasonError {
    /// No close frame may say this code.
    #[error("close code {0}: not one of 1000 to 1003, 1007 to 1014, 3000 to 4999")]
    Code(u16),
    /// So many bytes do not fit into a close frame.
    #[error("a reason of {0} bytes: more than 123")]
    TooLong(usize),
}

impl<'a> CloseReason<'a> {
    /// A code as in RFC 6455 §7.4 (4000 to 4999 are for applications) and at most 123 bytes of text, which may be empty.
    pub fn new(code: u16, text: impl Into<Cow<'a, str>>) -> Result<CloseReason<'a>, CloseReasonError> {
        let text = text.into();
        if !is_close_code(code) {
            return Err(CloseReasonError::Code(code));
        }
        if text.len() > REASON_SIZE_MAX {
            return Err(CloseReasonError::TooLong(text.len()));
        }
        Ok(CloseReason { code, text })
    }

    /// The close code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// What is said beside it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// As ext_data: the code, then the text.
    pub fn encode(&self) -> Vec<u8> {
        [&self.code.to_be_bytes(), self.text.as_bytes()].concat()
    }

    /// What ext_data says. Empty, and all that no close frame may say, is the plain end: 1000 and no text.
    pub fn decode(ext: &'a [u8]) -> CloseReason<'a> {
        let reason = ext.split_first_chunk().and_then(|(code, text)| {
            CloseReason::new(u16::from_be_bytes(*code), std::str::from_utf8(text).ok()?).ok()
        });
        reason.unwrap_or(CloseReason { code: NORMAL, text: Cow::Borrowed("") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(123);
        for (code, text) in [(1000, ""), (1014, "é"), (3000, "why"), (4999, &long)] {
            let reason = CloseReason::new(code, text).unwrap();
            assert_eq!(CloseReason::decode(&reason.encode()), reason);
        }
        assert_eq!(CloseReason::new(4001, "bye").unwrap().encode(), b"\x0f\xa1bye");
    }

    #[test]
    fn what_no_close_frame_may_say_cannot_be_made_and_is_not_believed() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(CloseReason::new(code, ""), Err(CloseReasonError::Code(code)));
            assert_eq!(CloseReason::decode(&code.to_be_bytes()).code(), 1000);
        }
        assert_eq!(CloseReason::new(4000, "x".repeat(124)), Err(CloseReasonError::TooLong(124)));
        for ext in [&b""[..], b"\x0f", b"\x0f\xa1\xff", &[b"\x0f\xa1", &[b'x'; 124][..]].concat()] {
            assert_eq!(CloseReason::decode(ext), CloseReason::new(1000, "").unwrap());
        }
    }
}
