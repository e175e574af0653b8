//! How many shards a number of connections needs.

/// As many as the sockets need where each ring may have `open_files`, but one per CPU at least. A gateway draws lots, so
/// some shards get a little more than their share.
pub(crate) fn shards(conns: usize, open_files: u64, cpus: usize) -> usize {
    let fits = |shards: &usize| {
        let share = conns as f64 / *shards as f64;
        share + DEVIATIONS * share.sqrt() + OTHER_SOCKETS <= open_files as f64
    };
    (cpus.max(1)..SHARDS_MAX).find(fits).unwrap_or(SHARDS_MAX)
}

/// Standard deviations of drawing lots that a shard has room for: beyond, one in a billion.
const DEVIATIONS: f64 = 6.0;

/// Listeners, links, accepts in flight, and clients of the other load generators.
const OTHER_SOCKETS: f64 = 512.0;

/// Shards beyond which threads cost more than they hold.
const SHARDS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_leave_room_for_chance() {
        assert_eq!(shards(1_000_000, 20_000, 2), 54);
        assert_eq!(shards(1_000_000, 1 << 20, 2), 2);
        assert_eq!(shards(10_000, 20_000, 4), 4);
    }
}
