//! Gateways that answer on the command link (WIRE.md §14): in order behind commands, many at a time, and what a silent one costs.

use protocol::calls::SUSPECT_AFTER;
use protocol::inner::{
    self, AskId, FLAG_MORE, FLAG_REPORT_WANTED, FLAG_SCALAR, FRAME_SIZE_MAX_RINGWAY, MessageReport,
    QUESTIONS_UNANSWERED_MAX,
};

use super::*;

/// Asks or sends as its message says, and notes what came of it.
#[derive(Clone, Default)]
struct App {
    heard: Rc<RefCell<Vec<String>>>,
}

impl Events for App {
    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let heard = match &*message.text() {
            "hasty" => {
                let hasty = gateway.with_query_timeout(Duration::from_millis(1));
                for _ in 0..10 {
                    assert!(!hasty.client_count().await.is_complete());
                }
                format!("then {}", *gateway.client_count().await)
            }
            "later" => {
                time::sleep(Duration::from_millis(1_500)).await;
                format!("later {}", *gateway.client_count().await)
            }
            "count" => {
                gateway.join_group(client.id(), "g");
                let count = gateway.client_count_of_group("g").await;
                format!("{} of {}", *count, if count.is_complete() { "all" } else { "some" })
            }
            "twice" => {
                let first = gateway.client_count().await.is_complete();
                format!("{first} {}", gateway.client_count().await.is_complete())
            }
            "report" => {
                let report = gateway.reported().send_to_group("g", "hi").await;
                let whose = if report.is_complete() { "all" } else { "some" };
                format!("queued {}, dropped {} of {whose}", report.queued, report.dropped)
            }
            other => panic!("{other}"),
        };
        self.heard.borrow_mut().push(heard);
    }
}

struct Asking {
    stage: Stage,
    app: App,
}

impl Asking {
    fn new() -> Asking {
        let app = App::default();
        let mut asking = Asking { stage: Stage::new(app.clone(), 100_000_000), app };
        asking.said();
        asking.greet();
        asking
    }

    fn greet(&mut self) {
        let hello = Hello { windows: true, answers: true, ..Hello::default() };
        self.stage.say(Frame { body: &hello.encode(), ..Frame::command(Cmd::RingwayHello) });
        self.said();
    }

    /// What the gateway hears now: commands, by what they ask, flags.
    fn said(&mut self) -> Vec<(Cmd, Option<AskId>, u8)> {
        let mut dirty = Vec::new();
        self.stage.runtime.take_dirty(&mut dirty);
        let mut frames = Vec::new();
        for conn in dirty {
            let bytes = self.stage.runtime.unsent().of(conn).to_vec();
            self.stage.runtime.on_sent(conn, bytes.len());
            let mut rest = &bytes[..];
            while conn == self.stage.link && !rest.is_empty() {
                let (frame, size) = inner::decode(rest, FRAME_SIZE_MAX_RINGWAY).unwrap().unwrap();
                frames.push((Cmd::from_u8(frame.cmd).unwrap(), AskId::of(&frame), frame.flag));
                rest = &rest[size..];
            }
        }
        frames.retain(|frame| !matches!(frame.0, Cmd::RingwayPing | Cmd::EventsDone));
        frames
    }

    /// The questions among what it hears.
    fn asked(&mut self) -> Vec<AskId> {
        self.said().into_iter().filter_map(|(_, id, _)| id).collect()
    }

    fn answer(&mut self, id: AskId, flag: u8, body: &[u8]) {
        self.stage.say(Frame { connection_id: id.0.get(), flag, body, ..Frame::command(Cmd::Answer) });
        self.stage.settle();
    }

    fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.app.heard.borrow_mut())
    }

    /// The query times out.
    fn time_out(&mut self) {
        self.stage.pass(Config::default().query_timeout);
    }
}

#[test]
fn a_query_goes_behind_the_command_before_it_on_the_same_link() {
    let mut asking = Asking::new();
    asking.stage.offer(1, "count");
    let said = asking.said();
    assert_eq!(
        said.iter().map(|frame| frame.0).collect::<Vec<_>>(),
        [Cmd::JoinGroup, Cmd::GetClientCountByGroup]
    );
    let id = said[1].1.expect("it has a number");
    asking.answer(id, FLAG_SCALAR, b"i:7;");
    assert_eq!(asking.heard(), ["7 of all"]);
}

#[test]
fn many_are_in_flight_and_answered_in_any_order_and_in_parts() {
    let mut asking = Asking::new();
    (0..3).for_each(|client| asking.stage.offer(client, "count"));
    let ids = asking.asked();
    assert_eq!(ids.len(), 3);
    asking.answer(ids[2], FLAG_SCALAR | FLAG_MORE, b"i:3");
    asking.answer(ids[1], FLAG_SCALAR, b"i:2;");
    asking.answer(ids[2], FLAG_SCALAR, b"3;");
    asking.answer(ids[2], FLAG_SCALAR, b"i:4;");
    assert_eq!(asking.heard(), ["2 of all", "33 of all"]);
    asking.answer(ids[0], FLAG_SCALAR, b"");
    assert_eq!(asking.heard(), ["0 of some"], "an empty answer is none");
}

#[test]
fn what_ends_with_its_link_is_missing_at_once_and_an_old_answer_is_nobodys() {
    let mut asking = Asking::new();
    asking.stage.offer(1, "count");
    asking.stage.offer(2, "later");
    let ids = asking.asked();
    asking.stage.runtime.on_end(asking.stage.link, io::ErrorKind::ConnectionReset.into());
    asking.stage.settle();
    assert_eq!(asking.heard(), ["0 of some"]);
    // Until the gateway has said on its new link where it answers, questions wait.
    asking.stage.pass(Duration::from_secs(1));
    asking.stage.link = connected(&mut asking.stage.runtime);
    asking.stage.pass(Duration::from_millis(600));
    let said: Vec<_> = asking.said().iter().map(|frame| frame.0).collect();
    assert_eq!(said, [Cmd::WorkerConnect]);
    asking.greet_and_keep();
    let again = asking.asked();
    assert_eq!(again.len(), 1);
    asking.answer(ids[0], FLAG_SCALAR, b"i:1;");
    assert_eq!(asking.heard(), [""; 0]);
    asking.answer(again[0], FLAG_SCALAR, b"i:2;");
    assert_eq!(asking.heard(), ["later 2"]);
}

impl Asking {
    fn greet_and_keep(&mut self) {
        let hello = Hello { windows: true, answers: true, ..Hello::default() };
        self.stage.say(Frame { body: &hello.encode(), ..Frame::command(Cmd::RingwayHello) });
        self.stage.settle();
    }
}

#[test]
fn no_more_are_said_than_may_be_unanswered() {
    let mut asking = Asking::new();
    let max = QUESTIONS_UNANSWERED_MAX as u32;
    (0..max + 2).for_each(|client| asking.stage.offer(client, "count"));
    asking.stage.settle();
    let ids = asking.asked();
    assert_eq!(ids.len(), QUESTIONS_UNANSWERED_MAX);
    asking.answer(ids[0], FLAG_SCALAR, b"i:0;");
    assert_eq!(asking.asked().len(), 1);
    // Nobody waits for these any more, but the gateway has them still.
    asking.time_out();
    assert_eq!(asking.heard().len(), max as usize + 2);
    asking.stage.offer(0, "count");
    assert_eq!(asking.asked(), []);
    asking.answer(ids[1], FLAG_SCALAR, b"i:0;");
    assert_eq!(asking.asked().len(), 1);
}

#[test]
fn a_gateway_that_lets_a_question_pass_without_a_word_is_not_asked_until_it_speaks() {
    let mut asking = Asking::new();
    asking.stage.offer(1, "count");
    asking.stage.pass(SUSPECT_AFTER / 2);
    asking.stage.offer(2, "count");
    asking.said();
    // Heard meanwhile, it is only slow.
    asking.stage.say(Frame::command(Cmd::RingwayPing));
    asking.time_out();
    assert_eq!(asking.heard(), ["0 of some"; 2]);
    asking.stage.offer(3, "twice");
    assert_eq!(asking.asked().len(), 1);
    asking.time_out();
    assert_eq!(asking.heard(), ["false false"], "the second one at once");
    assert_eq!(asking.asked(), []);
    asking.stage.say(Frame::command(Cmd::RingwayPing));
    asking.stage.offer(5, "count");
    let ids = asking.asked();
    asking.answer(ids[0], FLAG_SCALAR, b"i:5;");
    assert_eq!(asking.heard(), ["5 of all"]);
}

#[test]
fn who_waits_for_a_moment_only_finds_nobody_silent() {
    let mut asking = Asking::new();
    asking.stage.offer(1, "later");
    asking.stage.offer(2, "hasty");
    (0..10).for_each(|_| asking.stage.pass(Duration::from_millis(1)));
    let ids = asking.asked();
    assert_eq!(ids.len(), 11);
    asking.answer(ids[10], FLAG_SCALAR, b"i:7;");
    assert_eq!(asking.heard(), ["then 7"]);
}

#[test]
fn a_report_says_what_became_of_a_message() {
    let mut asking = Asking::new();
    asking.stage.offer(1, "report");
    let said = asking.said();
    let [(Cmd::SendToGroup, Some(id), flag)] = said[..] else { panic!("{said:?}") };
    assert_eq!(flag & FLAG_REPORT_WANTED, FLAG_REPORT_WANTED);
    let body = MessageReport { queued: 5, dropped: 2 }.encode();
    asking.stage.say(Frame { connection_id: id.0.get(), body: &body, ..Frame::command(Cmd::Report) });
    asking.stage.settle();
    assert_eq!(asking.heard(), ["queued 5, dropped 2 of all"]);
}

#[test]
fn a_gateway_that_cannot_report_gets_the_message_as_ever() {
    let app = App::default();
    let mut asking = Asking { stage: Stage::new(app.clone(), 100), app };
    asking.said();
    asking.stage.pass(TAKEN_LINK_AGE);
    asking.stage.offer(1, "report");
    let said = asking.said();
    let [(Cmd::SendToGroup, None, flag)] = said[..] else { panic!("{said:?}") };
    assert_eq!(flag & FLAG_REPORT_WANTED, 0);
    assert_eq!(asking.heard(), ["queued 0, dropped 0 of some"]);
}
