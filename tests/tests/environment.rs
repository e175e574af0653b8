//! What a program takes from its environment: flags in variables, and CPUs.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::Command;

use ringway_tests::process::{Process, binary_path};
use ringway_tests::wait::wait_until;
use ringway_tests::{Cluster, own_address};

fn program(name: &str, flags: &[&str], variables: &[(&str, &str)]) -> Process {
    let mut command = Command::new(binary_path(name));
    command.args(flags).envs(variables.iter().copied());
    Process::spawn(name, command)
}

/// The CPUs that threads of a process whose name begins with `name` may run on; glommio has two of one name.
fn threads(pid: u32, name: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let cpus = |task: PathBuf| {
        // It may have ended.
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let field = |field: &str| status.lines().find_map(|line| line.strip_prefix(field)).map(str::trim);
        field("Name:")?.starts_with(name).then(|| field("Cpus_allowed_list:").unwrap().to_owned())
    };
    let mut found: Vec<String> = tasks.filter_map(|task| cpus(task.unwrap().path())).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The CPU that all threads whose name begins with `name` are pinned to; one that is just being made has yet to say so.
fn await_one(pid: u32, name: &str) -> String {
    wait_until("threads to be pinned to one CPU", || match &threads(pid, name)[..] {
        [cpu] if cpu.bytes().all(|byte| byte.is_ascii_digit()) => Some(cpu.clone()),
        _ => None,
    })
}

#[test]
fn a_whole_cluster_is_set_up_by_variables_alone() {
    let ip = own_address();
    let register_address = format!("{ip}:1236");
    let register = program(
        "register",
        &[],
        &[("RINGWAY_REGISTER_LISTEN", &register_address), ("RINGWAY_REGISTER_SECRET_KEY", "s3cret\n")],
    );
    assert_eq!(register.await_ready("register"), register_address);
    let lan_ip = ip.to_string();
    let listen = format!("Websocket://{ip}:8282, text://{ip}:8283");
    let gateway = program(
        "gateway",
        &["--count", "1"],
        &[
            ("RINGWAY_GATEWAY_LISTEN", &listen),
            ("RINGWAY_GATEWAY_COUNT", "3"),
            ("RINGWAY_GATEWAY_LAN_IP", &lan_ip),
            ("RINGWAY_GATEWAY_REGISTER_ADDRESS", &register_address),
            ("RINGWAY_GATEWAY_SECRET_KEY", "s3cret"),
            ("RINGWAY_GATEWAY_WEBSOCKET_PING", "true"),
            ("RINGWAY_GATEWAY_LOG_LEVEL", "trace"),
            ("RINGWAY_GATEWAY_LISTN", "s3cret too"),
            ("RINGWAY_GATEWAY_SERVICE_HOST", "10.0.0.1"),
            ("RINGWAY_GATEWAY_PORT", "tcp://10.0.0.1:8282"),
            ("RINGWAY_GATEWAY_PORT_8282_TCP_ADDR", "10.0.0.1"),
        ],
    );
    let ready = gateway.await_ready("gateway");
    assert_eq!(ready, format!("websocket://{ip}:8282 text://{ip}:8283 (1 shards)"), "the command line wins");
    let variables = [
        ("RINGWAY_WORKER_APP", "echo"),
        ("RINGWAY_WORKER_NAME", "by-variables"),
        ("RINGWAY_WORKER_COUNT", "1"),
        ("RINGWAY_WORKER_REGISTER_ADDRESS", &register_address),
        ("RINGWAY_WORKER_SECRET_KEY", "s3cret"),
        ("RINGWAY_WORKER_NMAE", "x"),
    ];
    let worker = program("worker", &[], &variables);
    assert_eq!(worker.await_ready("worker"), "by-variables on 1 core");
    let text = std::net::SocketAddr::from((ip, 8283));
    wait_until("an echo through what the variables set up", || {
        use std::io::{BufRead, Write};
        let mut client = std::net::TcpStream::connect(text).ok()?;
        client.set_read_timeout(Some(std::time::Duration::from_secs(10))).ok()?;
        client.write_all(b"here\n").ok()?;
        let mut line = String::new();
        std::io::BufReader::new(client).read_line(&mut line).ok()?;
        (line == "here\n").then_some(())
    });

    let log = gateway.stderr();
    let hint = "the variable RINGWAY_GATEWAY_LISTN is no flag; did you mean RINGWAY_GATEWAY_LISTEN?";
    assert!(log.contains(hint), "{log}");
    assert_eq!(log.matches("is no flag").count(), 1, "Kubernetes' own are no slips: {log}");
    assert!(!log.contains("s3cret"), "{log}");
    let log = worker.stderr();
    assert_eq!(log.matches("RINGWAY_WORKER_NMAE is no flag").count(), 1, "the master says it: {log}");
}

#[test]
fn ringway_has_variables_of_its_own() {
    let variables = [
        ("RINGWAY_LISTEN", "websocket://127.0.0.1:0"),
        ("RINGWAY_PAGE", "127.0.0.1:0"),
        ("RINGWAY_COUNT", "1"),
        ("RINGWAY_APP", "echo"),
        ("RINGWAY_GATEWAY_LISTEN", "nonsense"),
        ("RINGWAY_PROGRAMS", "target"),
        ("RINGWAY_NEED_PHP", "1"),
    ];
    let mut ringway = program("ringway", &[], &variables);
    let ready = ringway.await_ready("ringway");
    assert!(ready.contains("1 shard)"), "{ready}");
    assert!(!ringway.stderr().contains("is no flag"), "{}", ringway.stderr());
    ringway.stop();
}

#[test]
fn loopback_is_no_address_for_a_register_elsewhere() {
    let flags = ["--listen", "websocket://127.0.0.1:0", "--start-port", "0", "--count", "1"];
    // A name that nobody has (RFC 2606), so that nothing is sent to anybody.
    let register = ["--register-address", "register.invalid:1236"];
    let mut gateway = program("gateway", &[&flags[..], &register].concat(), &[]);
    gateway.await_ready("gateway");
    wait_until("the warning", || {
        let warning = "cannot reach --lan-ip 127.0.0.1, which the register register.invalid:1236";
        gateway.stderr().contains(warning).then_some(())
    });
    gateway.stop();
}

#[test]
fn threads_are_pinned_to_the_cpus_that_are_asked_for_in_that_order() {
    let allowed = program::allowed_cpus();
    let (first, last) = (allowed[0].to_string(), allowed[allowed.len() - 1].to_string());
    for cpu in [&first, &last] {
        let ip = own_address().to_string();
        let listen = format!("websocket://{ip}:8282");
        let flags = ["--listen", &listen, "--lan-ip", &ip, "--cpus", cpu];
        let mut gateway = program("gateway", &flags, &[]);
        let ready = gateway.await_ready("gateway");
        assert!(ready.ends_with("(1 shards)"), "as many as it has CPUs: {ready}");
        assert_eq!(await_one(gateway.id(), ""), *cpu, "all others stay within");
        gateway.stop();
    }
    let list = format!("{last},{first}");
    let mut ringway = program(
        "ringway",
        &["--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0", "--count", "2", "--cpus", &list],
        &[],
    );
    ringway.await_ready("ringway");
    assert_eq!(await_one(ringway.id(), "gateway-0"), last);
    assert_eq!(await_one(ringway.id(), "gateway-1"), first, "each with a core of the worker");
    ringway.stop();
}

#[test]
fn a_cpu_that_may_not_be_used_is_refused_with_those_that_may() {
    let allowed = program::allowed_cpus();
    let unusable = (0..).find(|cpu| !allowed.contains(cpu)).unwrap().to_string();
    for name in ["register", "gateway", "worker", "ringway", "loadgen"] {
        let mut refused = program(name, &["--cpus", &unusable], &[]);
        assert_eq!(refused.await_exit().code(), Some(2), "{}", refused.output());
        let said = refused.stderr();
        let why = format!("CPU {unusable} is none of those this process may use: {}", allowed[0]);
        assert!(said.contains(&why) && said.lines().count() == 1, "{said}");
    }
}

/// As if by lot, so the same CPU for all of so many is next to impossible.
#[test]
fn processes_of_one_shard_do_not_all_sit_on_one_cpu() {
    let allowed: Vec<String> = program::allowed_cpus().iter().map(usize::to_string).collect();
    let mut taken = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let flags = ["--listen", "websocket://127.0.0.1:0", "--start-port", "0", "--count", "1"];
        let mut gateway = program("gateway", &flags, &[]);
        gateway.await_ready("gateway");
        let cpu = await_one(gateway.id(), "gateway-0");
        assert!(allowed.contains(&cpu), "{cpu} is none of {allowed:?}");
        taken.insert(cpu);
        gateway.kill();
        if taken.len() == allowed.len().min(2) {
            return;
        }
    }
    panic!("all on {taken:?}");
}

#[test]
fn a_worker_of_ones_own_has_the_variables_of_a_worker() {
    let cluster = Cluster::builder().workers(0).start();
    let register = cluster.register_address().to_string();
    let mut command = Command::new(binary_path("test-worker"));
    command.envs([
        ("RINGWAY_WORKER_REGISTER_ADDRESS", register.as_str()),
        ("RINGWAY_WORKER_NAME", "mine"),
        ("RINGWAY_WORKER_COUNT", "1"),
    ]);
    let mut worker = Process::spawn("test-worker", command);
    assert_eq!(worker.await_ready("test-worker"), "mine on 1 core");
    worker.stop();
    cluster.stop();
}
