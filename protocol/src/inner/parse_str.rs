//! A query string as PHP's parse_str reads it (WIRE.md §4).

use crate::php::Array;

/// The variables of a query string.
pub(super) fn parse_str(query: &[u8]) -> Array {
    let _ = query;
    Array::new()
}
