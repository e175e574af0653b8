#[path = "register_client_proof_tests.rs"]
mod proof;

use proptest::prelude::*;

use super::Connection::{Main, Probe};
use super::*;
use crate::register::{Broadcast, PONG};

const GATEWAY: &str = "127.0.0.1:2900";

/// A client and the world around it, in which the clock goes from one deadline to the next.
struct Scene {
    client: RegisterClient,
    now: u64,
    /// What happened, one line each, with the time in front.
    log: Vec<String>,
}

impl Scene {
    fn new(register: &str, role: Role) -> Scene {
        Scene::with(register, role, "k".to_owned())
    }

    fn with(register: &str, role: Role, credentials: impl Into<Credentials>) -> Scene {
        let client = RegisterClient::new(register, role, credentials, Limits::default());
        let mut scene = Scene { client, now: 0, log: Vec::new() };
        scene.tick();
        scene
    }

    fn gateway() -> Scene {
        Scene::new("127.0.0.1:1236", Role::Gateway(GATEWAY.to_owned()))
    }

    fn follower() -> Scene {
        Scene::new("127.0.0.1:1236", Role::Follower)
    }

    fn both() -> [Scene; 2] {
        [Scene::gateway(), Scene::follower()]
    }

    fn tick(&mut self) {
        self.client.on_tick(self.now);
        self.see();
    }

    /// Takes what is to be done and sent.
    fn see(&mut self) {
        let Scene { client, now, log } = self;
        while let Some(action) = client.next_action() {
            let told = match action {
                Action::News(News::Lost { error, was_held }) => format!("lost {was_held}: {error}"),
                Action::News(News::Gateways { gateways, left_out }) => format!("{gateways:?} -{left_out}"),
                Action::News(News::Held) => "held".to_owned(),
                Action::Connect(connection) => format!("connect {connection:?}"),
                Action::Close(connection) => format!("close {connection:?}"),
            };
            log.push(format!("{now} {told}"));
        }
        for connection in [Main, Probe] {
            let said = String::from_utf8(client.unsent(connection).to_vec()).unwrap();
            client.on_sent(connection, said.len());
            log.extend(said.lines().map(|line| format!("{now} {connection:?} says {line}")));
        }
    }

    fn connect(&mut self, connection: Connection) {
        self.client.on_connecting(self.now, connection);
        self.client.on_connected(self.now, connection);
        self.see();
    }

    fn hear(&mut self, connection: Connection, bytes: &[u8]) {
        self.client.on_bytes(self.now, connection, bytes);
        self.see();
    }

    fn end(&mut self, connection: Connection) {
        self.client.on_end_of_stream(self.now, connection);
        self.see();
    }

    /// Lets time pass up to and with `until`; `reply` is heard after each line that is said.
    fn pass(&mut self, until: u64, reply: &[u8]) {
        while self.client.deadline() <= until {
            assert!(self.client.deadline() > self.now, "a deadline that was met comes again");
            self.now = self.client.deadline();
            let before = self.log.len();
            self.tick();
            if !reply.is_empty() && self.log[before..].iter().any(|line| line.contains("says")) {
                self.hear(Main, reply);
            }
        }
        self.now = until;
    }

    /// The log since it was last taken.
    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// The last thing that happened.
    fn last(&self) -> &str {
        self.log.last().unwrap()
    }
}

fn list(gateways: &[&str]) -> Vec<u8> {
    let addresses = gateways.iter().map(|gateway| (*gateway).to_owned()).collect();
    let mut line = Vec::new();
    Broadcast { addresses }.encode(&mut line);
    line
}

fn reset() -> io::Error {
    io::Error::from_raw_os_error(104)
}

#[test]
fn a_gateway_is_registered_once_the_register_answers() {
    let mut scene = Scene::gateway();
    scene.connect(Main);
    assert!(!scene.client.is_held());
    scene.hear(Main, PONG);
    assert!(scene.client.is_held());
    assert_eq!(
        scene.take_log(),
        [
            "0 connect Main",
            "0 Main says {\"event\":\"gateway_connect\", \"address\":\"127.0.0.1:2900\", \"secret_key\":\"k\"}",
            "0 Main says {\"event\":\"ping\",\"ringway\":1}",
            "0 held",
        ]
    );
    scene.pass(60_000, PONG);
    let log = scene.take_log();
    let pings = log.iter().filter(|line| line.contains("ping") && line.contains("ringway")).count();
    assert!((29..=60).contains(&pings) && pings == log.len(), "{log:?}");
}

#[test]
fn a_follower_is_told_each_list_and_that_it_is_held_before_the_first() {
    let mut scene = Scene::follower();
    scene.connect(Main);
    scene.hear(Main, &list(&["10.0.0.1:2900", "not an address", "10.0.0.2:2900"]));
    scene.hear(Main, PONG);
    scene.hear(Main, &list(&[]));
    assert_eq!(
        scene.take_log(),
        [
            "0 connect Main",
            "0 Main says {\"event\":\"worker_connect\",\"secret_key\":\"k\"}",
            "0 Main says {\"event\":\"ping\",\"ringway\":1}",
            "0 held",
            "0 [10.0.0.1:2900, 10.0.0.2:2900] -1",
            "0 [] -0",
        ]
    );
    scene.now = 700;
    scene.end(Main);
    assert_eq!(scene.take_log(), ["700 close Main", "700 lost true: closed by the register"]);
    scene.pass(1_200, b"");
    assert_eq!(scene.last(), "1200 connect Main");
    scene.connect(Main);
    scene.hear(Main, &list(&[]));
    assert_eq!(scene.log[scene.log.len() - 2..], ["1200 held", "1200 [] -0"]);
}

#[test]
fn a_list_has_a_limit() {
    let mut scene = Scene::follower();
    scene.connect(Main);
    let addresses = (0..GATEWAYS_MAX + 3).map(|index| format!("10.0.0.1:{}", index + 1)).collect();
    let mut line = Vec::new();
    Broadcast { addresses }.encode(&mut line);
    scene.client.on_bytes(0, Main, &line);
    let Some(Action::News(News::Held)) = scene.client.next_action() else { panic!("not held") };
    let Some(Action::News(News::Gateways { gateways, left_out })) = scene.client.next_action() else {
        panic!("no list")
    };
    assert_eq!((gateways.len(), left_out), (GATEWAYS_MAX, 3));
}

/// What is at a wrong address may answer and close, speak first, say nothing at all, or close at once.
#[test]
fn what_is_no_register_is_told_by_what_it_says() {
    for mut scene in Scene::both() {
        scene.connect(Main);
        scene.hear(Main, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        assert!(
            scene.last().contains("lost false: this is no register, it says \"HTTP/1.1 400 Bad Request\"")
        );
    }
    for mut scene in Scene::both() {
        scene.connect(Main);
        scene.hear(Main, b"SSH-2.0-OpenSSH");
        scene.end(Main);
        assert!(scene.last().contains("lost false: this is no register, it says \"SSH-2.0-OpenSSH\""));
    }
    for mut scene in Scene::both() {
        scene.connect(Main);
        scene.end(Main);
        assert!(scene.last().contains("it closes the connection without an answer"), "{}", scene.last());
    }
    for mut scene in Scene::both() {
        scene.connect(Main);
        scene.client.on_failed(0, Main, reset());
        scene.see();
        assert!(scene.last().contains("it closes the connection without an answer"), "{}", scene.last());
    }
}

#[test]
fn a_follower_whose_register_does_not_answer_gives_up() {
    for (said, found) in [(&b""[..], "it does not answer"), (b"220 smtp", "it says \"220 smtp\"")] {
        let mut scene = Scene::follower();
        scene.connect(Main);
        scene.hear(Main, said);
        scene.pass(5_000, b"");
        let told = format!("5000 lost false: this is no register, {found}: is the register's address right?");
        assert_eq!(scene.last(), told);
    }
}

/// Its machine went before it answered, and another is in its place: only that one answers.
#[test]
fn a_gateway_that_is_not_in_the_list_that_it_asks_for_registers_again() {
    let mut scene = Scene::gateway();
    scene.connect(Main);
    scene.pass(2_000, b"");
    scene.connect(Probe);
    scene.take_log();
    scene.hear(Probe, &list(&["127.0.0.1:2901"]));
    let told = ["close Main", "close Probe", "lost false: it does not know this gateway any more"];
    assert_eq!(scene.take_log(), told.map(|told| format!("2000 {told}")));
    scene.pass(2_500, b"");
    assert_eq!(scene.last(), "2500 connect Main");
}

/// PHP's register has nothing to say to a gateway, and answers who asks for the list.
#[test]
fn a_gateway_asks_what_a_silent_register_is() {
    let mut scene = Scene::gateway();
    scene.connect(Main);
    scene.take_log();
    scene.pass(2_000, b"");
    assert_eq!(scene.take_log(), ["2000 connect Probe"]);
    scene.connect(Probe);
    scene.hear(Probe, &list(&[GATEWAY]));
    assert_eq!(
        scene.take_log(),
        [
            "2000 Probe says {\"event\":\"worker_connect\",\"secret_key\":\"k\"}",
            "2000 close Probe",
            "2000 held",
        ]
    );
    scene.pass(100_000, b"");
    assert_eq!(scene.take_log(), [""; 0], "PHP does not ping a local register");
    scene.end(Main);
    assert_eq!(scene.last(), "100000 lost true: closed by the register");
}

#[test]
fn a_gateway_whose_register_is_silent_even_when_asked_gives_up() {
    for (said, found) in [(&b""[..], "it does not answer"), (b"220 smtp", "it says \"220 smtp\"")] {
        let mut scene = Scene::gateway();
        scene.connect(Main);
        scene.pass(2_000, b"");
        scene.connect(Probe);
        scene.hear(Probe, said);
        scene.take_log();
        scene.pass(7_000, b"");
        let told = format!("7000 lost false: this is no register, {found}: is the register's address right?");
        assert_eq!(scene.take_log(), ["7000 close Main", "7000 close Probe", &told]);
    }
    let mut scene = Scene::gateway();
    scene.connect(Main);
    scene.pass(2_000, b"");
    scene.client.on_failed(scene.now, Probe, reset());
    scene.see();
    let told = scene.take_log();
    assert_eq!(told[told.len() - 3..told.len() - 1], ["2000 close Probe", "2000 close Main"]);
    scene.pass(2_500, b"");
    assert_eq!(scene.last(), "2500 connect Main");
}

#[test]
fn an_answer_makes_the_question_needless() {
    let mut scene = Scene::gateway();
    scene.connect(Main);
    scene.pass(2_000, b"");
    scene.connect(Probe);
    scene.hear(Main, PONG);
    assert_eq!(scene.log[scene.log.len() - 2..], ["2000 close Probe", "2000 held"]);
    scene.hear(Probe, b"too late\n");
    scene.end(Probe);
    assert!(scene.client.is_held());
}

#[test]
fn a_register_that_hangs_is_noticed_whoever_it_was_of_use_to() {
    for mut scene in Scene::both() {
        scene.connect(Main);
        scene.hear(Main, PONG);
        if scene.client.role == Role::Follower {
            scene.hear(Main, &list(&[]));
        }
        scene.pass(60_000, PONG);
        scene.take_log();
        scene.pass(66_900, b"");
        let log = scene.take_log();
        assert!(log.iter().all(|line| line.contains("ping")), "{log:?}");
        scene.pass(70_000, b"");
        let log = scene.take_log();
        assert!(log.iter().any(|line| line.ends_with("lost true: it does not answer any more")), "{log:?}");
    }
}

#[test]
fn a_remote_register_of_phps_is_pinged_as_php_does() {
    let mut scene = Scene::new("10.0.0.1:1236", Role::Follower);
    scene.connect(Main);
    scene.hear(Main, &list(&[]));
    scene.take_log();
    scene.pass(75_000, b"");
    let ping = |second: u32| format!("{second} Main says {{\"event\":\"ping\"}}");
    assert_eq!(scene.take_log(), [25_000, 50_000, 75_000].map(ping));
}

#[test]
fn pings_that_nobody_takes_do_not_pile_up() {
    let mut scene = Scene::new("10.0.0.1:1236", Role::Follower);
    scene.connect(Main);
    scene.hear(Main, &list(&[]));
    for second in 0..1_000 {
        scene.client.on_tick(second * 1_000);
    }
    assert_eq!(scene.client.unsent(Main), b"{\"event\":\"ping\"}\n");
    scene.client.on_sent(Main, 3);
    assert_eq!(scene.client.unsent(Main), b"vent\":\"ping\"}\n");
}

#[test]
fn what_is_of_no_use_is_tried_less_and_less_often_and_what_is_lost_soon() {
    let mut scene = Scene::follower();
    let mut waits = Vec::new();
    for _ in 0..6 {
        scene.connect(Main);
        scene.end(Main);
        waits.push(scene.client.deadline() - scene.now);
        scene.pass(scene.client.deadline(), b"");
    }
    assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    scene.connect(Main);
    scene.hear(Main, &list(&[]));
    scene.end(Main);
    assert_eq!(scene.client.deadline() - scene.now, 500);
    scene.pass(scene.client.deadline(), b"");
    for _ in 0..3 {
        scene.client.on_failed(scene.now, Main, io::ErrorKind::ConnectionRefused.into());
        scene.see();
        assert_eq!(scene.last(), format!("{} lost false: connection refused", scene.now));
        assert_eq!(scene.client.deadline() - scene.now, 500);
        scene.pass(scene.client.deadline(), b"");
    }
}

#[test]
fn a_connection_has_a_limit_and_the_name_before_it_has_none() {
    let mut scene = Scene::follower();
    scene.pass(1_000_000, b"");
    assert_eq!(scene.take_log(), ["0 connect Main"]);
    scene.client.on_connecting(scene.now, Main);
    scene.pass(1_003_000, b"");
    let told = "1003000 lost false: it does not take the connection";
    assert_eq!(scene.take_log(), ["1003000 close Main", told]);
    // Too late.
    scene.client.on_connected(scene.now, Main);
    scene.hear(Main, &list(&[]));
    scene.end(Main);
    assert_eq!(scene.take_log(), [""; 0]);
}

#[test]
fn a_line_without_end_is_not_kept() {
    for mut scene in Scene::both() {
        scene.connect(Main);
        for _ in 0..1_000 {
            scene.hear(Main, &[b'x'; 4_096]);
        }
        assert!(scene.last().contains("lost false: line too long"), "{}", scene.last());
    }
}

/// What the client learns of `bytes` that come in `sizes`.
fn heard(mut scene: Scene, bytes: &[u8], sizes: &[usize]) -> Vec<String> {
    scene.connect(Main);
    scene.take_log();
    let (mut rest, mut sizes) = (bytes, sizes.iter().cycle());
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
        scene.hear(Main, piece);
        rest = after;
    }
    scene.end(Main);
    scene.take_log()
}

#[derive(Clone, Debug)]
enum Step {
    Connecting(bool),
    Connected(bool),
    Bytes(bool, Vec<u8>),
    End(bool),
    Failed(bool),
    Sent(bool, usize),
    Tick(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lines = prop_oneof![
        Just(PONG.to_vec()),
        Just(list(&[GATEWAY])),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    let step = prop_oneof![
        any::<bool>().prop_map(Step::Connecting),
        any::<bool>().prop_map(Step::Connected),
        (any::<bool>(), lines).prop_map(|(main, line)| Step::Bytes(main, line)),
        any::<bool>().prop_map(Step::End),
        any::<bool>().prop_map(Step::Failed),
        (any::<bool>(), 0..200usize).prop_map(|(main, size)| Step::Sent(main, size)),
        (0..4_000u64).prop_map(Step::Tick),
    ];
    proptest::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn pieces_mean_what_the_whole_does(
        lines in proptest::collection::vec(0..5usize, 0..6),
        sizes in proptest::collection::vec(1..30usize, 1..8),
    ) {
        let kinds = [PONG.to_vec(), list(&[GATEWAY]), list(&[]), b"\r\n".to_vec(), b"{\"event\":\"po".to_vec()];
        let bytes = lines.into_iter().flat_map(|kind| kinds[kind].clone()).collect::<Vec<u8>>();
        for scene in [Scene::gateway, Scene::follower] {
            let whole = heard(scene(), &bytes, &[usize::MAX]);
            prop_assert_eq!(&whole, &heard(scene(), &bytes, &[1]));
            prop_assert_eq!(&whole, &heard(scene(), &bytes, &sizes));
        }
    }

    /// Whatever happens, in whatever order: connections are opened once each and closed, news alternate, and what is kept
    /// is bounded.
    #[test]
    fn any_order_of_events_keeps_the_books(steps in steps(), gateway in any::<bool>()) {
        let Scene { mut client, .. } = if gateway { Scene::gateway() } else { Scene::follower() };
        let connection = |main: bool| if main { Main } else { Probe };
        let (mut open, mut held, mut now) = (vec![Main], false, 0);
        for step in steps {
            match step {
                Step::Connecting(main) => client.on_connecting(now, connection(main)),
                Step::Connected(main) => client.on_connected(now, connection(main)),
                Step::Bytes(main, bytes) => client.on_bytes(now, connection(main), &bytes),
                Step::End(main) => client.on_end_of_stream(now, connection(main)),
                Step::Failed(main) => client.on_failed(now, connection(main), reset()),
                Step::Sent(main, size) => client.on_sent(connection(main), size),
                Step::Tick(ms) => {
                    now += ms;
                    client.on_tick(now);
                    prop_assert!(client.deadline() > now);
                }
            }
            while let Some(action) = client.next_action() {
                match action {
                    Action::Connect(connection) => {
                        prop_assert!(!open.contains(&connection) && (connection == Main || gateway));
                        open.push(connection);
                    }
                    Action::Close(connection) => {
                        prop_assert!(open.contains(&connection));
                        open.retain(|other| *other != connection);
                    }
                    Action::News(News::Held) => prop_assert!(!std::mem::replace(&mut held, true)),
                    Action::News(News::Gateways { .. }) => prop_assert!(held && !gateway),
                    Action::News(News::Lost { was_held, .. }) => {
                        prop_assert_eq!(std::mem::take(&mut held), was_held);
                        prop_assert!(open.is_empty());
                    }
                }
            }
            prop_assert_eq!(client.is_held(), held);
            prop_assert!(client.unsent(Main).len() < 200 && client.unsent(Probe).len() < 200);
        }
    }
}
