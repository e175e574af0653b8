//! The name of a client: 20 hex digits that are its routing address too (WIRE.md §1).

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Names one client of one gateway shard: lower hex of ip, inner port and connection id (WIRE.md §1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ClientId {
    /// The shard that holds the client: the gateway's `lan_ip` and that shard's inner port.
    pub gateway: SocketAddrV4,
    /// The client's number within that shard.
    pub connection_id: u32,
}

/// Why a text is no client id.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a client id has 20 hex digits")]
pub struct ClientIdError;

impl ClientId {
    /// The client with this number at the shard that workers reach at `gateway_ip:gateway_port`.
    pub fn new(gateway_ip: Ipv4Addr, gateway_port: u16, connection_id: u32) -> ClientId {
        ClientId { gateway: SocketAddrV4::new(gateway_ip, gateway_port), connection_id }
    }
}

/// 20 lower-case hex digits.
impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ip = self.gateway.ip().to_bits();
        write!(f, "{ip:08x}{:04x}{:08x}", self.gateway.port(), self.connection_id)
    }
}

/// Takes hex digits in either case.
impl FromStr for ClientId {
    type Err = ClientIdError;

    fn from_str(text: &str) -> Result<ClientId, ClientIdError> {
        // `from_str_radix` would take a sign, so the digits are looked at first; they also make the slicing below safe.
        if text.len() != TEXT_SIZE || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(ClientIdError);
        }
        let number = |digits: &str| u32::from_str_radix(digits, 16).map_err(|_| ClientIdError);
        let port = u16::try_from(number(&text[8..12])?).map_err(|_| ClientIdError)?;
        Ok(ClientId::new(Ipv4Addr::from_bits(number(&text[..8])?), port, number(&text[12..])?))
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ClientId, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Digits of a client id.
const TEXT_SIZE: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_php_writes() {
        let id: ClientId = "7f0000022c8800000001".parse().unwrap();
        assert_eq!(id, ClientId::new(Ipv4Addr::new(127, 0, 0, 2), 11400, 1));
        assert_eq!(id.to_string(), "7f0000022c8800000001");
        assert_eq!("7F0000022C8800000001".parse(), Ok(id));
        assert_eq!(id.gateway.to_string(), "127.0.0.2:11400");
    }

    #[test]
    fn refuses_what_is_not_one() {
        for text in [
            "",
            "7f0000022c880000000",
            "7f0000022c88000000010",
            "+f0000022c8800000001",
            "7f0000022c8+00000001",
            "zz0000022c8800000001",
            "7f0000022c88000000é1",
        ] {
            assert_eq!(text.parse::<ClientId>(), Err(ClientIdError), "{text}");
        }
    }

    #[test]
    fn is_a_string_in_json() {
        let id = ClientId::new(Ipv4Addr::BROADCAST, u16::MAX, u32::MAX);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"ffffffffffffffffffff\"");
        assert_eq!(serde_json::from_str::<ClientId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<ClientId>("\"x\"").is_err());
    }
}
