//! What programs ask of gateways, without IO: the frames of every command and query, which gateways they concern, and
//! what the replies mean (WIRE.md §5).
//!
//! A [`Command`] or a [`Query`] is made by the function named like the call, given the gateways there are, and says
//! what each of them is to be sent. Whoever has the connections sends it; [`Query::read`] makes the [`Answer`].

mod answer;
mod body;
pub mod command;
mod name;
pub mod query;
mod rows;
mod table;
mod trust;

pub use crate::inner::MessageReport;
pub use answer::{Answer, ClientDetails};
pub use body::Body;
pub use command::Command;
pub use name::Name;
pub use query::{Query, Replies};
pub use trust::{SUSPECT_AFTER, Trust};
