//! Order, turns and sums, against what was put in, under seeded schedules.

use std::net::Ipv4Addr;

use super::*;

const OPEN: fn(SocketAddrV4) -> bool = |_| true;

fn gateway(port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
}

fn client(port: u16, connection_id: u32) -> ClientId {
    ClientId { gateway: gateway(port), connection_id }
}

impl<T> Queues<T> {
    /// Panics if an invariant does not hold.
    fn check(&self) {
        let mut waiting = Amount::default();
        for (client, queue) in &self.clients {
            assert_eq!(queue.bytes, queue.events.iter().map(|(_, size)| size).sum::<usize>());
            waiting.add(queue.amount());
            let line = self.lines.get(&client.gateway);
            let places = line.map_or(0, |line| line.clients.iter().filter(|other| *other == client).count());
            assert_eq!(places, usize::from(!queue.runs));
            assert!(queue.runs || !queue.events.is_empty());
        }
        assert_eq!(self.waiting, waiting);
        assert_eq!(self.running, self.clients.values().filter(|queue| queue.runs).count());
        assert_eq!(self.turns.len(), self.lines.len());
        for (gateway, line) in &self.lines {
            assert!(self.turns.contains(gateway));
            let mut in_line = Amount::default();
            line.clients.iter().for_each(|client| in_line.add(self.clients[client].amount()));
            assert!(!line.clients.is_empty() && line.waiting == in_line);
        }
    }
}

#[test]
fn each_client_has_its_events_in_order_one_at_a_time() {
    for seed in 1..200_u64 {
        let mut random = seed;
        let mut below = |limit: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % limit
        };
        let mut queues = Queues::default();
        let (mut sent, mut done) = ([[0_u32; 3]; 2], [[0_u32; 3]; 2]);
        let mut running: Vec<ClientId> = Vec::new();
        for _ in 0..300 {
            let shut = gateway(below(4) as u16);
            let open = |gateway| gateway != shut;
            match below(3) {
                0 => {
                    let (port, id) = (below(2) as usize, below(3) as usize);
                    queues.push(client(port as u16, id as u32), sent[port][id], below(9) as usize);
                    sent[port][id] += 1;
                }
                1 if !running.is_empty() => {
                    let ended = running.swap_remove(below(running.len() as u64) as usize);
                    queues.end(ended);
                    start(queues.start(open), shut, &mut running, &mut done);
                }
                _ => start(queues.start(open), shut, &mut running, &mut done),
            }
            queues.check();
        }
        while queues.clients().count() > 0 {
            start(queues.start(OPEN), gateway(9), &mut running, &mut done);
            if let Some(ended) = running.pop() {
                queues.end(ended);
            }
            queues.check();
        }
        assert_eq!(sent, done, "seed {seed}");
        assert_eq!((queues.clients().count(), queues.waiting()), (0, Amount::default()));
    }
}

fn start(
    started: Option<(ClientId, u32)>,
    shut: SocketAddrV4,
    running: &mut Vec<ClientId>,
    done: &mut [[u32; 3]; 2],
) {
    let Some((client, number)) = started else { return };
    assert!(!running.contains(&client) && client.gateway != shut);
    let expected = &mut done[usize::from(client.gateway.port())][client.connection_id as usize];
    assert_eq!(number, *expected);
    *expected += 1;
    running.push(client);
}

#[test]
fn a_gateway_that_is_shut_holds_up_its_own_clients_only() {
    let mut queues = Queues::default();
    for id in 0..3 {
        queues.push(client(0, id), "slow", 10);
        queues.push(client(1, id), "quick", 1);
    }
    let open = |other| other != gateway(0);
    for id in 0..3 {
        assert_eq!(queues.start(open), Some((client(1, id), "quick")));
    }
    assert_eq!(queues.start(open), None);
    assert_eq!(queues.in_line(gateway(0)), Amount { events: 3, bytes: 30 });
    assert_eq!(queues.in_lines(open), Amount::default());
    assert!(queues.has_line(gateway(0)) && !queues.has_line(gateway(1)));
    assert_eq!(queues.start(OPEN), Some((client(0, 0), "slow")));
}

/// Whose turn is next when the event of a client has ended.
fn next_after(queues: &mut Queues<u32>, ended: u32) -> Option<(ClientId, u32)> {
    queues.end(client(0, ended));
    queues.start(OPEN)
}

#[test]
fn a_client_with_much_to_do_lets_others_in_between() {
    let mut queues = Queues::default();
    queues.run(client(0, 0));
    (1..3).for_each(|number| queues.push(client(0, 0), number, 1));
    assert_eq!(next_after(&mut queues, 0), Some((client(0, 0), 1)), "nobody else is there");
    queues.push(client(0, 1), 10, 1);
    assert_eq!(next_after(&mut queues, 0), Some((client(0, 1), 10)));
    assert_eq!(next_after(&mut queues, 1), Some((client(0, 0), 2)));
    assert_eq!(next_after(&mut queues, 0), None);
    assert_eq!((queues.running(), queues.clients().count()), (0, 0));
}

#[test]
fn what_waits_of_one_gateway_can_be_forgotten() {
    let mut queues = Queues::default();
    queues.run(client(0, 0));
    for (port, id) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        queues.push(client(port, id), (port, id), 5);
    }
    queues.discard(gateway(2));
    let mut discarded = queues.discard(gateway(0));
    discarded.sort_unstable();
    assert_eq!(discarded, [(0, 0), (0, 1)]);
    queues.check();
    queues.push(client(0, 0), (7, 7), 5);
    queues.check();
    assert_eq!(queues.start(OPEN), Some((client(1, 0), (1, 0))));
    queues.end(client(0, 0));
    assert_eq!(queues.start(OPEN), Some((client(1, 1), (1, 1))));
    assert_eq!(queues.start(OPEN), Some((client(0, 0), (7, 7))));
    queues.check();
}

#[test]
fn what_waits_can_be_forgotten_while_others_run() {
    let mut queues = Queues::default();
    queues.run(client(0, 0));
    queues.push(client(0, 0), 1, 5);
    queues.push(client(0, 1), 1, 5);
    queues.push(client(1, 0), 1, 5);
    assert_eq!(queues.clear().len(), 3);
    queues.check();
    assert_eq!((queues.running(), queues.clients().count()), (1, 1));
    queues.end(client(0, 0));
    assert_eq!(queues.start(OPEN), None);
}
