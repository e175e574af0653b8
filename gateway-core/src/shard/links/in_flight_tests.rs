//! What is in flight, done and kept, by number, across the end of numbers.

use protocol::inner::Run;

use super::*;

fn in_flight(events: u32, bytes: u32) -> InFlight {
    InFlight::new(Window { events, bytes }, None, false)
}

fn keeping(events: u32, bytes: u32) -> InFlight {
    InFlight::new(Window { events, bytes }, Some(Origin { run: Run(7), link: 9 }), false)
}

fn add(in_flight: &mut InFlight, client: u32, size: usize) -> u8 {
    let weight = in_flight.add(Some(SocketId::new(client, 1)), &vec![client as u8; size], size, None);
    in_flight.check();
    weight
}

/// Says events done; returns whose they were.
fn done(in_flight: &mut InFlight, first: u32, count: u32) -> Result<Vec<usize>, NotInFlight> {
    let mut clients = Vec::new();
    in_flight.done(EventRange { first, count }, |client, _| clients.push(client.index()))?;
    in_flight.check();
    Ok(clients)
}

/// Says events safe; returns whose of those they were that were in flight.
fn safe(in_flight: &mut InFlight, first: u32, count: u32) -> Result<Vec<usize>, NotInFlight> {
    let mut clients = Vec::new();
    in_flight.safe(EventRange { first, count }, |client, _| clients.push(client.index()), |_| {})?;
    in_flight.check();
    Ok(clients)
}

/// The numbers of those that are not safe, and whose frames they have.
fn end(in_flight: InFlight) -> Vec<(u128, u8)> {
    let mut clients = Clients::new(&crate::Settings::default(), crate::Millis(0), 0);
    let all = in_flight.end(&mut clients).expect("they are kept").into_iter();
    all.map(|event| (u128::from_be_bytes(event.id.to_bytes()) & 0xFFFF_FFFF, event.frames[0])).collect()
}

#[test]
fn a_window_is_full_by_events_or_by_bytes_and_takes_one_event_of_any_size() {
    let mut few = in_flight(2, 1_000);
    add(&mut few, 1, 10);
    assert!(few.is_open());
    add(&mut few, 2, 10);
    assert!(!few.is_open());
    assert_eq!(done(&mut few, 1, 1), Ok(vec![2]));
    assert!(few.is_open());
    few.alone = true;
    assert!(!few.is_open());
    let mut small = in_flight(10, 1_000);
    assert_eq!(add(&mut small, 1, 70_000), CLIENT_EVENTS_MAX);
    assert!(!small.is_open());
    assert_eq!(done(&mut small, 0, 1), Ok(vec![1]));
    assert!(small.is_open());
    assert_eq!((small.add(None, &[0; 70_000], 70_000, None), small.add(None, &[0], 1, None)), (0, 0));
}

#[test]
fn what_is_not_in_flight_is_not_done() {
    let mut events = in_flight(10, 1_000);
    (0..3).for_each(|client| assert_eq!(add(&mut events, client, 1), 1));
    for (first, count) in [(3, 1), (0, 4), (u32::MAX, 1), (u32::MAX, 2), (0, u32::MAX), (1 << 31, 1)] {
        assert_eq!(done(&mut events, first, count), Err(NotInFlight), "{first} {count}");
    }
    let mut events = in_flight(10, 1_000);
    (0..3).for_each(|client| assert_eq!(add(&mut events, client, 1), 1));
    assert_eq!(done(&mut events, 1, 1), Ok(vec![1]));
    assert_eq!(done(&mut events, 1, 1), Err(NotInFlight), "twice, behind one that is not done");
    assert_eq!(done(&mut events, 7, 0), Ok(vec![]));
    assert_eq!(done(&mut events, 0, 1), Ok(vec![0]));
    assert_eq!(done(&mut events, 0, 1), Err(NotInFlight), "twice");
    assert_eq!(safe(&mut events, 2, 1), Err(NotInFlight), "nothing is kept");
}

/// A handler waits for ever, and the numbers begin anew meanwhile.
#[test]
fn a_late_event_makes_nothing_grow_and_can_be_done_at_any_time() {
    let mut events = in_flight(4, 1_000);
    (events.first, events.next) = (u32::MAX - 20, u32::MAX - 20);
    add(&mut events, 77, 1);
    for number in 0..1_000_u32 {
        add(&mut events, number, 1);
        let first = (u32::MAX - 19).wrapping_add(number);
        assert_eq!(done(&mut events, first, 1), Ok(vec![number as usize]));
    }
    assert!(events.sent.len() <= 8 && events.late.len() == 1);
    assert_eq!(done(&mut events, u32::MAX - 20, 1), Ok(vec![77]));
    assert_eq!((events.open, events.sent.len(), events.late.len()), (Amount::default(), 0, 0));
}

#[test]
fn what_is_done_is_kept_until_it_is_safe() {
    let mut events = keeping(4, 1_000);
    (0..4).for_each(|client| assert_eq!(add(&mut events, client, 10), 1));
    assert!(!events.is_open());
    assert_eq!(done(&mut events, 0, 3), Ok(vec![0, 1, 2]));
    assert!(events.is_open() && events.kept_count() == 4);
    assert_eq!(safe(&mut events, 1, 1), Ok(vec![]));
    assert_eq!(safe(&mut events, 1, 1), Err(NotInFlight), "twice");
    assert_eq!(done(&mut events, 2, 1), Err(NotInFlight), "twice");
    assert_eq!(safe(&mut events, 3, 1), Ok(vec![3]), "which says that it is done, too");
    assert_eq!(safe(&mut events, 0, 5), Err(NotInFlight));
    assert_eq!(end(events), [(0, 0), (2, 2)]);
}

#[test]
fn late_events_are_kept_in_order_when_numbers_begin_anew() {
    let mut events = keeping(4, 1_000);
    (events.first, events.next) = (u32::MAX - 2, u32::MAX - 2);
    add(&mut events, 77, 400);
    add(&mut events, 78, 400);
    for number in 0..20 {
        add(&mut events, number, 1);
        assert_eq!(safe(&mut events, (u32::MAX).wrapping_add(number), 1), Ok(vec![number as usize]));
    }
    assert_eq!(events.late.len(), 2);
    add(&mut events, 79, 1);
    assert_eq!(done(&mut events, u32::MAX - 1, 1), Ok(vec![78]));
    let last = u128::from(u32::MAX);
    assert_eq!(end(events), [(last - 2, 77), (last - 1, 78), (19, 79)]);
}

/// As large as windows let them be.
#[test]
fn what_is_kept_is_little_more_than_two_windows() {
    let mut events = keeping(100, 1_000);
    for number in 0..1_000 {
        add(&mut events, number, 900);
        assert!(events.kept_size() <= 2 * 1_000 + 900);
        // The first is never safe.
        let safe_now = if number == 0 { Ok(vec![]) } else { safe(&mut events, number, 1) };
        assert!(safe_now.is_ok());
    }
    assert_eq!((events.late.len(), end(events)), (1, vec![(0, 0)]));
}

#[test]
fn who_says_done_and_never_safe_is_found_out() {
    let mut events = keeping(2, 1_000);
    for number in 0..2 * UNSAFE_WINDOWS_MAX as u32 + 1 {
        assert!(!events.is_overfull());
        add(&mut events, number, 1);
        assert_eq!(done(&mut events, number, 1), Ok(vec![number as usize]));
    }
    assert!(!events.is_overfull());
    add(&mut events, 0, 1);
    assert!(done(&mut events, 2 * UNSAFE_WINDOWS_MAX as u32 + 1, 1).is_ok());
    assert!(events.is_overfull());
}

#[test]
fn who_was_sent_before_is_told_of_when_it_is_safe() {
    let mut events = keeping(4, 1_000);
    let id = EventId::new(Run(1), 2, 3);
    add(&mut events, 0, 1);
    events.add(None, &[5; 10], 10, Some(Repeat { id, deliveries: 1 }));
    events.check();
    let mut known = Vec::new();
    assert_eq!(events.safe(EventRange { first: 0, count: 2 }, |_, _| {}, |id| known.push(id)), Ok(()));
    assert_eq!(known, [id]);
}

#[test]
fn what_is_in_front_is_kept_and_counts_for_no_window() {
    let mut events = keeping(4, 100);
    for client in 0..9_u8 {
        assert!(events.is_open());
        events.add(None, &[client; 60 + 10], 10, None);
        events.check();
        if client % 3 > 0 {
            safe(&mut events, client.into(), 1).unwrap();
        }
    }
    let kept = events.end(&mut Clients::new(&crate::Settings::default(), crate::Millis(0), 0)).unwrap();
    let kept: Vec<_> = kept.iter().map(|event| &*event.frames).collect();
    assert_eq!(kept, [&[0; 70], &[3; 70], &[6; 70]]);
}
