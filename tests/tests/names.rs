//! Names and secret keys of workers: what is wrong is said where it is wrong, in one line, and costs nobody else anything.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;

use protocol::register::Request;
use ringway_tests::load::Load;
use ringway_tests::process::{Process, binary_path};
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster};

/// A worker of the cluster's first name, or of none.
fn worker(cluster: &Cluster, flags: &[&str]) -> Process {
    let register = cluster.register_address().to_string();
    let common = ["--app", "echo", "--count", "2", "--register-address", &register];
    let flags: Vec<String> = common.iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
    Process::start("second", "worker", &flags)
}

fn count(text: &str, what: &str) -> usize {
    text.lines().filter(|line| line.contains(what)).count()
}

#[test]
fn the_second_worker_of_a_name_says_so_and_ends_and_the_first_loses_nothing() {
    let mut cluster = Cluster::builder().gateways(2).shards(2).start();
    for shard in 0..4 {
        cluster.await_links(shard / 2, (shard % 2) as u16, 1);
    }
    let load = Load::start((0..4).map(|client| cluster.websocket(client % 2)));
    // With a master, and without.
    let mut seconds = [&["--name", "worker0"][..], &["--name", "worker0", "--no-master"]]
        .map(|flags| worker(&cluster, flags));
    for second in &mut seconds {
        assert_eq!(second.await_exit().code(), Some(69), "{}", second.output());
        let said = second.stderr();
        assert_eq!(count(&said, "another worker named 'worker0' is connected"), 1, "{said}");
        assert_eq!(count(&said, "another worker named 'worker0' runs on this machine"), 1, "{said}");
        assert_eq!(count(&said, "starting it again") + count(&said, "connected to gateway"), 0, "{said}");
    }
    let messages = load.stop();
    assert_eq!(messages.lost, 0, "of {}", messages.sent);
    let said = cluster.worker(0).stderr();
    assert_eq!(count(&said, "lost gateway"), 0, "{said}");
    cluster.stop();
}

/// The kernel may keep the connections of a killed process for a while.
#[test]
fn a_worker_that_was_killed_has_its_name_at_once() {
    let mut cluster = Cluster::builder().start();
    for round in 0..5 {
        cluster.await_links(0, 0, 1);
        cluster.worker(0).kill();
        cluster.start_worker(0);
        cluster.websocket(0).echo(&format!("round {round}"));
    }
    cluster.stop();
}

#[test]
fn workers_without_a_name_do_not_meet() {
    let cluster = Cluster::builder().workers(0).start();
    let mut workers = [(), ()].map(|()| worker(&cluster, &[]));
    for worker in &workers {
        let ready = worker.await_ready("worker");
        assert!(ready.starts_with("worker-"), "{ready}");
    }
    cluster.await_links(0, 0, 4);
    cluster.websocket(0).echo("served");
    for worker in &mut workers {
        worker.stop();
        let said = worker.stderr();
        assert_eq!(count(&said, "WARN") + count(&said, "ERROR"), 0, "{said}");
    }
    cluster.stop();
}

/// A gateway that another register lists, which has another key.
#[test]
fn a_gateway_that_refuses_the_key_is_named_once() {
    let gateway = Cluster::builder().shards(2).workers(0).secret_key("right").start();
    let register = Cluster::builder().gateways(0).workers(0).secret_key("wrong").start();
    let _listed = [0, 1].map(|shard| {
        let mut stream = TcpStream::connect(register.register_address()).expect("the register serves");
        let address = gateway.inner_address(0, shard).to_string();
        let mut line = Vec::new();
        Request::GatewayConnect { address, secret_key: "wrong".to_owned(), admin: None }.encode(&mut line);
        stream.write_all(&line).expect("the register takes it");
        stream
    });
    let mut worker = worker(&register, &["--name", "w", "--secret-key", "wrong", "--log-level", "debug"]);
    // Two cores at two shards.
    wait_until("all links to be refused", || {
        (count(&worker.stderr(), "refused again: Key") >= 3).then_some(())
    });
    worker.stop();
    let said = worker.stderr();
    assert_eq!(count(&said, "the gateway refuses the secret key"), 1, "{said}");
    assert_eq!(count(&said, "WARN") + count(&said, "ERROR"), 1, "{said}");
    assert_eq!(count(&said, "connected to gateway"), 0, "{said}");
    gateway.stop();
    register.stop();
}

/// By a flag here, and as containers are given it: by a variable that names a file.
#[test]
fn a_secret_key_may_stand_in_a_file() {
    let file = std::env::temp_dir().join(format!("ringway-key-{}", std::process::id()));
    std::fs::write(&file, "right\n").expect("a folder for files that go again");
    let cluster = Cluster::builder().workers(0).secret_key("right").start();
    let mut first = worker(&cluster, &["--name", "first", "--secret-key-file", &file.to_string_lossy()]);
    cluster.await_links(0, 0, 2);
    let mut command = Command::new(binary_path("worker"));
    let register = cluster.register_address().to_string();
    command.args(["--app", "echo", "--count", "2", "--name", "second", "--register-address", &register]);
    command.env("RINGWAY_WORKER_SECRET_KEY_FILE", &file);
    let mut second = Process::spawn("second", command);
    cluster.await_links(0, 0, 4);
    cluster.websocket(0).echo("served");
    std::fs::write(&file, "\n").expect("it is there");
    let mut third = worker(&cluster, &["--name", "third", "--secret-key-file", &file.to_string_lossy()]);
    assert_eq!(third.await_exit().code(), Some(1));
    assert_eq!(count(&third.stderr(), "there is nothing in it"), 1, "{}", third.output());
    std::fs::remove_file(&file).expect("it is there");
    first.stop();
    second.stop();
    cluster.stop();
}
