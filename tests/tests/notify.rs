//! What a service manager is told, as systemd is by units of `Type=notify`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::own_address;
use ringway_tests::process::{Process, Signal, binary_path};
use ringway_tests::wait::LIMIT;

/// A service manager of one program.
struct Manager(UnixDatagram);

impl Manager {
    /// Starts the program with a socket to notify.
    fn start(ip: Ipv4Addr, program: &str, flags: &str) -> (Manager, Process) {
        Manager::start_with(ip, program, flags, &[])
    }

    /// The same with a watchdog that waits so long.
    fn start_watching(ip: Ipv4Addr, program: &str, flags: &str, limit: Duration) -> (Manager, Process) {
        Manager::start_with(ip, program, flags, &[("WATCHDOG_USEC", limit.as_micros().to_string())])
    }

    fn start_with(ip: Ipv4Addr, program: &str, flags: &str, more: &[(&str, String)]) -> (Manager, Process) {
        let name = format!("ringway-tests-{ip}-{program}");
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut command = Command::new(binary_path(program));
        command.args(flags.split_whitespace()).env("NOTIFY_SOCKET", format!("@{name}"));
        command.envs(more.iter().map(|(name, value)| (name, value)));
        (Manager(socket), Process::spawn(program, command))
    }

    /// The next that it is told.
    #[track_caller]
    fn told(&self) -> String {
        let mut told = [0; 4096];
        let size = self.0.recv(&mut told).expect("it is told something");
        String::from_utf8(told[..size].to_vec()).unwrap()
    }

    /// Waits until it is told this, whatever it is told before.
    #[track_caller]
    fn await_told(&self, what: &str) {
        while !self.told().starts_with(what) {}
    }

    /// Waits until it is told nothing for so long.
    fn await_silence(&self, silence: Duration) {
        self.0.set_read_timeout(Some(silence)).unwrap();
        while self.0.recv(&mut [0; 1]).is_ok() {}
        self.0.set_read_timeout(Some(LIMIT)).unwrap();
    }

    /// Whether it is told nothing more, by whoever had its socket and has ended.
    fn is_told_no_more(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0; 1]).is_err()
    }
}

#[track_caller]
fn assert_stops(manager: &Manager, process: &mut Process) {
    process.stop();
    assert_eq!(manager.told(), "STOPPING=1");
    assert!(manager.is_told_no_more());
}

#[test]
fn a_program_that_serves_or_ends_says_so() {
    let ip = own_address();
    let (manager, mut register) = Manager::start(ip, "register", &format!("--listen {ip}:1236"));
    assert_eq!(manager.told(), format!("READY=1\nSTATUS={ip}:1236"));
    assert_stops(&manager, &mut register);
    // It knows its own register.
    let flags = format!("--listen websocket://{ip}:8283 --page {ip}:8080 --count 1");
    let (manager, mut ringway) = Manager::start(ip, "ringway", &flags);
    assert!(manager.told().starts_with(&format!("READY=1\nSTATUS=open http://{ip}:8080")));
    assert_stops(&manager, &mut ringway);
}

#[test]
fn a_gateway_tells_of_new_certificates() {
    let ip = own_address();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("notify.pem");
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
    let cert = file.display();
    let flags = format!(
        "--listen wss://{ip}:8282 --lan-ip {ip} --count 1 --register-address {ip}:1236 --tls-cert {cert}"
    );
    let (manager, mut gateway) = Manager::start(ip, "gateway", &flags);
    // No register is there.
    assert_eq!(manager.told(), format!("READY=1\nSTATUS=wss://{ip}:8282 (1 shards)"));
    gateway.hang_up();
    assert!(manager.told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(manager.told(), "READY=1");
    assert_stops(&manager, &mut gateway);
}

#[test]
fn programs_that_turn_say_so_to_a_watchdog() {
    let ip = own_address();
    let register = format!("--register-address {ip}:1236");
    let gateway = format!("--listen text://{ip}:8282 --lan-ip {ip} --count 1 {register}");
    let worker = format!("--app echo --count 2 {register}");
    let alone = format!("--count 2 --name alone --no-master {register}");
    let programs = [("register", format!("--listen {ip}:1236")), ("gateway", gateway), ("worker", worker)];
    let mut watched = Vec::new();
    for (program, flags) in programs.into_iter().chain([("test-worker", alone)]) {
        let (manager, process) = Manager::start_watching(ip, program, &flags, Duration::from_millis(600));
        for what in ["READY=1", "WATCHDOG=1", "WATCHDOG=1"] {
            manager.await_told(what);
        }
        watched.push((manager, process));
    }
}

#[test]
fn a_handler_that_blocks_keeps_a_process_from_saying_that_it_goes_on() {
    let ip = own_address();
    let flags = format!("--listen text://{ip}:8282 --count 2 --register-listen {ip}:1236 --lan-ip {ip}");
    let (manager, ringway) = Manager::start_watching(ip, "test-embedded", &flags, Duration::from_millis(900));
    manager.await_told("READY=1");
    manager.await_told("WATCHDOG=1");
    let mut client = PlainClient::connect((ip, 8282).into(), Framing::Text);
    client.send(b"block 2");
    manager.await_silence(Duration::from_secs(1));
    assert!(ringway.output().contains("watchdog is not fed: "), "{}", ringway.output());
    manager.await_told("WATCHDOG=1");
    assert_eq!(client.receive().unwrap(), b"block 2");
}

#[test]
fn a_master_speaks_for_its_worker() {
    let ip = own_address();
    let register = Process::start("register", "register", &["--listen".to_owned(), format!("{ip}:1236")]);
    register.await_ready("register");
    let flags = format!("--app echo --count 1 --register-address {ip}:1236");
    let (manager, mut worker) = Manager::start(ip, "worker", &flags);
    assert_eq!(manager.told(), "READY=1");
    // The new process is ready, and the old one ends; neither says so itself.
    worker.signal(Signal::USR1);
    assert!(manager.told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(manager.told(), "READY=1");
    assert_stops(&manager, &mut worker);
}
