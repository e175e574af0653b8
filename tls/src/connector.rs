//! A client's settings: whom it trusts, and whether it comes back.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    UnbufferedClientConnection,
};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, NamedGroup, SignatureScheme};

use crate::certificate::{CertificateError, read_roots};
use crate::config::TICKETS_KEPT_MAX;
use crate::session::Session;

/// Begins sessions with servers. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// A host that no certificate could be for.
#[derive(Debug)]
pub struct NameError;

impl Connector {
    /// Trusts servers whose certificates those in `file` (PEM) vouch for. `flag` is what names the file.
    ///
    /// # Errors
    /// The file is missing or has no certificate.
    pub fn trusting(flag: &str, file: &Path) -> Result<Connector, CertificateError> {
        let roots = read_roots(flag, file)?;
        let provider = Arc::new(provider::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for both versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Connector::new(config))
    }

    /// Trusts every server: for tests, and for loads on servers of one's own.
    pub fn insecure() -> Connector {
        let provider = Arc::new(provider::default_provider());
        let anybody = Arc::new(Anybody(Arc::clone(&provider)));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has ciphers for both versions")
            .dangerous()
            .with_custom_certificate_verifier(anybody)
            .with_no_client_auth();
        Connector::new(config)
    }

    /// The same for clients that come back: a session begins with a ticket that the server gave to one before it, if one is
    /// there that nobody has used (TLS 1.3).
    pub fn resuming(&self) -> Connector {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(Arc::new(Tickets::default()));
        Connector { config: Arc::new(config) }
    }

    /// A session with the server of this name or address. Its hello comes with the first [`Session::receive`], of
    /// nothing.
    ///
    /// # Errors
    /// `host` is neither a name nor an address.
    pub fn connect(&self, host: &str) -> Result<Session, NameError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| NameError)?;
        let conn = UnbufferedClientConnection::new(Arc::clone(&self.config), name);
        Ok(Session::client(conn.map_err(|_| NameError)?))
    }

    fn new(mut config: ClientConfig) -> Connector {
        // Each connection is to cost the server a whole handshake, as that of a new client does.
        config.resumption = Resumption::disabled();
        Connector { config: Arc::new(config) }
    }
}

/// What servers have given to those who may come back. Who comes back with a ticket gets another one; none is used twice
/// (RFC 8446 §C.4).
#[derive(Default, Debug)]
struct Tickets(Mutex<HashMap<ServerName<'static>, Vec<Tls13ClientSessionValue>>>);

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tickets = servers.entry(server).or_default();
        if tickets.len() < TICKETS_KEPT_MAX {
            tickets.push(ticket);
        }
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(server)?.pop()
    }
}

/// Believes every certificate, but not a server that has not its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
