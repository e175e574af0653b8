//! The limits of this machine, as the kernel says them. Judges nothing.

use std::fs::read_to_string;

/// Settings that bound a run. None: the kernel does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct System {
    /// The CPUs that threads are pinned to, at least one.
    pub cpus: Vec<usize>,
    /// Open files of this process, which are also the direct descriptors of one ring.
    pub open_files: Option<u64>,
    /// Open files that all processes together may still have (`fs.file-max` less those there are).
    pub files_left: Option<u64>,
    /// Ports of `net.ipv4.ip_local_port_range`.
    pub ports: Option<u64>,
    /// `net.core.somaxconn`: connections that may wait for one listener's accept.
    pub accept_queue: Option<u64>,
    /// `net.ipv4.tcp_mem`, the pressure mark: pages of all sockets' buffers from where on they are kept small.
    pub tcp_pages: Option<u64>,
    /// Connection tracking; none if nothing is tracked.
    pub conntrack: Option<Conntrack>,
    /// `MemAvailable`, in bytes.
    pub memory: Option<u64>,
}

/// The table of connection tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conntrack {
    /// Connections tracked now.
    pub tracked: u64,
    /// Connections it has room for.
    pub max: u64,
}

impl System {
    /// Looks, after it has raised the limit of open files as far as the process may.
    pub fn read() -> System {
        let sysctl = |name: &str| read_to_string(format!("/proc/sys/{name}")).unwrap_or_default();
        System {
            cpus: program::cpu_order(),
            open_files: Some(program::raise_open_files()),
            files_left: files_left(&sysctl("fs/file-nr")),
            ports: ports(&sysctl("net/ipv4/ip_local_port_range")),
            accept_queue: number(&sysctl("net/core/somaxconn"), 0),
            tcp_pages: number(&sysctl("net/ipv4/tcp_mem"), 1),
            conntrack: conntrack(
                &sysctl("net/netfilter/nf_conntrack_count"),
                &sysctl("net/netfilter/nf_conntrack_max"),
            ),
            memory: program::memory_available(),
        }
    }
}

/// The number in place `index` of a line.
fn number(line: &str, index: usize) -> Option<u64> {
    line.split_ascii_whitespace().nth(index)?.parse().ok()
}

fn files_left(file_nr: &str) -> Option<u64> {
    Some(number(file_nr, 2)?.saturating_sub(number(file_nr, 0)?))
}

fn ports(range: &str) -> Option<u64> {
    Some((number(range, 1)? + 1).saturating_sub(number(range, 0)?))
}

/// A table that is empty tracks nothing: no rule of the firewall asks for it.
fn conntrack(count: &str, max: &str) -> Option<Conntrack> {
    let found = Conntrack { tracked: number(count, 0)?, max: number(max, 0)? };
    (found.tracked > 0).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_writes_is_read() {
        assert_eq!(files_left("871\t0\t2466177\n"), Some(2_465_306));
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(number("287901\t383868\t575802\n", 1), Some(383_868));
        assert_eq!(conntrack("5\n", "262144\n"), Some(Conntrack { tracked: 5, max: 262_144 }));
        assert_eq!((conntrack("0\n", "262144\n"), conntrack("", "")), (None, None));
        assert_eq!((ports("x"), files_left("")), (None, None));
    }

    #[test]
    fn this_machine_says_what_every_linux_does() {
        let system = System::read();
        assert!(system.open_files.is_some() && system.memory.is_some() && !system.cpus.is_empty());
    }
}
