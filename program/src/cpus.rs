//! Owns which CPUs a process runs on, and in which order its threads take them.

use std::str::FromStr;
use std::sync::OnceLock;

use crate::machine::{allowed_cpus, run_all_on};

/// A list of CPUs as `taskset --cpu-list` takes it: numbers and ranges, `0,2-5` or `0-14:2`; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cpus(Vec<usize>);

impl Cpus {
    fn parse(text: &str, allowed: &[usize]) -> Result<Self, String> {
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let range = Range::parse(part.trim())
                .ok_or_else(|| format!("`{text}` is no list of CPUs like 2-5 or 0,2"))?;
            for cpu in range.cpus() {
                if !allowed.contains(&cpu) {
                    let allowed = describe(allowed);
                    return Err(format!("CPU {cpu} is none of those this process may use: {allowed}"));
                }
                if !cpus.contains(&cpu) {
                    cpus.push(cpu);
                }
            }
        }
        Ok(Self(cpus))
    }
}

impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, &allowed_cpus())
    }
}

/// `first` to `last`, every `stride`th.
struct Range {
    first: usize,
    last: usize,
    stride: usize,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<u16>().ok().map(usize::from);
        let (range, stride) = text.split_once(':').map_or((text, None), |(range, by)| (range, Some(by)));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let range = Self {
            first: number(first)?,
            last: number(last)?,
            stride: stride.map_or(Some(1), number).filter(|stride| *stride > 0)?,
        };
        (range.first <= range.last).then_some(range)
    }

    fn cpus(&self) -> impl Iterator<Item = usize> {
        (self.first..=self.last).step_by(self.stride)
    }
}

/// The same list as short as it can be said.
fn describe(cpus: &[usize]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut rest = cpus.iter().copied().peekable();
    while let Some(first) = rest.next() {
        let mut last = first;
        while let Some(next) = rest.next_if(|next| *next == last + 1) {
            last = next;
        }
        words.push(if last == first { first.to_string() } else { format!("{first}-{last}") });
    }
    words.join(",")
}

/// What `--cpus` says, once it is in force.
static CHOSEN: OnceLock<Vec<usize>> = OnceLock::new();

/// Keeps the process on `cpus`: the threads there are, such as the allocator's, and all that start from them.
pub(crate) fn choose(cpus: &Cpus) {
    run_all_on(&cpus.0);
    // A process reads its flags once.
    let _ = CHOSEN.set(cpus.0.clone());
}

/// The CPUs of this process, in the order in which the threads that it pins take them; at least one.
///
/// With `--cpus` it is the list as written. Without, it is [`allowed_cpus`] from a place on that depends on the process,
/// and then around: or processes of one thread each would all sit on the first CPU.
pub fn cpu_order() -> Vec<usize> {
    if let Some(chosen) = CHOSEN.get() {
        return chosen.clone();
    }
    let mut cpus = allowed_cpus();
    let first = first(std::process::id(), pid_namespace(), cpus.len());
    cpus.rotate_left(first);
    cpus
}

/// Processes get CPUs as if by lot: their ids alone are no lot, for each takes some for its threads, mostly an even
/// number. In containers all may have the same id, each in a namespace of its own.
fn first(pid: u32, namespace: u64, count: usize) -> usize {
    let mut lot = u64::from(pid) ^ namespace.rotate_left(32);
    for factor in MIX {
        lot = (lot ^ (lot >> 33)).wrapping_mul(factor);
    }
    usize::try_from((lot ^ (lot >> 33)) % count as u64).expect("less than a usize")
}

/// The number of the namespace of process ids that we are in; 0 where nobody tells.
fn pid_namespace() -> u64 {
    let link = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits: String = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Factors by which every bit of a number comes to bear on all bits (those of MurmurHash3's last step).
const MIX: [u64; 2] = [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<usize>, String> {
        Cpus::parse(text, &[0, 1, 2, 3, 4, 5, 8]).map(|cpus| cpus.0)
    }

    #[test]
    fn lists_are_read_as_by_taskset() {
        for (text, cpus) in [
            ("2", &[2][..]),
            ("2-5", &[2, 3, 4, 5]),
            ("0,2", &[0, 2]),
            ("5, 0-1", &[5, 0, 1]),
            ("0-4:2,8", &[0, 2, 4, 8]),
            ("1,1-2", &[1, 2]),
        ] {
            assert_eq!(read(text).unwrap(), cpus, "{text}");
        }
    }

    #[test]
    fn wrong_lists_are_told() {
        for text in ["", "a", "5-2", "1-", "-1", "1,,2", "0-4:0", "70000", "0x3", "1-2-3"] {
            assert_eq!(read(text), Err(format!("`{text}` is no list of CPUs like 2-5 or 0,2")));
        }
        let unusable = "CPU 6 is none of those this process may use: 0-5,8";
        assert_eq!(read("4-8"), Err(unusable.to_owned()));
        assert_eq!(describe(&[3]), "3");
    }

    #[test]
    fn processes_begin_at_different_cpus() {
        const NAMESPACE: u64 = 4_026_531_836;
        let fullest =
            |firsts: Vec<usize>| (0..4).map(|cpu| firsts.iter().filter(|at| **at == cpu).count()).max();
        for stride in 1..=32 {
            let processes = (0..64).map(|index| first(700 + index * stride, NAMESPACE, 4));
            assert!(fullest(processes.collect()) <= Some(26), "every {stride}th");
            let containers = (0..64).map(|index| first(1, NAMESPACE + index * u64::from(stride), 4));
            assert!(fullest(containers.collect()) <= Some(26), "every {stride}th namespace");
        }
        assert_eq!(first(u32::MAX, u64::MAX, 1), 0);
    }

    #[test]
    fn the_order_has_every_cpu_once() {
        let mut order = cpu_order();
        assert_eq!(order[0], allowed_cpus()[first(std::process::id(), pid_namespace(), order.len())]);
        order.sort_unstable();
        assert_eq!(order, allowed_cpus());
        assert_ne!(pid_namespace(), 0);
    }
}
