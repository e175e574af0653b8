//! What clients show and name: certificates of their own, and protocols.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair as Key};
use ringway_tls::{Acceptor, Failure, Session};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion, version};

use crate::files::{certificate, folder};

/// Who vouches for others.
struct Authority {
    issuer: Issuer<'static, Key>,
    pem: String,
}

type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = Key::generate().expect("a test's own settings are good");
        let pem = params.self_signed(&key).expect("a test's own settings are good").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    fn client(&self) -> Shown {
        let mut params =
            CertificateParams::new(vec!["device".to_owned()]).expect("a test's own settings are good");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = Key::generate().expect("a test's own settings are good");
        let certificate = params.signed_by(&key, &self.issuer).expect("a test's own settings are good");
        (vec![certificate.into()], key.into())
    }
}

/// A client of rustls' own, which is no code of this crate.
fn client(
    version: &'static SupportedProtocolVersion,
    server: &Path,
    shown: Option<Shown>,
    named: &[&str],
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match shown {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = named.iter().map(|name| name.as_bytes().to_vec()).collect();
    ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap()
}

/// Lets them shake hands.
fn meet(server: &mut Session, client: &mut ClientConnection) -> Result<(), Failure> {
    let mut plain = Vec::new();
    for _ in 0..10 {
        let (mut sent, mut reply) = (Vec::new(), Vec::new());
        while client.wants_write() {
            client.write_tls(&mut sent).unwrap();
        }
        server.receive(&mut sent, &mut plain, &mut reply)?;
        let mut said = reply.as_slice();
        while !said.is_empty() {
            client.read_tls(&mut said).unwrap();
            // What it thinks of the server is not asked for.
            let _ = client.process_new_packets();
        }
    }
    assert!(server.is_open() && plain.is_empty());
    Ok(())
}

#[test]
fn with_an_authority_for_clients_only_those_that_it_vouches_for_get_in() {
    let folder = folder("clients");
    let files = certificate(&folder, "server", &["localhost"], |_| ());
    let (ours, strangers) = (Authority::new(), Authority::new());
    let ca = folder.join("clients.pem");
    std::fs::write(&ca, &ours.pem).unwrap();
    let acceptor = Acceptor::load_for(std::slice::from_ref(&files), Some(&ca)).unwrap();
    for version in [&version::TLS12, &version::TLS13] {
        for acceptor in [&acceptor, &acceptor.reload().unwrap()] {
            for (shown, gets_in) in
                [(Some(ours.client()), true), (Some(strangers.client()), false), (None, false)]
            {
                let mut client = client(version, &files.cert, shown, &[]);
                let met = meet(&mut acceptor.accept_http(), &mut client);
                assert_eq!(met.is_ok(), gets_in, "{:?}: {met:?}", version.version);
            }
        }
    }
    let open = Acceptor::load(std::slice::from_ref(&files)).unwrap();
    meet(&mut open.accept(), &mut client(&version::TLS13, &files.cert, Some(strangers.client()), &[]))
        .unwrap();
    std::fs::write(&ca, "nothing").unwrap();
    let why = acceptor.reload().err().unwrap().to_string();
    assert!(
        why.starts_with("--tls-client-ca ") && why.ends_with("(PEM: -----BEGIN CERTIFICATE-----)"),
        "{why}"
    );
}

#[test]
fn http_is_chosen_among_what_a_client_names_and_elsewhere_nothing_is() {
    let folder = folder("protocols");
    let files = certificate(&folder, "server", &["localhost"], |_| ());
    let acceptor = Acceptor::load(std::slice::from_ref(&files)).unwrap();
    let chosen = |mut server: Session, named: &[&str]| {
        let mut client = client(&version::TLS13, &files.cert, None, named);
        meet(&mut server, &mut client).map(|()| client.alpn_protocol().map(<[u8]>::to_vec))
    };
    let http = Some(b"http/1.1".to_vec());
    assert_eq!(chosen(acceptor.accept_http(), &["h2", "http/1.1"]).unwrap(), http);
    assert_eq!(chosen(acceptor.accept_http(), &[]).unwrap(), None);
    assert!(chosen(acceptor.accept_http(), &["h2"]).is_err());
    assert_eq!(chosen(acceptor.accept(), &["mqtt"]).unwrap(), None);
}
