//! Owns the register's settings and every limit of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use argh::FromArgs;
use program::Refusal;
use protocol::InnerAuth;
use protocol::register::LINE_SIZE_MAX;
use tls::InnerTls;

/// What a register is started with, which are its flags.
#[derive(FromArgs, argh::ArgsInfo, Debug, Clone)]
#[argh(description = "What every register takes.")]
pub struct Config {
    /// where gateways and workers connect; port 0 takes a free one (default 127.0.0.1:1236)
    #[argh(
        option,
        arg_name = "HOST:PORT",
        default = "String::from(\"127.0.0.1:1236\")",
        from_str_fn(listen)
    )]
    pub listen: String,
    /// what they must know; without it all get in who send none (default: none)
    #[argh(option, arg_name = "K", default = "String::new()")]
    pub secret_key: String,
    /// file with that secret, alone on a line (default: none)
    #[argh(option, arg_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
    /// serve whoever comes to a public address, without a secret key
    #[argh(switch)]
    pub no_secret_key: bool,
    /// how it is shown: `plain`, said as it is, or `challenge`, proven (default plain)
    #[argh(option, arg_name = "A", default = "InnerAuth::default()")]
    pub inner_auth: InnerAuth,
    /// TLS between programs: who vouches for their certificates (PEM), none but the cluster's (default: plain TCP)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_ca: Option<PathBuf>,
    /// this program's own certificate for it (PEM, its own first; default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_cert: Option<PathBuf>,
    /// the certificate's key (PEM; default: none)
    #[argh(option, hidden_help, arg_name = "FILE")]
    pub inner_tls_key: Option<PathBuf>,
    /// how long a connection may stay without saying what it is (default 10)
    #[argh(option, arg_name = "SECONDS", default = "INTRODUCTION_TIMEOUT", from_str_fn(program::seconds))]
    pub introduction_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self::from_args(&["register"], &[]).expect("every flag has a default")
    }
}

impl Config {
    /// With the secret key that stands in its file, if it does.
    ///
    /// # Errors
    /// It is said, too; or the file has none. Or there is none to be proven.
    pub fn read_secret_key(mut self) -> Result<Config, Refusal> {
        let file = self.secret_key_file.take();
        self.secret_key = program::secret("secret-key", &self.secret_key, file.as_deref())?;
        self.inner_auth.check(&self.secret_key).map_err(Refusal::Usage)?;
        Ok(self)
    }

    /// The files that prove what belongs to the cluster, if there are to be any.
    ///
    /// # Errors
    /// Some are named, and some are not.
    pub fn inner_tls(&self) -> Result<Option<InnerTls>, Refusal> {
        let (ca, cert, key) =
            (self.inner_tls_ca.clone(), self.inner_tls_cert.clone(), self.inner_tls_key.clone());
        InnerTls::from_flags(ca, cert, key).map_err(Refusal::Usage)
    }

    /// Whoever comes to a public address can say that he is a gateway, and gets users; so somebody must mean it.
    pub(crate) fn check_is_closed(&self, addr: SocketAddr) -> Result<(), String> {
        let is_closed = !self.secret_key.is_empty() || self.inner_tls_ca.is_some();
        if !protocol::address::is_public(addr.ip()) || is_closed || self.no_secret_key {
            return Ok(());
        }
        Err(format!(
            "--listen {addr}: anybody there could come in; set --secret-key or --inner-tls-ca, or say --no-secret-key if a firewall is in front"
        ))
    }
}

fn listen(text: &str) -> Result<String, String> {
    Ok(protocol::address::register_listen(text)?.to_string())
}

/// A connection that has not said for this long after accept that it is a gateway or a worker is closed, whatever else it
/// said: pings alone must not hold a place (WIRE.md §2).
pub(crate) const INTRODUCTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A worker that takes not one byte of its list for this long is closed, so that a dead one does not hold its place.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections at a time: gateway shards, worker cores and clients that ask once. For one more the oldest that has not
/// said what it is goes; if all have, the new one is closed at accept.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;

/// Connections at a time that have not said what they are: as many as say so within the moment after a restart in which
/// all come at once. For one more the oldest of them goes, so that who speaks at once always gets in.
pub const STRANGERS_MAX: usize = 1_000;

/// The longest request in bytes, many times what a gateway sends. Beyond it the connection is closed.
pub const REQUEST_SIZE_MAX: usize = 4096;

/// The longest gateway address in bytes, enough for IPv6 in brackets with a port, and short host names.
pub(crate) const ADDRESS_SIZE_MAX: usize = 64;

/// Connections that the kernel completes ahead of accept, for the moment after a restart when all come at once. The
/// kernel lowers it to net.core.somaxconn.
pub(crate) const BACKLOG: i32 = 4096;

/// Sockets at a time: connections, and those that are being accepted or closed. Beyond, a connection is reset at accept
/// and counted as one too many. A lower limit of open files is the bound instead.
pub(crate) const SOCKETS_MAX: u32 = 11_000;

/// How long the sockets may take to close when the register stops, in ms. Then the end of the ring closes them.
pub(crate) const STOP_TIMEOUT_MS: u64 = 1_000;

/// How many bytes one read takes: a few requests. Each connection is read once a turn, so that a peer which never stops
/// sending leaves the thread to the others.
pub(crate) const READ_SIZE: usize = 1024;

/// How many connections are read in one turn; the others have theirs in the next.
pub(crate) const READ_BUFFERS: u16 = 64;

/// Idle seconds until the kernel probes whether a peer's machine is still there, between probes, and how many probes
/// go unanswered before the connection ends. A gateway that lost its power is off the list after a minute.
pub(crate) const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// See [`KEEPALIVE_IDLE`].
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// See [`KEEPALIVE_IDLE`].
pub(crate) const KEEPALIVE_PROBES: u32 = 3;

// The list of a full register is a line that readers take: three bytes for quotes and comma, 64 around the list.
const _: () = assert!(CONNECTIONS_MAX * (ADDRESS_SIZE_MAX + 3) + 64 <= LINE_SIZE_MAX);
const _: () = assert!(STRANGERS_MAX < CONNECTIONS_MAX);
const _: () = assert!(SOCKETS_MAX as usize == CONNECTIONS_MAX + 1_000);
const _: () = assert!(READ_SIZE <= REQUEST_SIZE_MAX && REQUEST_SIZE_MAX <= LINE_SIZE_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_flags_say_of_their_defaults_is_so() {
        program::check_defaults::<Config>();
    }

    #[test]
    fn a_public_address_needs_a_key_or_the_word_that_there_is_none() {
        let [public, own] = ["8.8.8.8:1236", "10.0.0.1:1236"].map(|addr| addr.parse().unwrap());
        let open = Config::default();
        assert!(open.check_is_closed(own).is_ok());
        assert!(open.check_is_closed(public).unwrap_err().starts_with("--listen 8.8.8.8:1236: "));
        assert!(Config { secret_key: "k".to_owned(), ..open.clone() }.check_is_closed(public).is_ok());
        assert!(
            Config { inner_tls_ca: Some("ca.pem".into()), ..open.clone() }.check_is_closed(public).is_ok()
        );
        assert!(Config { no_secret_key: true, ..open }.check_is_closed(public).is_ok());
    }
}
