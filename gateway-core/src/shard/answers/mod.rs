//! Answers to queries.

pub(super) mod listing;
pub(super) mod on_link;
pub(super) mod pieces;
pub(super) mod queries;
