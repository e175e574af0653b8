//! The server's processes, if they are on this machine, and their memory. They are found by their listening sockets. Reads
//! `/proc`; a process that this one may not look at counts as not there.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// A process of this machine listens there, but this one may not see which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unseen;

/// The processes that listen at one of `addresses`; none if none on this machine does.
///
/// # Errors
/// A process of another user does, whose files this one may not look at.
pub(crate) fn listening_at(addresses: &[SocketAddr]) -> Result<Vec<u32>, Unseen> {
    let own: Vec<SocketAddr> = addresses.iter().copied().filter(|address| is_own(address.ip())).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let sockets: HashSet<u64> = tables
        .iter()
        .filter_map(|table| fs::File::open(table).ok())
        .flat_map(|table| listeners(BufReader::new(table)))
        .filter(|listener| own.iter().any(|address| listener.serves(*address)))
        .map(|listener| listener.inode)
        .collect();
    if sockets.is_empty() {
        return Ok(Vec::new());
    }
    let pids: Vec<u32> = processes().filter(|pid| has_one(*pid, &sockets)).collect();
    if pids.is_empty() { Err(Unseen) } else { Ok(pids) }
}

/// Bytes that processes have resident together; none if none of them is there.
pub(crate) fn resident_bytes(pids: &[u32]) -> Option<u64> {
    pids.iter().filter_map(|pid| program::resident_bytes(*pid)).reduce(|sum, bytes| sum + bytes)
}

/// Whether `ip` is an address of this machine.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

/// A listening socket.
#[derive(Debug, PartialEq, Eq)]
struct Listener {
    address: SocketAddr,
    inode: u64,
}

impl Listener {
    fn serves(&self, address: SocketAddr) -> bool {
        let ip = self.address.ip();
        self.address.port() == address.port() && (ip.is_unspecified() || ip == address.ip())
    }
}

/// The listeners of a table of sockets. They come first in it, so reading ends at the first other socket: there may be a
/// million of those.
fn listeners(table: impl BufRead) -> impl Iterator<Item = Listener> {
    let columns = |line: std::io::Result<String>| {
        let line = line.ok()?;
        let columns: Vec<String> = line.split_ascii_whitespace().take(10).map(str::to_owned).collect();
        (columns.len() == 10 && columns[3] == LISTENING).then_some(columns)
    };
    table.lines().skip(1).map_while(columns).filter_map(|columns| {
        Some(Listener { address: address(&columns[1])?, inode: columns[9].parse().ok()? })
    })
}

/// Address and port as the kernel writes them: 32-bit words in hex, each in the byte order of the machine.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |start: usize| u32::from_str_radix(ip.get(start..start + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(8 * index)?);
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process has one of these sockets open.
fn has_one(pid: u32, sockets: &HashSet<u64>) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|link| {
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
        inode.and_then(|inode| inode.parse().ok()).is_some_and(|inode| sockets.contains(&inode))
    })
}

/// TCP_LISTEN as a table of sockets has it.
const LISTENING: &str = "0A";

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listeners_of_this_process_are_found() {
        for own in ["127.0.0.1:0", "0.0.0.0:0"] {
            let listener = TcpListener::bind(own).unwrap();
            let port = listener.local_addr().unwrap().port();
            let pids = listening_at(&[SocketAddr::from(([127, 0, 0, 1], port))]).unwrap();
            assert_eq!(pids, [std::process::id()]);
            assert!(resident_bytes(&pids).unwrap() > 100_000);
            drop(listener);
        }
        // An address for documentation, which no machine has.
        assert_eq!(listening_at(&["192.0.2.1:80".parse().unwrap()]), Ok(Vec::new()));
    }

    #[test]
    fn who_is_gone_has_no_memory() {
        assert_eq!((resident_bytes(&[]), resident_bytes(&[u32::MAX])), (None, None));
        assert!(resident_bytes(&[u32::MAX, std::process::id()]).is_some());
    }

    #[test]
    fn tables_of_sockets_are_read_up_to_the_first_connection() {
        let v4 = u32::from_ne_bytes([127, 0, 0, 1]);
        let table = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: {v4:08X}:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1 0 100 0\n\
             1: {v4:08X}:1F90 {v4:08X}:C001 01 00000000:00000000 00:00000000 00000000     0        0 78 1 0 20 4\n\
             2: 00000000:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 79 1 0 100 0\n"
        );
        let found: Vec<Listener> = listeners(table.as_bytes()).collect();
        assert_eq!(found, [Listener { address: "127.0.0.1:8080".parse().unwrap(), inode: 77 }]);
        assert_eq!(listeners(&b""[..]).count(), 0);
        assert_eq!(address("00000000000000000000000000000000:0050"), Some("[::]:80".parse().unwrap()));
        for wrong in ["", ":", "0:50", "0000000G:0050", "00000000:xyz"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
