//! Which client is in which room, and which room is next. Owns no connection.

use protocol::inner::ext::GroupTargets;
use protocol::inner::{Cmd, Frame};

/// Clients in rooms of even size. Successive clients are in successive rooms, so that a room spreads over the gateways.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rooms {
    clients: usize,
    count: usize,
    next: usize,
}

impl Rooms {
    /// As many rooms as `clients` need, with at most `size` in each, which is above zero. Without clients there is one
    /// empty room.
    pub(super) fn new(clients: usize, size: usize) -> Rooms {
        Rooms { clients, count: clients.div_ceil(size).max(1), next: 0 }
    }

    /// Appends the command that puts client number `index`, whose connection is `connection_id`, into its room.
    pub(super) fn write_join(&self, index: usize, connection_id: u32, out: &mut Vec<u8>) {
        let name = name(index % self.count);
        Frame { connection_id, ext: &name, ..Frame::command(Cmd::JoinGroup) }.encode(out);
    }

    /// Appends the command that sends `body` to the next room. Returns how many clients are in it.
    pub(super) fn write_next(&mut self, body: &[u8], out: &mut Vec<u8>) -> u64 {
        let room = self.next % self.count;
        self.next = room + 1;
        let ext = GroupTargets { groups: vec![name(room)], ..GroupTargets::default() }.encode();
        Frame { ext: &ext, body, ..Frame::command(Cmd::SendToGroup) }.encode(out);
        self.members(room)
    }

    fn members(&self, room: usize) -> u64 {
        (self.clients / self.count + usize::from(room < self.clients % self.count)) as u64
    }
}

fn name(room: usize) -> Vec<u8> {
    format!("loadgen-{room}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::inner::{FRAME_SIZE_MAX, decode};

    #[test]
    fn rooms_are_even_and_every_client_is_in_one() {
        for (clients, size, expected) in
            [(7, 3, vec![3, 2, 2]), (6, 3, vec![3, 3]), (2, 10, vec![2]), (0, 4, vec![0])]
        {
            let rooms = Rooms::new(clients, size);
            assert_eq!((0..rooms.count).map(|room| rooms.members(room)).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn rooms_take_turns_and_joins_name_the_same_ones() {
        let mut rooms = Rooms::new(3, 2);
        let mut joins = Vec::new();
        rooms.write_join(2, 77, &mut joins);
        let (join, _) = decode(&joins, FRAME_SIZE_MAX).unwrap().unwrap();
        assert_eq!((join.connection_id, join.ext), (77, b"loadgen-0".as_slice()));
        for (members, room) in [(2, "loadgen-0"), (1, "loadgen-1"), (2, "loadgen-0")] {
            let mut out = Vec::new();
            assert_eq!(rooms.write_next(b"hi", &mut out), members);
            let (frame, _) = decode(&out, FRAME_SIZE_MAX).unwrap().unwrap();
            let groups = GroupTargets::decode(frame.ext).unwrap().groups;
            assert_eq!((groups, frame.body), (vec![room.as_bytes().to_vec()], b"hi".as_slice()));
        }
    }
}
