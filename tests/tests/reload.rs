//! Workers that are replaced, crash and stop, under load.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::crowd::{Crowd, Plan, Sum};
use ringway_tests::process::{Process, binary_path};
use ringway_tests::wait::{Deadline, wait_until};
use ringway_tests::{Clients, Cluster, Listen};

/// Longer than any restart takes on a loaded machine.
const PATIENT: &[&str] = &["--no-worker-wait", "25"];

/// A register and a gateway of two shards.
fn cluster() -> Cluster {
    Cluster::builder().workers(0).shards(2).listen(&[Listen::Text]).gateway_flags(PATIENT).start()
}

/// A folder of a test's own. Dropped, it is removed.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let folder = std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for temporary files");
        Folder(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Puts something else where a program is, in one step, as those who install programs do.
    fn install(&self, what: &[u8]) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let (new, program) = (self.file("new"), self.file("program"));
        std::fs::write(&new, what).expect("the folder takes files");
        std::fs::set_permissions(&new, PermissionsExt::from_mode(0o755)).expect("the file is ours");
        std::fs::rename(&new, &program).expect("the folder is ours");
        program
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn test_worker() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_test-worker"))
}

/// A worker of two cores, ready.
fn start(program: &Path, register: SocketAddrV4, more: &[&str]) -> Process {
    let mut command = Command::new(program);
    command.args(["--count", "2", "--name", "test", "--register-address", &register.to_string()]);
    let worker = Process::spawn("worker", {
        command.args(more);
        command
    });
    worker.await_ready("test-worker");
    worker
}

fn await_said(worker: &Process, what: &str, count: usize) {
    wait_until(what, || (worker.stderr().matches(what).count() >= count).then_some(()));
}

fn signal(worker: &Process, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(worker.id() as i32).expect("a process id");
    rustix::process::kill_process(pid, signal).expect("it runs");
}

fn reload(worker: &Process, times: usize) {
    signal(worker, rustix::process::Signal::USR1);
    await_said(worker, "hands its clients over", times);
    await_said(worker, "the old worker process", times);
}

/// The process that serves a client.
fn pid(client: &mut PlainClient) -> u32 {
    client.send(b"pid");
    let pid = client.receive().expect("an answer");
    String::from_utf8_lossy(&pid).parse().expect("a process id")
}

/// Waits until the worker has got ready this often, and the gateway knows only its last process.
fn await_ready_again(cluster: &Cluster, worker: &Process, times: usize) {
    wait_until("another process to be ready", || {
        (worker.stdout().matches("ready: ").count() >= times).then_some(())
    });
    (0..2).for_each(|shard| cluster.await_links(0, shard, 2));
}

/// A process that another has started.
fn kill_child(pid: u32) {
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
}

/// Reloads `times` times, one every `period`, under load, and checks that nothing is lost, doubled or out of order.
fn reload_under_load(times: usize, period: Duration, clients: usize, rate: usize, flags: &[&str]) -> Sum {
    let cluster = cluster();
    let worker = start(test_worker(), cluster.register_address(), flags);
    let words = &["echo", "echo", "echo", "echo", "echo", "echo", "wait", "count"];
    let address = cluster.address(0, Listen::Text);
    let crowd = Crowd::start(Plan { address, words, clients, rate, lossy: false });
    for time in 1..=times {
        let next = Deadline::after(period);
        reload(&worker, time);
        std::thread::sleep(next.left());
    }
    let sum = crowd.stop();
    assert_eq!(sum.said, sum.heard);
    assert!(!worker.stderr().contains("WARN"), "{}", worker.stderr());
    let mut worker = worker;
    worker.stop();
    cluster.stop();
    sum
}

#[test]
fn a_reload_under_load_loses_doubles_and_reorders_nothing() {
    let sum = reload_under_load(4, Duration::ZERO, 64, 2_000, &[]);
    assert!(sum.said > 64, "{sum:?}");
}

/// One handler at a time, so that the links are hardly ever read: what stands there must not be lost.
#[test]
fn a_reload_of_a_worker_with_too_much_to_do_loses_nothing_either() {
    let sum = reload_under_load(4, Duration::ZERO, 64, 2_000, &["--max-concurrent-events", "1"]);
    assert!(sum.said > 64, "{sum:?}");
}

#[test]
#[ignore = "takes a minute: scripts/bench reload"]
fn reloads_for_a_minute_at_20000_messages_per_second() {
    let sum = reload_under_load(20, Duration::from_secs(3), 400, 20_000, &[]);
    println!("{} messages in 20 reloads, none lost; longest answer {:?}", sum.said, sum.latency_max);
}

#[test]
fn what_is_on_disk_at_the_reload_is_what_serves_and_nothing_changes_if_it_is_broken() {
    let folder = Folder::new("reload");
    let cluster = cluster();
    let good = std::fs::read(test_worker()).expect("the program is there");
    let program = folder.install(&good);
    let mut worker = start(&program, cluster.register_address(), &[]);
    let mut client = cluster.plain(0, Framing::Text);
    let first = pid(&mut client);
    assert_ne!(first, worker.id(), "the master serves nobody");
    folder.install(b"#!/bin/sh\nexit 3\n");
    signal(&worker, rustix::process::Signal::USR1);
    await_said(&worker, "not reloaded, the worker goes on as it is: the new process ended: exit code 3", 1);
    folder.install(b"neither script nor program");
    signal(&worker, rustix::process::Signal::USR1);
    await_said(&worker, "cannot be started", 1);
    assert_eq!(pid(&mut client), first);
    folder.install(&good);
    reload(&worker, 1);
    let second = pid(&mut client);
    assert_ne!(first, second);
    reload(&worker, 2);
    assert!(![first, second].contains(&pid(&mut client)));
    worker.stop();
    cluster.stop();
}

#[test]
fn a_worker_is_told_to_reload_and_stop_by_its_pid_file() {
    let folder = Folder::new("pid-file");
    let file = folder.file("worker.pid");
    let file = file.to_str().expect("a path in UTF-8");
    let flags = ["--pid-file", file];
    let cluster = cluster();
    let run = |words: &[&str]| {
        let mut process = Process::spawn(words[0], {
            let mut command = Command::new(test_worker());
            command.args(words);
            command
        });
        (process.await_exit().code(), process.stderr())
    };
    for command in ["reload", "stop"] {
        let (code, said) = run(&[command, "--pid-file", file]);
        assert!(code == Some(1) && said.contains("no worker runs with --pid-file"), "{said}");
        assert_eq!(run(&[command]).0, Some(2));
    }
    let mut worker = start(test_worker(), cluster.register_address(), &flags);
    let mut client = cluster.plain(0, Framing::Text);
    let first = pid(&mut client);
    let (code, said) = run(&["--pid-file", file]);
    assert!(code == Some(1) && said.contains(&format!("the running process {}", worker.id())), "{said}");
    assert_eq!(run(&["reload", "--pid-file", file]), (Some(0), String::new()));
    await_said(&worker, "the old worker process", 1);
    assert_ne!(pid(&mut client), first);
    assert_eq!(run(&["stop", "--pid-file", file]), (Some(0), String::new()));
    assert!(!worker.is_running());
    worker.await_clean_exit();
    assert!(!Path::new(file).exists());
    cluster.stop();
}

#[test]
fn a_worker_that_crashes_is_started_again_and_a_killed_master_leaves_nobody() {
    let cluster = cluster();
    // Or each crash would be three, and the client closed.
    let mut worker = start(test_worker(), cluster.register_address(), &["--at-most-once"]);
    let mut client = cluster.plain(0, Framing::Text);
    let mut pids = vec![pid(&mut client)];
    for (time, delay) in ["100ms", "200ms", "400ms"].into_iter().enumerate() {
        client.send(b"abort");
        await_said(&worker, &format!("ended: killed by SIGABRT; starting it again in {delay}"), 1);
        await_ready_again(&cluster, &worker, time + 2);
        pids.push(pid(&mut client));
    }
    pids.dedup();
    assert_eq!(pids.len(), 4, "{pids:?}");
    worker.kill();
    (0..2).for_each(|shard| cluster.await_links(0, shard, 0));
    cluster.stop();
}

#[test]
fn a_message_that_kills_three_processes_is_dropped_and_its_client_closed() {
    let cluster = cluster();
    let mut worker = start(test_worker(), cluster.register_address(), &[]);
    let mut client = cluster.plain(0, Framing::Text);
    client.send(b"abort");
    assert_eq!(client.read_to_end(), b"");
    await_said(&worker, "ended: killed by SIGABRT", 3);
    // Those between died before they were.
    await_ready_again(&cluster, &worker, 2);
    pid(&mut cluster.plain(0, Framing::Text));
    worker.stop();
    cluster.stop();
}

#[test]
fn without_a_master_a_worker_is_one_process() {
    let cluster = cluster();
    let mut worker = start(test_worker(), cluster.register_address(), &["--no-master"]);
    let mut client = cluster.plain(0, Framing::Text);
    assert_eq!(pid(&mut client), worker.id());
    signal(&worker, rustix::process::Signal::USR1);
    assert_eq!(pid(&mut client), worker.id(), "a reload means nothing to it");
    worker.stop();
    cluster.stop();
}

#[test]
fn nothing_is_lost_while_the_only_worker_is_stopped_and_started() {
    let cluster = cluster();
    let address = cluster.address(0, Listen::Text);
    let words = &["echo", "wait", "count"];
    let mut worker = start(test_worker(), cluster.register_address(), &[]);
    let crowd = Crowd::start(Plan { address, words, clients: 30, rate: 1_000, lossy: false });
    for _ in 0..3 {
        worker.stop();
        worker = start(test_worker(), cluster.register_address(), &[]);
    }
    let sum = crowd.stop();
    assert_eq!(sum.said, sum.heard);
    worker.stop();
    cluster.stop();
}

#[test]
fn a_crash_of_the_only_worker_costs_what_was_on_its_way_and_no_client() {
    let cluster = cluster();
    let address = cluster.address(0, Listen::Text);
    let mut worker = start(test_worker(), cluster.register_address(), &[]);
    let mut client = cluster.plain(0, Framing::Text);
    let crowd = Crowd::start(Plan { address, words: &["echo"], clients: 30, rate: 1_000, lossy: true });
    for time in 0..3 {
        let before = pid(&mut client);
        kill_child(before);
        await_said(&worker, &format!("the worker process {before} ended: killed by SIGKILL"), 1);
        await_ready_again(&cluster, &worker, time + 2);
    }
    let sum = crowd.stop();
    let lost = sum.said - sum.heard;
    // A client that has heard nothing for a second has nothing on its way; each has 64 at most.
    assert!(lost <= 3 * 30 * 64, "{lost} of {} are lost", sum.said);
    worker.stop();
    cluster.stop();
}

/// What operators have as `worker`, with its status page, which both processes want.
#[test]
fn the_status_page_is_the_new_process_after_a_reload() {
    let cluster = cluster();
    let admin = SocketAddrV4::new(*cluster.register_address().ip(), 9_700);
    let mut command = Command::new(binary_path("worker"));
    let registers = cluster.register_address().to_string();
    command.args([
        "--app",
        "echo",
        "--count",
        "1",
        "--register-address",
        &registers,
        "--admin",
        &admin.to_string(),
    ]);
    let mut worker = Process::spawn("worker", command);
    worker.await_ready("worker");
    let pid = || {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(admin).ok()?;
        write!(stream, "GET /status HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (_, rest) = answer.split_once("\"pid\":")?;
        rest.split(|next: char| !next.is_ascii_digit()).next()?.parse::<u32>().ok()
    };
    let first = wait_until("the status page", pid);
    reload(&worker, 1);
    wait_until("the status page of the new process", || pid().filter(|pid| *pid != first));
    worker.stop();
    cluster.stop();
}
