//! Secrets that peers say.

use subtle::ConstantTimeEq;

/// Whether what a peer has said is the secret. It takes as long for a wrong guess that begins well as for any other of its
/// length, so that nobody can find the secret letter by letter.
pub fn is_secret(told: &str, secret: &str) -> bool {
    told.as_bytes().ct_eq(secret.as_bytes()).into()
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
}
