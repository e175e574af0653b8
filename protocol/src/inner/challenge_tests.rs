use proptest::prelude::*;

use super::*;
use crate::inner::{Cmd, Frame};

const KEY: &str = "k3y";
const A: Nonce = Nonce([0xaa; NONCE_SIZE]);
const B: Nonce = Nonce([0xbb; NONCE_SIZE]);

fn gateway() -> Scope<'static> {
    Scope::Gateway(SocketAddrV4::new([10, 0, 0, 1].into(), 2900))
}

fn answer(dialler: &mut Dialler, key: &str, scope: Scope<'_>, challenge: &Nonce) -> Answer {
    match dialler.take(key, scope, &challenge.0) {
        Ok(Step::Answer(answer)) => answer,
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Both ends of one connection, and what each makes of the other.
fn meet(
    (accepts, dials): (&str, &str),
    (here, there): (Scope<'_>, Scope<'_>),
) -> (Result<Proof, NotProven>, Option<Result<Step, NotProven>>) {
    let (mut acceptor, mut dialler) = (Acceptor::new(A), Dialler::new(B));
    let answer = answer(&mut dialler, dials, there, acceptor.challenge());
    let proof = acceptor.take(accepts, here, &answer);
    (proof, proof.ok().map(|proof| dialler.take(dials, there, &proof)))
}

#[test]
fn who_knows_the_key_gets_in_and_knows_where() {
    for scope in [gateway(), Scope::Register(""), Scope::Register("10.0.0.1:2900")] {
        let (proof, step) = meet((KEY, KEY), (scope, scope));
        assert!(proof.is_ok(), "{scope:?}");
        assert_eq!(step, Some(Ok(Step::Proven)), "{scope:?}");
        let (proof, step) = meet((KEY, "k3z"), (scope, scope));
        assert_eq!((proof, step), (Err(NotProven::WrongKey), None), "{scope:?}");
    }
}

#[test]
fn a_proof_opens_only_what_it_was_made_for() {
    let other_port = Scope::Gateway(SocketAddrV4::new([10, 0, 0, 1].into(), 2901));
    let other_ip = Scope::Gateway(SocketAddrV4::new([10, 0, 0, 2].into(), 2900));
    // The same bytes as the gateway's address, if that were text.
    let alike = Scope::Register("\n\0\0\u{1}\u{b}T");
    assert_eq!(alike.part(), gateway().part());
    let registers = [Scope::Register(""), Scope::Register("10.0.0.1:2900"), Scope::Register("10.0.0.1:2901")];
    let all = [&[gateway(), other_port, other_ip, alike][..], &registers].concat();
    for here in &all {
        for there in all.iter().filter(|there| *there != here) {
            assert_eq!(meet((KEY, KEY), (*here, *there)).0, Err(NotProven::WrongKey), "{here:?} {there:?}");
        }
    }
}

#[test]
fn what_was_said_on_another_connection_is_no_proof() {
    let recorded = answer(&mut Dialler::new(B), KEY, gateway(), &A);
    assert!(Acceptor::new(A).take(KEY, gateway(), &recorded).is_ok());
    assert_eq!(Acceptor::new(B).take(KEY, gateway(), &recorded), Err(NotProven::WrongKey));
    let proof = Acceptor::new(A).take(KEY, gateway(), &recorded).unwrap();
    let mut other = Dialler::new(A);
    answer(&mut other, KEY, gateway(), &A);
    assert_eq!(other.take(KEY, gateway(), &proof), Err(NotProven::WrongKey));
}

#[test]
fn what_an_end_has_said_does_not_convince_itself() {
    // Somebody who knows nothing gives a dialler its own words back, and an acceptor its own challenge.
    let mut dialler = Dialler::new(B);
    let said = answer(&mut dialler, KEY, gateway(), &B);
    assert_eq!(dialler.take(KEY, gateway(), &said[NONCE_SIZE..]), Err(NotProven::WrongKey));
    let mut victim = Acceptor::new(A);
    let echoed = [A.0, A.0].concat();
    assert_eq!(victim.take(KEY, gateway(), &echoed), Err(NotProven::WrongKey));
    // Or asks another acceptor by the same challenge, which it takes for a nonce; what that answers is no dialler's proof.
    let proof = Said { challenge: B, nonce: A }.prove(End::Acceptor, KEY, gateway());
    let answer = [&A.0[..], &proof].concat();
    assert_eq!(Acceptor::new(B).take(KEY, gateway(), &answer), Err(NotProven::WrongKey));
}

#[test]
fn each_says_one_thing_once() {
    let mut dialler = Dialler::new(B);
    assert!(!dialler.was_asked());
    let said = answer(&mut dialler, KEY, gateway(), &A);
    assert!(dialler.was_asked());
    let mut acceptor = Acceptor::new(A);
    let proof = acceptor.take(KEY, gateway(), &said).unwrap();
    assert_eq!(acceptor.take(KEY, gateway(), &said), Err(NotProven::OutOfOrder));
    assert_eq!(dialler.take(KEY, gateway(), &proof), Ok(Step::Proven));
    assert_eq!(dialler.take(KEY, gateway(), &proof), Err(NotProven::OutOfOrder));
    let mut acceptor = Acceptor::new(A);
    assert_eq!(acceptor.take(KEY, gateway(), &said[..63]), Err(NotProven::OutOfOrder));
    assert_eq!(acceptor.take(KEY, gateway(), &said), Err(NotProven::OutOfOrder), "no second attempt");
}

/// Of `printf '\0\0\0\x17ringway dials a gateway\0\0\0\x20…' | openssl dgst -sha256 -hmac k3y`, as in WIRE.md §14.
#[test]
fn golden_bytes() {
    let framed = |body: &[u8]| {
        let mut out = Vec::new();
        Frame { body, ..Frame::command(Cmd::Challenge) }.encode(&mut out);
        hex(&out)
    };
    let mut acceptor = Acceptor::new(A);
    let said = answer(&mut Dialler::new(B), KEY, gateway(), &A);
    let proof = acceptor.take(KEY, gateway(), &said).unwrap();
    assert_eq!(
        framed(&A.0),
        format!("0000003cfe{}010000{}{}", "0".repeat(32), "0".repeat(8), "aa".repeat(32))
    );
    assert!(framed(&said).starts_with("0000005cfe"));
    assert_eq!(hex(&said[..NONCE_SIZE]), "bb".repeat(32));
    assert_eq!(hex(&said[NONCE_SIZE..]), "7d8e84e70518604f19ffcc950d3cd2cf5bba50532a4ca2ccbdf40c87e09957b2");
    assert_eq!(hex(&proof), "bb5e75554137b7a566a98e60d17a0e69af2e991f650640b0fa48ebbd7313d796");
}

proptest! {
    /// Whatever is said in whatever order: nobody is let in, nor believed, without the key, and nothing panics.
    #[test]
    fn nonsense_is_no_proof(words in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..4)) {
        let (mut acceptor, mut dialler) = (Acceptor::new(A), Dialler::new(B));
        for word in words {
            prop_assert!(acceptor.take(KEY, gateway(), &word).is_err());
            prop_assert_ne!(dialler.take(KEY, gateway(), &word), Ok(Step::Proven));
        }
    }

    /// One bit of the answer, or of the proof, and it is none.
    #[test]
    fn every_bit_counts(bit in 0_usize..512) {
        let mut dialler = Dialler::new(B);
        let mut said = answer(&mut dialler, KEY, gateway(), &A);
        let mut proof = Acceptor::new(A).take(KEY, gateway(), &said).unwrap();
        said[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Acceptor::new(A).take(KEY, gateway(), &said), Err(NotProven::WrongKey));
        let bit = bit % 256;
        proof[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(dialler.take(KEY, gateway(), &proof), Err(NotProven::WrongKey));
    }
}
