//! Gateway and worker in one process and its threads: to clients and to the rest of a cluster it is what both are apart.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_client::{Config, blocking};
use protocol::inner::Cmd;
use ringway_tests::client::websocket::{Event, WebsocketClient, request};
use ringway_tests::client::{Framing, PlainClient};
use ringway_tests::crowd::{Crowd, Plan};
use ringway_tests::peer::{FakeGateway, FakeRegister, Link};
use ringway_tests::process::{Process, Signal};
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, Listen, own_address};

/// A process that is gateway and worker, with an address of its own.
struct Embedded {
    process: Process,
    ip: Ipv4Addr,
}

impl Embedded {
    /// With two shards, ready.
    fn ready(flags: &[&str]) -> Embedded {
        Embedded::spawn(flags, program(&[]))
    }

    /// The same, and its `on_stop` speaks to all clients.
    fn ready_to_say_stop(flags: &[&str]) -> Embedded {
        Embedded::spawn(flags, program(&["TEST_STOP"]))
    }

    fn spawn(flags: &[&str], command: Command) -> Embedded {
        let embedded = Embedded::start(flags, command);
        embedded.process.await_ready("test-embedded");
        embedded
    }

    fn start(flags: &[&str], mut command: Command) -> Embedded {
        let ip = own_address();
        command.args([
            "--listen",
            &format!("websocket://{ip}:8282"),
            "--listen",
            &format!("text://{ip}:8283"),
        ]);
        command.args(["--lan-ip", &ip.to_string(), "--start-port", "2900", "--count", "2"]);
        command.args(flags);
        Embedded { process: Process::spawn("test-embedded", command), ip }
    }

    fn client(&self) -> WebsocketClient {
        WebsocketClient::connect(self.address(8282))
    }

    fn address(&self, port: u16) -> SocketAddr {
        (self.ip, port).into()
    }

    /// Asks it to end, and sees that it does, whatever its clients say to that.
    fn stop(mut self) -> String {
        self.process.terminate();
        self.process.await_clean_exit();
        self.process.output()
    }
}

/// What a client is told next.
fn said(client: &mut WebsocketClient) -> String {
    match client.receive() {
        Event::Text(text) => String::from_utf8(text).expect("handlers say text"),
        other => panic!("{other:?} where an answer is due"),
    }
}

fn ask(client: &mut WebsocketClient, what: &str) -> String {
    client.send_text(what);
    said(client)
}

/// A register, and a gateway without a worker if `gateways` is 1.
fn cluster(gateways: usize) -> Cluster {
    let builder = Cluster::builder().gateways(gateways).workers(0).listen(&[Listen::Text]);
    builder.gateway_flags(&["--no-worker-wait", "25"]).start()
}

#[test]
fn clients_are_served_until_a_stop_says_goodbye() {
    let embedded = Embedded::ready_to_say_stop(&[]);
    let pid = embedded.process.id().to_string();
    let mut clients: Vec<_> = (0..8).map(|_| embedded.client()).collect();
    for client in &mut clients {
        assert_eq!(ask(client, "pid"), pid);
        assert_eq!(ask(client, "wait 3"), "wait 3");
        assert_eq!(["count 1", "count 2"].map(|text| ask(client, text)), ["count 0", "count 1"]);
        assert_eq!(ask(client, "online"), "8 0", "all shards answer");
        assert_eq!(ask(client, "rooms 50"), "rooms 50", "a query sees the command before it");
    }
    let ids: Vec<String> = clients.iter_mut().map(|client| ask(client, "id")).collect();
    assert_eq!(
        ids.iter().map(|id| &id[..12]).collect::<std::collections::HashSet<_>>().len(),
        2,
        "two shards"
    );
    clients[0].send_text("all of us");
    assert!(clients.iter_mut().all(|client| said(client) == "all of us"));
    clients[0].send_text("report");
    assert!(clients.iter_mut().all(|client| said(client) == "news"));
    assert_eq!(said(&mut clients[0]), "8 0 dropped 0 missing 0");
    let ending = std::thread::spawn(move || embedded.stop());
    for mut client in clients {
        client.expect(&Event::Close(Some(1001)));
        drop(client);
    }
    ending.join().expect("it ends in good order");
}

#[test]
fn a_panic_costs_its_event_alone() {
    let embedded = Embedded::ready(&[]);
    let (mut one, mut other) = (embedded.client(), embedded.client());
    one.send_text("panic");
    assert_eq!(ask(&mut one, "next"), "next");
    assert_eq!(ask(&mut other, "hello"), "hello");
    let log = || embedded.process.stderr();
    wait_until("the line about it", || log().contains("on_message panicked: a handler").then_some(()));
}

#[test]
fn who_holds_up_the_shard_is_named() {
    let embedded = Embedded::ready(&[]);
    let mut client = embedded.client();
    let id = ask(&mut client, "id");
    assert_eq!(ask(&mut client, "block 1"), "block 1");
    wait_until("the line about it", || {
        let log = embedded.process.stderr();
        (log.contains("on_message held up its core") && log.contains(&format!("client={id}"))).then_some(())
    });
}

#[test]
fn nobody_is_let_in_whose_start_fails() {
    let ip = own_address();
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-embedded"));
    command.args(["--listen", &format!("websocket://{ip}:8282")]).env("TEST_START", "/nowhere/at/all");
    let mut process = Process::spawn("test-embedded", command);
    assert_eq!(process.await_exit().code(), Some(70), "{}", process.output());
    assert!(process.stderr().contains("the start of core"), "{}", process.output());
    assert_eq!(process.stdout(), "");
}

#[test]
fn a_reload_is_answered_with_what_to_do_instead() {
    let embedded = Embedded::ready(&[]);
    let mut client = embedded.client();
    let pid = rustix::process::Pid::from_raw(embedded.process.id() as i32).expect("a process id");
    rustix::process::kill_process(pid, Signal::USR1).expect("it runs");
    wait_until("the line about it", || {
        embedded.process.stderr().contains("embedded: restart, or split the worker off").then_some(())
    });
    assert_eq!(ask(&mut client, "hello"), "hello");
}

#[test]
fn two_of_them_are_one_cluster_with_all_others() {
    let cluster = cluster(0);
    let register = cluster.register_address().to_string();
    let flags = ["--register-address", &register];
    let (one, other) = (Embedded::ready_to_say_stop(&flags), Embedded::ready(&flags));
    let (mut ann, mut bob) = (one.client(), other.client());
    // The first may not know yet of the second.
    wait_until("each to know of the other", || {
        let answers = [&mut ann, &mut bob].map(|client| ask(client, "online"));
        (answers == ["2 0", "2 0"]).then_some(())
    });
    assert_ne!(ask(&mut ann, "pid"), ask(&mut bob, "pid"), "each is served where it is");
    let bobs_id = ask(&mut bob, "id");
    ann.send_text(&format!("to {bobs_id}"));
    assert_eq!(said(&mut bob), format!("to {bobs_id}"));
    bob.send_text("all of us");
    assert!([&mut ann, &mut bob].map(said).iter().all(|text| text == "all of us"));

    let config = Config { register_addresses: vec![register], ..Config::default() };
    let push = blocking::Client::connect(config).expect("the register knows both");
    let delivery = push.send_to_all("from elsewhere");
    assert!(delivery.is_complete(), "{:?}", delivery.missing);
    assert!([&mut ann, &mut bob].map(said).iter().all(|text| text == "from elsewhere"));
    assert_eq!(push.client_count().value, 2);

    let stopped = one.process.id();
    let ending = std::thread::spawn(move || one.stop());
    ann.expect(&Event::Close(Some(1001)));
    drop(ann);
    assert_eq!(said(&mut bob), format!("stop {stopped}"));
    assert_eq!(said(&mut bob), format!("stop {stopped}"), "each of its cores says so");
    ending.join().expect("it ends in good order");
    // The register may not have told yet that it is gone.
    wait_until("it to be forgotten", || (ask(&mut bob, "online") == "1 0").then_some(()));
}

#[test]
fn a_worker_of_php_is_beside_the_own_core_and_has_no_clients() {
    let embedded = Embedded::ready(&["--secret-key", "k3y", "--register-listen", "127.0.0.1:0"]);
    let ports = [2900, 2901].map(|port| SocketAddrV4::new(embedded.ip, port));
    let mut workers = ports.map(|port| Link::worker(port, "php:0", "k3y"));
    let mut clients = [(); 8].map(|()| embedded.client());
    let pid = embedded.process.id().to_string();
    assert!(clients.iter_mut().all(|client| ask(client, "pid") == pid));
    for worker in &mut workers {
        worker.command(Cmd::SendToAll, 0, b"", b"from php");
    }
    assert!(clients.iter_mut().all(|client| said(client) == "from php"));
    let count_at = |port: SocketAddrV4| {
        let answer = Link::gateway_client(port, "k3y").query(Cmd::GetClientCountByGroup, 0, b"");
        let count = answer.strip_prefix(b"i:").and_then(|answer| answer.strip_suffix(b";"));
        let count = count.and_then(|count| std::str::from_utf8(count).ok()?.parse::<usize>().ok());
        count.expect("a number, as PHP serializes it")
    };
    assert_eq!(ports.into_iter().map(count_at).sum::<usize>(), 8);
    clients[0].send_text("all of us");
    assert!(clients.iter_mut().all(|client| said(client) == "all of us"));
}

#[test]
fn one_that_stops_hands_over_the_clients_of_other_gateways() {
    let cluster = cluster(1);
    let register = cluster.register_address().to_string();
    let flags = ["--register-address", &register];
    let (one, other) = (Embedded::ready(&flags), Embedded::ready(&flags));
    let address = cluster.address(0, Listen::Text);
    let mut pids: Vec<_> = (0..8).map(|_| cluster.plain(0, Framing::Text)).collect();
    let mut pid_of = |client: usize| {
        pids[client].send(b"pid");
        String::from_utf8(pids[client].receive().expect("it is served")).expect("a number")
    };
    let before: Vec<String> = (0..8).map(&mut pid_of).collect();
    let [one_pid, other_pid] = [&one, &other].map(|embedded| embedded.process.id().to_string());
    assert!(before.contains(&one_pid) && before.contains(&other_pid), "both serve clients of the gateway");
    let words = &["wait", "count", "echo"];
    let crowd = Crowd::start(Plan { address, words, clients: 24, rate: 300, lossy: false });
    one.stop();
    assert!((0..8).all(|client| pid_of(client) == other_pid));
    let sum = crowd.stop();
    assert_eq!(sum.heard, sum.said);
}

/// What tests run, with these variables.
fn program(variables: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-embedded"));
    command.envs(variables.iter().map(|name| (name, "1")));
    command
}

#[test]
fn a_stop_gives_handlers_that_wait_the_drain_timeout_and_no_more() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[gateway.address]);
    let register = register.address.to_string();
    let mut embedded = Embedded::ready(&["--register-address", &register, "--drain-timeout", "1"]);
    let (mut ann, mut bob) = (embedded.client(), embedded.client());
    assert_eq!(ask(&mut ann, "sleep 600"), "sleeping");
    // A question that is never answered, since a gateway of the cluster says nothing.
    bob.send_text("online");
    assert_eq!(ask(&mut embedded.client(), "hello"), "hello");
    embedded.process.terminate();
    embedded.process.await_clean_exit();
    let log = embedded.process.stderr();
    assert!(log.contains("stopping without waiting longer: handlers still run"), "{log}");
}

#[test]
fn who_does_not_read_has_its_on_close_before_on_stop() {
    let cluster = cluster(0);
    let register = cluster.register_address().to_string();
    let flags = [
        "--register-address",
        &register,
        "--drain-timeout",
        "0",
        "--send-to-client-buffer-size",
        "100000000",
    ];
    let mut one = Embedded::spawn(&flags, program(&["TEST_STOP", "TEST_CLOSE"]));
    let other = Embedded::ready(&flags);
    let (mut deaf, mut bob) = (one.client(), other.client());
    wait_until("each to know of the other", || {
        let answers = [&mut deaf, &mut bob].map(|client| ask(client, "online"));
        (answers == ["2 0", "2 0"]).then_some(())
    });
    deaf.send_text("large 32");
    assert_eq!(deaf.writer().peek(&mut [0]).expect("it begins to come"), 1);
    let pid = one.process.id();
    one.process.terminate();
    let told = [(); 3].map(|()| said(&mut bob));
    // Its two cores end when they have nothing to do any more: the other one at once.
    let closed = told.iter().position(|text| *text == format!("close {pid}"));
    assert!(closed.is_some_and(|closed| closed < 2), "{told:?}");
    assert_eq!(told.iter().filter(|text| **text == format!("stop {pid}")).count(), 2, "{told:?}");
    one.process.await_clean_exit();
}

#[test]
fn its_own_clients_are_served_and_it_stops_while_no_register_is_there() {
    let nowhere = SocketAddrV4::new(own_address(), 1236).to_string();
    let embedded = Embedded::start(&["--register-address", &nowhere], program(&[]));
    wait_until("clients to be let in", || TcpStream::connect(embedded.address(8282)).ok());
    let mut client = embedded.client();
    assert_eq!(ask(&mut client, "hello"), "hello");
    drop(client);
    assert!(embedded.process.stdout().is_empty(), "it says that it is ready when it is found");
    embedded.stop();
}

#[test]
fn it_can_be_stopped_before_on_start_has_ended() {
    let mut command = program(&[]);
    command.env("TEST_START", "never");
    let embedded = Embedded::start(&["--drain-timeout", "0"], command);
    wait_until("on_start to begin", || {
        embedded.process.stderr().contains("the start never ends").then_some(())
    });
    embedded.stop();
}

#[test]
fn a_start_that_panics_ends_the_process() {
    let mut command = program(&[]);
    command.env("TEST_START", "panic");
    let mut embedded = Embedded::start(&[], command);
    assert_eq!(embedded.process.await_exit().code(), Some(70), "{}", embedded.process.output());
}

#[test]
fn a_port_that_is_taken_is_told_in_one_line() {
    let first = Embedded::ready(&[]);
    let mut command = program(&[]);
    command.args(["--listen", &format!("websocket://{}", first.address(8282))]);
    let mut second = Process::spawn("test-embedded", command);
    assert_eq!(second.await_exit().code(), Some(1), "{}", second.output());
    assert!(second.stderr().contains("choose another --listen"), "{}", second.output());
}

/// Ends floods, also when the test fails.
struct FloodEnd<'a>(&'a AtomicBool);

impl Drop for FloodEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Says as much as a connection takes, and wants no answer, until it is told to end.
fn flood(address: SocketAddr, is_over: &AtomicBool) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let words = "hush\n".repeat(10_000);
    while !is_over.load(Ordering::Relaxed) {
        stream.write_all(words.as_bytes()).expect("it is served");
    }
}

#[test]
fn neither_its_own_clients_nor_those_of_other_gateways_wait_for_a_flood_of_the_others() {
    let cluster = cluster(1);
    let register = cluster.register_address().to_string();
    let embedded = Embedded::ready(&["--register-address", &register]);
    let elsewhere = cluster.address(0, Listen::Text);
    let own = embedded.address(8283);
    for (flooded, spared) in [(own, elsewhere), (elsewhere, own)] {
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _end = FloodEnd(&is_over);
            (0..4).for_each(|_| drop(scope.spawn(|| flood(flooded, &is_over))));
            let mut client = PlainClient::connect(spared, Framing::Text);
            for number in 0..100 {
                let text = format!("echo {number}");
                client.send(text.as_bytes());
                assert_eq!(client.receive().as_deref(), Some(text.as_bytes()));
            }
        });
    }
}

/// As everywhere: checked before its own worker hears of a client, which is bound by then.
#[test]
fn tokens_let_in_and_bind() {
    let key = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("embedded-jwt.key");
    std::fs::write(&key, "0123456789abcdef0123456789abcdef\n").expect("the test can write its files");
    let embedded = Embedded::ready(&["--jwt-key", key.to_str().expect("UTF-8"), "--jwt-bind-sub"]);
    // Of ann, until 2100, and one that somebody else has signed.
    let header_and_claims = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJleHAiOjQxMDI0NDQ4MDB9";
    let target = format!("/?token={header_and_claims}.ArYAibI1dlEDn27QomKqp1zyziq6-wQFXqVftb2VgKM");
    let mut client = WebsocketClient::connect_to(embedded.address(8282), &target, &[]);
    assert_eq!(said(&mut client), "hello, ann");
    assert_eq!(ask(&mut client, "hello 1"), "hello 1");
    for target in ["/".to_owned(), format!("/?token={header_and_claims}.AAAA")] {
        let mut stranger = WebsocketClient::connect_silently(embedded.address(8282));
        stranger.send_bytes(&request(&target, &[]));
        assert!(stranger.read_response().expect("an answer").starts_with("HTTP/1.1 401 "), "{target}");
    }
    drop(client);
    embedded.stop();
}

#[test]
fn handshakes_are_the_own_workers_to_answer() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorkeeper"));
    command.env("DOORKEEPER_EMBEDDED", "1");
    let embedded = Embedded::start(&[], command);
    embedded.process.await_ready("doorkeeper");
    for (path, status) in [("/", "101"), ("/slow", "101"), ("/cellar", "404")] {
        let mut client = WebsocketClient::connect_silently(embedded.address(8282));
        client.send_bytes(&request(path, &[]));
        let answer = client.read_response().expect("an answer");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
        if status == "101" {
            assert!(answer.contains("\r\nX-Door: open\r\n"), "{answer}");
            assert_eq!(said(&mut client), "welcome");
        }
    }
    embedded.stop();
}
