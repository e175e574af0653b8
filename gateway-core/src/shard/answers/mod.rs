//! Answers to queries.

pub mod listing;
pub mod pieces;
pub mod queries;
