//! Wakes from other threads.

use std::time::Duration;

use crate::common::{Host, Seen, config};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_waiting_ring_is_woken_by_another_thread() {
    let mut host = Host::new(config());
    let waker = host.ring.waker().unwrap();
    let other = std::thread::spawn(move || waker.wake());
    while host.seen.is_empty() {
        host.turn(LONG);
    }
    other.join().unwrap();
    assert_eq!(host.seen, [Seen::Woken]);
}

#[test]
fn a_wake_before_the_wait_is_not_slept_over_and_several_are_one() {
    let mut host = Host::new(config());
    let waker = host.ring.waker().unwrap();
    waker.wake();
    waker.clone().wake();
    host.turn(LONG);
    assert_eq!(host.seen, [Seen::Woken]);
    host.settle();
    assert_eq!(host.seen, [Seen::Woken]);
}

#[test]
fn a_ring_is_woken_again_and_again() {
    let mut host = Host::new(config());
    let waker = host.ring.waker().unwrap();
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || {
        while asked.recv().is_ok() {
            waker.wake();
        }
    });
    for round in 1..=1_000 {
        ask.send(()).unwrap();
        while host.seen.len() < round {
            host.turn(LONG);
        }
    }
    drop(ask);
    other.join().unwrap();
    assert_eq!(host.count(|seen| *seen == Seen::Woken), 1_000);
}

#[test]
fn wakes_by_many_threads_lose_nothing_of_what_they_tell() {
    const EACH: usize = 20_000;
    let mut host = Host::new(config());
    let (tell, told) = std::sync::mpsc::channel();
    let others: Vec<_> = (0..4)
        .map(|_| {
            let (tell, waker) = (tell.clone(), host.ring.waker().unwrap());
            std::thread::spawn(move || {
                for _ in 0..EACH {
                    tell.send(()).unwrap();
                    waker.wake();
                }
            })
        })
        .collect();
    let mut count = 0;
    while count < 4 * EACH {
        host.seen.clear();
        host.turn(LONG);
        if host.seen.contains(&Seen::Woken) {
            count += told.try_iter().count();
        }
    }
    others.into_iter().for_each(|other| other.join().unwrap());
}

#[test]
fn a_task_is_woken_through_the_ring() {
    let mut host = Host::new(config());
    let waker = std::task::Waker::from(host.ring.waker().unwrap());
    let other = std::thread::spawn(move || waker.wake_by_ref());
    while !host.seen.contains(&Seen::Woken) {
        host.turn(LONG);
    }
    other.join().unwrap();
}
