//! Owns the questions how much memory there is, and how much of it a process has.

use std::fs;

/// Memory in bytes that this process may use: the machine's, or less where a cgroup allows less, as in a container. `None`:
/// nothing tells.
pub fn memory_size() -> Option<u64> {
    smallest(|path| fs::read_to_string(path).ok())
}

/// Memory in bytes that can be had without swapping. `None`: the kernel does not tell.
pub fn memory_available() -> Option<u64> {
    bytes_of("MemAvailable:", &fs::read_to_string("/proc/meminfo").ok()?)
}

/// Memory in bytes that a process has resident. `None`: it is gone, or the kernel does not tell.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    bytes_of("VmRSS:", &fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// The smallest of what the files say; `read` gives a file's content.
fn smallest(read: impl Fn(&str) -> Option<String>) -> Option<u64> {
    let machine = read("/proc/meminfo").and_then(|text| bytes_of("MemTotal:", &text));
    let cgroups = read("/proc/self/cgroup").unwrap_or_default();
    let limits = cgroups.lines().flat_map(limit_files).filter_map(|path| read(&path)?.trim().parse().ok());
    machine.into_iter().chain(limits).min()
}

/// What a line like `MemTotal:  16384 kB` says.
fn bytes_of(name: &str, text: &str) -> Option<u64> {
    let size = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = size.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// Where limits may stand for a line of /proc/self/cgroup, `number:controllers:path`: for the path and all above it. A file
/// that is not there, or says `max`, limits nothing.
fn limit_files(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { return Vec::new() };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let path = path.trim_end_matches('/');
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| format!("{root}{}/{file}", &path[..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &[(&str, &str)]) -> Option<u64> {
        smallest(|path| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned()))
    }

    const MEMINFO: (&str, &str) = ("/proc/meminfo", "MemTotal:       16384 kB\nMemFree:  12 kB\n");

    #[test]
    fn a_machine_without_limits_has_what_it_has() {
        assert_eq!(told(&[MEMINFO]), Some(16 << 20));
        let unlimited =
            [MEMINFO, ("/proc/self/cgroup", "0::/a/b\n"), ("/sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(told(&unlimited), Some(16 << 20));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn the_smallest_limit_of_a_cgroup_and_those_above_it_counts() {
        let second = [
            MEMINFO,
            ("/proc/self/cgroup", "0::/a/b\n"),
            ("/sys/fs/cgroup/a/memory.max", "4096\n"),
            ("/sys/fs/cgroup/a/b/memory.max", "8192\n"),
        ];
        assert_eq!(told(&second), Some(4096));
        let container = [MEMINFO, ("/proc/self/cgroup", "0::/\n"), ("/sys/fs/cgroup/memory.max", "4096\n")];
        assert_eq!(told(&container), Some(4096));
        let first = [
            MEMINFO,
            ("/proc/self/cgroup", "3:cpu,cpuacct:/a\n2:memory:/a\n"),
            ("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n"),
            ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2048\n"),
        ];
        assert_eq!(told(&first), Some(2048));
    }

    #[test]
    fn what_the_kernel_writes_is_read() {
        let text = "MemFree: 3 kB\nMemAvailable:   23429744 kB\n";
        assert_eq!(bytes_of("MemAvailable:", text), Some(23_429_744 << 10));
        assert_eq!((bytes_of("MemAvailable:", ""), resident_bytes(u32::MAX)), (None, None));
        assert!(memory_available() < memory_size() && resident_bytes(std::process::id()) > Some(100_000));
    }

    #[test]
    fn this_machine_tells() {
        assert!(memory_size().is_some_and(|size| size > 64 << 20));
    }
}
