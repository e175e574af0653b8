//! Owns secrets that stand in a file, where other users of the machine do not read them as they do a command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::Refusal;

/// The longest secret, in bytes: far more than any needs, and a bound for a file that is another one by mistake.
pub const SECRET_SIZE_MAX: usize = 1024;

/// What a secret is: `said` by the flag `--NAME`, or what stands in the file of `--NAME-file`, without a newline at its end.
/// Empty if neither is given.
///
/// # Errors
/// Both are given; the file cannot be read, holds nothing, what is no text, more than one line, or more than
/// [`SECRET_SIZE_MAX`].
pub fn secret(name: &str, said: &str, file: Option<&Path>) -> Result<String, Refusal> {
    let Some(file) = file else { return Ok(said.to_owned()) };
    if !said.is_empty() {
        return Err(Refusal::Usage(format!("--{name} and --{name}-file: give one of them")));
    }
    let wrong = |why: &str| Refusal::Environment(format!("--{name}-file {}: {why}", file.display()));
    let text = read(file).map_err(|error| wrong(&error.to_string()))?;
    let secret = text.strip_suffix('\n').map_or(&*text, |line| line.strip_suffix('\r').unwrap_or(line));
    match secret {
        "" => Err(wrong("there is nothing in it")),
        _ if secret.len() > SECRET_SIZE_MAX => {
            Err(wrong("it is longer than a secret, which has 1024 bytes at most"))
        }
        _ if secret.contains(char::is_control) => Err(wrong("a secret is one line of text")),
        _ => Ok(secret.to_owned()),
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    // Enough to see that it is too long.
    File::open(file)?.take(SECRET_SIZE_MAX as u64 + 3).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn of(content: &[u8]) -> Result<String, String> {
        let file = std::env::temp_dir().join(format!("ringway-secret-{}", std::process::id()));
        std::fs::write(&file, content).unwrap();
        let secret = secret("secret-key", "", Some(&file)).map_err(|why| why.to_string());
        std::fs::remove_file(&file).unwrap();
        secret
    }

    #[test]
    fn a_secret_is_what_is_said_or_the_line_in_its_file() {
        assert_eq!(secret("secret-key", "k", None), Ok("k".to_owned()));
        assert_eq!(secret("secret-key", "", None), Ok(String::new()));
        for content in [&b"a key"[..], b"a key\n", b"a key\r\n"] {
            assert_eq!(of(content).unwrap(), "a key");
        }
        assert_eq!(of(&[b'k'; SECRET_SIZE_MAX]).unwrap().len(), SECRET_SIZE_MAX);
        let wrong: [&[u8]; 5] = [b"", b"\n", b"two\nlines\n", b"\xff", &[b'k'; SECRET_SIZE_MAX + 1]];
        for content in wrong {
            let why = of(content).unwrap_err();
            assert!(why.starts_with("--secret-key-file /") && !why.contains('\n'), "{why}");
        }
        let nowhere = PathBuf::from("/nowhere/key");
        assert!(matches!(secret("secret-key", "", Some(&nowhere)), Err(Refusal::Environment(_))));
        assert!(matches!(secret("secret-key", "k", Some(&nowhere)), Err(Refusal::Usage(_))));
    }
}
