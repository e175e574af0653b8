//! A worker with flags of its own has all of ours beside them, with all that belongs to them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::process::{Command, Output};

use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::process::{Process, binary_path};
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, Listen};

/// A file of a test's own. Dropped, it is removed.
struct File(PathBuf);

impl File {
    fn new(name: &str) -> File {
        File(std::env::temp_dir().join(format!("ringway-{}-{name}", std::process::id())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// The example `greeter`, which adds `--greeting` and `--loud`.
fn greeter(flags: &[&str]) -> Command {
    let mut command = Command::new(binary_path("examples/greeter"));
    command.args(flags);
    command
}

fn output(flags: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = greeter(flags).output().unwrap();
    (status.code(), String::from_utf8([stdout, stderr].concat()).unwrap())
}

fn said(client: &mut PlainClient) -> String {
    client.send(b"Ann");
    String::from_utf8(client.receive().unwrap()).unwrap()
}

#[test]
fn flags_of_both_come_from_wherever_and_reload_and_stop_work() {
    let cluster = Cluster::builder().workers(0).shards(1).listen(&[Listen::Text]).start();
    let (config, pid_file) = (File::new("greeter.toml"), File::new("greeter.pid"));
    std::fs::write(&config.0, "loud = true\ncount = 3\ngreeting = \"not this\"\n").unwrap();
    let register = cluster.register_address().to_string();
    let mut command = greeter(&["--config", config.path(), "--count", "2"]);
    command.env("RINGWAY_WORKER_GREETING", "good day").env("RINGWAY_WORKER_REGISTER_ADDRESS", register);
    command.args(["--pid-file", pid_file.path()]);
    let worker = Process::spawn("greeter", command);
    let ready = worker.await_ready("greeter");
    assert!(ready.starts_with("greeter-") && ready.ends_with(" on 2 cores"), "{ready}");
    let mut client = cluster.plain(0, Framing::Text);
    assert_eq!(said(&mut client), "GOOD DAY, Ann");

    // The next process reads its flags anew.
    std::fs::write(&config.0, "loud = false\n").unwrap();
    assert_eq!(output(&["reload", "--pid-file", pid_file.path()]), (Some(0), String::new()));
    wait_until("the new process to serve", || (said(&mut client) == "good day, Ann").then_some(()));
    assert_eq!(output(&["--pid-file", pid_file.path(), "stop"]), (Some(0), String::new()));
    assert!(!pid_file.0.exists(), "it has ended");
}

#[test]
fn help_and_errors_know_the_flags_of_both() {
    let (code, help) = output(&["--help"]);
    assert_eq!(code, Some(0));
    for part in [
        "Greets whoever says a name.",
        "  --greeting WORD ",
        "  --pid-file FILE ",
        "  reload ",
        "  --config ",
    ] {
        assert!(help.contains(part), "{part}: {help}");
    }
    for (flags, why) in [
        (["--greting", "x"], "did you mean --greeting?"),
        (["--regster-address", "x"], "did you mean --register-address?"),
        (["--count", "0"], "a worker has 1 to"),
    ] {
        let (code, error) = output(&flags);
        assert_eq!((code, error.contains(why)), (Some(2), true), "{flags:?}: {error}");
    }
}
