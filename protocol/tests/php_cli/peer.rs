//! The one PHP process that all tests share.

use std::io::{ErrorKind, Read, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};

/// A running `peer.php`, which ends with this process, when its input does.
pub(crate) struct Peer {
    /// Locked from a request to its answer.
    pipes: Mutex<(ChildStdin, ChildStdout)>,
}

static SHARED: LazyLock<Option<Peer>> = LazyLock::new(Peer::start);

impl Peer {
    /// PHP; none if there is none and none is demanded.
    pub(crate) fn shared() -> Option<&'static Peer> {
        SHARED.as_ref()
    }

    fn start() -> Option<Peer> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/php_cli/peer.php");
        // -n: no php.ini, so that every installation writes floats and errors alike.
        // 24575 is E_ALL without E_DEPRECATED: the script has a class of the old kind on purpose.
        let spawned = Command::new("php")
            .args(["-n", "-d", "display_errors=stderr", "-d", "error_reporting=24575", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        match spawned {
            Ok(child) => Some(Peer { pipes: Mutex::new((child.stdin.unwrap(), child.stdout.unwrap())) }),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let needed = std::env::var_os("RINGWAY_NEED_PHP").is_some_and(|value| value == "1");
                assert!(!needed, "RINGWAY_NEED_PHP=1, but there is no php on the PATH");
                // Not by a macro, whose output cargo hides when a test passes.
                writeln!(std::io::stderr(), "SKIPPED: no php on the PATH (RINGWAY_NEED_PHP=1 demands it)")
                    .unwrap();
                None
            }
            Err(error) => panic!("php does not start: {error}"),
        }
    }

    /// The answer to one request, or PHP's complaint.
    pub(crate) fn ask(&self, operation: u8, payload: &[u8]) -> Result<Vec<u8>, String> {
        let mut request = u32::try_from(payload.len() + 1).unwrap().to_be_bytes().to_vec();
        request.push(operation);
        request.extend_from_slice(payload);
        let mut pipes = self.pipes.lock().unwrap();
        let (input, output) = &mut *pipes;
        input.write_all(&request).unwrap();
        let mut size = [0; 4];
        output.read_exact(&mut size).expect("php ended");
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        output.read_exact(&mut answer).unwrap();
        match answer.remove(0) {
            b'+' => Ok(answer),
            _ => Err(String::from_utf8_lossy(&answer).into_owned()),
        }
    }

    /// A random array, serialized; the same one for the same seed.
    pub(crate) fn generated(&self, operation: u8, seed: u32, depth: u8) -> Vec<u8> {
        let mut payload = seed.to_be_bytes().to_vec();
        payload.push(depth);
        self.ask(operation, &payload).unwrap()
    }

    /// What array_replace_recursive makes of two serialized arrays, serialized.
    pub(crate) fn merged(&self, base: &[u8], update: &[u8]) -> Result<Vec<u8>, String> {
        let mut payload = u32::try_from(base.len()).unwrap().to_be_bytes().to_vec();
        payload.extend_from_slice(base);
        payload.extend_from_slice(update);
        self.ask(b'm', &payload)
    }
}
