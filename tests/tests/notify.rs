//! What a service manager is told, as systemd is by units of `Type=notify`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::Ipv4Addr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;

use ringway_tests::own_address;
use ringway_tests::process::{Process, Signal, binary_path};
use ringway_tests::wait::LIMIT;

/// A service manager of one program.
struct Manager(UnixDatagram);

impl Manager {
    /// Starts the program with a socket to notify.
    fn start(ip: Ipv4Addr, program: &str, flags: &str) -> (Manager, Process) {
        let name = format!("ringway-tests-{ip}-{program}");
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        socket.set_read_timeout(Some(LIMIT)).unwrap();
        let mut command = Command::new(binary_path(program));
        command.args(flags.split_whitespace()).env("NOTIFY_SOCKET", format!("@{name}"));
        (Manager(socket), Process::spawn(program, command))
    }

    /// The next that it is told.
    #[track_caller]
    fn told(&self) -> String {
        let mut told = [0; 4096];
        let size = self.0.recv(&mut told).expect("it is told something");
        String::from_utf8(told[..size].to_vec()).unwrap()
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
