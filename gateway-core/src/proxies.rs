//! Proxies in front of a gateway: which are believed.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that have their first bits in common: `10.0.0.0/8`, `2001:db8::/32`, or one alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Network {
    /// What is not of the prefix is zero.
    ip: IpAddr,
    prefix: u32,
}

/// The value of `--trusted-proxies`: networks, by commas. None unless some are named.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Networks(Vec<Network>);

impl Networks {
    /// Whether an address is in one of them. IPv4 is the same within IPv6.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(ip))
    }

    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Networks, String> {
        text.split(',').map(|network| network.trim().parse()).collect::<Result<_, _>>().map(Networks)
    }
}

impl Network {
    fn contains(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && masked(ip, self.prefix) == self.ip
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("`{text}` is no network: like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.7");
        let (ip, prefix) = text.split_once('/').map_or((text, None), |(ip, prefix)| (ip, Some(prefix)));
        let said: IpAddr = ip.parse().map_err(|_| wrong())?;
        let ip = said.to_canonical();
        let whole = bits_of(ip);
        let prefix = match prefix {
            None => whole,
            // Of IPv4 within IPv6 the first 96 bits are no address.
            Some(prefix) => prefix
                .parse::<u32>()
                .ok()
                .and_then(|prefix| prefix.checked_sub(bits_of(said) - whole))
                .filter(|prefix| *prefix <= whole)
                .ok_or_else(wrong)?,
        };
        let network = Network { ip: masked(ip, prefix), prefix };
        if network.ip != ip {
            return Err(format!("`{text}` is an address and not a network: did you mean {network}?"));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix)
    }
}

fn bits_of(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { u32::BITS } else { u128::BITS }
}

/// An address without what is behind so many bits.
fn masked(ip: IpAddr, prefix: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(u32::BITS - prefix).unwrap_or(0);
            IpAddr::V4((ip.to_bits() & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(u128::BITS - prefix).unwrap_or(0);
            IpAddr::V6((ip.to_bits() & mask).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(text: &str) -> Networks {
        text.parse().unwrap()
    }

    #[test]
    fn networks_contain_what_begins_like_them() {
        let some = networks("10.0.0.0/8, 192.0.2.7,2001:db8::/33,::1");
        for ip in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "::ffff:10.1.2.3", "2001:db8:7fff::1", "::1"] {
            assert!(some.contain(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["11.0.0.0", "9.255.255.255", "192.0.2.6", "2001:db8:8000::", "::2", "::", "a00::"] {
            assert!(!some.contain(ip.parse().unwrap()), "{ip}");
        }
        let mapped = networks("::ffff:10.0.0.0/104");
        assert_eq!(mapped, networks("10.0.0.0/8"));
        let all = networks("0.0.0.0/0");
        assert!(all.contain([1, 2, 3, 4].into()) && !all.contain("::1".parse().unwrap()));
        assert!(networks("::/0").contain("2001:db8::1".parse().unwrap()));
        assert!(!Networks::default().contain([127, 0, 0, 1].into()) && Networks::default().are_none());
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "::/129",
            "10.0.0/8",
            "lan",
            "10.0.0.0/8,",
            "::ffff:10.0.0.0/95",
        ] {
            assert!(text.parse::<Networks>().unwrap_err().contains("is no network"), "{text}");
        }
        let why = "10.1.2.3/8".parse::<Networks>().unwrap_err();
        assert!(why.ends_with("did you mean 10.0.0.0/8?"), "{why}");
    }
}
