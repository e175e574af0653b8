use proptest::prelude::*;

use super::*;

const KEY: &str = "k3y";

fn gateway(address: &str, key: &str) -> String {
    format!(r#"{{"event":"gateway_connect", "address":"{address}", "secret_key":"{key}"}}"#)
}

fn worker(key: &str) -> String {
    format!(r#"{{"event":"worker_connect","secret_key":"{key}"}}"#)
}

/// A directory whose peers take what they are owed at once, and how many there were.
struct Fixture(Directory, u32);

impl Fixture {
    fn new() -> Self {
        Self(Directory::new(KEY), 0)
    }

    /// A peer. The first have the greatest ids.
    fn open(&mut self) -> SocketId {
        self.1 += 1;
        let peer = SocketId::new(u32::MAX - self.1, 0);
        self.0.on_open(peer, u64::from(self.1));
        peer
    }

    fn peer_with(&mut self, line: &str) -> SocketId {
        let peer = self.open();
        assert_eq!(self.0.on_line(peer, line.as_bytes()), Ok(()));
        peer
    }

    fn refusal(&mut self, line: &str) -> Option<Refusal> {
        let peer = self.open();
        let refusal = self.0.on_line(peer, line.as_bytes()).err();
        self.0.on_closed(peer);
        refusal
    }

    fn take(&mut self, peer: SocketId) -> Option<String> {
        self.0.take_line(peer).map(|line| String::from_utf8(line.to_vec()).unwrap())
    }

    fn woken(&mut self) -> Vec<SocketId> {
        self.0.take_woken()
    }
}

fn list(addresses: &[&str]) -> Option<String> {
    let quoted: Vec<_> = addresses.iter().map(|address| format!("{address:?}")).collect();
    Some(format!("{{\"event\":\"broadcast_addresses\",\"addresses\":[{}]}}\n", quoted.join(",")))
}

#[test]
fn a_worker_gets_the_list_each_time_it_asks() {
    let mut fixture = Fixture::new();
    let asker = fixture.peer_with(&worker(KEY));
    assert_eq!(fixture.woken(), [asker]);
    assert_eq!(fixture.take(asker), list(&[]));
    assert_eq!(fixture.take(asker), None);
    assert_eq!(fixture.0.on_line(asker, worker(KEY).as_bytes()), Ok(()));
    assert_eq!(fixture.take(asker), list(&[]));
}

#[test]
fn workers_hear_of_gateways_that_come_and_go() {
    let mut fixture = Fixture::new();
    let first = fixture.peer_with(&worker(KEY));
    assert_eq!(fixture.take(first), list(&[]));
    let a = fixture.peer_with(&gateway("10.0.0.1:2900", KEY));
    assert_eq!(fixture.take(first), list(&["10.0.0.1:2900"]));
    assert_eq!(fixture.take(a), None, "a gateway gets no answer");
    let second = fixture.peer_with(&worker(KEY));
    assert_eq!(fixture.take(first), None, "workers are no news");
    assert_eq!(fixture.take(second), list(&["10.0.0.1:2900"]));
    fixture.0.on_closed(a);
    assert_eq!(fixture.take(first), list(&[]));
    fixture.0.on_closed(first);
    assert_eq!(fixture.take(second), list(&[]));
    assert_eq!(fixture.take(second), None);
}

#[test]
fn an_address_of_two_connections_is_listed_once_until_both_are_gone() {
    let mut fixture = Fixture::new();
    let asker = fixture.peer_with(&worker(KEY));
    let one = fixture.peer_with(&gateway("a:1", KEY));
    let other = fixture.peer_with(&gateway("b:1", KEY));
    let again = fixture.peer_with(&gateway("a:1", KEY));
    assert_eq!(fixture.take(asker), list(&["a:1", "b:1"]));
    fixture.0.on_closed(one);
    assert_eq!(fixture.take(asker), list(&["b:1", "a:1"]));
    fixture.0.on_closed(again);
    assert_eq!(fixture.take(asker), list(&["b:1"]));
    fixture.0.on_closed(other);
    assert_eq!(fixture.take(asker), list(&[]));
}

#[test]
fn a_second_registration_moves_the_address_in_place() {
    let mut fixture = Fixture::new();
    let asker = fixture.peer_with(&worker(KEY));
    let mover = fixture.peer_with(&gateway("a:1", KEY));
    fixture.peer_with(&gateway("b:1", KEY));
    assert_eq!(fixture.0.on_line(mover, gateway("c:1", KEY).as_bytes()), Ok(()));
    assert_eq!(fixture.take(asker), list(&["c:1", "b:1"]));
}

#[test]
fn lists_that_nobody_took_are_one() {
    let mut fixture = Fixture::new();
    let sleeper = fixture.peer_with(&worker(KEY));
    for port in 1..=100 {
        fixture.peer_with(&gateway(&format!("a:{port}"), KEY));
    }
    assert_eq!(fixture.woken(), [sleeper], "woken once until it takes");
    assert!(fixture.take(sleeper).unwrap().contains("a:100"));
    assert_eq!(fixture.take(sleeper), None);
}

#[test]
fn the_list_is_encoded_once_for_all() {
    let mut fixture = Fixture::new();
    let peers = [(); 3].map(|()| fixture.peer_with(&worker(KEY)));
    let lines = peers.map(|peer| fixture.0.take_line(peer).unwrap());
    assert!(lines.iter().all(|line| Rc::ptr_eq(line, &lines[0])));
}

#[test]
fn who_is_refused_and_why() {
    let long = "a".repeat(ADDRESS_SIZE_MAX + 1);
    let refused = [
        (gateway("a:1", "other"), Refusal::WrongKey),
        (gateway("a:1", ""), Refusal::WrongKey),
        (worker("k3"), Refusal::WrongKey),
        (r#"{"event":"worker_connect"}"#.to_owned(), Refusal::WrongKey),
        (gateway("", KEY), Refusal::BadAddress),
        (gateway(&long, KEY), Refusal::BadAddress),
        (gateway("a b", KEY), Refusal::BadAddress),
        (gateway(r"a\u0000:1", KEY), Refusal::BadAddress),
        (r#"{"event":"shout"}"#.to_owned(), Refusal::UnknownEvent),
        (r#"{"address":"a:1"}"#.to_owned(), Refusal::NotARequest),
        ("GET / HTTP/1.1".to_owned(), Refusal::NotARequest),
        (String::new(), Refusal::NotARequest),
    ];
    let mut fixture = Fixture::new();
    let asker = fixture.peer_with(&worker(KEY));
    assert_eq!(fixture.take(asker), list(&[]));
    for (line, refusal) in refused {
        assert_eq!(fixture.refusal(&line), Some(refusal), "{line}");
        assert_eq!(refusal.farewell().is_some(), refusal == Refusal::NotARequest);
    }
    assert_eq!(fixture.take(asker), None, "who is refused is no news");
}

#[test]
fn an_empty_key_may_be_left_out() {
    let mut fixture = Fixture(Directory::new(""), 0);
    let peer = fixture.peer_with(r#"{"event":"worker_connect"}"#);
    assert!(fixture.0.take_line(peer).is_some());
}

#[test]
fn only_who_says_what_it_is_is_no_stranger() {
    let mut fixture = Fixture::new();
    let [silent, pinging, asking, listed] = [(); 4].map(|()| fixture.open());
    assert_eq!(fixture.0.on_line(pinging, br#"{"event":"ping"}"#), Ok(()));
    assert_eq!(fixture.0.on_line(pinging, br#"{"event":"ping","ringway":1}"#), Ok(()));
    assert_eq!(fixture.0.take_line(pinging), None, "ping has no list");
    assert_eq!(fixture.0.on_line(asking, worker(KEY).as_bytes()), Ok(()));
    assert_eq!(fixture.0.on_line(listed, gateway("10.0.0.1:2900", KEY).as_bytes()), Ok(()));
    for stranger in [silent, pinging] {
        assert_eq!(fixture.0.oldest_stranger().map(|(_, peer)| peer), Some(stranger));
        fixture.0.on_closed(stranger);
    }
    assert_eq!(fixture.0.oldest_stranger(), None);
}

#[test]
fn strangers_make_room_the_oldest_first_and_others_never_do() {
    let mut fixture = Fixture::new();
    fixture.peer_with(&worker(KEY));
    let strangers: Vec<SocketId> = (0..STRANGERS_MAX).map(|_| fixture.open()).collect();
    assert_eq!(fixture.0.make_room(), Ok(Some(strangers[0])));
    // Who was told to go is counted no more, and one that is gone makes room as well.
    assert_eq!(fixture.0.make_room(), Ok(None));
    fixture.open();
    assert_eq!(fixture.0.on_line(strangers[1], worker(KEY).as_bytes()), Ok(()));
    assert_eq!(fixture.0.make_room(), Ok(None));
    fixture.open();
    assert_eq!(fixture.0.make_room(), Ok(Some(strangers[2])));
    // A place of everybody's own.
    let mut fixture = Fixture::new();
    for _ in 0..CONNECTIONS_MAX {
        assert_eq!(fixture.0.make_room(), Ok(None));
        fixture.peer_with(&worker(KEY));
    }
    assert_eq!(fixture.0.make_room(), Err(Full));
}

/// What can happen to a register; indexes count the connections that are open at that moment.
#[derive(Debug, Clone)]
enum Step {
    Open,
    Gateway { at: usize, address: u8 },
    Worker { at: usize },
    Ping { at: usize },
    WrongKey { at: usize },
    Close { at: usize },
    Take { at: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0..64_usize;
    prop_oneof![
        3 => Just(Step::Open),
        3 => (at.clone(), 0..5_u8).prop_map(|(at, address)| Step::Gateway { at, address }),
        3 => at.clone().prop_map(|at| Step::Worker { at }),
        1 => at.clone().prop_map(|at| Step::Ping { at }),
        1 => at.clone().prop_map(|at| Step::WrongKey { at }),
        2 => at.clone().prop_map(|at| Step::Close { at }),
        3 => at.prop_map(|at| Step::Take { at }),
    ]
}

/// The register as WIRE.md tells it, without a thought for speed.
#[derive(Debug, Default)]
struct Model {
    open: Vec<SocketId>,
    workers: Vec<SocketId>,
    gateways: Vec<(SocketId, String)>,
    owed: Vec<SocketId>,
}

impl Model {
    fn owe_all(&mut self) {
        self.owed.clone_from(&self.workers);
    }

    fn register(&mut self, peer: SocketId, address: String) {
        match self.gateways.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, old)) => *old = address,
            None => self.gateways.push((peer, address)),
        }
        self.owe_all();
    }

    fn ask(&mut self, peer: SocketId) {
        for set in [&mut self.workers, &mut self.owed] {
            if !set.contains(&peer) {
                set.push(peer);
            }
        }
    }

    fn close(&mut self, peer: SocketId) {
        self.open.retain(|other| *other != peer);
        self.workers.retain(|other| *other != peer);
        self.owed.retain(|other| *other != peer);
        let before = self.gateways.len();
        self.gateways.retain(|(other, _)| *other != peer);
        if self.gateways.len() != before {
            self.owe_all();
        }
    }

    fn take(&mut self, peer: SocketId) -> Option<String> {
        let index = self.owed.iter().position(|other| *other == peer)?;
        self.owed.remove(index);
        let mut addresses: Vec<&str> = Vec::new();
        for (_, address) in &self.gateways {
            if !addresses.contains(&address.as_str()) {
                addresses.push(address);
            }
        }
        list(&addresses)
    }
}

fn apply(fixture: &mut Fixture, model: &mut Model, step: &Step) {
    if let Step::Open = step {
        model.open.push(fixture.open());
        return;
    }
    let (Step::Gateway { at, .. }
    | Step::Worker { at }
    | Step::Ping { at }
    | Step::WrongKey { at }
    | Step::Close { at }
    | Step::Take { at }) = step
    else {
        return;
    };
    let Some(&peer) = model.open.get(at % model.open.len().max(1)) else { return };
    match step {
        Step::Open => {}
        Step::Gateway { address, .. } => {
            let address = format!("10.0.0.{address}:2900");
            assert_eq!(fixture.0.on_line(peer, gateway(&address, KEY).as_bytes()), Ok(()));
            model.register(peer, address);
        }
        Step::Worker { .. } => {
            assert_eq!(fixture.0.on_line(peer, worker(KEY).as_bytes()), Ok(()));
            model.ask(peer);
        }
        Step::Ping { .. } => assert_eq!(fixture.0.on_line(peer, br#"{"event":"ping"}"#), Ok(())),
        Step::WrongKey { .. } => {
            let line = gateway("10.0.0.9:1", "no");
            assert_eq!(fixture.0.on_line(peer, line.as_bytes()), Err(Refusal::WrongKey));
            fixture.0.on_closed(peer);
            model.close(peer);
        }
        Step::Close { .. } => {
            fixture.0.on_closed(peer);
            model.close(peer);
        }
        Step::Take { .. } => assert_eq!(fixture.take(peer), model.take(peer)),
    }
}

proptest! {
    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..200)) {
        let (mut fixture, mut model) = (Fixture::new(), Model::default());
        let mut woken = HashSet::new();
        for step in &steps {
            apply(&mut fixture, &mut model, step);
            woken.extend(fixture.woken());
            for peer in &model.owed {
                prop_assert!(woken.contains(peer), "{peer:?} is owed a list and was not woken");
            }
            if let Step::Take { .. } = step {
                woken.retain(|peer| model.owed.contains(peer));
            }
        }
        prop_assert_eq!(fixture.0.peer_count(), model.open.len());
        for peer in model.open.clone() {
            prop_assert_eq!(fixture.take(peer), model.take(peer));
            prop_assert_eq!(fixture.take(peer), None);
        }
    }

    #[test]
    fn no_line_makes_it_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20)) {
        let mut fixture = Fixture::new();
        for line in lines {
            let peer = fixture.open();
            let _ = fixture.0.on_line(peer, &line);
            let _ = fixture.0.take_line(peer);
            fixture.0.on_closed(peer);
        }
        prop_assert_eq!(fixture.0.peer_count(), 0);
    }
}
