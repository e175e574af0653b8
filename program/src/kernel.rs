//! Owns the kernel's version: reading it, and the oldest one that has all of io_uring that is used.

use std::fmt;

/// The oldest kernel that serves: 6.1 brought `DEFER_TASKRUN`, and is what Debian 12 runs.
pub const KERNEL_MIN: KernelVersion = KernelVersion { major: 6, minor: 1 };

/// The first two numbers of a kernel release; the rest does not tell features apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// `6` of `6.1.0-18-amd64`.
    pub major: u32,
    /// `1` of `6.1.0-18-amd64`.
    pub minor: u32,
}

impl KernelVersion {
    /// The kernel this process runs on; `None` if its release has no two numbers in front.
    pub fn running() -> Option<Self> {
        Self::parse(&rustix::system::uname().release().to_string_lossy())
    }

    /// Reads a release as `uname -r` prints it.
    pub fn parse(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_distributions() {
        let version = |major, minor| Some(KernelVersion { major, minor });
        assert_eq!(KernelVersion::parse("6.1.0-18-amd64"), version(6, 1));
        assert_eq!(KernelVersion::parse("5.10.16.3-microsoft-standard-WSL2"), version(5, 10));
        assert_eq!(KernelVersion::parse("6.18-rc1"), version(6, 18));
        assert_eq!(KernelVersion::parse("7.0"), version(7, 0));
        for odd in ["", "6", "linux", "x6.1", "6.", "99999999999.1"] {
            assert_eq!(KernelVersion::parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn numbers_compare_as_numbers() {
        let at = |release| KernelVersion::parse(release).unwrap();
        assert!(at("6.10") > at("6.9"));
        assert!(at("5.19") < KERNEL_MIN);
        assert!(at("6.1.0") >= KERNEL_MIN);
    }

    #[test]
    fn this_kernel_has_a_version() {
        assert!(KernelVersion::running().is_some());
    }
}
