//! nginx and haproxy in front of a gateway, as operators put them there, each with one thread.
//!
//! Needs Debian's nginx-light with libnginx-mod-stream, and haproxy. Without them tests that ask for one say so and pass, unless the environment has
//! `RINGWAY_NEED_PROXIES=1`.

use std::io::Write as _;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::loopback::own_address;
use crate::process::Process;
use crate::wait::wait_until;

/// What a proxy stands between.
#[derive(Clone, Copy, Debug)]
pub struct Between<'a> {
    /// Certificate and key of the proxy, in one file, if its clients have TLS: version 1.3, with one cipher suite and one curve,
    /// those that rustls would choose.
    pub certificate: Option<&'a Path>,
    /// A gateway's websocket listener.
    pub gateway: SocketAddr,
    /// Whether the proxy speaks TLS to that one.
    pub gateway_tls: bool,
    /// What the gateway is told of clients.
    pub tells: Tells,
}

/// What a gateway hears from a proxy of its clients. If anything, the proxy connects to it from its own address, which no client
/// has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tells {
    /// Nothing.
    #[default]
    Nothing,
    /// Their addresses, by X-Forwarded-For; nginx adds X-Real-IP and Forwarded.
    Headers,
    /// The same by the PROXY protocol, version 1. The proxy passes on bytes, whatever they are.
    ProxyV1,
    /// By version 2, which nginx does not have.
    ProxyV2,
}

impl Tells {
    /// Whether the proxy passes on bytes, and not requests.
    fn passes_bytes(self) -> bool {
        matches!(self, Tells::ProxyV1 | Tells::ProxyV2)
    }
}

/// Which proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// nginx with `proxy_pass`.
    Nginx,
    /// haproxy, in HTTP mode unless it passes on bytes.
    Haproxy,
}

/// A proxy that runs in the foreground, with a configuration of its own. Dropped, it is killed.
#[derive(Debug)]
pub struct Proxy {
    // Killed before its folder goes.
    process: Process,
    address: SocketAddrV4,
    _folder: Folder,
}

/// A folder that goes with its value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of it does no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Proxy {
    /// Starts one; none if there is no such proxy here and none is demanded.
    pub fn start(kind: Kind, between: Between<'_>) -> Option<Proxy> {
        let program = kind.find()?;
        let address = SocketAddrV4::new(own_address(), PORT);
        let folder = Folder(std::env::temp_dir().join(format!("ringway-proxy-{}", address.ip())));
        std::fs::create_dir_all(&folder.0).expect("the folder for temporary files can be written to");
        let config = folder.0.join("proxy.conf");
        let text = match kind {
            Kind::Nginx if between.tells.passes_bytes() => nginx_stream_config(&folder.0, address, between),
            Kind::Nginx => nginx_config(&folder.0, address, between),
            Kind::Haproxy => haproxy_config(address, between),
        };
        std::fs::write(&config, text).expect("so can what was made in it");
        let mut command = Command::new(program);
        match kind {
            Kind::Nginx => command.arg("-p").arg(&folder.0).args(["-e", "stderr", "-c"]).arg(&config),
            Kind::Haproxy => command.args(["-db", "-f"]).arg(&config),
        };
        let mut process = Process::spawn(kind.program(), command);
        wait_until("the proxy to serve", || {
            assert!(process.is_running(), "the proxy has ended\n{}", process.output());
            TcpStream::connect(address).ok()
        });
        Some(Proxy { process, address, _folder: folder })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address.into()
    }
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
        }
    }

    /// Where it is, if it is here; it has to be if it is demanded. Servers are not in the `PATH` of everybody.
    pub fn find(self) -> Option<PathBuf> {
        let (name, path) = (self.program(), std::env::var_os("PATH").unwrap_or_default());
        let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
        let found = folders.map(|folder| folder.join(name)).find(|path| Path::is_file(path));
        if found.is_none() {
            let needed = std::env::var_os("RINGWAY_NEED_PROXIES").is_some_and(|value| value == "1");
            assert!(!needed, "RINGWAY_NEED_PROXIES=1, but {name} is not here");
            // Not by a macro, whose output cargo hides when a test passes.
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: no {name} here (RINGWAY_NEED_PROXIES=1 demands it)");
        }
        found
    }
}

fn nginx_config(folder: &Path, address: SocketAddrV4, between: Between<'_>) -> String {
    let Between { certificate, gateway, gateway_tls, tells } = between;
    let told = match tells {
        Tells::Headers => format!(
            "proxy_bind {};
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header Forwarded \"$http_forwarded, for=$remote_addr\";",
            address.ip()
        ),
        _ => String::new(),
    };
    let (folder, scheme) = (folder.display(), if gateway_tls { "https" } else { "http" });
    let (ssl, tls) = certificate.map_or_else(Default::default, |file| {
        let file = file.display();
        let settings = format!(
            "ssl_certificate {file}; ssl_certificate_key {file}; ssl_protocols TLSv1.3; ssl_ecdh_curve {CURVE};
        ssl_conf_command Ciphersuites {CIPHER_SUITE};"
        );
        ("ssl", settings)
    });
    format!(
        "daemon off; master_process off; pid {folder}/pid;
events {{ worker_connections {CONNECTIONS_MAX}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen {address} {ssl} backlog=4096;
        {tls}
        location / {{
            proxy_pass {scheme}://{gateway};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            {told}
        }}
    }}
}}
"
    )
}

fn nginx_stream_config(folder: &Path, address: SocketAddrV4, between: Between<'_>) -> String {
    let Between { gateway, tells, .. } = between;
    assert_eq!(tells, Tells::ProxyV1, "nginx knows no other");
    let (folder, ip) = (folder.display(), address.ip());
    // Where it is no part of the program.
    let module = if Path::new(STREAM_MODULE).exists() {
        format!("load_module {STREAM_MODULE};")
    } else {
        String::new()
    };
    format!(
        "{module}
daemon off; master_process off; pid {folder}/pid;
events {{ worker_connections {CONNECTIONS_MAX}; }}
stream {{
    server {{
        listen {address} backlog=4096;
        proxy_bind {ip};
        proxy_pass {gateway};
        proxy_protocol on;
    }}
}}
"
    )
}

fn haproxy_config(address: SocketAddrV4, between: Between<'_>) -> String {
    let Between { certificate, gateway, gateway_tls, tells } = between;
    let ip = address.ip();
    let mode = match tells {
        Tells::Nothing => "http",
        Tells::Headers => "http\n    option forwardfor",
        Tells::ProxyV1 | Tells::ProxyV2 => "tcp",
    };
    let told = match tells {
        Tells::Nothing => String::new(),
        Tells::Headers => format!("source {ip}"),
        Tells::ProxyV1 => format!("source {ip} send-proxy"),
        Tells::ProxyV2 => format!("source {ip} send-proxy-v2"),
    };
    let tls = certificate.map_or_else(String::new, |file| {
        let file = file.display();
        format!("ssl crt {file} ssl-min-ver TLSv1.3 ciphersuites {CIPHER_SUITE} curves {CURVE}")
    });
    let gateway_tls = if gateway_tls { "ssl verify none" } else { "" };
    format!(
        "global
    maxconn {CONNECTIONS_MAX}
    nbthread 1
defaults
    mode {mode}
    timeout connect 30s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend clients
    bind {address} {tls}
    default_backend gateways
backend gateways
    server gateway {gateway} {gateway_tls} {told}
"
    )
}

/// The proxy's address is its own, so its port is free.
const PORT: u16 = 8080;

/// Connections of a proxy: two for each client.
const CONNECTIONS_MAX: u32 = 4096;

/// Where Debian has what makes nginx pass on bytes.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// What rustls would choose (RFC 8446 §B.4, RFC 7748).
const CIPHER_SUITE: &str = "TLS_AES_256_GCM_SHA384";
const CURVE: &str = "X25519";
