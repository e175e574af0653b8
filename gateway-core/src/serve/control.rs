//! The control socket: whoever may open its file takes the gateway out of service and back. It has a thread of its own; shards hear
//! of it as of everything that control threads want.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use admin::Order;
use socket2::{Domain, SockAddr, Socket, Type};
use tracing::{info, warn};

use super::{Control, ShardControl};
use crate::config::{
    CONTROL_ANSWER_TIMEOUT, CONTROL_BACKLOG, CONTROL_LINE_MAX, CONTROL_READ_TIMEOUT, CONTROL_RETRY_DELAY,
};

/// What a shard is told of an [`Order`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ShardOrder {
    /// After so many ms.
    Cordon(u64),
    Uncordon,
    Drain,
}

/// How a gateway stands to new clients, for all that speak of it.
#[derive(Clone, Default)]
pub(super) struct Standing(Arc<Mutex<Option<Order>>>);

/// What carries orders out, whoever gives them: one after the other, so that all shards have the same last one.
pub(super) struct Orders {
    pub shards: Vec<ShardControl>,
    pub standing: Standing,
    pub cordon_delay: Duration,
    pub drain_timeout: Duration,
    pub turn: Mutex<()>,
}

/// A control socket that listens. Dropped, its file is removed.
pub(super) struct ControlSocket {
    path: PathBuf,
    listener: Socket,
    thread: Option<JoinHandle<()>>,
}

/// Has the gateway carry an order out that listens at `path`. What has happened, in one line.
///
/// # Errors
/// Nobody listens there, or it cannot be done: what to do, in one line.
pub fn give(order: Order, path: &Path) -> Result<String, String> {
    let failed = |error: io::Error| {
        let file = path.display();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                format!("no gateway listens at --control {file}: name the file that it was started with")
            }
            io::ErrorKind::PermissionDenied => {
                format!("--control {file} may be used by the gateway's own user and root alone")
            }
            io::ErrorKind::WouldBlock => {
                format!("the gateway at --control {file} does not answer: see its log")
            }
            _ => format!("--control {file}: {error}"),
        }
    };
    let answer = exchange(order, path).map_err(failed)?;
    match answer.trim_end().split_once(' ') {
        Some(("done", what)) => Ok(what.to_owned()),
        Some(("failed", why)) => Err(why.to_owned()),
        _ => Err(format!("--control {}: that is no gateway, it says {answer:?}", path.display())),
    }
}

fn exchange(order: Order, path: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(CONTROL_ANSWER_TIMEOUT))?;
    writeln!(stream, "{}", order.word())?;
    read_line(&stream)
}

impl Standing {
    /// What is wrong, for whoever looks whether clients may be sent here.
    pub(super) fn fault(&self) -> Option<&'static str> {
        match self.get() {
            Some(Order::Cordon) => Some("cordoned, takes no new clients"),
            Some(Order::Drain) => Some("drained, takes no new clients"),
            Some(Order::Uncordon) | None => None,
        }
    }

    fn get(&self) -> Option<Order> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, order: Order) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(order);
    }
}

impl Orders {
    /// Carries an order out that came this way. What has happened, or why it has not, in one line.
    pub(super) fn carry_out(&self, order: Order, way: &str) -> Result<String, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.tell_shards(order);
        match &done {
            Ok(what) => info!("by the {way}: {what}"),
            Err(why) => warn!("by the {way}: {why}"),
        }
        done
    }

    fn tell_shards(&self, order: Order) -> Result<String, String> {
        let delay = self.cordon_delay;
        let shard_order = match order {
            Order::Cordon => ShardOrder::Cordon(protocol::millis(delay)),
            Order::Uncordon => ShardOrder::Uncordon,
            Order::Drain => ShardOrder::Drain,
        };
        // Whoever asks is to look elsewhere before the first client is turned away.
        self.standing.set(order);
        let answers =
            admin::ask(&self.shards, |shard, answer| shard.tell(Control::Order(shard_order, answer)));
        let mut clients = 0;
        for (index, answer) in answers.into_iter().enumerate() {
            clients += answer.map_err(|why| format!("shard {index} {why}: see the gateway's log"))?;
        }
        Ok(match order {
            Order::Cordon => format!(
                "cordoned: /status answers 503 now, new clients are turned away in {} s; {clients} are served on",
                delay.as_secs_f64()
            ),
            Order::Uncordon => format!("uncordoned: new clients are taken; {clients} are there"),
            Order::Drain => format!(
                "draining: new clients are turned away, {clients} are closed within {} s",
                self.drain_timeout.as_secs_f64()
            ),
        })
    }

    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        stream.set_read_timeout(Some(CONTROL_READ_TIMEOUT))?;
        stream.set_write_timeout(Some(CONTROL_READ_TIMEOUT))?;
        let line = read_line(stream)?;
        let done = match line.trim_end().parse() {
            Ok(order) => self.carry_out(order, "control socket"),
            Err(()) => Err(format!("{line:?} is none of cordon, uncordon and drain")),
        };
        let mut stream = stream;
        match done {
            Ok(what) => writeln!(stream, "done {what}"),
            Err(why) => writeln!(stream, "failed {why}"),
        }
    }
}

impl ControlSocket {
    /// Takes orders at `path`, for this process' user alone.
    ///
    /// # Errors
    /// Somebody listens there, or it cannot be had, in one line that says what to do.
    pub(super) fn listen(path: &Path, orders: Arc<Orders>) -> Result<ControlSocket, String> {
        let failed = |error: io::Error| format!("--control {}: {error}", path.display());
        make_room(path)?;
        let listener = bind(path).map_err(failed)?;
        let accepts = UnixListener::from(OwnedFd::from(listener.try_clone().map_err(failed)?));
        let mut socket = ControlSocket { path: path.to_owned(), listener, thread: None };
        let serve = move || {
            loop {
                match accepts.accept().and_then(|(stream, _)| orders.serve(&stream)) {
                    Ok(()) => {}
                    // It was shut down.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
                    Err(error) => {
                        warn!("somebody at the control socket: {error}");
                        // It may be for want of files, which does not pass in a moment.
                        std::thread::sleep(CONTROL_RETRY_DELAY);
                    }
                }
            }
        };
        socket.thread = Some(program::spawn_vital("control", serve).map_err(failed)?);
        Ok(socket)
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // What cannot be removed is left without a listener, which says as much.
        let _ = fs::remove_file(&self.path);
        if self.listener.shutdown(Shutdown::Both).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It cannot fail but by a panic, which has been printed.
            let _ = thread.join();
        }
    }
}

/// Removes what a gateway that was killed has left.
fn make_room(path: &Path) -> Result<(), String> {
    let file = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("--control {file}: {error}")),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(format!("--control {file} is there and no socket: name another file"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(|error| format!("--control {file} is left over: {error}"))
        }
        Err(error) => Err(format!("--control {file}: {error}")),
        Ok(_) => {
            Err(format!("--control {file}: another gateway listens there; each needs a file of its own"))
        }
    }
}

/// A socket gets the rights of its file when it is bound: so nobody else can open it in between.
fn bind(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    let file = File::from(OwnedFd::from(socket));
    file.set_permissions(Permissions::from_mode(0o600))?;
    let socket = Socket::from(OwnedFd::from(file));
    socket.bind(&SockAddr::unix(path)?)?;
    socket.listen(CONTROL_BACKLOG)?;
    Ok(socket)
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(CONTROL_LINE_MAX)).read_line(&mut line)?;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> Arc<Orders> {
        let (cordon_delay, drain_timeout) = (Duration::from_secs(3), Duration::from_secs(7));
        let (shards, standing) = (Vec::new(), Standing::default());
        Arc::new(Orders { shards, standing, cordon_delay, drain_timeout, turn: Mutex::new(()) })
    }

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ringway-control-{}-{name}", std::process::id()))
    }

    #[test]
    fn orders_are_carried_out_and_said() {
        let (path, orders) = (path("orders"), orders());
        let standing = orders.standing.clone();
        let socket = ControlSocket::listen(&path, orders).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for (order, said, fault) in [
            (Order::Cordon, "new clients are turned away in 3 s", Some("cordoned, takes no new clients")),
            (Order::Drain, "0 are closed within 7 s", Some("drained, takes no new clients")),
            (Order::Uncordon, "new clients are taken", None),
        ] {
            let answer = give(order, &path).unwrap();
            assert!(answer.contains(said) && !answer.contains('\n'), "{answer}");
            assert_eq!(standing.fault(), fault);
        }
        let mut stream = UnixStream::connect(&path).unwrap();
        writeln!(stream, "explode").unwrap();
        assert!(read_line(&stream).unwrap().starts_with("failed \"explode"));
        drop(socket);
        assert!(!path.exists());
        let why = give(Order::Drain, &path).unwrap_err();
        assert!(why.starts_with("no gateway listens at --control"), "{why}");
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let path = path("endless");
        let _socket = ControlSocket::listen(&path, orders()).unwrap();
        let mut stream = UnixStream::connect(&path).unwrap();
        let long = vec![b'x'; 1 << 20];
        // It may be closed before it has taken all.
        let _ = stream.write_all(&long);
        drop(stream);
        assert!(give(Order::Uncordon, &path).is_ok(), "it goes on");
    }

    #[test]
    fn what_is_left_over_is_replaced_and_what_lives_is_not() {
        let path = path("left");
        drop(UnixListener::bind(&path).unwrap());
        let socket = ControlSocket::listen(&path, orders()).unwrap();
        let why = ControlSocket::listen(&path, orders()).err().unwrap();
        assert!(why.contains("another gateway listens there") && !why.contains('\n'), "{why}");
        assert!(give(Order::Cordon, &path).is_ok(), "the first one has it");
        drop(socket);
        fs::write(&path, "somebody's").unwrap();
        let why = ControlSocket::listen(&path, orders()).err().unwrap();
        assert!(why.contains("no socket"), "{why}");
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
        fs::remove_file(&path).unwrap();
    }
}
