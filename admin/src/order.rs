//! What a gateway may be told.

use std::str::FromStr;

/// What a gateway may be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Take no new clients, after a while.
    Cordon,
    /// Take new clients again.
    Uncordon,
    /// Close the clients, and take no new ones.
    Drain,
}

impl Order {
    /// All, with the words for them.
    pub const ALL: [(Order, &str); 3] =
        [(Order::Cordon, "cordon"), (Order::Uncordon, "uncordon"), (Order::Drain, "drain")];

    /// The word for it.
    pub fn word(self) -> &'static str {
        Order::ALL.iter().find(|(order, _)| *order == self).expect("all are there").1
    }
}

impl FromStr for Order {
    type Err = ();

    fn from_str(word: &str) -> Result<Order, ()> {
        Order::ALL.iter().find(|(_, own)| *own == word).map(|(order, _)| *order).ok_or(())
    }
}
