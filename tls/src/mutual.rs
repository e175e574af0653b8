//! TLS between programs of one cluster: either side shows a certificate of the cluster's own authority.
//!
//! Who has such a certificate belongs to the cluster. Names in it are not looked at, since programs dial addresses, and
//! whoever is of the cluster may be any part of it. TLS 1.3 alone, and no tickets: each connection proves it anew.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, ring as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ParsedCertificate, UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError as Wrong, ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
};

use crate::certificate::{Certificate, CertificateError, Flags, KeyPair, Validity, read_roots};
use crate::session::Session;

/// What `--inner-tls-ca`, `--inner-tls-cert` and `--inner-tls-key` name: by these files a program proves to others of its
/// cluster that it belongs to it, and sees that they do. All PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InnerTls {
    /// Whose certificates programs of the cluster have. Several while one is replaced by another.
    pub ca: PathBuf,
    /// This program's own certificate, then those that vouch for it.
    pub cert: PathBuf,
    /// The certificate's key.
    pub key: PathBuf,
}

/// Begins sessions with programs of the cluster, of either side. Cheap to clone.
#[derive(Clone)]
pub struct Mutual {
    files: InnerTls,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    notice: Option<String>,
}

impl fmt::Debug for Mutual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mutual").field(&self.files).finish()
    }
}

impl InnerTls {
    /// What the flags name; `None` if they name nothing.
    ///
    /// # Errors
    /// They name some of it.
    pub fn from_flags(
        ca: Option<PathBuf>,
        cert: Option<PathBuf>,
        key: Option<PathBuf>,
    ) -> Result<Option<InnerTls>, String> {
        let named = [(CA_FLAG, &ca), (FLAGS.cert, &cert), (FLAGS.key, &key)];
        let missing = named.iter().filter(|(_, file)| file.is_none()).map(|(flag, _)| *flag);
        let missing = missing.collect::<Vec<_>>().join(" and ");
        match (ca, cert, key) {
            (Some(ca), Some(cert), Some(key)) => Ok(Some(InnerTls { ca, cert, key })),
            (None, None, None) => Ok(None),
            _ => {
                Err(format!("TLS between programs needs {missing}, too: all three of --inner-tls-…, or none"))
            }
        }
    }
}

impl Mutual {
    /// Reads the files.
    ///
    /// # Errors
    /// One is missing, is not what it should be, or does not belong to the others; or others would refuse the certificate.
    pub fn load(files: &InnerTls) -> Result<Mutual, CertificateError> {
        let provider = Arc::new(provider::default_provider());
        let authority = Authority::read(&files.ca, &provider)?;
        let pair = KeyPair { cert: files.cert.clone(), key: files.key.clone() };
        let certificate = Certificate::load(&pair, FLAGS, &provider)?;
        let (now, wrong) = (UnixTime::now(), |why| CertificateError::new(FLAGS.cert, &files.cert, why));
        let validity = certificate.validity(now);
        if let Validity::NotYet | Validity::ExpiredFor(_) = validity {
            return Err(wrong(validity.notice("other programs").unwrap_or_default()));
        }
        authority.check(&certificate.key.cert, now).map_err(|error| wrong(describe(&error, &files.ca)))?;
        let notice = validity.notice("other programs").map(|notice| wrong(notice).to_string());
        let (chain, key) = (certificate.key.cert.clone(), certificate.der);
        let fits = "the provider has ciphers for TLS 1.3, and the key is the certificate's";
        let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13])
            .expect(fits)
            .with_client_cert_verifier(Arc::clone(&authority.clients))
            .with_single_cert(chain.clone(), key.clone_key())
            .expect(fits);
        server.send_tls13_tickets = 0;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect(fits)
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(authority))
            .with_client_auth_cert(chain, key)
            .expect(fits);
        client.resumption = Resumption::disabled();
        Ok(Mutual { files: files.clone(), server: Arc::new(server), client: Arc::new(client), notice })
    }

    /// Reads the same files again, for new sessions; those that stand keep what they have.
    ///
    /// # Errors
    /// As for [`Mutual::load`].
    pub fn reload(&self) -> Result<Mutual, CertificateError> {
        Mutual::load(&self.files)
    }

    /// What was read.
    pub fn files(&self) -> &InnerTls {
        &self.files
    }

    /// What an operator should know of the certificate, one line each: that it expires soon.
    pub fn notices(&self) -> &[String] {
        self.notice.as_slice()
    }

    /// A session with a program that has connected here.
    pub fn accept(&self) -> Session {
        let conn = UnbufferedServerConnection::new(Arc::clone(&self.server));
        Session::server(conn.expect("the settings are those of a server"))
    }

    /// A session with a program that was connected to. Its hello comes with the first [`Session::receive`], of nothing.
    pub fn connect(&self) -> Session {
        let conn = UnbufferedClientConnection::new(Arc::clone(&self.client), unnamed());
        Session::client(conn.expect("the settings are those of a client"))
    }

    /// The settings of a program that connects, for who has rustls do the rest; [`unnamed`] is whom it connects to.
    pub fn client_config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}

/// What a program that is dialled is called: nothing. An address is not sent (RFC 6066 §3), and names are not looked at.
pub fn unnamed() -> ServerName<'static> {
    ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED))
}

/// Whom programs of the cluster have their certificates from.
#[derive(Debug)]
struct Authority {
    roots: Arc<RootCertStore>,
    clients: Arc<dyn ClientCertVerifier>,
    provider: Arc<CryptoProvider>,
}

impl Authority {
    fn read(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Authority, CertificateError> {
        let roots = Arc::new(read_roots(CA_FLAG, file)?);
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(provider)).build();
        let clients = clients.map_err(|error| CertificateError::new(CA_FLAG, file, error))?;
        Ok(Authority { roots, clients, provider: Arc::clone(provider) })
    }

    /// Whether a certificate is this authority's, and for either side.
    fn check(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<(), rustls::Error> {
        self.check_server(&chain[0], &chain[1..], now)?;
        self.clients.verify_client_cert(&chain[0], &chain[1..], now).map(drop)
    }

    fn check_server(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let (certificate, algorithms) =
            (ParsedCertificate::try_from(certificate)?, self.provider.signature_verification_algorithms.all);
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, chain, now, algorithms)
    }
}

impl ServerCertVerifier for Authority {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.check_server(certificate, chain, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 between programs".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Why others would refuse the certificate.
fn describe(error: &rustls::Error, ca: &Path) -> String {
    match error {
        rustls::Error::InvalidCertificate(Wrong::UnknownIssuer | Wrong::BadSignature) => {
            format!("is not of the authority in {}: other programs would refuse it", ca.display())
        }
        rustls::Error::InvalidCertificate(Wrong::InvalidPurpose | Wrong::InvalidPurposeContext { .. }) => {
            "is not for both sides of a connection: its extendedKeyUsage needs serverAuth and clientAuth"
                .to_owned()
        }
        error => format!("other programs would refuse it: {error}"),
    }
}

const CA_FLAG: &str = "--inner-tls-ca";

const FLAGS: Flags = Flags { cert: "--inner-tls-cert", key: "--inner-tls-key" };
