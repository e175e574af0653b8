//! Programs of one cluster, and who is none.

use std::fs;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair as Key, date_time_ymd,
};
use ringway_tls::{Acceptor, Connector, Failure, InnerTls, Mutual, Session};

use crate::files::{certificate, folder};

/// Whose certificates a cluster's programs have.
struct Authority {
    issuer: Issuer<'static, Key>,
    pem: String,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = Key::generate().expect("the system has random numbers");
        let pem = params.self_signed(&key).expect("a test's own settings are good").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// The files of a program, whose certificate is made as `change` makes it.
    fn files(&self, folder: &Path, name: &str, change: impl FnOnce(&mut CertificateParams)) -> InnerTls {
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        let files = InnerTls { ca: file("ca"), cert: file("pem"), key: file("key") };
        let mut params =
            CertificateParams::new(vec![name.to_owned()]).expect("a test's own settings are good");
        change(&mut params);
        let key = Key::generate().expect("the system has random numbers");
        let signed = params.signed_by(&key, &self.issuer).expect("a test's own settings are good");
        for (file, text) in
            [(&files.ca, self.pem.clone()), (&files.cert, signed.pem()), (&files.key, key.serialize_pem())]
        {
            fs::write(file, text).expect("the test can write its files");
        }
        files
    }

    fn program(&self, folder: &Path, name: &str) -> Mutual {
        Mutual::load(&self.files(folder, name, |_| ())).expect("a test's own settings are good")
    }
}

/// Both sides speak until neither says more; what each failed with.
fn talk(client: &mut Session, server: &mut Session) -> (Option<Failure>, Option<Failure>) {
    let (mut to_server, mut to_client, mut got) = (Vec::new(), Vec::new(), Vec::new());
    let mut failed = (client.receive(&mut [], &mut got, &mut to_server).err(), None);
    while !(to_server.is_empty() && to_client.is_empty()) {
        let mut said = std::mem::take(&mut to_server);
        failed.1 = server.receive(&mut said, &mut got, &mut to_client).err().or(failed.1);
        let mut said = std::mem::take(&mut to_client);
        failed.0 = client.receive(&mut said, &mut got, &mut to_server).err().or(failed.0);
    }
    failed
}

#[test]
fn programs_of_one_authority_speak_whatever_their_names() {
    let (folder, authority) = (folder("mutual-same"), Authority::new());
    let (one, other) = (authority.program(&folder, "one"), authority.program(&folder, "other"));
    let (mut client, mut server) = (one.connect(), other.accept());
    assert!(matches!(talk(&mut client, &mut server), (None, None)));
    assert!(client.is_open() && server.is_open());
}

#[test]
fn who_has_no_certificate_of_the_authority_is_refused() {
    let (folder, authority) = (folder("mutual-strangers"), Authority::new());
    let (ours, foreign) = (authority.program(&folder, "ours"), Authority::new().program(&folder, "foreign"));
    // It trusts everybody, and shows nothing.
    let bare = Connector::insecure().connect("localhost").expect("localhost is a name");
    for mut client in [bare, foreign.connect()] {
        let mut server = ours.accept();
        let (_, refused) = talk(&mut client, &mut server);
        assert!(refused.is_some() && !server.is_open());
    }
    let served = Acceptor::load(&[certificate(&folder, "served", &["localhost"], |_| ())]);
    for mut server in [served.expect("a test's own settings are good").accept(), foreign.accept()] {
        let mut client = ours.connect();
        let (refused, _) = talk(&mut client, &mut server);
        assert!(refused.is_some() && !client.is_open());
    }
}

#[test]
fn what_is_no_tls_is_told_apart_on_either_side() {
    let (folder, authority) = (folder("mutual-plain"), Authority::new());
    let ours = authority.program(&folder, "ours");
    for (mut session, said) in
        [(ours.accept(), &b"{\"event\":\"ping\"}\n"[..]), (ours.connect(), &[0, 0, 0, 28, 240, 0])]
    {
        let (mut plain, mut reply) = (Vec::new(), Vec::new());
        session.receive(&mut [], &mut plain, &mut reply).expect("nothing is no failure");
        let failed = session.receive(&mut said.to_vec(), &mut plain, &mut reply);
        assert!(matches!(failed, Err(Failure::NotTls)) && plain.is_empty());
    }
}

#[test]
fn after_our_end_the_peers_bytes_still_come() {
    let (folder, authority) = (folder("mutual-ends"), Authority::new());
    let ours = authority.program(&folder, "ours");
    let (mut client, mut server) = (ours.connect(), ours.accept());
    talk(&mut client, &mut server);
    let (mut to_server, mut to_client, mut got) = (Vec::new(), Vec::new(), Vec::new());
    client.finish(&mut to_server);
    server.receive(&mut to_server, &mut got, &mut to_client).expect("an end is no failure");
    assert!(server.has_ended() && server.is_open() && !client.is_open());
    server.seal(b"the last", &mut to_client).expect("the session stands");
    server.finish(&mut to_client);
    client.receive(&mut to_client, &mut got, &mut to_server).expect("nor are bytes behind ours");
    assert!(client.has_ended() && got == b"the last");
}

#[test]
fn files_that_others_would_refuse_are_told_in_one_line() {
    let (folder, authority) = (folder("mutual-files"), Authority::new());
    let good = authority.files(&folder, "good", |_| ());
    let refused = |files: &InnerTls, why: &str| {
        let error = Mutual::load(files).expect_err("others would refuse it").to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
    };
    let expired = authority.files(&folder, "expired", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    });
    refused(&expired, "expired.pem: has expired");
    let early = authority.files(&folder, "early", |params| {
        (params.not_before, params.not_after) = (date_time_ymd(2900, 1, 1), date_time_ymd(2901, 1, 1));
    });
    refused(&early, "early.pem: is not valid yet: other programs will refuse it");
    for usage in [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth] {
        let one_sided = authority.files(&folder, "sided", |params| params.extended_key_usages = vec![usage]);
        refused(&one_sided, "sided.pem: is not for both sides");
    }
    let foreign = Authority::new().files(&folder, "foreign", |_| ());
    refused(&InnerTls { ca: good.ca.clone(), ..foreign.clone() }, "is not of the authority in");
    refused(&InnerTls { key: foreign.key.clone(), ..good.clone() }, "--inner-tls-key");
    refused(&InnerTls { ca: good.key.clone(), ..good.clone() }, "--inner-tls-ca");
    refused(&InnerTls { cert: folder.join("missing"), ..good }, "--inner-tls-cert");
}

#[test]
fn all_three_flags_or_none() {
    let file = || Some("file".into());
    assert_eq!(InnerTls::from_flags(None, None, None), Ok(None));
    assert!(matches!(InnerTls::from_flags(file(), file(), file()), Ok(Some(_))));
    let why = InnerTls::from_flags(file(), None, file()).expect_err("one is missing");
    assert!(why.contains("needs --inner-tls-cert, too"), "{why}");
}

#[test]
fn files_are_read_again_and_one_that_is_wrong_changes_nothing() {
    let (folder, authority) = (folder("mutual-again"), Authority::new());
    let files = authority.files(&folder, "ours", |_| ());
    let ours = Mutual::load(&files).expect("a test's own settings are good");
    let other = Authority::new();
    fs::write(&files.ca, &other.pem).expect("the test can write its files");
    assert!(ours.reload().is_err());
    // Both, while one authority takes the other's place.
    fs::write(&files.ca, format!("{}{}", authority.pem, other.pem)).expect("the test can write its files");
    let both = ours.reload().expect("either's certificates count");
    let (mut client, mut server) = (other.program(&folder, "new").connect(), both.accept());
    let (refused, _) = talk(&mut client, &mut server);
    assert!(refused.is_some() && !server.is_open(), "who is new knows nothing of the old one");
    let (mut client, mut server) = (both.connect(), ours.accept());
    assert!(matches!(talk(&mut client, &mut server), (None, None)));
}
