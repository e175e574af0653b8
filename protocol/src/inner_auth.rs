//! How programs of a cluster let each other in: what an operator says, and where nonces come from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::inner::Nonce;

/// How programs of a cluster let each other in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum InnerAuth {
    /// The secret key is said as it is, as PHP's programs do.
    #[default]
    Plain,
    /// It is never said: both ends prove that they know it ([`crate::inner::Acceptor`]). A peer that does not is not let in.
    Challenge,
}

/// Neither `plain` nor `challenge`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("expected plain or challenge")]
pub struct InnerAuthError;

impl FromStr for InnerAuth {
    type Err = InnerAuthError;

    fn from_str(word: &str) -> Result<InnerAuth, InnerAuthError> {
        match word {
            "plain" => Ok(InnerAuth::Plain),
            "challenge" => Ok(InnerAuth::Challenge),
            _ => Err(InnerAuthError),
        }
    }
}

impl InnerAuth {
    /// Whether it goes with such a secret key.
    ///
    /// # Errors
    /// Everybody could prove that he knows an empty one.
    pub fn check(self, secret_key: &str) -> Result<(), String> {
        if self == InnerAuth::Challenge && secret_key.is_empty() {
            return Err("--inner-auth challenge: there is no secret key to be proven; say the same \
                        --secret-key-file to all programs of the cluster"
                .to_owned());
        }
        Ok(())
    }
}

/// What a program shows others of its cluster: the secret key, or that it knows it.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// Empty: nothing is asked for.
    pub secret_key: String,
    /// It is to be proven, with these; `None`: said.
    pub nonces: Option<Nonces>,
}

impl Credentials {
    /// As an operator wants it.
    pub fn new(secret_key: String, inner_auth: InnerAuth, nonces: &Nonces) -> Credentials {
        let nonces = (inner_auth == InnerAuth::Challenge).then(|| nonces.clone());
        Credentials { secret_key, nonces }
    }

    /// The key as it is said, where that is so.
    pub fn said_key(&self) -> &str {
        if self.nonces.is_some() { "" } else { &self.secret_key }
    }
}

/// The key, to be said as it is.
impl<K: Into<String>> From<K> for Credentials {
    fn from(secret_key: K) -> Credentials {
        Credentials { secret_key: secret_key.into(), nonces: None }
    }
}

/// Where nonces come from: by default the operating system's randomness, each time anew, so that a machine which is copied while it
/// runs says none twice.
#[derive(Clone)]
pub struct Nonces(Arc<dyn Fn() -> Nonce + Send + Sync>);

impl Nonces {
    /// From somewhere else, as a simulation has its own. None may come twice, and nobody may know them beforehand.
    pub fn from_fn(draw: impl Fn() -> Nonce + Send + Sync + 'static) -> Nonces {
        Nonces(Arc::new(draw))
    }

    /// The next one.
    pub fn draw(&self) -> Nonce {
        (self.0)()
    }
}

impl Default for Nonces {
    fn default() -> Nonces {
        Nonces::from_fn(|| {
            let mut nonce = Nonce::default();
            getrandom::fill(&mut nonce.0).expect("a kernel that runs has randomness");
            nonce
        })
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_proven_needs_a_key() {
        let [plain, challenge] = ["plain", "challenge"].map(|word| word.parse::<InnerAuth>().unwrap());
        assert_eq!("Challenge".parse::<InnerAuth>(), Err(InnerAuthError));
        assert!(plain.check("").is_ok() && challenge.check("k").is_ok());
        assert!(challenge.check("").unwrap_err().starts_with("--inner-auth challenge: "));
        let nonces = Nonces::default();
        let said = |auth| Credentials::new("k".to_owned(), auth, &nonces).said_key().to_owned();
        assert_eq!((said(plain), said(challenge)), ("k".to_owned(), String::new()));
    }

    #[test]
    fn nonces_are_new_each_time() {
        let nonces = Nonces::default();
        let drawn: std::collections::HashSet<_> = (0..1_000).map(|_| nonces.draw()).collect();
        assert_eq!(drawn.len(), 1_000);
    }
}
