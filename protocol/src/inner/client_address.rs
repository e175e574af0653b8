//! Where IPv6 clients come from, for which frames have no room (WIRE.md §14).

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use super::{Cmd, Frame, HEADER_SIZE};

/// Body of CLIENT_ADDRESS, which is about the event behind it: where the client of that comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientAddress {
    /// Not one that stands for an IPv4 address: those are in the frame.
    pub ip: Ipv6Addr,
    /// 0: not known.
    pub port: u16,
}

impl ClientAddress {
    /// Of a frame, with its body, in bytes.
    pub const FRAME_SIZE: usize = HEADER_SIZE + BODY_SIZE;

    /// `None`: too short. What is left over at the end is ignored.
    pub fn decode(body: &[u8]) -> Option<ClientAddress> {
        let (ip, rest) = body.split_first_chunk::<16>()?;
        let port = rest.first_chunk::<2>()?;
        Some(ClientAddress { ip: Ipv6Addr::from(*ip), port: u16::from_be_bytes(*port) })
    }

    /// What a frame says, if it is one of these.
    pub fn of(frame: &Frame<'_>) -> Option<ClientAddress> {
        (frame.cmd == Cmd::ClientAddress as u8).then(|| ClientAddress::decode(frame.body)).flatten()
    }

    /// Appends the whole frame.
    pub fn encode_frame(&self, connection_id: u32, out: &mut Vec<u8>) {
        let mut body = [0; BODY_SIZE];
        body[..16].copy_from_slice(&self.ip.octets());
        body[16..].copy_from_slice(&self.port.to_be_bytes());
        Frame { connection_id, body: &body, ..Frame::command(Cmd::ClientAddress) }.encode(out);
    }
}

impl From<SocketAddrV6> for ClientAddress {
    fn from(address: SocketAddrV6) -> ClientAddress {
        ClientAddress { ip: *address.ip(), port: address.port() }
    }
}

impl From<ClientAddress> for SocketAddr {
    fn from(address: ClientAddress) -> SocketAddr {
        (address.ip, address.port).into()
    }
}

const BODY_SIZE: usize = 18;

#[cfg(test)]
mod tests {
    use super::*;

    /// As docs/WIRE.md has it.
    #[test]
    fn a_client_address_is_this_on_the_wire() {
        let address = ClientAddress { ip: "2001:db8::1".parse().unwrap(), port: 5000 };
        let mut bytes = Vec::new();
        address.encode_frame(7, &mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let header = "0000002ef10000000000000000000000000000000701000000000000";
        assert_eq!(hex, format!("{header}20010db80000000000000000000000011388"));
        assert_eq!(bytes.len(), ClientAddress::FRAME_SIZE);
        let (frame, _) = super::super::decode(&bytes, bytes.len()).unwrap().unwrap();
        assert_eq!((ClientAddress::of(&frame), frame.connection_id), (Some(address), 7));
        assert_eq!(ClientAddress::of(&Frame { cmd: 3, ..frame }), None);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let body = [&[0xfe; 16][..], &[1, 2]].concat();
        let address = ClientAddress::decode(&body).unwrap();
        assert_eq!(
            SocketAddr::from(address),
            "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe]:258".parse().unwrap()
        );
        assert_eq!(ClientAddress::decode(&[&body[..], b"more"].concat()), Some(address));
        assert_eq!(ClientAddress::decode(&body[..17]), None);
    }
}
