//! The binary: its ready line, its exit codes, its complaints.
#![expect(clippy::unwrap_used, reason = "a test fails by panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

fn register(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_register"));
    command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A register that is ready, and the address it told.
fn ready(words: &[&str]) -> (Child, String) {
    let mut child = register(words).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let addr = line.strip_prefix("register ready: ").and_then(|rest| rest.strip_suffix('\n'));
    let addr = addr.unwrap_or_else(|| panic!("no ready line: {line:?}")).to_owned();
    (child, addr)
}

fn end(child: Child, signal: Signal) -> Output {
    kill_process(Pid::from_child(&child), signal).unwrap();
    child.wait_with_output().unwrap()
}

fn complaint(words: &[&str]) -> (Option<i32>, String) {
    let output = register(words).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn it_serves_until_a_signal() {
    for signal in [Signal::INT, Signal::TERM] {
        let (child, addr) = ready(&["--listen", "127.0.0.1:0", "--secret-key", "k3y"]);
        let mut stream = TcpStream::connect(addr).unwrap();
        stream.write_all(b"{\"event\":\"worker_connect\",\"secret_key\":\"k3y\"}\n").unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        assert_eq!(line, "{\"event\":\"broadcast_addresses\",\"addresses\":[]}\n");
        let output = end(child, signal);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "closed at the end");
    }
}

#[test]
fn it_says_what_is_wrong_in_one_line() {
    assert_eq!(
        complaint(&["--colour"]),
        (Some(2), "register: unrecognized argument: --colour; try --help\n".to_owned())
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let expected = format!(
        "register: cannot listen on {addr}: address in use; choose another --listen or stop what holds the port\n"
    );
    assert_eq!(complaint(&["--listen", &addr]), (Some(1), expected));
    for (wrong, expected) in [("nowhere", 2), ("http://127.0.0.1:0", 2), ("nowhere.invalid:0", 1)] {
        let (code, line) = complaint(&["--listen", wrong]);
        assert_eq!((code, line.lines().count()), (Some(expected), 1), "{line}");
        assert!(line.contains(wrong), "{line}");
    }
}

#[test]
fn it_listens_where_php_would() {
    for listen in ["text://127.0.0.1:0", "Text://localhost:0"] {
        let (child, addr) = ready(&["--listen", listen]);
        assert!(addr.starts_with("127.0.0.1:") || addr.starts_with("[::1]:"), "{addr}");
        assert_eq!(end(child, Signal::TERM).status.code(), Some(0));
    }
}

#[test]
fn it_takes_a_config_file() {
    let path = std::env::temp_dir().join(format!("ringway-register-{}.toml", std::process::id()));
    std::fs::write(&path, "listen = \"127.0.0.1:0\"\nsecret-key = \"k3y\"\n").unwrap();
    let (child, addr) = ready(&["--config", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(b"{\"event\":\"worker_connect\",\"secret_key\":\"wrong\"}\n").unwrap();
    assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "the key of the file counts");
    assert_eq!(end(child, Signal::TERM).status.code(), Some(0));
}

#[test]
fn help_and_version_are_no_errors() {
    for (word, expected) in [("--help", "--secret-key"), ("--version", "register 0")] {
        let output = register(&[word]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8(output.stdout).unwrap().contains(expected));
    }
}
