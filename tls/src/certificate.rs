//! A certificate chain and its key, as an operator's files have them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use webpki::{EndEntityCert, KeyUsage};

use crate::config::EXPIRY_NOTICE_DAYS;

/// A certificate's file (the server's own first, then those that vouch for it) and its key's, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyPair {
    /// `--tls-cert`.
    pub cert: PathBuf,
    /// `--tls-key`; the same file may have both.
    pub key: PathBuf,
}

impl KeyPair {
    /// What the flags `--tls-cert` and `--tls-key` name: the first certificate has the first key, and so on. Without keys each
    /// file has both.
    ///
    /// # Errors
    /// There are more of one than of the other.
    pub fn from_flags(certs: Vec<String>, keys: Vec<String>) -> Result<Vec<KeyPair>, String> {
        let keys = if keys.is_empty() { certs.clone() } else { keys };
        if certs.len() != keys.len() {
            let (certs, keys) = (certs.len(), keys.len());
            return Err(format!(
                "{certs} {CERT_FLAG} and {keys} {KEY_FLAG}: each certificate needs its key, and a file that has both is \
                 named twice"
            ));
        }
        let pair = |(cert, key): (String, String)| KeyPair { cert: cert.into(), key: key.into() };
        Ok(certs.into_iter().zip(keys).map(pair).collect())
    }
}

/// What is wrong with a certificate or a key, as one line that names the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

impl CertificateError {
    pub(crate) fn new(flag: &str, file: &Path, why: impl fmt::Display) -> CertificateError {
        CertificateError(format!("{flag} {}: {why}", file.display()))
    }
}

/// What names a certificate's files.
#[derive(Clone, Copy)]
pub(crate) struct Flags {
    pub cert: &'static str,
    pub key: &'static str,
}

/// A certificate that can be served.
pub(crate) struct Certificate {
    pub key: CertifiedKey,
    /// The key as it is in its file.
    pub der: PrivateKeyDer<'static>,
    /// In small letters; `*.` in front is a wildcard.
    pub names: Vec<String>,
    pub file: PathBuf,
}

/// Whether the time is one in which a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Validity {
    Good,
    NotYet,
    /// For so many days.
    ExpiredFor(u64),
    /// In so many days, which are few.
    ExpiresIn(u64),
}

impl Certificate {
    pub(crate) fn load(
        files: &KeyPair,
        flags: Flags,
        provider: &CryptoProvider,
    ) -> Result<Certificate, CertificateError> {
        let wrong_certificate = |why: &dyn fmt::Display| CertificateError::new(flags.cert, &files.cert, why);
        let wrong_key = |why: &dyn fmt::Display| CertificateError::new(flags.key, &files.key, why);
        let chain = read_chain(&files.cert).map_err(|why| wrong_certificate(&why))?;
        let names = names(&chain[0])
            .map_err(|error| wrong_certificate(&format_args!("its first certificate is none: {error}")))?;
        let der = read_key(&files.key).map_err(|why| match files.cert == files.key {
            true => wrong_certificate(&format_args!("{why}; {} names the file that has it", flags.key)),
            false => wrong_key(&why),
        })?;
        let key = CertifiedKey::from_der(chain, der.clone_key(), provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong_key(&format_args!("is not the key of the certificate {}", files.cert.display()))
            }
            other => wrong_key(&other),
        })?;
        Ok(Certificate { key, der, names, file: files.cert.clone() })
    }

    /// How the certificate stands at this moment.
    pub(crate) fn validity(&self, now: UnixTime) -> Validity {
        let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs() + EXPIRY_NOTICE_DAYS * DAY));
        match (check(&self.key.cert[0], now), check(&self.key.cert[0], soon)) {
            (Some(webpki::Error::CertExpired { not_after, .. }), _) => {
                Validity::ExpiredFor(days(not_after, now))
            }
            (Some(webpki::Error::CertNotValidYet { .. }), _) => Validity::NotYet,
            (_, Some(webpki::Error::CertExpired { not_after, .. })) => {
                Validity::ExpiresIn(days(now, not_after))
            }
            _ => Validity::Good,
        }
    }
}

impl Validity {
    /// What to tell of it, if anything; `peers` are those who look at it.
    pub(crate) fn notice(self, peers: &str) -> Option<String> {
        match self {
            Validity::Good => None,
            Validity::NotYet => Some(format!("is not valid yet: {peers} will refuse it")),
            Validity::ExpiredFor(0) => Some(format!("has expired: {peers} will refuse it")),
            Validity::ExpiredFor(days) => {
                Some(format!("has expired {days} days ago: {peers} will refuse it"))
            }
            Validity::ExpiresIn(days) => Some(format!("expires in {days} days")),
        }
    }
}

/// The certificates in a file; at least one.
pub(crate) fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match chain {
        Ok(chain) if chain.is_empty() => Err(NO_CERTIFICATE.to_owned()),
        Ok(chain) => Ok(chain),
        Err(error) => Err(describe(error, NO_CERTIFICATE)),
    }
}

/// Those who vouch for others, in a file that `flag` names; at least one.
pub(crate) fn read_roots(flag: &str, file: &Path) -> Result<RootCertStore, CertificateError> {
    let wrong = |why: &dyn fmt::Display| CertificateError::new(flag, file, why);
    let mut roots = RootCertStore::empty();
    for certificate in read_chain(file).map_err(|why| wrong(&why))? {
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    Ok(roots)
}

fn read_key(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(file).map_err(|error| {
        describe(error, "has no private key (PEM, without a passphrase: -----BEGIN PRIVATE KEY-----)")
    })
}

fn describe(error: pem::Error, nothing: &str) -> String {
    match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => nothing.to_owned(),
        _ => "is damaged: no whole PEM file".to_owned(),
    }
}

fn names(certificate: &CertificateDer<'_>) -> Result<Vec<String>, webpki::Error> {
    let parsed = EndEntityCert::try_from(certificate)?;
    Ok(parsed.valid_dns_names().map(str::to_ascii_lowercase).collect())
}

/// What is wrong with a certificate at a time, when nobody is trusted: it may be who signed it, but the dates come first.
fn check(certificate: &CertificateDer<'_>, time: UnixTime) -> Option<webpki::Error> {
    let parsed = EndEntityCert::try_from(certificate).ok()?;
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    parsed.verify_for_usage(algorithms, &[], &[], time, KeyUsage::server_auth(), None, None).err()
}

fn days(from: UnixTime, to: UnixTime) -> u64 {
    to.as_secs().saturating_sub(from.as_secs()) / DAY
}

/// Those of what clients are served with.
pub(crate) const SERVED: Flags = Flags { cert: CERT_FLAG, key: KEY_FLAG };

const CERT_FLAG: &str = "--tls-cert";
const KEY_FLAG: &str = "--tls-key";
pub(crate) const CLIENT_CA_FLAG: &str = "--tls-client-ca";

const NO_CERTIFICATE: &str = "has no certificate (PEM: -----BEGIN CERTIFICATE-----)";

/// In seconds.
const DAY: u64 = 24 * 60 * 60;
