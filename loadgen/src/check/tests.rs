//! Plans against machines made up of numbers.

use argh::FromArgs;

use super::*;
use crate::{Flags, Machine};

/// A machine that has plenty of everything.
fn plenty() -> System {
    System {
        open_files: Some(1 << 20),
        locked_memory: Some(u64::MAX),
        files_left: Some(1 << 40),
        ports: Some(28_232),
        accept_queue: Some(65_535),
        tcp_pages: Some(1 << 40),
        conntrack: Some(Conntrack { tracked: 10, max: 1 << 40 }),
        memory: Some(1 << 60),
    }
}

fn plan(line: &str) -> Plan {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let flags = Flags::from_args(&["loadgen"], &words).unwrap();
    Plan::new(&flags, &Machine { cpus: vec![0, 1], open_files: 20_000 }).unwrap()
}

/// The only finding.
fn finding(line: &str, system: System) -> Finding {
    let found = check(&plan(line), &system);
    let [finding] = found.as_slice() else { panic!("{line}: {found:?}") };
    finding.clone()
}

#[test]
fn a_machine_that_is_ready_is_not_mentioned() {
    for line in
        ["", "--conns 28000 --spread 2", "--conns 1000000 --spread 72", "--scenario echo --size 1000000"]
    {
        assert_eq!(check(&plan(line), &plenty()), [], "{line}");
        assert_eq!(check(&plan(line), &System::default()), [], "{line}");
    }
}

#[test]
fn open_files_count_for_each_ring() {
    let few = System { open_files: Some(20_000), ..plenty() };
    assert_eq!(check(&plan("--conns 1000000 --spread 72"), &few), []);
    let found = finding("--conns 1000000 --spread 72 --count 8", few);
    assert_eq!((found.severity, found.needed.as_str()), (Severity::Error, "125064"));
    assert_eq!(found.remedy, "`ulimit -n 125064`, or --count 51");
    let threads = finding("--conns 100 --count 50", System { open_files: Some(500), ..plenty() });
    assert!(threads.setting.contains("all threads") && threads.severity == Severity::Error, "{threads}");
}

#[test]
fn sockets_are_files_of_the_system_at_both_ends() {
    let few = System { files_left: Some(15_000), ..plenty() };
    let found = finding("--conns 10000", few.clone());
    assert_eq!((found.severity, found.needed.as_str()), (Severity::Warning, "20000"));
    assert_eq!(found.remedy, "`sysctl -w fs.file-max=40000`");
    assert_eq!(check(&plan("--conns 10000 --target ws://192.0.2.1:1"), &few), []);
}

#[test]
fn ports_are_counted_for_each_destination() {
    let slow = finding("--conns 28000", plenty());
    assert_eq!(slow.severity, Severity::Warning);
    assert!(slow.remedy.contains("ip_local_port_range=\"1024 65535\""), "{slow}");
    let none = finding("--conns 1000000", plenty());
    assert_eq!((none.severity, none.needed.as_str()), (Severity::Error, "1000000 per destination"));
    assert!(none.remedy.starts_with("--spread 71,") && none.remedy.contains("0.0.0.0"), "{none}");
    let listeners = finding("--conns 1000000 --target ws://127.0.0.1:1,text://127.0.0.1:2", plenty());
    assert!(listeners.remedy.starts_with("--spread 36,"), "{listeners}");
    let far = finding("--conns 60000 --target ws://192.0.2.1:1", plenty());
    assert!(far.remedy.starts_with("--source with 5 addresses, or 5 times as many targets"), "{far}");
    assert_eq!(far.severity, Severity::Error);
    let sources = "--source 192.0.2.2,192.0.2.3,192.0.2.4,192.0.2.5,192.0.2.6";
    assert_eq!(check(&plan(&format!("--conns 60000 --target ws://192.0.2.1:1 {sources}")), &plenty()), []);
}

#[test]
fn queues_of_this_machine_matter_only_to_servers_on_it() {
    let short = System { accept_queue: Some(128), ..plenty() };
    let found = finding("--conns 10000", short.clone());
    assert_eq!((found.severity, found.needed.as_str()), (Severity::Warning, "up to 1024"));
    assert_eq!(finding("--conns 200", short.clone()).needed, "up to 200");
    assert_eq!(check(&plan("--conns 10000 --target ws://192.0.2.1:1"), &short), []);
}

#[test]
fn buffers_matter_to_those_who_talk() {
    let small = System { tcp_pages: Some(1_000), ..plenty() };
    assert_eq!(check(&plan("--conns 10000"), &small), []);
    let found = finding("--conns 10000 --scenario echo --size 5000", small);
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.remedy, "`sysctl -w net.ipv4.tcp_mem=\"40000 40000 80000\"`");
}

#[test]
fn a_table_of_connections_must_have_room() {
    let full = System { conntrack: Some(Conntrack { tracked: 200, max: 1_100 }), ..plenty() };
    let found = finding("--conns 1000", full);
    assert_eq!((found.severity, found.needed.as_str()), (Severity::Error, "1200"));
}

#[test]
fn memory_is_for_both_ends() {
    let small = System { memory: Some(6 << 30), ..plenty() };
    let found = finding("--conns 1000000 --spread 72", small.clone());
    assert_eq!((found.severity, found.value.as_str()), (Severity::Error, "6144 MiB"));
    let fits: usize = found.remedy.split([' ', ',']).nth(1).unwrap().parse().unwrap();
    assert_eq!(check(&plan(&format!("--conns {fits} --spread 72 --count 51")), &small), []);
    assert_eq!(
        check(
            &plan("--conns 800000 --target ws://192.0.2.1:1,ws://192.0.2.1:2"),
            &System { ports: None, ..small }
        ),
        []
    );
    let locked = finding("", System { locked_memory: Some(64 << 10), ..plenty() });
    assert_eq!(
        locked.to_string(),
        "error: locked memory (ulimit -l) is 64 KiB, 512 KiB needed: `ulimit -l unlimited`"
    );
}
