//! Fan-outs that stand one behind the other in the log, in one piece: most clients get the same of them.

use std::ops::Range;

use protocol::client::Kind;

use super::message::Form;
use crate::config::MERGED_FORMS_MAX;
use crate::shard::clients::client::Client;
use crate::shard::output::queue::SharedMessage;

/// Some entries of the log, in the forms in which clients get them.
#[derive(Default)]
pub(super) struct Merged {
    /// Their numbers.
    numbers: Range<u64>,
    /// The last that were asked for, if others.
    asked: Range<u64>,
    is_possible: bool,
    /// By the form in which clients take messages of no kind; `None`: it would be too large.
    pieces: Vec<(Form, Option<SharedMessage>)>,
}

impl Merged {
    /// Whether it is about these entries, which it is once they are asked for twice in a row: some clients may have had some of
    /// them. `is_possible` says whether everybody gets each of them.
    #[inline]
    pub(super) fn is_about(&mut self, numbers: Range<u64>, is_possible: impl FnOnce() -> bool) -> bool {
        if self.numbers == numbers {
            return true;
        }
        if self.asked != numbers {
            self.asked = numbers;
            return false;
        }
        *self = Merged { numbers, asked: 0..0, is_possible: is_possible(), pieces: Vec::new() };
        true
    }

    /// The piece for a client, made by `encode` when the first asks that gets it so; which returns `None` if it is too large.
    #[inline]
    pub(super) fn piece(
        &mut self,
        client: &Client,
        encode: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<&SharedMessage> {
        if !self.is_possible {
            return None;
        }
        let form = Form::of(client, Kind::Unspecified);
        let index = match self.pieces.iter().position(|(of, _)| *of == form) {
            Some(index) => index,
            None if self.pieces.len() == MERGED_FORMS_MAX => return None,
            None => {
                self.pieces.push((form, encode().map(SharedMessage::new)));
                self.pieces.len() - 1
            }
        };
        self.pieces[index].1.as_ref()
    }
}
