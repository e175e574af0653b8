//! Secrets that peers say, or prove that they know.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Whether what a peer has said is the secret. It takes as long for a wrong guess that begins well as for any other of its
/// length, so that nobody can find the secret letter by letter.
pub fn is_secret(told: &str, secret: &str) -> bool {
    told.as_bytes().ct_eq(secret.as_bytes()).into()
}

/// Shows who knows `secret` that its teller knows it too, and says nothing of it: HMAC-SHA256 (RFC 2104) over `purpose` and
/// `parts`, each behind its length as a u32, so that no two lists of parts are the same bytes.
///
/// A proof for one purpose is none for another. What keeps it from being said again are the parts: a nonce of whom it is for.
pub fn prove(secret: &str, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
    proof(secret, purpose, parts).finalize().into_bytes().into()
}

/// Whether what a peer has said is [`prove`] of the same; in constant time, as [`is_secret`] is.
pub fn is_proof(told: &[u8], secret: &str, purpose: &str, parts: &[&[u8]]) -> bool {
    proof(secret, purpose, parts).verify_slice(told).is_ok()
}

fn proof(secret: &str, purpose: &str, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut proof = Hmac::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    for part in [purpose.as_bytes()].iter().chain(parts) {
        let size = u32::try_from(part.len()).expect("parts are short");
        proof.update(&size.to_be_bytes());
        proof.update(part);
    }
    proof
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_is_right() {
        assert!(is_secret("secret", "secret") && is_secret("", ""));
        for wrong in ["", "s", "secre", "secrets", "Secret", "\u{0}"] {
            assert!(!is_secret(wrong, "secret"), "{wrong}");
        }
    }

    #[test]
    fn a_proof_is_for_one_secret_one_purpose_and_these_parts() {
        let proof = prove("secret", "test", &[b"ab", b"c"]);
        assert!(is_proof(&proof, "secret", "test", &[b"ab", b"c"]));
        assert!(!is_proof(&proof, "secrets", "test", &[b"ab", b"c"]));
        assert!(!is_proof(&proof, "secret", "tes", &[b"ab", b"c"]));
        for others in [&[b"a".as_slice(), b"bc"] as &[&[u8]], &[b"abc"], &[b"ab", b"c", b""], &[]] {
            assert!(!is_proof(&proof, "secret", "test", others), "{others:?}");
        }
        for cut in 0..proof.len() {
            assert!(!is_proof(&proof[..cut], "secret", "test", &[b"ab", b"c"]));
        }
    }

    /// Of `printf '\0\0\0\4test\0\0\0\2ab' | openssl dgst -sha256 -hmac secret`.
    #[test]
    fn others_compute_the_same() {
        let expected = "a6e016100586d31345cb4ef437c87c6ffea1c1ae0309bebf85b39ea931534006";
        let hex: String =
            prove("secret", "test", &[b"ab"]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}
