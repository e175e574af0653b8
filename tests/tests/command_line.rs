//! What a person who starts a program wrongly is told.

use std::net::TcpListener;
use std::process::Command;

use ringway_tests::process::{Process, binary_path, cpu_time, rss};
use ringway_tests::wait::wait_until;
use ringway_tests::{Cluster, Listen, own_address};

/// Lines that a terminal over the height of a monitor shows.
const SCREEN: usize = 64;
/// Exit code for wrong usage.
const USAGE: i32 = 2;
/// Exit code when the environment refuses.
const ENVIRONMENT: i32 = 1;

/// Runs a program that cannot start; asserts its exit code, that it says so in one line, and that the line contains
/// `what`.
#[track_caller]
fn assert_refused(program: &str, flags: &[&str], code: i32, what: &str) {
    let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let mut process = Process::start(program, program, &flags);
    let status = process.await_exit();
    let stderr = process.stderr();
    assert_eq!(status.code(), Some(code), "{program} {flags:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "not one line: {stderr}");
    assert!(stderr.contains(what), "`{what}` is not in: {stderr}");
    assert_eq!(process.stdout(), "");
}

#[test]
fn a_wrong_flag_is_named() {
    for program in ["register", "gateway", "worker", "ringway", "loadgen"] {
        assert_refused(program, &["--nonsense"], USAGE, "--nonsense");
        assert_refused(program, &["--log-level"], USAGE, "--log-level");
        assert_refused(program, &["--log-levle", "info"], USAGE, "did you mean --log-level?");
    }
}

#[test]
fn a_config_file_that_cannot_be_read_is_named() {
    let directory = std::env::temp_dir().join(format!("ringway-tests-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let missing = directory.join("missing.toml");
    let broken = directory.join("broken.toml");
    std::fs::write(&broken, "secret-key = \n").unwrap();
    let unknown = directory.join("unknown.toml");
    std::fs::write(&unknown, "secret_kee = \"a\"\n").unwrap();
    for program in ["register", "gateway", "worker"] {
        let unknown_key = "line 1: unknown key `secret_kee`; did you mean `secret-key`?";
        for (file, what) in [(&missing, "missing.toml"), (&broken, "broken.toml"), (&unknown, unknown_key)] {
            assert_refused(program, &["--config", file.to_str().unwrap()], USAGE, what);
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn a_config_file_says_what_flags_say_and_flags_win() {
    let ip = own_address();
    let file = std::env::temp_dir().join(format!("ringway-tests-register-{}.toml", std::process::id()));
    std::fs::write(&file, format!("listen = \"{ip}:1000000\"\nsecret-key = \"k\"\n")).unwrap();
    let listen = format!("{ip}:1236");
    let flags = ["--config", file.to_str().unwrap(), "--listen", &listen].map(str::to_owned);
    let mut register = Process::start("register", "register", &flags);
    assert!(register.await_ready("register").contains(&listen));
    register.stop();
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn a_busy_port_is_named() {
    let ip = own_address();
    let taken = TcpListener::bind((ip, 0)).unwrap();
    let address = taken.local_addr().unwrap();
    assert_refused("register", &["--listen", &address.to_string()], ENVIRONMENT, &address.to_string());
    let lan_ip = ip.to_string();
    let register = ["--register-address", "127.0.0.1:9"];
    let client_port = format!("websocket://{address}");
    let flags = ["--lan-ip", &lan_ip, "--count", "1", "--listen", &client_port];
    assert_refused("gateway", &[&flags[..], &register].concat(), ENVIRONMENT, &address.to_string());
    let inner_port = address.port().to_string();
    let free = format!("websocket://{ip}:8282");
    let flags = ["--lan-ip", &lan_ip, "--count", "1", "--listen", &free, "--start-port", &inner_port];
    let why = format!("cannot listen on {address}: address in use; choose another --start-port");
    assert_refused("gateway", &[&flags[..], &register].concat(), ENVIRONMENT, &why);
}

/// The shards of a gateway share a client port; two gateways must not, or clients would land on either.
#[test]
fn a_second_gateway_on_the_same_port_is_refused() {
    let cluster = Cluster::builder().workers(0).start();
    let listen = format!("websocket://{}", cluster.address(0, Listen::Websocket));
    let lan_ip = cluster.register_address().ip().to_string();
    let flags = ["--listen", &listen, "--lan-ip", &lan_ip, "--start-port", "4000", "--count", "1"];
    assert_refused("gateway", &flags, ENVIRONMENT, &cluster.address(0, Listen::Websocket).to_string());
    cluster.stop();
}

#[test]
fn help_fits_one_screen() {
    for program in ["register", "gateway", "worker", "ringway", "loadgen"] {
        let mut process = Process::start(program, program, &["--help".to_owned()]);
        assert_eq!(process.await_exit().code(), Some(0));
        let help = process.stdout();
        for words in ["--log-level", "--cpus", "--config", "LOG_LEVEL", "2 a wrong flag or value"] {
            let text = help.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(words), "{words}: {help}");
        }
        assert!(help.lines().count() <= SCREEN, "{} lines:\n{help}", help.lines().count());
    }
}

/// The harness itself: what it measures of a process.
#[test]
fn cpu_time_and_memory_of_a_process_are_read() {
    let own = std::process::id();
    assert!(rss(own) > 1 << 20, "{}", rss(own));
    let mut sum = 0_u64;
    wait_until("CPU time to pass", || {
        sum = (0..1_000_000).fold(sum, |sum, number| sum.rotate_left(5) ^ number);
        (!cpu_time(own).is_zero()).then_some(())
    });
    assert!(binary_path("gateway").is_file());
}

#[test]
fn a_worker_with_a_main_of_its_own_logs_too() {
    let register = format!("{}:1236", own_address());
    let mut command = Command::new(env!("CARGO_BIN_EXE_plain-worker"));
    command.arg(&register);
    let mut worker = Process::spawn("plain-worker", command);
    wait_until("the log to name the register", || worker.stderr().contains(&register).then_some(()));
    worker.stop();
}
