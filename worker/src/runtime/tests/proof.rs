//! Where the secret key is proven, not said.

use protocol::InnerAuth;
use protocol::inner::{self, Acceptor, Nonce, Refused, Scope};

use super::*;
use crate::config::PROOF_TIMEOUT;

const KEY: &str = "k3y";

/// A core that proves the key, and a connection that it wants to a gateway.
fn proving(inner_auth: InnerAuth) -> Stage {
    let now: Rc<Cell<Duration>> = Rc::default();
    let config = Config { inner_auth, secret_key: KEY.to_owned(), ..Config::default() };
    // The gateway in its own thread needs no register.
    let mut runtime = start_at(Rc::clone(&now), config, Some(GATEWAY), Recorder::default());
    let mut actions = Vec::new();
    runtime.take_actions(&mut actions);
    let mut wanted = actions.iter().filter_map(|action| match action {
        Action::Connect(conn, ..) => Some(*conn),
        _ => None,
    });
    let link = wanted.next().expect("a link");
    let register = wanted.next().expect("a register");
    runtime.on_connected(link);
    Stage { runtime, now, register, link }
}

/// What was said on the link since this was last asked.
fn said(stage: &mut Stage) -> Vec<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut dirty = Vec::new();
    stage.runtime.take_dirty(&mut dirty);
    for conn in dirty {
        let unsent = stage.runtime.unsent().of(conn).to_vec();
        stage.runtime.on_sent(conn, unsent.len());
        if conn == stage.link {
            bytes.extend(unsent);
        }
    }
    let (mut frames, mut at) = (Vec::new(), 0);
    while let Ok(Some((frame, size))) = inner::decode(&bytes[at..], inner::FRAME_SIZE_MAX) {
        frames.push((frame.cmd, frame.body.to_vec()));
        at += size;
    }
    assert_eq!(at, bytes.len());
    frames
}

/// The gateway asks; what the worker answers.
fn ask(stage: &mut Stage, acceptor: &Acceptor) -> Vec<u8> {
    stage.say(Frame { body: &acceptor.challenge().0, ..Frame::command(Cmd::Challenge) });
    let mut said = said(stage);
    assert_eq!(said.len(), 1, "{said:?}");
    let (cmd, body) = said.remove(0);
    assert_eq!(cmd, Cmd::Challenge as u8);
    body
}

/// Whether the core has given the link up.
fn is_given_up(stage: &mut Stage) -> bool {
    stage.is_link_closed()
}

#[test]
fn nothing_is_said_before_the_gateway_has_proven_itself_and_the_key_never() {
    let mut stage = proving(InnerAuth::Challenge);
    stage.settle();
    assert_eq!(said(&mut stage), []);
    let mut acceptor = Acceptor::new(Nonce([1; 32]));
    let answer = ask(&mut stage, &acceptor);
    let proof = acceptor.take(KEY, Scope::Gateway(GATEWAY), &answer).expect("it knows the key");
    stage.settle();
    assert_eq!(said(&mut stage), [], "the gateway is to prove itself first");
    stage.say(Frame { body: &proof, ..Frame::command(Cmd::Challenge) });
    let said = said(&mut stage);
    assert_eq!(said.len(), 1);
    assert_eq!(said[0].0, Cmd::WorkerConnect as u8);
    let body = String::from_utf8(said[0].1.clone()).unwrap();
    assert!(!body.contains("secret_key") && !body.contains(KEY), "{body}");
}

#[test]
fn who_does_not_ask_or_does_not_prove_is_told_nothing() {
    let ping = Frame::command(Cmd::RingwayPing);
    let hello = Frame { body: br#"{"ringway":1}"#, ..Frame::command(Cmd::RingwayHello) };
    let short = Frame { body: &[1; 31], ..Frame::command(Cmd::Challenge) };
    for first in [ping, hello, short] {
        let mut stage = proving(InnerAuth::Challenge);
        stage.say(first);
        assert!(is_given_up(&mut stage) && said(&mut stage).is_empty(), "{first:?}");
    }
    let refused = Hello { refused: Some(Refused::Key), ..Hello::default() }.encode();
    let refused = Frame { body: &refused, ..Frame::command(Cmd::RingwayHello) };
    let wrong = Frame { body: &[1; 32], ..Frame::command(Cmd::Challenge) };
    for second in [wrong, short, refused, ping] {
        let mut stage = proving(InnerAuth::Challenge);
        ask(&mut stage, &Acceptor::new(Nonce([1; 32])));
        stage.say(second);
        assert!(is_given_up(&mut stage) && said(&mut stage).is_empty(), "{second:?}");
    }
    // It has to wait for what the worker says.
    let mut stage = proving(InnerAuth::Challenge);
    let mut bytes = Vec::new();
    (0..2).for_each(|_| Frame { body: &[1; 32], ..Frame::command(Cmd::Challenge) }.encode(&mut bytes));
    stage.runtime.on_bytes(stage.link, &bytes);
    assert!(is_given_up(&mut stage) && said(&mut stage).is_empty());
    // Nor does it fall back on anything when nothing comes.
    let mut stage = proving(InnerAuth::Challenge);
    stage.pass(PROOF_TIMEOUT);
    assert!(is_given_up(&mut stage) && said(&mut stage).is_empty());
}

#[test]
fn a_proof_is_for_the_gateway_that_was_dialled() {
    let mut stage = proving(InnerAuth::Challenge);
    let mut elsewhere = Acceptor::new(Nonce([1; 32]));
    let answer = ask(&mut stage, &elsewhere);
    let other = SocketAddrV4::new(*GATEWAY.ip(), GATEWAY.port() + 1);
    assert!(elsewhere.take(KEY, Scope::Gateway(other), &answer).is_err());
}

#[test]
fn where_the_key_is_said_a_challenge_ends_the_link() {
    let mut stage = proving(InnerAuth::Plain);
    assert_eq!(said(&mut stage).len(), 1);
    stage.say(Frame { body: &[1; 32], ..Frame::command(Cmd::Challenge) });
    assert!(is_given_up(&mut stage));
}
