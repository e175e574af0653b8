//! The table of clients, indexed as the ring's sockets are.

use uring::SocketId;

use super::state::{Client, Stage};

/// The clients of one core.
#[derive(Default)]
pub(crate) struct Clients {
    table: Vec<Option<Client>>,
    /// `open <= count <= table.len()`.
    count: usize,
    open: usize,
    /// Where [`Clients::next_open`] goes on.
    cursor: usize,
}

impl Clients {
    /// An empty table with room for `count` clients.
    pub(crate) fn with_capacity(count: usize) -> Clients {
        Clients { table: Vec::with_capacity(count), ..Clients::default() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// The slot below which the first `count` open clients are; the end of the table if fewer are open.
    pub(crate) fn slots_of_first(&mut self, count: usize) -> usize {
        if count >= self.open {
            return self.table.len();
        }
        let open = |slot: &Option<Client>| slot.as_ref().is_some_and(|client| client.stage == Stage::Open);
        let places = self.table.iter().enumerate().filter(|(_, slot)| open(slot));
        places.map(|(index, _)| index).nth(count).unwrap_or(self.table.len())
    }

    /// Adds a client; its slot is free.
    pub(crate) fn insert(&mut self, client: Client) {
        let index = client.socket.index();
        if index >= self.table.len() {
            self.table.resize_with(index + 1, || None);
        }
        debug_assert!(self.table[index].is_none());
        self.table[index] = Some(client);
        self.count += 1;
    }

    /// The client of a socket; none if it left.
    pub(crate) fn get_mut(&mut self, socket: SocketId) -> Option<&mut Client> {
        self.table.get_mut(socket.index())?.as_mut().filter(|client| client.socket == socket)
    }

    /// Marks a client as open; one that is not there is left alone.
    pub(crate) fn set_open(&mut self, socket: SocketId) {
        if let Some(client) = self.get_mut(socket) {
            debug_assert_ne!(client.stage, Stage::Open);
            client.stage = Stage::Open;
            self.open += 1;
        }
    }

    /// Takes a client out.
    pub(crate) fn remove(&mut self, socket: SocketId) -> Option<Client> {
        self.get_mut(socket)?;
        let client = self.table[socket.index()].take()?;
        self.count -= 1;
        self.open -= usize::from(client.stage == Stage::Open);
        Some(client)
    }

    /// The open client in a slot.
    pub(crate) fn open_at(&mut self, index: usize) -> Option<&mut Client> {
        self.table.get_mut(index)?.as_mut().filter(|client| client.stage == Stage::Open)
    }

    /// The next open client, round and round; none if there is none.
    pub(crate) fn next_open(&mut self) -> Option<&mut Client> {
        self.next_open_below(self.table.len())
    }

    /// The next open client of the first `slots`, round and round; none if there is none.
    pub(crate) fn next_open_below(&mut self, slots: usize) -> Option<&mut Client> {
        if self.open == 0 {
            return None;
        }
        let slots = slots.min(self.table.len());
        let start = if self.cursor < slots { self.cursor } else { 0 };
        let index = (start..slots).chain(0..start).find(|index| self.open_at(*index).is_some())?;
        self.cursor = index + 1;
        self.open_at(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Wire;
    use crate::target::Scheme;

    fn client(index: u32, generation: u32) -> Client {
        let socket = SocketId::new(index, generation);
        Client {
            socket,
            destination: 0,
            stage: Stage::Connecting,
            wire: Wire::new(Scheme::Text),
            session: None,
            backlog: None,
        }
    }

    #[test]
    fn open_clients_take_turns() {
        let mut clients = Clients::default();
        assert!(clients.next_open().is_none());
        for index in [0, 3, 1] {
            clients.insert(client(index, 0));
        }
        assert!(clients.next_open().is_none());
        for index in [0, 3] {
            clients.set_open(SocketId::new(index, 0));
        }
        let turns: Vec<_> = (0..4).map(|_| clients.next_open().unwrap().socket.index()).collect();
        assert_eq!(turns, [0, 3, 0, 3]);
        assert_eq!([0, 1, 2].map(|count| clients.slots_of_first(count)), [0, 3, 4]);
        assert_eq!(clients.next_open_below(3).unwrap().socket.index(), 0);
        assert_eq!(clients.next_open_below(3).unwrap().socket.index(), 0);
        assert!(clients.next_open_below(0).is_none());
        assert!(clients.remove(SocketId::new(0, 0)).is_some());
        assert_eq!((clients.open(), clients.next_open().unwrap().socket.index()), (1, 3));
    }

    #[test]
    fn stale_ids_name_nobody() {
        let mut clients = Clients::default();
        clients.insert(client(2, 7));
        assert!(clients.get_mut(SocketId::new(2, 6)).is_none());
        assert!(clients.remove(SocketId::new(2, 8)).is_none());
        assert!(clients.get_mut(SocketId::new(9, 0)).is_none());
        assert!(clients.remove(SocketId::new(2, 7)).is_some());
        assert!(clients.get_mut(SocketId::new(2, 7)).is_none());
    }
}
