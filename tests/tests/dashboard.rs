//! What an operator sees and does at a register's admin address: the whole cluster.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

use gateway_client::php::Array;
use gateway_client::{ClientId, Config, blocking};
use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::own_address;
use ringway_tests::process::Process;
use ringway_tests::status::{get, post};
use ringway_tests::wait::wait_until;
use serde_json::{Value, json};

const TOKEN: &str = "of the operator";
const BEARER: &str = "Authorization: Bearer of the operator\r\n";

/// A register, two gateways of which the second has another token, and a worker.
struct Watched {
    ip: Ipv4Addr,
    worker: Process,
    gateways: [Process; 2],
    register: Process,
}

impl Watched {
    fn start() -> Watched {
        let ip = own_address();
        let register = program(ip, "register", 9500, TOKEN, &["--listen", &format!("{ip}:1236")]);
        let gateway = |index: u16, token: &str| {
            let (listen, start_port) =
                (format!("websocket://{ip}:{}", 8282 + index), (2900 + 100 * index).to_string());
            let flags = ["--listen", &listen, "--lan-ip", &ip.to_string(), "--start-port", &start_port];
            let more = ["--count", "2", "--cordon-delay", "0", "--drain-timeout", "0"];
            program(ip, "gateway", 9600 + index, token, &[&flags[..], &more].concat())
        };
        let gateways = [gateway(0, TOKEN), gateway(1, "of somebody else")];
        let worker = program(ip, "worker", 9700, TOKEN, &["--app", "echo", "--count", "1"]);
        Watched { ip, worker, gateways, register }
    }

    fn admin(&self, port: u16) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, port)
    }

    /// What the register shows.
    fn cluster(&self) -> Value {
        let (status, _, body) = get(self.admin(9500), "/cluster", BEARER);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body}"))
    }

    /// A member that is shown as it should be, as soon as it is.
    fn member(&self, port: u16, is_right: impl Fn(&Value) -> bool) -> Value {
        let id = self.admin(port).to_string();
        wait_until(&format!("{id} to be shown"), || {
            let cluster = self.cluster();
            let found = cluster["members"].as_array()?.iter().find(|member| member["id"] == id)?.clone();
            is_right(&found).then_some(found)
        })
    }

    fn ask(&self, path: &str) -> (u16, Value) {
        let (status, _, body) = get(self.admin(9500), path, BEARER);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn tell(&self, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = post(self.admin(9500), path, BEARER, body);
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn stop(mut self) {
        self.worker.stop();
        self.gateways.iter_mut().for_each(Process::stop);
        self.register.stop();
    }
}

/// A program of the cluster, ready.
fn program(ip: Ipv4Addr, program: &str, admin: u16, token: &str, flags: &[&str]) -> Process {
    let mut flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let admin = format!("{ip}:{admin}");
    flags.extend(["--secret-key", "k", "--admin", &admin, "--admin-token", token].map(str::to_owned));
    if program != "register" {
        flags.extend(["--register-address".to_owned(), format!("{ip}:1236")]);
    }
    let process = Process::start(program, program, &flags);
    process.await_ready(program);
    process
}

#[test]
fn a_register_shows_the_cluster_and_acts_on_it() {
    let watched = Watched::start();
    let mut client = WebsocketClient::connect((watched.ip, 8282).into());
    client.echo("hello");

    let shown = watched.cluster();
    assert_eq!((&shown["program"], &shown["may_act"]), (&json!("register"), &json!(true)));
    assert_eq!(shown["members"][0]["id"], watched.admin(9500).to_string());
    let gateway = watched.member(9600, |member| member["ready"] == true);
    assert_eq!(gateway["report"]["rows"].as_array().map(Vec::len), Some(2), "one process of two shards");
    assert_eq!(gateway["latency"]["buckets"].as_array().map(Vec::len), Some(20));
    let other = watched.member(9601, |member| member["report"].is_null());
    assert_eq!(other["problem"], "has another --admin-token, or a clock that is wrong by minutes");
    watched.member(9700, |member| member["program"] == "worker" && member["ready"] == true);

    let backend = blocking::Client::connect(Config {
        register_addresses: vec![format!("{}:1236", watched.ip)],
        secret_key: "k".to_owned(),
        ..Config::default()
    })
    .expect("the register is there");
    look_up_send_and_close(&watched, &backend, backend.client_ids()[0], &mut client);

    let orders = |word: &str| watched.tell(&format!("/member/{}/{word}", watched.admin(9600)), "");
    for (word, said, ready) in [("cordon", "cordoned", 503), ("uncordon", "uncordoned", 200)] {
        let (status, done) = orders(word);
        assert!(status == 200 && done["done"].as_str().is_some_and(|done| done.starts_with(said)), "{done}");
        wait_until(word, || (get(watched.admin(9600), "/readyz", "").0 == ready).then_some(()));
    }
    let mut last = WebsocketClient::connect((watched.ip, 8282).into());
    last.echo("still here");
    assert_eq!(orders("drain").0, 200);
    last.expect(&Event::Close(Some(1001)));
    let (status, refused) = watched.tell(&format!("/member/{}/drain", watched.admin(9601)), "");
    assert!(
        status == 502 && refused["error"].as_str().is_some_and(|why| why.contains("--admin-token")),
        "{refused}"
    );
    watched.stop();
}

/// What is done to a client.
fn look_up_send_and_close(
    watched: &Watched,
    backend: &blocking::Client,
    id: ClientId,
    client: &mut WebsocketClient,
) {
    let mut session = Array::new();
    session.insert("name", "Ann");
    assert!(backend.set_session(id, session).is_complete());
    assert!(backend.bind_uid(id, "alice").is_complete() && backend.join_group(id, "room").is_complete());
    // Behind what was said to the gateway.
    assert!(*backend.is_uid_online("alice"));

    let (status, shown) = watched.ask(&format!("/client/{id}"));
    let expected = json!({
        "id": id, "is_online": true, "uid": "alice", "groups": ["room"], "session": { "name": "Ann" },
        "gateway": id.gateway,
    });
    assert_eq!((status, shown), (200, expected));
    assert_eq!(watched.ask("/uid/alice").1["clients"], json!([id]));
    assert_eq!(watched.ask("/uid/bob").1["clients"], json!([]));
    let gone = ClientId { connection_id: !id.connection_id, ..id };
    assert_eq!(
        watched.ask(&format!("/client/{gone}")),
        (404, json!({ "error": "no such client is online" }))
    );
    let elsewhere = ClientId::new([10, 0, 0, 1].into(), 2900, 1);
    assert_eq!(watched.ask(&format!("/client/{elsewhere}")).0, 404);
    assert_eq!(watched.ask("/client/nonsense").0, 400);
    let shown = watched.member(9600, |member| member["groups"] != json!([]));
    assert_eq!(shown["groups"], json!([{ "name": "room", "clients": 1 }]));

    assert_eq!(watched.tell(&format!("/client/{id}/send"), "to you"), (200, json!({ "sent": true })));
    assert_eq!(watched.tell("/uid/alice/send", "to alice"), (200, json!({ "sent": true })));
    assert_eq!(watched.tell(&format!("/client/{id}/close"), ""), (200, json!({ "closed": true })));
    client.expect(&Event::text("to you"));
    client.expect(&Event::text("to alice"));
    assert!(matches!(client.receive(), Event::Close(_)));
}

/// Whoever knows the secret key can say that he tells of himself at a port of his.
#[test]
fn who_poses_as_a_member_gets_no_token_and_pages_from_elsewhere_do_nothing() {
    let watched = Watched::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    let mut registered = TcpStream::connect((watched.ip, 1236)).expect("the register serves");
    writeln!(registered, r#"{{"event":"worker_connect","secret_key":"k","admin":{port}}}"#)
        .expect("it reads");
    let mut list = String::new();
    BufReader::new(&registered).read_line(&mut list).expect("it answers");

    let asking = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the register asks");
        let lines = BufReader::new(&stream).lines();
        let asked: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
        // The register is told nothing, for as long as it waits.
        (stream, asked)
    });
    let shown = watched.cluster();
    let id = format!("127.0.0.1:{port}");
    let found = shown["members"].as_array().and_then(|all| all.iter().find(|member| member["id"] == id));
    let (_stream, asked) = asking.join().expect("somebody has asked");
    assert!(!asked.concat().contains(TOKEN), "{asked:?}");
    assert!(found.is_some_and(|found| found["report"].is_null()), "{shown}");
    let proof =
        asked.iter().find(|line| line.starts_with("Authorization: ")).expect("it proves that it may ask");
    for (port, path) in [(9600, "/member"), (9600, "/metrics"), (9500, "/cluster")] {
        assert_eq!(get(watched.admin(port), path, &format!("{proof}\r\n")).0, 401, "{path}");
    }
    assert_eq!(post(watched.admin(9600), "/drain", &format!("{proof}\r\n"), "").0, 401);

    let evil = format!("{BEARER}Origin: http://evil.example\r\n");
    assert_eq!(post(watched.admin(9600), "/drain", &evil, "").0, 403);
    let own = format!("{BEARER}Origin: http://{}\r\n", watched.admin(9600));
    assert_eq!(post(watched.admin(9600), "/uncordon", &own, "").0, 200);
    assert_eq!(post(watched.admin(9500), "/uid/alice/send", "", "hello").0, 401);
    watched.stop();
}
