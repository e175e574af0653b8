//! Which file a worker process is started from: what is at the program's path then, not what was there earlier.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The path by which this program was started, if it still is this program; else where the kernel says that it is.
///
/// The former may be a link to the version of the day, which the latter sees through.
pub(super) fn path() -> PathBuf {
    let called = env::args_os().next().and_then(|name| find(&name));
    let called = called.filter(|path| identity(path) == identity(Path::new(THIS_PROGRAM)));
    called.or_else(|| env::current_exe().ok()).unwrap_or_else(|| THIS_PROGRAM.into())
}

/// What a shell would start by this name.
fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(name).ok();
    }
    let folders = env::var_os("PATH")?;
    env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// A link that the kernel keeps.
const THIS_PROGRAM: &str = "/proc/self/exe";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_finds_itself_and_others_by_their_names() {
        assert_eq!(identity(&path()), identity(&env::current_exe().unwrap()));
        assert!(find(OsStr::new("sh")).is_some_and(|path| path.is_absolute()));
        assert_eq!(find(OsStr::new("no such program")), None);
        assert!(find(OsStr::new("./sh")).is_some_and(|path| path.is_absolute()));
    }
}
