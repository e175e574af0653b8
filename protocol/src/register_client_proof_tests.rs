//! Where the key is proven, not said.

use super::*;
use crate::inner::{Acceptor, Nonce, Scope};
use crate::register::{challenge_line, proof_line};
use crate::{InnerAuth, Nonces};

const CHALLENGE: Nonce = Nonce([0xaa; 32]);

fn proving(role: Role) -> Scene {
    let nonces = Nonces::from_fn(|| Nonce([0xbb; 32]));
    let credentials = Credentials::new("k".to_owned(), InnerAuth::Challenge, &nonces);
    let mut scene = Scene::with("127.0.0.1:1236", role, credentials);
    scene.connect(Main);
    assert_eq!(scene.take_log(), ["0 connect Main"], "nothing is said before");
    scene
}

/// What a register with `key` answers to the proof that was said last on `connection`, and for which address that was.
fn answer(scene: &Scene, connection: Connection, key: &str) -> (Option<Vec<u8>>, String) {
    let said = format!("{connection:?} says ");
    let line = scene.last().split_once(&said).expect("it has said something").1;
    let Ok(Request::Prove { answer, address }) = Request::decode(line.as_bytes()) else { panic!("{line}") };
    let proof = Acceptor::new(CHALLENGE).take(key, Scope::Register(&address), &answer);
    (proof.ok().map(|proof| proof_line(&proof)), address)
}

fn prove(scene: &mut Scene, connection: Connection) -> String {
    scene.hear(connection, &challenge_line(&CHALLENGE));
    let (proof, address) = answer(scene, connection, "k");
    scene.take_log();
    scene.hear(connection, &proof.expect("it is a proof"));
    address
}

#[test]
fn both_ends_prove_the_key_and_nobody_says_it() {
    let mut gateway = proving(Role::Gateway(GATEWAY.to_owned()));
    assert_eq!(prove(&mut gateway, Main), GATEWAY);
    gateway.hear(Main, PONG);
    assert_eq!(
        gateway.take_log(),
        [
            "0 Main says {\"event\":\"gateway_connect\", \"address\":\"127.0.0.1:2900\", \"secret_key\":\"\"}",
            "0 Main says {\"event\":\"ping\",\"ringway\":1}",
            "0 held",
        ]
    );
    let mut follower = proving(Role::Follower);
    assert_eq!(prove(&mut follower, Main), "");
    follower.hear(Main, &list(&[GATEWAY]));
    assert_eq!(follower.last(), "0 [Listing]".replace("Listing", GATEWAY).to_owned() + " -0");
}

#[test]
fn a_register_that_is_asked_what_it_is_gets_a_proof_too() {
    let mut scene = proving(Role::Gateway(GATEWAY.to_owned()));
    prove(&mut scene, Main);
    scene.pass(DOUBT_AFTER_MS, b"");
    assert_eq!(scene.last(), format!("{DOUBT_AFTER_MS} connect Probe"));
    scene.connect(Probe);
    assert_eq!(prove(&mut scene, Probe), "");
    assert!(scene.last().ends_with("Probe says {\"event\":\"worker_connect\",\"secret_key\":\"\"}"));
    scene.hear(Probe, &list(&[GATEWAY]));
    assert!(scene.client.is_held());
}

#[test]
fn a_register_that_asks_for_no_proof_is_told_nothing() {
    for role in [Role::Gateway(GATEWAY.to_owned()), Role::Follower] {
        for said in [PONG.to_vec(), list(&[]), proof_line(&[0; 32])] {
            let mut scene = proving(role.clone());
            scene.hear(Main, &said);
            assert!(scene.last().contains("lost false: "), "{said:?}: {}", scene.last());
            assert!(!scene.take_log().concat().contains("Main says"));
        }
        let mut scene = proving(role);
        scene.pass(Limits::default().answer_ms, b"");
        let log = scene.take_log();
        assert!(log.last().unwrap().contains("lost false: it does not ask for a proof"), "{log:?}");
        assert!(!log.concat().contains("Main says"), "{log:?}");
    }
}

#[test]
fn a_register_that_closes_before_it_asks_is_another_one() {
    let mut scene = proving(Role::Follower);
    scene.end(Main);
    assert!(scene.last().contains("does not ask for a proof"), "{}", scene.last());
}

#[test]
fn a_register_with_another_key_is_told_nothing_more() {
    let mut scene = proving(Role::Follower);
    scene.hear(Main, &challenge_line(&CHALLENGE));
    assert_eq!(answer(&scene, Main, "other").0, None);
    // As a register that does not know the key would have to.
    scene.hear(Main, &proof_line(&[0xcc; 32]));
    assert!(scene.last().contains("it does not know the secret key itself"), "{}", scene.last());
    let mut again = proving(Role::Follower);
    again.hear(Main, &challenge_line(&CHALLENGE));
    again.hear(Main, &challenge_line(&CHALLENGE));
    assert!(again.last().contains("lost false: "), "one challenge: {}", again.last());
    let mut closed = proving(Role::Follower);
    closed.hear(Main, &challenge_line(&CHALLENGE));
    closed.end(Main);
    assert!(closed.last().contains("compare the secret keys"), "{}", closed.last());
}

#[test]
fn who_says_the_key_is_told_when_it_is_to_be_proven() {
    for mut scene in Scene::both() {
        scene.connect(Main);
        scene.hear(Main, &challenge_line(&CHALLENGE));
        assert!(scene.last().contains("set --inner-auth challenge here, too"), "{}", scene.last());
    }
}
