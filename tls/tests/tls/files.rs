//! Certificates made for a test, in files.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair as Key};
use ringway_tls::KeyPair;

/// A folder for one test's files.
pub(crate) fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&folder).expect("the test can write its files");
    folder
}

/// A certificate for `names` that vouches for itself, as `change` makes it.
pub(crate) fn certificate(
    folder: &Path,
    file: &str,
    names: &[&str],
    change: impl FnOnce(&mut CertificateParams),
) -> KeyPair {
    let files = KeyPair { cert: folder.join(format!("{file}.pem")), key: folder.join(format!("{file}.key")) };
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        .expect("the test can write its files");
    change(&mut params);
    let key = Key::generate().expect("the test can write its files");
    fs::write(&files.cert, params.self_signed(&key).expect("the test can write its files").pem())
        .expect("the test can write its files");
    fs::write(&files.key, key.serialize_pem()).expect("the test can write its files");
    files
}
