use std::fs;

use rcgen::date_time_ymd;
use ringway_tls::{Acceptor, Connector, EXPIRY_NOTICE_DAYS, KeyPair};

use crate::files::{certificate, folder};

/// Whether a client that trusts `trusted` alone gets on with the server under this name.
fn gets_on(acceptor: &Acceptor, trusted: &KeyPair, name: &str) -> bool {
    let mut client = Connector::trusting("--tls-ca", &trusted.cert)
        .expect("a test's own settings are good")
        .connect(name)
        .expect("a test's own settings are good");
    let mut server = acceptor.accept();
    let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
    client.receive(&mut [], &mut Vec::new(), &mut to_server).expect("a test's own settings are good");
    while !to_server.is_empty() {
        if server.receive(&mut to_server, &mut Vec::new(), &mut to_client).is_err() {
            return false;
        }
        to_server.clear();
        if client.receive(&mut to_client, &mut Vec::new(), &mut to_server).is_err() {
            return false;
        }
        to_client.clear();
    }
    server.is_open() && client.is_open()
}

#[test]
fn a_client_gets_the_certificate_of_the_name_it_asks_for() {
    let folder = folder("names");
    let first = certificate(&folder, "first", &["first.example", "localhost"], |_| ());
    let second = certificate(&folder, "second", &["*.second.example", "Second.Example"], |_| ());
    let acceptor = Acceptor::load(&[first.clone(), second.clone()]).unwrap();
    for (name, files) in [
        ("first.example", &first),
        ("localhost", &first),
        ("second.example", &second),
        ("SECOND.example", &second),
        ("chat.second.example", &second),
    ] {
        assert!(gets_on(&acceptor, files, name), "{name}");
    }
    // A wildcard is for one label; who asks for what nobody has gets the first.
    assert!(!gets_on(&acceptor, &second, "a.b.second.example"));
    assert!(!gets_on(&acceptor, &second, "first.example"));
}

#[test]
fn what_is_wrong_with_files_is_one_line_that_names_them() {
    let folder = folder("wrong");
    let good = certificate(&folder, "good", &["good.example"], |_| ());
    let other = certificate(&folder, "other", &["other.example"], |_| ());
    let missing = folder.join("missing.pem");
    fs::write(folder.join("empty.pem"), "nothing here").unwrap();
    let empty = folder.join("empty.pem");
    let half = folder.join("half.pem");
    fs::write(&half, "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    let nonsense = folder.join("nonsense.pem");
    fs::write(&nonsense, "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n").unwrap();
    for (cert, key, expected) in [
        (&missing, &good.key, "--tls-cert F/missing.pem: No such file or directory (os error 2)"),
        (&good.cert, &missing, "--tls-key F/missing.pem: No such file or directory (os error 2)"),
        (&empty, &good.key, "--tls-cert F/empty.pem: has no certificate (PEM: -----BEGIN CERTIFICATE-----)"),
        (
            &good.key,
            &good.key,
            "--tls-cert F/good.key: has no certificate (PEM: -----BEGIN CERTIFICATE-----)",
        ),
        (&half, &good.key, "--tls-cert F/half.pem: is damaged: no whole PEM file"),
        (
            &nonsense,
            &good.key,
            "--tls-cert F/nonsense.pem: its first certificate is none: TrailingData(SignedData)",
        ),
        (
            &good.cert,
            &good.cert,
            "--tls-cert F/good.pem: has no private key (PEM, without a passphrase: -----BEGIN PRIVATE KEY-----); \
             --tls-key names the file that has it",
        ),
        (&good.cert, &other.key, "--tls-key F/other.key: is not the key of the certificate F/good.pem"),
    ] {
        let files = KeyPair { cert: cert.clone(), key: key.clone() };
        let error = Acceptor::load(&[files]).err().unwrap().to_string();
        assert_eq!(error.replace(folder.to_str().unwrap(), "F"), expected);
    }
}

#[test]
fn certificates_and_keys_are_paired_by_place_or_one_file_has_both() {
    let pair = |cert: &str, key: &str| KeyPair { cert: cert.into(), key: key.into() };
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let pairs = |certs: &[&str], keys: &[&str]| KeyPair::from_flags(words(certs), words(keys));
    assert_eq!(pairs(&["a", "b"], &["c", "d"]), Ok(vec![pair("a", "c"), pair("b", "d")]));
    assert_eq!(pairs(&["a", "b"], &[]), Ok(vec![pair("a", "a"), pair("b", "b")]));
    assert_eq!(pairs(&[], &[]), Ok(vec![]));
    let unpaired = "2 --tls-cert and 1 --tls-key: each certificate needs its key, and a file that has both is named twice";
    assert_eq!(pairs(&["a", "b"], &["c"]), Err(unpaired.to_owned()));
    assert!(pairs(&[], &["c"]).is_err());
}

#[test]
fn one_file_may_have_certificate_and_key_in_any_order() {
    let folder = folder("both");
    let files = certificate(&folder, "server", &["localhost"], |_| ());
    let [cert, key] = [&files.cert, &files.key].map(|file| fs::read_to_string(file).unwrap());
    for text in [format!("{cert}{key}"), format!("{key}{cert}")] {
        let both = folder.join("both.pem");
        fs::write(&both, text).unwrap();
        let acceptor = Acceptor::load(&[KeyPair { cert: both.clone(), key: both }]).unwrap();
        assert!(gets_on(&acceptor, &files, "localhost"));
        assert!(gets_on(&acceptor.reload().unwrap(), &files, "localhost"));
    }
}

#[test]
fn expiry_is_told_and_an_expired_certificate_replaces_none() {
    let folder = folder("expiry");
    let good = certificate(&folder, "server", &["localhost"], |_| ());
    let acceptor = Acceptor::load(std::slice::from_ref(&good)).unwrap();
    assert!(acceptor.notices().is_empty());
    let expired = |params: &mut rcgen::CertificateParams| params.not_after = date_time_ymd(2001, 1, 1);
    certificate(&folder, "server", &["localhost"], expired);
    let error = acceptor.reload().err().unwrap().to_string();
    assert!(error.contains("server.pem: has expired ") && error.contains("days ago"), "{error}");
    let acceptor = Acceptor::load(std::slice::from_ref(&good)).unwrap();
    let [notice] = acceptor.notices() else { panic!("one notice") };
    assert!(notice.contains("clients will refuse it"), "{notice}");
    let future = |params: &mut rcgen::CertificateParams| params.not_before = date_time_ymd(3000, 1, 1);
    certificate(&folder, "server", &["localhost"], future);
    let [notice] = acceptor.reload().unwrap().notices().to_vec().try_into().unwrap();
    assert!(notice.ends_with("is not valid yet: clients will refuse it"), "{notice}");
    let soon = |params: &mut rcgen::CertificateParams| {
        params.not_after = params.not_before;
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let then = now + std::time::Duration::from_secs((EXPIRY_NOTICE_DAYS - 1) * 24 * 60 * 60);
        params.not_after = date_time_ymd(1970, 1, 1) + then;
    };
    certificate(&folder, "server", &["localhost"], soon);
    let [notice] = acceptor.reload().unwrap().notices().to_vec().try_into().unwrap();
    assert!(
        notice.ends_with("server.pem: expires in 12 days") || notice.ends_with("expires in 13 days"),
        "{notice}"
    );
    // New clients are served with what is new.
    let renewed = certificate(&folder, "server", &["localhost"], |_| ());
    assert!(!gets_on(&acceptor, &renewed, "localhost"));
    assert!(gets_on(&acceptor.reload().unwrap(), &renewed, "localhost"));
}
