//! The keys of a file, each with the one algorithm that it is for.
//!
//! A file is a set of JSON Web Keys (RFC 7517), or one of them; a public key in PEM; or a secret. What looks like a public key in
//! another form is refused: as a secret it would let in whoever knows it.

use std::fs;
use std::io;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde_json::Value;

use super::ring_provider;

/// Why a file's keys cannot be used, as one line.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("--jwt-key {file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// It has no key that could be used.
    #[error("--jwt-key {file}: {why}")]
    Wrong {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What signs tokens.
#[derive(Debug)]
pub(super) struct Key {
    /// What it is called; `None`: tokens may call it what they like.
    id: Option<String>,
    pub algorithm: Algorithm,
    pub key: DecodingKey,
}

/// All keys of a file.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<Key>,
    notices: Vec<String>,
}

impl Keys {
    pub(super) fn load(file: &str) -> Result<Keys, KeyError> {
        let bytes = fs::read(file).map_err(|error| KeyError::Read { file: file.to_owned(), error })?;
        Keys::read(&bytes).map_err(|why| KeyError::Wrong { file: file.to_owned(), why })
    }

    /// What an operator should know of them.
    pub(super) fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The one key for signatures of this algorithm that a token calls so. One that says no name has to leave no choice.
    pub(super) fn find(&self, algorithm: Algorithm, id: Option<&str>) -> Option<&Key> {
        let is_meant = |key: &&Key| {
            let is_so_called = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            key.algorithm == algorithm && is_so_called
        };
        let mut meant = self.keys.iter().filter(is_meant);
        meant.next().filter(|_| id.is_some() || meant.next().is_none())
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Keys, String> {
        ring_provider::install();
        let text = str::from_utf8(bytes).map_err(|_| NO_KEY.to_owned())?;
        if text.trim_start().starts_with('{') {
            return Keys::read_json(text);
        }
        let key = if text.contains("-----BEGIN ") { read_pem(text)? } else { read_secret(text)? };
        Ok(Keys { keys: vec![key], notices: Vec::new() })
    }

    fn read_json(text: &str) -> Result<Keys, String> {
        let wrong = |error: serde_json::Error| format!("no JSON Web Key: {error}");
        let value: Value = serde_json::from_str(text).map_err(wrong)?;
        let set = if value.get("keys").is_some() {
            serde_json::from_value::<JwkSet>(value).map_err(wrong)?
        } else {
            JwkSet { keys: vec![serde_json::from_value(value).map_err(wrong)?] }
        };
        let (mut keys, mut notices) = (Vec::new(), Vec::new());
        for (index, jwk) in set.keys.iter().enumerate() {
            let name = jwk
                .common
                .key_id
                .as_deref()
                .map_or_else(|| format!("number {index}"), |id| format!("`{id}`"));
            match read_jwk(jwk) {
                Ok(key) => keys.push(key),
                Err(why) => notices.push(format!("--jwt-key: key {name} is passed over: {why}")),
            }
        }
        if keys.is_empty() {
            let first = notices.first().map_or("it is empty", |notice| notice.as_str());
            return Err(format!("no key in it can be used: {}", first.trim_start_matches("--jwt-key: ")));
        }
        Ok(Keys { keys, notices })
    }
}

fn read_jwk(jwk: &Jwk) -> Result<Key, String> {
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))) {
        return Err("it is not for signatures".to_owned());
    }
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
        AlgorithmParameters::RSA(_) => Algorithm::RS256,
        AlgorithmParameters::EllipticCurve(_) => Algorithm::ES256,
        AlgorithmParameters::OctetKeyPair(_) => Algorithm::EdDSA,
        _ => return Err(ALGORITHMS.to_owned()),
    };
    let named = match jwk.common.key_algorithm {
        None => algorithm,
        Some(KeyAlgorithm::HS256) => Algorithm::HS256,
        Some(KeyAlgorithm::RS256) => Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => Algorithm::EdDSA,
        Some(_) => return Err(ALGORITHMS.to_owned()),
    };
    if named != algorithm {
        return Err(format!("it is not a key for {named:?}"));
    }
    let key = DecodingKey::from_jwk(jwk).map_err(|error| error.to_string())?;
    checked(Key { id: jwk.common.key_id.clone(), algorithm, key })
}

fn read_pem(text: &str) -> Result<Key, String> {
    let pem = text.as_bytes();
    let key = match text {
        _ if text.contains("PRIVATE KEY-----") => {
            return Err(
                "it is a private key, which is its owner's alone; the public one is needed".to_owned()
            );
        }
        _ if !text.contains("PUBLIC KEY-----") => return Err(NO_KEY.to_owned()),
        _ => DecodingKey::from_ed_pem(pem)
            .map(|key| (Algorithm::EdDSA, key))
            .or_else(|_| DecodingKey::from_ec_pem(pem).map(|key| (Algorithm::ES256, key)))
            .or_else(|_| DecodingKey::from_rsa_pem(pem).map(|key| (Algorithm::RS256, key))),
    };
    let (algorithm, key) = key.map_err(|_| ALGORITHMS.to_owned())?;
    checked(Key { id: None, algorithm, key })
}

fn read_secret(text: &str) -> Result<Key, String> {
    let secret = text.trim_end_matches(['\r', '\n']);
    let is_bare_key =
        BASE64_STANDARD.decode(secret.replace(['\r', '\n'], "")).is_ok_and(|bytes| is_der(&bytes));
    if is_bare_key || secret.starts_with("ssh-") || secret.starts_with("ecdsa-") || secret.contains('\n') {
        return Err(NO_KEY.to_owned());
    }
    let key = DecodingKey::from_secret(secret.as_bytes()).map_err(|_| "it is empty".to_owned())?;
    checked(Key { id: None, algorithm: Algorithm::HS256, key })
}

/// The key, if it is as long as one of its algorithm is.
fn checked(key: Key) -> Result<Key, String> {
    let size = match key.key.kind() {
        DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
    };
    let (is_good, why) = match key.algorithm {
        Algorithm::HS256 => (size >= SECRET_SIZE_MIN, "a secret of fewer than 32 bytes can be guessed"),
        Algorithm::RS256 => (size >= MODULUS_SIZE_MIN, "an RSA key of fewer than 2048 bits is too weak"),
        Algorithm::ES256 => (size == POINT_SIZE, "of elliptic curves P-256 alone is known"),
        _ => (size == ED25519_SIZE, "it has not the size of an Ed25519 key"),
    };
    if is_good { Ok(key) } else { Err(why.to_owned()) }
}

/// Whether it is one sequence of ASN.1 in DER, as keys are.
fn is_der(bytes: &[u8]) -> bool {
    match bytes {
        [0x30, size, rest @ ..] if *size < 0x80 => rest.len() == usize::from(*size),
        [0x30, 0x81, size, rest @ ..] => rest.len() == usize::from(*size),
        [0x30, 0x82, high, low, rest @ ..] => rest.len() == usize::from(u16::from_be_bytes([*high, *low])),
        _ => false,
    }
}

const NO_KEY: &str =
    "neither a public key in PEM (-----BEGIN PUBLIC KEY-----), nor JSON Web Keys, nor a secret in one line";

const ALGORITHMS: &str = "not a key for HS256, RS256, ES256 (P-256) or EdDSA (Ed25519)";

/// Bytes of an HS256 secret: those of what it signs with (RFC 7518 §3.2).
const SECRET_SIZE_MIN: usize = 32;

/// Bytes of an RSA modulus of 2048 bits.
const MODULUS_SIZE_MIN: usize = 256;

/// Bytes of a point on P-256 that is not compressed.
const POINT_SIZE: usize = 65;

const ED25519_SIZE: usize = 32;
