//! Queries: what is asked, what comes of the answers, and what of their absence.

use std::sync::mpsc::Sender;
use std::time::Duration;

use protocol::inner::Cmd;
use ringway_worker::{Client, Config, Gateway, Message, Name};

use crate::fake::{CLIENT, FakeGateway, FakeRegister, FakeWorker, Link, config, sent};

/// Runs the query that the message names, and tells its answer.
async fn ask(gateway: &Gateway, client: &Client, message: Message, tell: &Sender<String>) {
    let id = client.id();
    let ids = |ids: Vec<ringway_worker::ClientId>| ids.iter().map(|id| id.connection_id).collect::<Vec<_>>();
    let answer = match message.text().as_ref() {
        "is_online" => format!("{:?}", gateway.is_online(id).await.value),
        "session" => format!("{:?}", gateway.session(id).await.value.map(|session| session.len())),
        "uid_of_client" => format!("{:?}", gateway.uid_of_client(id).await.value),
        "client_ids_of_uid" => format!("{:?}", ids(gateway.client_ids_of_uid("u1").await.value)),
        "is_uid_online" => format!("{:?}", gateway.is_uid_online(100).await.value),
        "client_count" => format!("{:?}", gateway.client_count().await.value),
        "client_count_of_group" => format!("{:?}", gateway.client_count_of_group("g1").await.value),
        "no_name" => format!("{:?}", gateway.client_count_of_group("0").await.value),
        "client_ids" => format!("{:?}", ids(gateway.client_ids().await.value)),
        "client_ids_of_group" => format!("{:?}", ids(gateway.client_ids_of_group("g1").await.value)),
        "uids" => format!("{:?}", gateway.uids().await.value),
        "uid_count" => format!("{:?}", gateway.uid_count().await.value),
        "groups" => format!("{:?}", gateway.groups().await.value),
        "sessions" => {
            format!("{:?}", gateway.sessions().await.value.iter().map(|s| s.1.len()).collect::<Vec<_>>())
        }
        "all_group_uids" => format!("{:?}", gateway.all_group_uids().await.value),
        "all_group_client_id_counts" => format!("{:?}", gateway.all_group_client_id_counts().await.value),
        "client_ids_of_uids" => {
            let answer = gateway.client_ids_of_uids(["u1", "100", "none"]).await;
            format!(
                "{:?}",
                answer.value.into_iter().map(|(uid, found)| (uid, ids(found))).collect::<Vec<(Name, _)>>()
            )
        }
        "client_counts_of_groups" => {
            format!("{:?}", gateway.client_counts_of_groups(["g1", "7", "none"]).await.value)
        }
        "quick" => {
            let answer = gateway.with_query_timeout(Duration::from_millis(50)).client_count().await;
            format!("{:?} missing {:?}", answer.value, answer.missing)
        }
        "patient" => {
            let answer = gateway.with_query_timeout(Duration::MAX).client_count().await;
            format!("{:?} missing {:?}", answer.value, answer.missing)
        }
        "count" => {
            let answer = gateway.client_count().await;
            format!("{:?} missing {:?}", answer.value, answer.missing)
        }
        other => panic!("no query {other}"),
    };
    tell.send(answer).unwrap();
}

/// The query's name, what the gateway is asked (command, connection id, ext_data), its answer, and what the handler
/// makes of it.
type Query = (&'static str, (u8, u32, &'static str), &'static str, &'static str);

/// Questions and answers are mostly those seen between PHP programs.
const QUERIES: &[Query] = &[
    ("is_online", (11, CLIENT, ""), "i:1;", "true"),
    ("is_online", (11, CLIENT, ""), "i:0;", "false"),
    ("session", (203, CLIENT, ""), "N;", "None"),
    ("session", (203, CLIENT, ""), "a:0:{}", "Some(0)"),
    ("session", (203, CLIENT, ""), "a:1:{s:1:\"i\";i:2;}", "Some(1)"),
    (
        "uid_of_client",
        (25, 0, r#"{"fields":["uid"],"where":{"connection_id":{"1":1}}}"#),
        "a:1:{i:1;a:1:{s:3:\"uid\";s:3:\"100\";}}",
        "Some(\"100\")",
    ),
    (
        "uid_of_client",
        (25, 0, r#"{"fields":["uid"],"where":{"connection_id":{"1":1}}}"#),
        "a:1:{i:1;a:1:{s:3:\"uid\";N;}}",
        "None",
    ),
    ("client_ids_of_uid", (15, 0, "u1"), "a:2:{i:0;i:1;i:1;i:9;}", "[1, 9]"),
    ("client_ids_of_uid", (15, 0, "u1"), "a:2:{i:0;i:-1;i:1;s:1:\"x\";}", "[]"),
    ("is_uid_online", (15, 0, "100"), "a:1:{i:0;i:1;}", "true"),
    ("is_uid_online", (15, 0, "100"), "a:0:{}", "false"),
    ("client_count", (24, 0, ""), "i:2;", "2"),
    ("client_count", (24, 0, ""), "i:-2;", "0"),
    ("client_count_of_group", (24, 0, "g1"), "i:1;", "1"),
    (
        "client_ids",
        (25, 0, r#"{"fields":["uid"],"where":[]}"#),
        "a:2:{i:1;a:1:{s:3:\"uid\";s:3:\"100\";}i:3;a:1:{s:3:\"uid\";N;}}",
        "[1, 3]",
    ),
    (
        "client_ids_of_group",
        (25, 0, r#"{"fields":["uid"],"where":{"groups":["g1"]}}"#),
        "a:1:{i:1;a:1:{s:3:\"uid\";s:2:\"u1\";}}",
        "[1]",
    ),
    (
        "uids",
        (25, 0, r#"{"fields":["uid"],"where":[]}"#),
        "a:3:{i:1;a:1:{s:3:\"uid\";s:2:\"u1\";}i:2;a:1:{s:3:\"uid\";N;}i:3;a:1:{s:3:\"uid\";s:2:\"u1\";}}",
        "[\"u1\"]",
    ),
    (
        "uid_count",
        (25, 0, r#"{"fields":["uid"],"where":[]}"#),
        "a:1:{i:1;a:1:{s:3:\"uid\";s:3:\"100\";}}",
        "1",
    ),
    ("groups", (26, 0, ""), "a:2:{i:0;i:7;i:1;s:2:\"g1\";}", "[\"7\", \"g1\"]"),
    ("sessions", (10, 0, ""), "a:2:{i:1;s:0:\"\";i:2;s:18:\"a:1:{s:1:\"i\";i:2;}\";}", "[0, 1]"),
    (
        "all_group_uids",
        (25, 0, r#"{"fields":["uid","groups"],"where":[]}"#),
        "a:2:{i:1;a:2:{s:3:\"uid\";s:3:\"100\";s:6:\"groups\";a:1:{i:7;s:1:\"7\";}}i:2;a:2:{s:3:\"uid\";N;s:6:\"groups\";N;}}",
        "[(\"7\", [\"100\"])]",
    ),
    (
        "all_group_client_id_counts",
        (25, 0, r#"{"fields":["groups"],"where":[]}"#),
        "a:1:{i:1;a:1:{s:6:\"groups\";a:1:{s:2:\"g1\";s:2:\"g1\";}}}",
        "[(\"g1\", 1)]",
    ),
    (
        "client_ids_of_uids",
        (16, 0, r#"["u1","100","none"]"#),
        "a:3:{s:2:\"u1\";a:0:{}i:100;a:1:{i:0;i:1;}s:4:\"none\";a:0:{}}",
        "[(\"u1\", []), (\"100\", [1]), (\"none\", [])]",
    ),
    (
        "client_counts_of_groups",
        (28, 0, r#"["g1","7","none"]"#),
        "a:3:{s:2:\"g1\";i:0;i:7;i:1;s:4:\"none\";i:0;}",
        "[(\"g1\", 0), (\"7\", 1), (\"none\", 0)]",
    ),
];

#[test]
fn queries_ask_and_read_what_php_programs_do() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    let mut queries: Option<Link> = None;
    for (query, (cmd, connection_id, ext), reply, answer) in QUERIES {
        link.message(query);
        let queries = queries.get_or_insert_with(|| gateway.accept());
        assert_eq!(sent(&queries.frame()), (*cmd, *connection_id, 1, *ext, ""), "{query}");
        // Behind what PHP's older gateways do not know there is a question that they do.
        let is_guarded =
            [Cmd::BatchGetClientIdByUid as u8, Cmd::BatchGetClientCountByGroup as u8].contains(cmd);
        if is_guarded {
            assert_eq!(sent(&queries.frame()), (11, 0, 1, "", ""), "{query}");
        }
        queries.reply(reply);
        if is_guarded {
            queries.reply("i:0;");
        }
        assert_eq!(worker.told(), *answer, "{query}");
    }
    // A name that is none would ask for everybody: nobody is asked.
    link.message("no_name");
    assert_eq!(worker.told(), "0");
}

#[test]
fn a_gateway_without_the_command_for_several_names_is_asked_for_each() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    link.message("client_ids_of_uids");
    let mut queries = gateway.accept();
    assert_eq!([queries.frame().cmd, queries.frame().cmd], [16, 11]);
    queries.reply("i:0;");
    for (uid, reply) in [("u1", "a:1:{i:0;i:5;}"), ("100", "a:0:{}"), ("none", "a:0:{}")] {
        assert_eq!(sent(&queries.frame()), (15, 0, 1, uid, ""));
        queries.reply(reply);
    }
    assert_eq!(worker.told(), r#"[("u1", [5]), ("100", []), ("none", [])]"#);
    link.message("client_counts_of_groups");
    assert_eq!([queries.frame().cmd, queries.frame().cmd], [28, 11]);
    queries.reply("i:0;");
    for (group, reply) in [("g1", "i:2;"), ("7", "i:3;"), ("none", "i:0;")] {
        assert_eq!(sent(&queries.frame()), (24, 0, 1, group, ""));
        queries.reply(reply);
    }
    assert_eq!(worker.told(), r#"[("g1", 2), ("7", 3), ("none", 0)]"#);
}

#[test]
fn a_gateway_of_ours_knows_the_command_for_several_names() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    link.greet();
    for _ in 0..2 {
        link.message("client_counts_of_groups");
    }
    let mut queries = gateway.accept();
    for _ in 0..2 {
        assert_eq!(queries.frame().cmd, 28);
        queries.reply(r#"a:3:{s:2:"g1";i:0;i:7;i:1;s:4:"none";i:0;}"#);
        assert_eq!(worker.told(), r#"[("g1", 0), ("7", 1), ("none", 0)]"#);
    }
}

/// One that is frozen: its kernel takes connections and what is sent, and nobody answers. It does not say what it is, so it
/// may be PHP's, which may be silent.
#[test]
fn a_gateway_that_does_not_answer_is_not_asked_until_it_does() {
    let [frozen, well] = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&frozen, &well]);
    let worker =
        FakeWorker::start_with(Config { query_timeout: Duration::from_secs(3), ..config(&[&register]) }, ask);
    let (_frozen_link, mut link) = (frozen.accept_worker(), well.accept_worker());
    let missing = format!("3 missing [{}]", frozen.address);
    link.message("count");
    let mut queries = well.accept();
    std::thread::spawn(move || {
        while queries.receive().is_some() {
            queries.reply("i:3;");
        }
    });
    assert_eq!(worker.told(), missing);
    let mut question = frozen.accept();
    assert_eq!(question.frame().cmd, Cmd::GetClientCountByGroup as u8);
    assert_eq!(question.receive(), None, "given up");
    // Each would take three seconds.
    for _ in 0..20 {
        link.message("count");
        assert_eq!(worker.told(), missing);
    }
    let mut probe = frozen.accept();
    assert_eq!(sent(&probe.frame()), (11, 0, 1, "", ""), "no query but whether it is there");
    std::thread::spawn(move || {
        probe.reply("i:0;");
        while probe.receive().is_some() {
            probe.reply("i:2;");
        }
    });
    let told = std::iter::from_fn(|| {
        link.message("count");
        Some(worker.told()).filter(|told| *told == missing)
    });
    assert!(told.take(100_000).count() < 100_000, "it is asked again");
}

/// One of ours that pings no more, though its kernel goes on taking connections.
#[test]
fn a_gateway_of_ours_that_falls_silent_is_neither_asked_nor_told_until_it_speaks() {
    let [frozen, well] = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&frozen, &well]);
    let worker = FakeWorker::start(&register, ask);
    let (mut frozen_link, mut link) = (frozen.accept_worker(), well.accept_worker());
    frozen_link.greet();
    assert_eq!(frozen_link.receive(), None);
    // A list that still names it is no reason to hope.
    register.list(&[&frozen, &well]);
    let mut again = frozen.accept_worker();
    link.message("count");
    let mut queries = well.accept();
    queries.frame();
    queries.reply("i:3;");
    assert_eq!(worker.told(), format!("3 missing [{}]", frozen.address));
    assert_eq!(again.receive(), None, "it says nothing");
    assert!(frozen.is_left_alone());
    let mut thawed = frozen.accept_worker();
    thawed.greet();
    thawed.message("count");
    frozen.accept().reply("i:2;");
    queries.frame();
    queries.reply("i:3;");
    assert_eq!(worker.told(), "5 missing []");
}

/// Somebody has put PHP's gateway back, and no register noticed.
#[test]
fn who_speaks_in_the_place_of_a_gateway_that_fell_silent_is_heard() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    link.greet();
    assert_eq!(link.receive(), None);
    let mut php = gateway.accept_worker();
    for _ in 0..2 {
        php.message("count");
        let mut queries = gateway.accept();
        queries.frame();
        queries.reply("i:2;");
        assert_eq!(worker.told(), "2 missing []");
        drop(queries);
        // Longer than one of ours would have to say so.
        std::thread::sleep(Duration::from_secs(4));
    }
}

#[test]
fn a_key_goes_in_front_of_every_query() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let mut settings = config(&[&register]);
    settings.secret_key = "k3y".to_owned();
    let worker = FakeWorker::start_with(settings, ask);
    let mut link = gateway.accept_worker();
    link.message("client_count");
    let mut queries = gateway.accept();
    for round in 0..2 {
        if round > 0 {
            link.message("client_count");
        }
        assert_eq!(sent(&queries.frame()), (202, 0, 1, "", r#"{"secret_key":"k3y"}"#));
        assert_eq!(queries.frame().cmd, 24);
        queries.reply("i:5;");
        assert_eq!(worker.told(), "5");
    }
}

#[test]
fn answers_of_all_gateways_are_put_together() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&gateways[0], &gateways[1]]);
    let worker = FakeWorker::start(&register, ask);
    let mut links = [gateways[0].accept_worker(), gateways[1].accept_worker()];
    links[0].message("client_count");
    for (gateway, reply) in gateways.iter().zip(["i:2;", "i:3;"]) {
        let mut queries = gateway.accept();
        queries.frame();
        queries.reply(reply);
    }
    assert_eq!(worker.told(), "5");
}

#[test]
fn a_silent_gateway_is_missing_and_its_late_answer_is_not_the_next_one() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start(&[&gateways[0], &gateways[1]]);
    let worker = FakeWorker::start(&register, ask);
    let mut links = [gateways[0].accept_worker(), gateways[1].accept_worker()];
    links[0].message("quick");
    let mut silent = gateways[0].accept();
    let mut quick = gateways[1].accept();
    silent.frame();
    quick.frame();
    quick.reply("i:3;");
    assert_eq!(worker.told(), format!("3 missing [{}]", gateways[0].address));
    // The connection that owes an answer is closed, and a new one is opened.
    assert_eq!(silent.receive(), None);
    links[0].message("count");
    let mut again = gateways[0].accept();
    again.frame();
    again.reply("i:2;");
    quick.frame();
    quick.reply("i:3;");
    assert_eq!(worker.told(), "5 missing []");
}

#[test]
fn a_kept_connection_that_died_is_opened_again() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    for _ in 0..3 {
        link.message("count");
        let mut queries = gateway.accept();
        queries.frame();
        queries.reply("i:1;");
        assert_eq!(worker.told(), "1 missing []");
    }
}

#[test]
fn nonsense_for_an_answer_is_missing() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    for nonsense in [&b"\xff\xff\xff\xff"[..], b"\0\0\0\x02xx", b"\0\0\0\x04i:1;\0"] {
        link.message("count");
        let mut queries = gateway.accept();
        queries.frame();
        queries.send_bytes(nonsense);
        assert_eq!(worker.told(), format!("0 missing [{}]", gateway.address));
        assert_eq!(queries.receive(), None);
    }
}

#[test]
fn queries_wait_for_their_turn_in_order() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let worker = FakeWorker::start(&register, ask);
    let mut link = gateway.accept_worker();
    // Of different clients, so that their handlers run at once.
    for client in 1..=3 {
        link.event(Cmd::OnMessage, client, b"is_online");
    }
    let mut queries = gateway.accept();
    for client in 1..=3 {
        let frame = queries.frame();
        assert_eq!((frame.cmd, frame.connection_id), (11, client));
        assert!(!queries.has_unused(), "one question at a time");
        queries.reply("i:1;");
        assert_eq!(worker.told(), "true");
    }
}

#[test]
fn a_made_up_client_id_connects_to_nobody() {
    let gateway = FakeGateway::start();
    let stranger = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let made_up = stranger.client(1);
    let worker = FakeWorker::start(
        &register,
        async move |gateway: &Gateway, _: &Client, _: Message, tell: &Sender<String>| {
            let answer = gateway.is_online(made_up).await;
            tell.send(format!("{} {}", answer.value, answer.is_complete())).unwrap();
        },
    );
    gateway.accept_worker().message("go");
    assert_eq!(worker.told(), "false false");
}

#[test]
fn who_waits_for_ever_is_answered_and_ends() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start(&[&gateway]);
    let for_ever =
        Config { query_timeout: Duration::MAX, drain_timeout: Duration::MAX, ..config(&[&register]) };
    let worker = FakeWorker::start_with(for_ever, ask);
    let mut link = gateway.accept_worker();
    link.greet();
    link.message("count");
    let mut queries = gateway.accept();
    queries.frame();
    queries.reply("i:2;");
    assert_eq!(worker.told(), "2 missing []");
    link.message("patient");
    queries.frame();
    queries.reply("i:3;");
    assert_eq!(worker.told(), "3 missing []");
    let stopping = std::thread::spawn(move || worker.running.stop());
    assert_eq!(link.frame().cmd, Cmd::Drain as u8);
    drop(link);
    stopping.join().unwrap().unwrap();
}
