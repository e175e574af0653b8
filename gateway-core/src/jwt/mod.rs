//! Tokens that websocket clients show in their handshakes: JSON Web Tokens (RFC 7519), signed by who lets clients in.
//!
//! A token is checked here, against keys from a file, and nobody else is asked. Its signature's algorithm is the key's: what the
//! token says of it has to be the same. No IO but for the key file; the time is passed in.
//!
//! * [`source`]: where in a request the token stands.
//! * [`keys`]: what a key file may be.
//! * [`ring_provider`]: how signatures are checked.

mod keys;
mod ring_provider;
mod source;

use std::sync::Arc;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Validation, decode, decode_header};
use protocol::client::websocket::Request;
use serde_json::{Map, Value};

pub use self::keys::KeyError;
pub(crate) use self::source::SUBPROTOCOL;
pub use self::source::{Source, Sources};

use self::keys::Keys;
use crate::config::{TOKEN_LEEWAY_S, TOKEN_SIZE_MAX};

/// What is asked of tokens beside a good signature.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// Where in a request they stand.
    pub sources: Sources,
    /// Who may have made them (`iss`); none: anybody who has the key.
    pub issuers: Vec<String>,
    /// Whom they have to be for, one of these at least (`aud`); none: a token may be for anybody.
    pub audiences: Vec<String>,
    /// They may be without an end (`exp`).
    pub is_exp_optional: bool,
    /// The client gets `sub` as its uid, so there has to be one.
    pub binds_sub: bool,
}

/// Lets websocket clients in by their tokens. A clone is the same.
#[derive(Clone)]
pub struct Verifier(Arc<Loaded>);

struct Loaded {
    file: String,
    keys: Keys,
    rules: Rules,
}

/// What a good token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Admitted {
    /// All claims, as JSON.
    pub claims: String,
    /// `sub`, if it is to be the client's uid.
    pub uid: Option<String>,
    /// When the client has to go, in seconds of Unix.
    pub until_s: Option<u64>,
    /// It stood among the subprotocols.
    pub is_subprotocol: bool,
}

/// Why a client is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("no token")]
    Missing,
    #[error("what it shows is no token, or too large")]
    Malformed,
    #[error("no key for its algorithm and key id")]
    UnknownKey,
    #[error("its signature is not the key's")]
    Signature,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("another issuer or audience")]
    Foreign,
    #[error("it lacks a claim that is needed, or one is of another type")]
    Claims,
}

impl Verifier {
    /// Checks tokens by the keys in a file.
    ///
    /// # Errors
    /// It cannot be read, or has no key that could be used.
    pub fn load(file: String, rules: Rules) -> Result<Verifier, KeyError> {
        let keys = Keys::load(&file)?;
        Ok(Verifier(Arc::new(Loaded { file, keys, rules })))
    }

    /// The same by what the file has now.
    ///
    /// # Errors
    /// As [`Verifier::load`].
    pub fn reload(&self) -> Result<Verifier, KeyError> {
        Verifier::load(self.0.file.clone(), self.0.rules.clone())
    }

    /// What an operator should know of the keys, one line each.
    pub fn notices(&self) -> &[String] {
        self.0.keys.notices()
    }

    /// Whether who asks like this may come in, at this time of Unix.
    pub(crate) fn check(&self, request: &Request<'_>, now_s: u64) -> Result<Admitted, Refusal> {
        let Loaded { rules, .. } = &*self.0;
        let (token, source) = rules.sources.find(request).ok_or(Refusal::Missing)?;
        let claims = self.claims(token)?;
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(value) => seconds(value).map(Some).ok_or(Refusal::Claims),
        };
        let until_s = time("exp")?.map(|exp| exp.saturating_add(TOKEN_LEEWAY_S));
        if until_s.is_none() && !rules.is_exp_optional {
            return Err(Refusal::Claims);
        }
        if until_s.is_some_and(|until| until <= now_s) {
            return Err(Refusal::Expired);
        }
        if time("nbf")?.is_some_and(|from| from > now_s.saturating_add(TOKEN_LEEWAY_S)) {
            return Err(Refusal::Early);
        }
        let sub = claims
            .get("sub")
            .and_then(Value::as_str)
            .filter(|sub| !protocol::php::is_empty_name(sub.as_bytes()));
        if rules.binds_sub && sub.is_none() {
            return Err(Refusal::Claims);
        }
        let uid = sub.filter(|_| rules.binds_sub).map(str::to_owned);
        let is_subprotocol = *source == Source::Subprotocol;
        Ok(Admitted { uid, until_s, is_subprotocol, claims: Value::Object(claims).to_string() })
    }

    /// The claims of a token that one of the keys has signed, for us.
    fn claims(&self, token: &[u8]) -> Result<Map<String, Value>, Refusal> {
        if token.len() > TOKEN_SIZE_MAX {
            return Err(Refusal::Malformed);
        }
        let Loaded { keys, rules, .. } = &*self.0;
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        let key = keys.find(header.alg, header.kid.as_deref()).ok_or(Refusal::UnknownKey)?;
        let mut validation = Validation::new(key.algorithm);
        // Times are ours to compare, with the clock that is passed in.
        (validation.validate_exp, validation.validate_aud) = (false, !rules.audiences.is_empty());
        validation.required_spec_claims.clear();
        for (claim, allowed) in [("iss", &rules.issuers), ("aud", &rules.audiences)] {
            if !allowed.is_empty() {
                validation.required_spec_claims.insert(claim.to_owned());
            }
        }
        validation.set_audience(&rules.audiences);
        if !rules.issuers.is_empty() {
            validation.set_issuer(&rules.issuers);
        }
        decode(token, &key.key, &validation).map(|token| token.claims).map_err(|error| refusal(&error))
    }
}

fn refusal(error: &Error) -> Refusal {
    match error.kind() {
        ErrorKind::InvalidSignature => Refusal::Signature,
        ErrorKind::InvalidIssuer | ErrorKind::InvalidAudience => Refusal::Foreign,
        ErrorKind::MissingRequiredClaim(_) | ErrorKind::InvalidClaimFormat(_) => Refusal::Claims,
        _ => Refusal::Malformed,
    }
}

/// A NumericDate (RFC 7519 §2), a fraction cut off.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is negative or beyond all time becomes the nearest there is"
)]
fn seconds(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().map(|seconds| seconds as u64))
}

#[cfg(test)]
mod tests;
