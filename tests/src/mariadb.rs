//! A MariaDB server for one test: its own data, its own address.
//!
//! Needs Debian's mariadb-server-core and mariadb-client-core, which start no server of their own. Without them tests
//! that ask for one say so and pass, unless the environment has `RINGWAY_NEED_MARIADB=1`.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::own_address;
use crate::process::Process;
use crate::wait::{LIMIT, wait_until};

/// A server with the database `DATABASE`, and a user who may do anything in it. Dropped, it is killed and its data
/// removed.
#[derive(Debug)]
pub struct MariaDb {
    server: Option<Process>,
    ip: Ipv4Addr,
    folder: Folder,
}

/// A folder that goes with its value.
#[derive(Debug)]
struct Folder(PathBuf);

impl MariaDb {
    /// A new, empty one that serves; none if there is no MariaDB here and none is demanded.
    pub fn start() -> Option<MariaDb> {
        let programs = [find("mariadb-install-db"), find("mariadbd")];
        if programs.iter().any(Option::is_none) {
            let needed = std::env::var_os("RINGWAY_NEED_MARIADB").is_some_and(|value| value == "1");
            assert!(!needed, "RINGWAY_NEED_MARIADB=1, but mariadb-install-db and mariadbd are not both here");
            // Not by a macro, whose output cargo hides when a test passes.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: no MariaDB here (RINGWAY_NEED_MARIADB=1 demands it)");
            return None;
        }
        let ip = own_address();
        let folder = Folder(std::env::temp_dir().join(format!("ringway-mariadb-{ip}")));
        std::fs::create_dir_all(&folder.0).expect("the folder for temporary files can be written to");
        std::fs::write(folder.0.join(INIT), SETUP).expect("so can what was made in it");
        let mut server = MariaDb { server: None, ip, folder };
        server.install();
        server.start_again();
        Some(server)
    }

    /// `mysql://user:password@host:port/database`
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@{}/{DATABASE}", self.address())
    }

    /// Starts the server once it has ended, with the data it had, and waits until it serves.
    pub fn start_again(&mut self) {
        self.server = None;
        let mut command = self.command("mariadbd");
        command.args([format!("--bind-address={}", self.ip), format!("--port={PORT}")]);
        command.arg(self.option("socket", "socket")).arg(self.option("pid-file", "pid"));
        command.arg(self.option("init-file", INIT));
        // Not on a database's own durability depends what is tested here.
        command.args(["--innodb-flush-log-at-trx-commit=2", "--skip-log-bin", "--performance-schema=OFF"]);
        let mut server = Process::spawn("mariadbd", command);
        wait_until("MariaDB to serve", || {
            assert!(server.is_running(), "MariaDB has ended\n{}", server.output());
            greets(self.address()).then_some(())
        });
        self.server = Some(server);
    }

    /// Kills the server without a word to its clients.
    pub fn kill(&mut self) {
        self.server.as_mut().expect("it was started").kill();
    }

    fn address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.ip, PORT)
    }

    /// Makes the tables that hold users and rights.
    fn install(&self) {
        let mut command = self.command("mariadb-install-db");
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]);
        let mut process = Process::spawn("mariadb-install-db", command);
        process.await_clean_exit();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("it was found before"));
        command.current_dir(&self.folder.0).stdin(Stdio::null());
        // A server that starts removes all temporary tables where it keeps its own, also those that another one has open,
        // which then crashes.
        command.env("TMPDIR", &self.folder.0);
        // This must be the first; then no file of this machine changes what is tested.
        command.arg("--no-defaults").arg(self.option("datadir", "data"));
        command.args(["--skip-name-resolve", "--innodb-use-native-aio=OFF"]);
        command.args(["--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M"]);
        if rustix::process::geteuid().is_root() {
            // Without it, it does not run as root.
            command.arg("--user=root");
        }
        command
    }

    fn option(&self, name: &str, file: &str) -> String {
        format!("--{name}={}", self.folder.0.join(file).display())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Where a program is. Servers are not in the `PATH` of everybody.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| Path::is_file(path))
}

/// Whether a server says the first word: it does so only when it is set up.
fn greets(address: SocketAddrV4) -> bool {
    TcpStream::connect(address).is_ok_and(|mut stream| {
        let _ = stream.set_read_timeout(Some(LIMIT));
        stream.read(&mut [0; 1]).is_ok_and(|size| size > 0)
    })
}

/// The server's address is its own, so its port is free.
const PORT: u16 = 3306;
/// The database that is there.
const DATABASE: &str = "chat";
const USER: &str = "chat";
const PASSWORD: &str = "secret";
/// What the server does at each start, before it serves.
const INIT: &str = "init.sql";
const SETUP: &str = "CREATE DATABASE IF NOT EXISTS chat;
CREATE USER IF NOT EXISTS 'chat'@'%' IDENTIFIED BY 'secret';
GRANT ALL ON chat.* TO 'chat'@'%';
";
