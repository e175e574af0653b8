//! PHP values and the serialize format, in which sessions and replies are written (WIRE.md §6), without IO.
//!
//! [`decode`] and [`encode`] go between bytes and [`Value`]; the functions of [`write`](mod@write) make bytes without a tree in
//! between. [`from_value`] and [`to_value`] go on to your own types by serde. Nothing of what PHP wrote is lost on the way.
//! Nothing here runs or knows PHP classes: objects are names with properties.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(clippy::cast_possible_truncation, clippy::cast_possible_wrap, clippy::cast_sign_loss)
)]

mod array;
mod decode;
mod encode;
mod json;
mod key;
mod merge;
mod typed;
mod value;
pub mod write;

pub use array::Array;
pub use decode::{DEPTH_MAX, DecodeError, SIZE_MAX, decode};
pub use encode::{encode, encode_array, to_bytes};
pub use json::{JsonError, Unicode, to_json, write_string as write_json_string};
pub use key::{Key, KeyRef};
pub use merge::{merge_serialized, replace_recursive};
pub use typed::{ConvertError, assign, from_array, from_serialized, from_value, to_serialized, to_value};
pub use value::{Custom, Object, Reference, ReferenceKind, Value};

/// Whether PHP takes this name for none at all: `""` and `"0"` (WIRE.md §6). Such uids and groups are refused.
pub fn is_empty_name(name: &[u8]) -> bool {
    matches!(name, b"" | b"0")
}
