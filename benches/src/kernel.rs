//! What the kernel tells about its own memory, the sockets and the time, in /proc. Figures that this machine does not
//! tell are zero or missing.

use std::collections::BTreeMap;
use std::fs;

/// The kernel's memory at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct KernelMemory {
    /// Bytes of each kind of object, by its name in /proc/slabinfo; only root may read that.
    slabs: BTreeMap<String, u64>,
    /// Bytes of all objects.
    slab_bytes: u64,
    /// Bytes of stacks, page tables and large tables.
    other_bytes: u64,
}

impl KernelMemory {
    /// Now.
    pub(crate) fn now() -> KernelMemory {
        let meminfo = read("/proc/meminfo");
        let other = ["KernelStack", "PageTables", "VmallocUsed"];
        KernelMemory {
            slabs: slabs(&read("/proc/slabinfo")),
            slab_bytes: bytes(&meminfo, "Slab"),
            other_bytes: other.iter().map(|name| bytes(&meminfo, name)).sum(),
        }
    }

    /// Bytes more than at an earlier moment. Caches of file systems, which others fill meanwhile, do not count where
    /// they can be told apart.
    pub(crate) fn growth(&self, before: &KernelMemory) -> i64 {
        let slab = if self.slabs.is_empty() {
            self.slab_bytes as i64 - before.slab_bytes as i64
        } else {
            self.slab_growth(before).iter().map(|(_, bytes)| bytes).sum()
        };
        slab + self.other_bytes as i64 - before.other_bytes as i64
    }

    /// Bytes more of each kind of object than at an earlier moment, the most first.
    pub(crate) fn slab_growth(&self, before: &KernelMemory) -> Vec<(String, i64)> {
        let growth = |(name, bytes): (&String, &u64)| {
            (name.clone(), *bytes as i64 - before.slabs.get(name).copied().unwrap_or(0) as i64)
        };
        let mut grown: Vec<_> = self.slabs.iter().map(growth).collect();
        grown.sort_by_key(|(_, bytes)| -bytes);
        grown
    }
}

/// Bytes that processes could still get.
pub(crate) fn available_bytes() -> u64 {
    bytes(&read("/proc/meminfo"), "MemAvailable")
}

/// Bytes that there are.
pub(crate) fn memory_bytes() -> u64 {
    bytes(&read("/proc/meminfo"), "MemTotal")
}

/// TCP sockets of this machine that are connected or listen.
pub(crate) fn tcp_sockets() -> u64 {
    let text = read("/proc/net/sockstat");
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: inuse "));
    line.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Seconds since the machine started, in steps of 10 ms.
pub(crate) fn uptime_seconds() -> f64 {
    read("/proc/uptime").split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0)
}

/// Columns of slabinfo(5): name, active objects, objects, object size, objects per slab, pages per slab; behind the
/// second colon active slabs and slabs.
fn slabs(text: &str) -> BTreeMap<String, u64> {
    let parse = |line: &str| {
        let mut parts = line.split(" : ");
        let mut columns = parts.next()?.split_ascii_whitespace();
        let name = columns.next()?;
        let pages: u64 = columns.nth(4)?.parse().ok()?;
        let slabs: u64 = parts.nth(1)?.split_ascii_whitespace().nth(2)?.parse().ok()?;
        let counts = !FILE_SYSTEM_SLABS.iter().any(|prefix| name.starts_with(prefix));
        counts.then(|| (name.to_owned(), pages * slabs * PAGE_SIZE))
    };
    text.lines().filter_map(parse).collect()
}

/// Bytes that a line `name: value kB` tells of.
fn bytes(text: &str, name: &str) -> u64 {
    let kib = value(text, name).and_then(|value| value.strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The value of the first line `name: value`.
pub(crate) fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    value.map(str::trim)
}

/// A file of /proc; empty if there is none.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Objects of the page cache and of file systems.
const FILE_SYSTEM_SLABS: [&str; 7] =
    ["ext4_", "xfs_", "btrfs_", "extent_status", "buffer_head", "radix_tree_node", "jbd2_"];

/// Bytes of a page on x86-64, and on most others.
const PAGE_SIZE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const SLABINFO: &str = "\
slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> : slabdata <a>
TCP                 26     26   2496   13    8 : tunables    0    0    0 : slabdata      2      3      0
ext4_inode_cache 68110  68110   1128   14    4 : tunables    0    0    0 : slabdata   4865   4865      0
";

    #[test]
    fn slabs_are_pages_and_file_systems_do_not_count() {
        assert_eq!(slabs(SLABINFO), BTreeMap::from([("TCP".to_owned(), 3 * 8 * 4096)]));
        assert!(slabs("").is_empty());
    }

    #[test]
    fn growth_counts_what_is_new() {
        let before = KernelMemory { slabs: slabs(SLABINFO), slab_bytes: 1, other_bytes: 100 };
        let mut after = before.clone();
        after.slabs.insert("filp".to_owned(), 4096);
        after.other_bytes = 90;
        assert_eq!(after.growth(&before), 4086);
        assert_eq!(after.slab_growth(&before)[0], ("filp".to_owned(), 4096));
        let unreadable = KernelMemory { slab_bytes: 50, ..KernelMemory::default() };
        assert_eq!(unreadable.growth(&KernelMemory::default()), 50);
    }

    #[test]
    fn this_machine_tells() {
        assert!(available_bytes() > 0 && uptime_seconds() > 0.0);
        assert_eq!(bytes("MemTotal:  12 kB\n", "MemTotal"), 12 * 1024);
    }

    #[test]
    fn values_of_lines() {
        assert!(value(&read("/proc/meminfo"), "MemTotal").unwrap().ends_with(" kB"));
        assert_eq!(value("model name\t: fast\n", "model name"), Some("fast"));
        assert_eq!(value(&read("/proc/meminfo"), "NoSuchThing"), None);
        assert_eq!(value(&read("/nowhere"), "MemTotal"), None);
    }
}
