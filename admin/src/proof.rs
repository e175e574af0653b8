//! How a register shows members that it knows the token, without saying it: who catches a proof can use it for the same question at
//! the same address, for some minutes.

use std::net::SocketAddr;

use axum::http::Method;

/// A request at an admin address of ours or of another member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The address that it comes to, as whoever asks dials it.
    pub at: SocketAddr,
    pub method: &'a Method,
    pub path: &'a str,
}

/// The minutes since 1970.
pub(crate) fn minute() -> u64 {
    program::unix_ms() / 60_000
}

impl Asked<'_> {
    /// The `Authorization` of a request that is sent in this minute.
    pub(crate) fn prove(&self, token: &str, minute: u64) -> String {
        let proof = self.with_parts(minute, |parts| protocol::prove(token, PURPOSE, parts));
        let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{SCHEME}{minute}:{proof}")
    }

    /// Whether an `Authorization` proves that whoever asks in this minute knows the token.
    pub(crate) fn is_proven(&self, authorization: &str, token: &str, minute: u64) -> bool {
        let told = authorization.strip_prefix(SCHEME).and_then(|told| told.split_once(':'));
        let Some((Ok(at), Some(proof))) = told.map(|(at, proof)| (at.parse(), bytes(proof))) else {
            return false;
        };
        minute.abs_diff(at) <= MINUTES_MAX
            && self.with_parts(at, |parts| protocol::is_proof(&proof, token, PURPOSE, parts))
    }

    fn with_parts<T>(&self, minute: u64, make: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (at, minute) = (self.at.to_string(), minute.to_string());
        make(&[at.as_bytes(), self.method.as_str().as_bytes(), self.path.as_bytes(), minute.as_bytes()])
    }
}

/// Hex digits.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let pairs = hex.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

const SCHEME: &str = "Ringway ";

/// What the proof is for.
const PURPOSE: &str = "admin request";

/// How many minutes clocks may differ by.
const MINUTES_MAX: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_for_one_question_at_one_address_for_some_minutes() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let asked = Asked { at: at("10.0.0.1:9501"), method: &Method::GET, path: "/member" };
        let told = asked.prove("token", 1_000);
        assert!(told.starts_with("Ringway 1000:") && !told.contains("token"));
        for minute in [998, 1_000, 1_002] {
            assert!(asked.is_proven(&told, "token", minute));
        }
        for minute in [0, 997, 1_003, u64::MAX] {
            assert!(!asked.is_proven(&told, "token", minute));
        }
        assert!(!asked.is_proven(&told, "another", 1_000));
        for other in [
            Asked { at: at("10.0.0.1:9502"), ..asked },
            Asked { at: at("10.0.0.2:9501"), ..asked },
            Asked { method: &Method::POST, ..asked },
            Asked { path: "/drain", ..asked },
        ] {
            assert!(!other.is_proven(&told, "token", 1_000), "{other:?}");
        }
        let later = told.replace("1000:", "1001:");
        for wrong in [
            &told[..told.len() - 1],
            &told[..13],
            &later,
            "Ringway ",
            "Ringway :",
            "Bearer token",
            "",
            "Ringway 1000:é",
        ] {
            assert!(!asked.is_proven(wrong, "token", 1_000), "{wrong}");
        }
    }
}
