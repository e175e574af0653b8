//! How a core that ends hands clients over whose events are not safe yet.

use protocol::inner::drain::decode_ids;
use protocol::inner::{self, FRAME_SIZE_MAX, Receipt};

use super::acks::Both;
use super::*;

impl Both {
    /// Both gateways have done what they were told before this DRAIN. What the first is told then of clients.
    fn drained(&mut self, round: u32) -> Vec<(Cmd, Vec<u32>)> {
        let body = round.to_be_bytes();
        let frame = Frame { body: &body, ..Frame::command(Cmd::Drained) };
        self.stage.say(frame);
        self.other_says(frame);
        self.stage.pass(Duration::ZERO);
        let link = self.stage.link;
        let bytes = self.stage.runtime.unsent().of(link).to_vec();
        self.send(usize::MAX);
        let (mut told, mut at) = (Vec::new(), 0);
        while let Some((frame, size)) = inner::decode(&bytes[at..], FRAME_SIZE_MAX).unwrap() {
            let cmd = Cmd::from_u8(frame.cmd).unwrap();
            if matches!(cmd, Cmd::DrainBusy | Cmd::DrainFree) {
                told.push((cmd, decode_ids(frame.body).collect()));
            }
            at += size;
        }
        told
    }
}

/// Its newer events would go to others, and this one behind them if this process ends before the other gateway has taken what it
/// said.
#[test]
fn a_client_is_busy_as_long_as_its_event_is_not_safe() {
    let mut both = Both::new(100);
    both.stage.offer(1, "elsewhere");
    both.send_in_time(usize::MAX);
    assert_eq!(both.unsettled(), 1);
    both.stage.runtime.stop();
    both.stage.settle();
    assert_eq!(both.drained(1), []);
    assert_eq!(both.drained(2), [(Cmd::DrainBusy, vec![1])]);
    let body = Receipt { taken: 2 }.encode();
    both.other_says(Frame { body: &body, ..Frame::command(Cmd::Receipt) });
    both.stage.pass(Duration::ZERO);
    assert_eq!((both.unsettled(), both.drained(3)), (0, vec![(Cmd::DrainFree, vec![1])]));
}

/// The same of one whose event somebody holds.
#[test]
fn a_client_is_busy_as_long_as_its_event_is_held() {
    let mut both = Both::new(100);
    both.stage.offer(1, "keep");
    both.send_in_time(usize::MAX);
    both.stage.runtime.stop();
    both.stage.settle();
    assert_eq!(both.drained(1), []);
    assert_eq!(both.drained(2), [(Cmd::DrainBusy, vec![1])]);
    both.let_go();
    both.stage.pass(Duration::ZERO);
    assert_eq!(both.drained(3), [(Cmd::DrainFree, vec![1])]);
}

/// Others have its event when this process has ended, and its newer ones behind it.
#[test]
fn a_client_whose_event_will_never_be_safe_is_not_freed_and_not_waited_for() {
    let mut both = Both::new(100);
    both.stage.offer(1, "elsewhere");
    both.send_in_time(usize::MAX);
    both.stage.runtime.stop();
    both.stage.settle();
    assert_eq!(both.drained(1), []);
    assert_eq!(both.drained(2), [(Cmd::DrainBusy, vec![1])]);
    both.stage.runtime.on_end(both.other, io::ErrorKind::ConnectionReset.into());
    both.stage.pass(Duration::ZERO);
    assert_eq!((both.unsettled(), both.drained(3)), (1, vec![]));
    assert!(both.stage.is_link_finished(), "nothing more is to be said");
}
