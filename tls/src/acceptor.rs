//! A server's settings: which certificate a client gets, and what is spoken.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use crate::certificate::{
    CLIENT_CA_FLAG, Certificate, CertificateError, KeyPair, SERVED, Validity, read_roots,
};
use crate::config::TICKETS;
use crate::session::Session;

/// Begins sessions with clients. Cheap to clone; clones share what rustls keeps for all sessions.
#[derive(Clone)]
pub struct Acceptor {
    files: Arc<[KeyPair]>,
    client_ca: Option<Arc<Path>>,
    config: Arc<ServerConfig>,
    /// The same with HTTP's name.
    http: Arc<ServerConfig>,
    notices: Arc<[String]>,
    expired: Arc<[CertificateError]>,
}

impl Acceptor {
    /// Reads certificates and keys. A client gets the first certificate that has the name it asks for, exactly or by a
    /// wildcard, and the very first if none has, or if it asks for none.
    ///
    /// # Errors
    /// A file is missing, is not what it should be, or does not belong to the other.
    ///
    /// # Panics
    /// There is no file.
    pub fn load(files: &[KeyPair]) -> Result<Acceptor, CertificateError> {
        Acceptor::load_for(files, None)
    }

    /// The same for clients that have a certificate of their own, for which one of those in `client_ca` (PEM) vouches; others'
    /// handshakes fail. `None`: for all.
    ///
    /// # Errors
    /// As for [`Acceptor::load`], of that file too.
    ///
    /// # Panics
    /// There is no file.
    pub fn load_for(files: &[KeyPair], client_ca: Option<&Path>) -> Result<Acceptor, CertificateError> {
        assert!(!files.is_empty(), "a server needs a certificate");
        let provider = Arc::new(provider::default_provider());
        let certificates = files.iter().map(|files| Certificate::load(files, SERVED, &provider));
        let certificates = certificates.collect::<Result<Vec<_>, _>>()?;
        let (mut notices, mut expired) = (Vec::new(), Vec::new());
        for certificate in &certificates {
            let validity = certificate.validity(UnixTime::now());
            let Some(notice) = validity.notice("clients") else { continue };
            let notice = CertificateError::new(SERVED.cert, &certificate.file, notice);
            notices.push(notice.to_string());
            if matches!(validity, Validity::ExpiredFor(_)) {
                expired.push(notice);
            }
        }
        let clients = client_verifier(client_ca, &provider)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for both versions")
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(ByName::new(certificates)));
        // Who comes back shows a ticket; nothing is kept for who may never come.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = provider::Ticketer::new().expect("the system has random numbers");
        config.send_tls13_tickets = TICKETS;
        let mut http = config.clone();
        http.alpn_protocols.push(HTTP.to_vec());
        Ok(Acceptor {
            files: files.into(),
            client_ca: client_ca.map(Arc::from),
            config: Arc::new(config),
            http: Arc::new(http),
            notices: notices.into(),
            expired: expired.into(),
        })
    }

    /// Reads the same files again, for new sessions; those that stand keep what they have.
    ///
    /// # Errors
    /// As for [`Acceptor::load`], and an expired certificate: what is there now can only be better.
    pub fn reload(&self) -> Result<Acceptor, CertificateError> {
        let new = Acceptor::load_for(&self.files, self.client_ca.as_deref())?;
        match new.expired.first() {
            Some(expired) => Err(expired.clone()),
            None => Ok(new),
        }
    }

    /// What an operator should know of the certificates, one line each: expired, or soon to be.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// A session with a client that has just connected. Which protocols it names (RFC 7301) does not matter.
    pub fn accept(&self) -> Session {
        begin(&self.config)
    }

    /// The same for one that is to speak HTTP/1.1. If it names protocols and that is not among them, the handshake fails.
    pub fn accept_http(&self) -> Session {
        begin(&self.http)
    }
}

fn begin(config: &Arc<ServerConfig>) -> Session {
    let conn = UnbufferedServerConnection::new(Arc::clone(config));
    Session::server(conn.expect("the settings are those of a server"))
}

fn client_verifier(
    ca: Option<&Path>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, CertificateError> {
    let Some(file) = ca else { return Ok(WebPkiClientVerifier::no_client_auth()) };
    let roots = Arc::new(read_roots(CLIENT_CA_FLAG, file)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    verifier.map_err(|error| CertificateError::new(CLIENT_CA_FLAG, file, error))
}

/// HTTP/1.1 among the names of protocols (RFC 7301 §6).
const HTTP: &[u8] = b"http/1.1";

/// Certificates by the names in them.
#[derive(Debug)]
struct ByName {
    default: Arc<CertifiedKey>,
    names: HashMap<String, Arc<CertifiedKey>>,
}

impl ByName {
    /// There is at least one.
    fn new(certificates: Vec<Certificate>) -> ByName {
        let mut names = HashMap::new();
        let mut default = None;
        for certificate in certificates {
            let key = Arc::new(certificate.key);
            default.get_or_insert_with(|| Arc::clone(&key));
            for name in certificate.names {
                names.entry(name).or_insert_with(|| Arc::clone(&key));
            }
        }
        ByName { default: default.expect("at least one certificate"), names }
    }

    fn find(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.names.get(&name).or_else(|| {
            // A wildcard stands for one label (RFC 6125 §6.4.3).
            let (_, parent) = name.split_once('.')?;
            self.names.get(&format!("*.{parent}"))
        })
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.find(name));
        Some(Arc::clone(named.unwrap_or(&self.default)))
    }
}
