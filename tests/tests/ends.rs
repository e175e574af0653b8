//! A process that cannot do its job ends, soon and with a reason; one that can, goes on.

use std::fs::File;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::process::{Command, Stdio};

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::own_address;
use ringway_tests::process::{Process, Signal, binary_path};
use ringway_tests::status;
use ringway_tests::wait::wait_until;

/// A panic, a ring that breaks, a start that fails.
const SOFTWARE: Option<i32> = Some(70);
/// The environment refuses.
const ENVIRONMENT: Option<i32> = Some(1);

/// The five programs with flags that let them run by themselves at `ip`, and whether they say that they are ready then.
fn programs(ip: Ipv4Addr) -> [(&'static str, Vec<String>); 6] {
    let register = format!("--register-address {ip}:1236");
    let words = |line: String| line.split_whitespace().map(str::to_owned).collect();
    [
        ("register", words(format!("--listen {ip}:1236"))),
        ("gateway", words(format!("--listen text://{ip}:8282 --lan-ip {ip} --count 1 {register}"))),
        ("worker", words(format!("--app echo --count 1 {register}"))),
        ("worker", words(format!("--app echo --count 1 --no-master --name other {register}"))),
        ("ringway", words(format!("--listen websocket://{ip}:8283 --page {ip}:8080 --count 1"))),
        ("loadgen", words(format!("--target text://{ip}:8282 --conns 1 --hold 600 --count 1"))),
    ]
}

/// Where a process may write that takes nothing, or nothing any more.
fn deaf_streams() -> [(&'static str, Stdio); 3] {
    let full = File::options().write(true).open("/dev/full").expect("Linux has /dev/full");
    let (reader, gone) = std::io::pipe().expect("a pipe can be had");
    drop(reader);
    let (unread, mut stuck) = std::io::pipe().expect("a pipe can be had");
    stuck.write_all(&[b'x'; 64 * 1024]).expect("a pipe holds 64 KiB");
    // Nobody reads it for as long as this test runs.
    std::mem::forget(unread);
    [("full disk", full.into()), ("reader gone", gone.into()), ("nobody reads", stuck.into())]
}

#[test]
fn whatever_becomes_of_the_log_programs_serve_and_end_in_good_order() {
    for (what, _) in deaf_streams() {
        let ip = own_address();
        let mut running = Vec::new();
        for (program, flags) in programs(ip).into_iter().take(3) {
            let (_, stderr) =
                deaf_streams().into_iter().find(|(name, _)| *name == what).expect("the same again");
            let mut command = Command::new(binary_path(program));
            command.args(&flags).stdout(Stdio::piped()).stderr(stderr);
            let process = Process::spawn_as_is(&format!("{program}, {what}"), command);
            process.await_ready(program);
            running.push(process);
        }
        let gateway = (ip, 8282).into();
        PlainClient::connect(gateway, Framing::Text).echo(b"before");
        // Every link that comes or goes is a line in two logs.
        let [register, _, worker] = &mut running[..] else { panic!("three run") };
        register.stop();
        worker.signal(Signal::USR1);
        worker.signal(Signal::HUP);
        PlainClient::connect(gateway, Framing::Text).echo(b"after");
        for process in running[1..].iter_mut().rev() {
            process.stop();
        }
    }
}

#[test]
fn a_program_whose_stdout_nobody_reads_serves_and_ends() {
    let ip = own_address();
    for (what, stdout) in deaf_streams() {
        let mut command = Command::new(binary_path("register"));
        command.args(["--listen", &format!("{ip}:1236")]).stdout(stdout).stderr(Stdio::piped());
        let mut register = Process::spawn_as_is(&format!("register, {what}"), command);
        wait_until("the register", || TcpStream::connect((ip, 1236)).ok());
        register.stop();
    }
}

#[test]
fn a_last_word_that_nobody_takes_ends_the_program_all_the_same() {
    for (what, stderr) in deaf_streams() {
        let mut command = Command::new(binary_path("register"));
        command.args(["--listen", "192.0.2.1:1236"]).stdout(Stdio::piped()).stderr(stderr);
        let mut register = Process::spawn_as_is(&format!("register, {what}"), command);
        assert_eq!(register.await_exit().code(), ENVIRONMENT, "{what}");
    }
}

/// A test worker, with what its start is to do.
fn test_worker(ip: Ipv4Addr, start: &str, flags: &[&str]) -> Process {
    let mut command = Command::new(binary_path("test-worker"));
    command.args(["--count", "2", "--register-address", &format!("{ip}:1236")]).args(flags);
    command.env("TEST_START", start);
    Process::spawn("test-worker", command)
}

/// The only line of a process that has ended, which is about what ended it.
#[track_caller]
fn last_word(process: &Process) -> String {
    let stderr = process.stderr();
    let lines: Vec<&str> = stderr.lines().filter(|line| line.contains("thread ")).collect();
    assert_eq!(lines.len(), 1, "not one line:\n{stderr}");
    lines[0].to_owned()
}

#[test]
fn a_worker_whose_start_fails_says_so_and_ends() {
    let ip = own_address();
    for (start, why) in [("panic", "asked to"), ("/nonexistent/file", "No such file")] {
        let mut worker = test_worker(ip, start, &["--no-master"]);
        assert_eq!(worker.await_exit().code(), SOFTWARE, "{}", worker.output());
        let line = last_word(&worker);
        assert!(line.starts_with("test-worker: thread worker-") && line.contains(why), "{line}");
    }
}

#[test]
fn a_master_starts_a_worker_again_whose_first_start_has_failed() {
    let ip = own_address();
    let flags = ["--listen".to_owned(), format!("{ip}:1236")];
    let mut register = Process::start("register", "register", &flags);
    register.await_ready("register");
    let file = std::env::temp_dir().join(format!("ringway-start-{}", std::process::id()));
    let mut worker = test_worker(ip, file.to_str().expect("a path in UTF-8"), &[]);
    wait_until("a second try", || {
        (worker.stderr().matches("exit code 70; starting it again in").count() >= 2).then_some(())
    });
    File::create(&file).expect("a file can be made");
    worker.await_ready("test-worker");
    std::fs::remove_file(&file).expect("the file is there");
    worker.stop();
    register.stop();
}

#[test]
fn a_gateway_whose_hooks_cannot_start_ends() {
    let ip = own_address();
    let flags = |panic: &str| {
        let line = format!("--listen text://{ip}:8282 --register-address {ip}:1236 --panic {panic}");
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut gateway = Process::start("test-gateway", "test-gateway", &flags("start"));
    assert_eq!(gateway.await_exit().code(), SOFTWARE, "{}", gateway.output());
    let line = last_word(&gateway);
    assert!(line.contains("thread gateway-0") && line.contains("a hook of the test"), "{line}");
}

#[test]
fn a_gateway_whose_ring_breaks_ends() {
    let ip = own_address();
    let [_, (_, flags), ..] = programs(ip);
    // EBADF, and only once so much happens at once that it is served by one system call.
    let mut gateway = confined(9, &["io_uring_enter:40"], "gateway", &flags);
    gateway.await_ready("gateway");
    let mut clients = Vec::new();
    while gateway.is_running() {
        match TcpStream::connect((ip, 8282)) {
            Ok(client) => clients.push(client),
            Err(_) => clients.clear(),
        }
        if clients.len() > 500 {
            clients.clear();
        }
    }
    assert_eq!(gateway.await_exit().code(), SOFTWARE, "{}", gateway.output());
    let line = last_word(&gateway);
    assert!(line.contains("thread gateway-0") && line.contains("the ring of this shard broke"), "{line}");
}

#[test]
fn a_worker_whose_core_gets_no_executor_ends() {
    let [_, _, _, (_, flags), ..] = programs(own_address());
    // EMFILE, for rings larger than what is tried at the start.
    let mut worker = confined(24, &["io_uring_setup:64"], "worker", &flags);
    let code = worker.await_exit().code();
    let stderr = worker.stderr();
    assert!(code == ENVIRONMENT || code == SOFTWARE, "{code:?}\n{stderr}");
    assert!(stderr.contains("os error 24") || stderr.contains("Too many open files"), "{stderr}");
}

#[test]
fn a_panic_in_a_hook_costs_one_client() {
    let ip = own_address();
    let line = format!("--listen text://{ip}:8282 --register-address {ip}:1236 --panic connect");
    let flags: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let mut gateway = Process::start("test-gateway", "test-gateway", &flags);
    gateway.await_ready("test-gateway");
    let _first = PlainClient::connect((ip, 8282).into(), Framing::Text);
    let mut second = PlainClient::connect((ip, 8282).into(), Framing::Text);
    assert_eq!(second.receive(), None, "it is closed");
    wait_until("a line about it", || {
        gateway.stderr().contains("the hook on_connect panicked: a hook of the test (at ").then_some(())
    });
    gateway.stop();
}

/// Starts a program where system calls of io_uring fail.
fn confined(errno: i32, calls: &[&str], program: &str, flags: &[String]) -> Process {
    let mut command = Command::new(binary_path("confined"));
    command.arg(errno.to_string()).args(calls).arg("--").arg(binary_path(program)).args(flags);
    Process::spawn(&format!("{program} without {calls:?}"), command)
}

#[test]
fn where_io_uring_is_refused_every_program_says_so_in_one_line() {
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register"] {
        // EPERM, as Docker's profile has it, and ENOSYS, as Podman's has.
        for errno in [1, 38] {
            for (program, flags) in programs(own_address()) {
                let mut process = confined(errno, &[call], program, &flags);
                let status = process.await_exit();
                assert_eq!(status.code(), ENVIRONMENT, "{}", process.output());
                let (stdout, stderr) = (process.stdout(), process.stderr());
                assert_eq!((stdout.as_str(), stderr.lines().count()), ("", 1), "{stderr}");
                for word in [&format!("{program}: "), "io_uring", call, "seccomp", "docs/OPERATIONS.md"] {
                    assert!(stderr.contains(word), "no {word} in: {stderr}");
                }
            }
        }
    }
}

#[test]
fn with_the_profile_for_containers_every_program_serves() {
    let ip = own_address();
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/seccomp.json");
    let mut running = Vec::new();
    for (program, flags) in programs(ip) {
        let mut command = Command::new(binary_path("confined"));
        command.args(["profile", profile, "--"]).arg(binary_path(program)).args(&flags);
        let process = Process::spawn(&format!("{program} in a container"), command);
        if program == "loadgen" {
            wait_until("a client of loadgen", || {
                process.stdout().contains("loadgen measuring").then_some(())
            });
        } else {
            process.await_ready(program);
        }
        running.push(process);
    }
    PlainClient::connect((ip, 8282).into(), Framing::Text).echo(b"hello");
    running.iter_mut().rev().for_each(Process::stop);
}

#[test]
fn signals_that_mean_nothing_are_ignored_with_a_line() {
    let ip = own_address();
    let ignored = [
        (Signal::HUP, "SIGHUP ignored: there is nothing to reload"),
        (Signal::USR1, "SIGUSR1 ignored"),
        (Signal::USR2, "SIGUSR2 ignored"),
        (Signal::ALARM, "SIGALRM ignored"),
        (Signal::VTALARM, "SIGVTALRM ignored"),
        (Signal::PROF, "SIGPROF ignored"),
        (Signal::IO, "SIGIO ignored"),
    ];
    let mut running = Vec::new();
    for (index, (program, flags)) in programs(ip).into_iter().enumerate() {
        let mut process = Process::start(program, program, &flags);
        if program == "loadgen" {
            wait_until("a client of loadgen", || {
                process.stdout().contains("loadgen measuring").then_some(())
            });
        } else {
            process.await_ready(program);
        }
        // Nothing is said of these: it might be what causes the next.
        process.signal(Signal::PIPE);
        process.signal(Signal::XFSZ);
        // The worker with a master has a use for it.
        for (signal, line) in ignored.iter().filter(|(signal, _)| index != 2 || *signal != Signal::USR1) {
            let is_reload = program == "ringway" && *signal == Signal::USR1;
            let line = if is_reload { "embedded: restart, or split the worker off" } else { *line };
            process.signal(*signal);
            wait_until(line, || {
                assert!(process.is_running(), "{program} ended: {line}\n{}", process.output());
                process.stderr().contains(line).then_some(())
            });
        }
        running.push(process);
    }
    for process in running.iter_mut().rev() {
        process.terminate();
        process.await_clean_exit();
    }
}

#[test]
fn quit_ends_a_program_at_once() {
    use std::os::unix::process::ExitStatusExt;
    let ip = own_address();
    let [(program, flags), ..] = programs(ip);
    let mut register = Process::start(program, program, &flags);
    register.await_ready(program);
    register.signal(Signal::QUIT);
    assert_eq!(register.await_exit().signal(), Some(3));
}

/// A register, a gateway for texts and a test worker at an address of their own.
fn cluster_with(ip: Ipv4Addr, worker_flags: &[&str]) -> [Process; 3] {
    let [(_, register_flags), (_, gateway_flags), ..] = programs(ip);
    let register = Process::start("register", "register", &register_flags);
    register.await_ready("register");
    let gateway = Process::start("gateway", "gateway", &gateway_flags);
    gateway.await_ready("gateway");
    let mut command = Command::new(binary_path("test-worker"));
    command.args(["--register-address", &format!("{ip}:1236")]).args(worker_flags);
    let worker = Process::spawn("test-worker", command);
    worker.await_ready("test-worker");
    [register, gateway, worker]
}

#[test]
fn a_core_that_does_not_answer_is_a_fault() {
    let ip = own_address();
    let admin = SocketAddrV4::new(ip, 9501);
    let [_register, _gateway, _worker] =
        cluster_with(ip, &["--name", "hung", "--count", "1", "--no-master", "--admin", &admin.to_string()]);
    assert_eq!(status::response(admin).0, 200);
    let mut client = PlainClient::connect((ip, 8282).into(), Framing::Text);
    client.send(b"block 600");
    let (code, body) =
        wait_until("a fault", || Some(status::response(admin)).filter(|(code, _)| *code != 200));
    assert_eq!(code, 503);
    assert!(body.contains("hung:0 has not answered for 3s"), "{body}");
}

#[test]
fn a_worker_of_which_no_core_turns_is_replaced() {
    let ip = own_address();
    // Or the next process would get the same message, until three have died of it.
    let [_register, _gateway, mut worker] = cluster_with(ip, &["--count", "1", "--at-most-once"]);
    let mut client = PlainClient::connect((ip, 8282).into(), Framing::Text);
    client.send(b"block 600");
    // Half a minute, and up to 5 s until the last sign of life.
    for _ in 0..2 {
        let line = "no core of the worker process";
        if ringway_tests::wait::waited_for(|| worker.stderr().contains(line)) {
            break;
        }
    }
    wait_until("a new process", || {
        worker.stderr().contains("killed by SIGKILL; starting it again").then_some(())
    });
    PlainClient::connect((ip, 8282).into(), Framing::Text).echo(b"again");
    worker.stop();
}

#[test]
fn forged_addresses_do_not_fill_a_workers_log() {
    let ip = own_address();
    let register = TcpListener::bind((ip, 1236)).expect("the address is this test's alone");
    // Nobody listens on these.
    let addresses: Vec<String> = (0..3000).map(|n| format!("\"{ip}:{}\"", 20_000 + n)).collect();
    let list = format!("{{\"event\":\"broadcast_addresses\",\"addresses\":[{}]}}\n", addresses.join(","));
    let flags = ["--app", "echo", "--count", "1", "--no-master", "--register-address", &format!("{ip}:1236")];
    let mut worker = Process::start("worker", "worker", &flags.map(str::to_owned));
    let (mut stream, _) = register.accept().expect("the worker connects");
    stream.write_all(list.as_bytes()).expect("the worker reads");
    // It is ready once it has tried them all.
    worker.await_ready("worker");
    // And loses them all.
    stream.write_all(b"{\"event\":\"broadcast_addresses\",\"addresses\":[]}\n").expect("the worker reads");
    wait_until("the numbers of those left out", || {
        (worker.stderr().matches(" more lines like this one: ").count() >= 2).then_some(())
    });
    let lines = worker.stderr().lines().count();
    assert!(lines < 500, "{lines} lines");
    worker.stop();
}
