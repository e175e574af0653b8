//! The file that holds the process id of a running worker, and those who send it signals by that.
//!
//! The file is locked while the worker runs, so that a process id that is left over from earlier is never taken for its.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

/// A file with our process id. Dropped, it is removed.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Holds the lock.
    _file: File,
}

impl PidFile {
    /// Writes the file, or says in one line why that cannot be.
    pub(super) fn create(path: &Path) -> Result<PidFile, String> {
        let failed = |error: io::Error| format!("cannot write --pid-file {}: {error}", path.display());
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = read(&mut file).map_or_else(|_| "another".to_owned(), |pid| pid.to_string());
            return Err(format!("--pid-file {}: it is that of the running process {pid}", path.display()));
        }
        let text = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(PidFile { path: path.to_owned(), _file: file })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // What cannot be removed is left without a lock, which says as much.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Makes the worker whose process id is in the file reload.
pub(super) fn reload(path: &Path) -> Result<(), String> {
    signal(owner(path)?, Signal::USR1)
}

/// Makes the worker whose process id is in the file end, and waits until it has.
pub(super) fn stop(path: &Path) -> Result<(), String> {
    let pid = owner(path)?;
    let failed = |error| format!("cannot wait for process {}: {error}", pid.as_raw_pid());
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(failed)?;
    signal(pid, Signal::TERM)?;
    // It sees to its own time limits.
    while let Err(error) = poll(&mut [PollFd::new(&process, PollFlags::IN)], None) {
        if error != rustix::io::Errno::INTR {
            return Err(failed(error));
        }
    }
    Ok(())
}

fn signal(pid: Pid, signal: Signal) -> Result<(), String> {
    kill_process(pid, signal)
        .map_err(|error| format!("cannot send a signal to process {}: {error}", pid.as_raw_pid()))
}

/// The process that holds the file.
fn owner(path: &Path) -> Result<Pid, String> {
    let nobody = |why: &str| format!("no worker runs with --pid-file {}: {why}", path.display());
    let mut file = File::open(path).map_err(|error| nobody(&error.to_string()))?;
    if flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return Err(nobody("it is left over from one that has ended"));
    }
    let pid = read(&mut file).map_err(|error| nobody(&error.to_string()))?;
    Pid::from_raw(pid).ok_or_else(|| nobody("there is no process id in it"))
}

fn read(file: &mut File) -> io::Result<i32> {
    let mut text = String::new();
    file.take(PID_SIZE_MAX).read_to_string(&mut text)?;
    text.trim()
        .parse()
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "there is no process id in it"))
}

/// Bytes read of a file that ought to hold a process id.
const PID_SIZE_MAX: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_belongs_to_one_process_while_it_runs() {
        let path = std::env::temp_dir().join(format!("ringway-pid-{}", std::process::id()));
        let file = PidFile::create(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(owner(&path).unwrap().as_raw_pid(), std::process::id() as i32);
        let why = PidFile::create(&path).unwrap_err();
        assert!(why.ends_with(&format!("the running process {}", std::process::id())), "{why}");
        drop(file);
        assert!(!path.exists());
        assert!(owner(&path).unwrap_err().contains("no worker runs"));
    }

    #[test]
    fn a_file_that_is_left_over_is_nobodys() {
        let path = std::env::temp_dir().join(format!("ringway-old-pid-{}", std::process::id()));
        std::fs::write(&path, "1\n").unwrap();
        for why in [reload(&path).unwrap_err(), stop(&path).unwrap_err()] {
            assert!(why.contains("left over"), "{why}");
        }
        drop(PidFile::create(&path).unwrap());
    }
}
