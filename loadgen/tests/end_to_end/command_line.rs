//! The program as its users meet it: output, files, exit codes.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use loadgen::{Report, Scenario};

use crate::server::echo;

fn program(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(line.split_ascii_whitespace());
    command
}

#[test]
fn a_run_prints_a_table_and_writes_files() {
    let file = std::env::temp_dir().join(format!("ringway-loadgen-{}.json", std::process::id()));
    let line = format!("--target ws://{} --conns 4 --scenario echo --hold 0.1 --warmup 0", echo("ws"));
    let page_file = file.with_extension("html");
    let output = program(&line).arg("--json").arg(&file).arg("--html").arg(&page_file).output().unwrap();
    let (json, page) = (std::fs::read_to_string(&file), std::fs::read_to_string(&page_file));
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(&page_file).unwrap();
    assert!(page.unwrap().contains("\"scenario\":\"echo\""));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    for words in
        ["loadgen measuring: 4 connections", "loadgen measured\n", "4 of 4 open", "latency       p50"]
    {
        assert!(stdout.contains(words), "{words}\n{stdout}");
    }
    let report: Report = serde_json::from_str(&json.unwrap()).unwrap();
    assert_eq!((report.connections.opened, report.first().setup.scenario), (4, Scenario::Echo));
}

#[test]
fn what_cannot_work_is_one_line() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (line, code, words) in [
        (format!("--target ws://{nobody} --conns 3"), 1, "no connection could be made to ws://127.0.0.1"),
        ("--target nowhere".to_owned(), 2, "expected SCHEME://HOST:PORT"),
        ("--target wss://127.0.0.1:1".to_owned(), 2, "by --tls-ca, or --tls-insecure to trust anybody"),
        (
            "--target wss://127.0.0.1:1 --tls-ca nowhere.pem".to_owned(),
            1,
            "--tls-ca nowhere.pem: No such file or directory",
        ),
    ] {
        let output = program(&line).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_machine_that_lacks_something_is_not_troubled() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = format!("--target tcp://{nobody} --conns 2000000 --count 100");
    let output = program(&line).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let ports = "error: net.ipv4.ip_local_port_range is ";
    assert!(stderr.contains(ports) && stderr.trim_end().ends_with("--force starts all the same"), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn ctrl_c_gives_the_report_so_far() {
    let line = format!("--target tcp://{} --conns 4 --scenario echo --hold 1000 --warmup 0", echo("tcp"));
    let mut child = program(&line).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("loadgen measuring"));
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(rest.iter().any(|line| line.starts_with("interrupted")), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("received")), "{rest:?}");
}
