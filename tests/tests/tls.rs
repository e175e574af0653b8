//! TLS end to end: other people's clients, certificates that change, and what a person is told who does it wrongly.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gateway_client::{Config, blocking};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair as Key};
use ringway_tests::client::{Framing, PlainClient, TlsClient};
use ringway_tests::process::Process;
use ringway_tests::sockets::await_keepalive;
use ringway_tests::status::counter;
use ringway_tests::wait::{LIMIT, wait_until};
use ringway_tests::{Clients as _, Cluster, Listen};
use rustix::process::Signal;
use tls::{Connector, InnerTls, KeyPair, Mutual, Session};

/// A certificate for `names` and its key, in files of this name.
fn certificate(name: &str, names: &[&str]) -> KeyPair {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files = KeyPair { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(&files.cert, made.cert.pem()).unwrap();
    fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    files
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A gateway with an echo worker, and where it listens.
struct Server {
    cluster: Cluster,
    wss: SocketAddr,
    text: SocketAddr,
    plain: SocketAddr,
}

impl Server {
    fn start(certificates: &[&KeyPair]) -> Server {
        Server::start_with(certificates, &[])
    }

    fn start_with(certificates: &[&KeyPair], more: &[&str]) -> Server {
        let mut flags = vec!["--listen", "wss://127.0.0.1:0", "--listen", "ssl+text://127.0.0.1:0"];
        for files in certificates {
            flags.extend(["--tls-cert", text(&files.cert), "--tls-key", text(&files.key)]);
        }
        flags.extend(more);
        let mut cluster =
            Cluster::builder().listen(&[Listen::Websocket]).gateway_flags(&flags).admin().start();
        let ready = cluster.gateway(0).stdout();
        let address = |scheme: &str| {
            let found =
                ready.split_whitespace().find_map(|word| word.strip_prefix(scheme)?.strip_prefix("://"));
            found.unwrap_or_else(|| panic!("no {scheme} in {ready}")).parse().unwrap()
        };
        let (wss, text) = (address("wss"), address("ssl+text"));
        let plain = cluster.address(0, Listen::Websocket);
        Server { cluster, wss, text, plain }
    }

    fn await_log(&mut self, words: &str) {
        wait_until(words, || self.cluster.gateway(0).stderr().contains(words).then_some(()));
    }
}

fn trusting(files: &KeyPair) -> Connector {
    Connector::trusting("--tls-ca", &files.cert).unwrap()
}

/// `openssl s_client`, or a word on why not.
fn openssl(address: SocketAddr, flags: &[&str]) -> Option<Child> {
    let child = Command::new("openssl")
        .args(["s_client", "-brief", "-ign_eof", "-verify_return_error", "-connect", &address.to_string()])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    if let Err(error) = &child {
        assert!(std::env::var_os("RINGWAY_NEED_OPENSSL").is_none(), "RINGWAY_NEED_OPENSSL=1, but {error}");
        eprintln!("SKIPPED: openssl does not start: {error} (RINGWAY_NEED_OPENSSL=1 demands it)");
    }
    child.ok()
}

/// Echoes a line; returns what openssl says of the session.
fn echo_by_openssl(mut child: Child) -> String {
    child.stdin.as_mut().unwrap().write_all(b"hello from openssl\n").unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    child.kill().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    assert_eq!(line, "hello from openssl\n", "{said}");
    said
}

#[test]
fn openssl_speaks_both_versions_and_gets_the_certificate_of_the_name() {
    let first = certificate("openssl-first", &["first.example"]);
    let second = certificate("openssl-second", &["*.second.example"]);
    let server = Server::start(&[&first, &second]);
    for (version, said_version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        for (name, files) in [("first.example", &first), ("a.second.example", &second)] {
            let flags =
                [version, "-servername", name, "-verify_hostname", name, "-CAfile", text(&files.cert)];
            let Some(child) = openssl(server.text, &flags) else { return };
            let said = echo_by_openssl(child);
            assert!(said.contains(said_version) && said.contains("Verification: OK"), "{said}");
        }
    }
    let flags = ["-servername", "first.example", "-CAfile", text(&second.cert)];
    let Some(child) = openssl(server.text, &flags) else { return };
    let refused = child.wait_with_output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("verify error"), "{refused:?}");
    server.cluster.stop();
}

#[test]
fn clients_show_a_certificate_where_one_is_wanted_and_may_name_http() {
    let files = certificate("wanted-server", &["localhost"]);
    // It vouches for itself.
    let own = certificate("wanted-client", &["device"]);
    let ca = ["--tls-client-ca", text(&own.cert)];
    let server = Server::start_with(&[&files], &ca);
    let trusted = ["-CAfile", text(&files.cert)];
    let shown = ["-cert", text(&own.cert), "-key", text(&own.key)];
    let Some(child) = openssl(server.text, &[&trusted[..], &shown].concat()) else { return };
    assert!(echo_by_openssl(child).contains("Verification: OK"));
    let Some(child) = openssl(server.text, &trusted) else { return };
    let refused = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("certificate required"), "{said}");
    let naming = [&trusted[..], &shown, &["-alpn", "h2,http/1.1"]].concat();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &server.wss.to_string()]).args(naming).stdin(Stdio::null());
    let said = command.output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    server.cluster.stop();
}

#[test]
fn pythons_websockets_echo_over_wss_plain_and_compressed() {
    const SCRIPT: &str = r#"
import asyncio, ssl, sys, websockets

async def main():
    context = ssl.create_default_context(cafile=sys.argv[2])
    for compression in [None, "deflate"]:
        how = {"ssl": context, "server_hostname": "localhost", "compression": compression}
        async with websockets.connect(sys.argv[1], **how) as client:
            assert bool(client.protocol.extensions) == bool(compression)
            for message in ["hello", "x" * 300_000, b"\xff\xfe", ""]:
                await client.send(message)
                assert await client.recv() == message
        print("closed with", client.close_code)

asyncio.run(main())
"#;
    let Some(python) = std::env::var_os("RINGWAY_PYTHON") else {
        return eprintln!(
            "SKIPPED: RINGWAY_PYTHON names no Python that has websockets; scripts/test has one"
        );
    };
    let files = certificate("python", &["localhost"]);
    let server = Server::start_with(&[&files], &["--compression"]);
    let url = format!("wss://{}", server.wss);
    let output = Command::new(python).args(["-c", SCRIPT, &url, text(&files.cert)]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "closed with 1000\n".repeat(2));
    assert_eq!(counter(server.cluster.admin_addresses()[1], "messages_compressed"), 1);
    server.cluster.stop();
}

#[test]
fn the_kernel_asks_clients_with_tls_whether_they_are_still_there() {
    let files = certificate("keepalive", &["localhost"]);
    let server = Server::start(&[&files]);
    let _client = TlsClient::connect(server.text, &trusting(&files)).unwrap();
    await_keepalive(server.text);
    server.cluster.stop();
}

#[test]
fn certificates_are_loaded_again_under_load_and_nobody_is_dropped() {
    let files = certificate("reload", &["localhost"]);
    let mut server = Server::start(&[&files]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|number| {
            let mut client = TlsClient::connect(server.text, &trusting(&files)).unwrap();
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    client.echo(&format!("{number} {count}"));
                    count += 1;
                }
                count
            })
        })
        .collect();
    let old = trusting(&files);
    let new = trusting(&certificate("reload", &["localhost"]));
    assert!(
        TlsClient::connect(server.text, &old).is_some() && TlsClient::connect(server.text, &new).is_none()
    );
    server.cluster.gateway(0).hang_up();
    wait_until("the new certificate", || TlsClient::connect(server.text, &new));
    assert!(TlsClient::connect(server.text, &old).is_none());
    fs::write(&files.key, "no key").unwrap();
    server.cluster.gateway(0).hang_up();
    server.await_log("reload.key: has no private key");
    server.await_log("the certificates from before stay");
    TlsClient::connect(server.text, &new).unwrap().echo("still");
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
    server.cluster.stop();
}

#[test]
fn who_speaks_tls_or_not_in_the_wrong_place_is_closed_logged_and_counted() {
    let mut server = Server::start(&[&certificate("wrong", &["localhost"])]);
    for address in [server.wss, server.text] {
        let mut plain = TcpStream::connect(address).unwrap();
        plain.set_read_timeout(Some(LIMIT)).unwrap();
        plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut answer = String::new();
        plain.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nThis is a TLS port: use https:// or wss://.\n"), "{answer}");
    }
    server.await_log("failed: the peer does not speak TLS");
    let (mut hello, mut answer) = (Vec::new(), Vec::new());
    let mut session = Connector::insecure().connect("localhost").unwrap();
    session.receive(&mut [], &mut Vec::new(), &mut hello).unwrap();
    let mut secured = TcpStream::connect(server.plain).unwrap();
    secured.write_all(&hello).unwrap();
    let _ = secured.read_to_end(&mut answer);
    let admin = server.cluster.admin_addresses()[1].to_string();
    let mut status = Process::start("status", "ringway", &["status".to_owned(), admin]);
    status.await_clean_exit();
    let table = status.stdout();
    assert!(table.contains("tls_handshakes_failed 2") && table.contains("tls_unexpected 1"), "{table}");
    server.await_log("client speaks TLS at");
    // One line of a kind is its share of ten seconds.
    let log = server.cluster.gateway(0).stderr();
    assert_eq!(log.matches("does not speak TLS").count(), 1, "{log}");
    assert_eq!(log.matches("client speaks TLS at").count(), 1, "{log}");
    server.cluster.stop();
}

#[test]
fn an_idle_client_costs_the_gateway_at_most_5_kb() {
    const CLIENTS: usize = 2_000;
    const BYTES_MAX: u64 = 5_000;
    program::raise_open_files();
    let mut server = Server::start(&[&certificate("memory", &["localhost"])]);
    let connector = Connector::insecure();
    let connect = |_| TlsClient::connect(server.text, &connector).unwrap();
    // What is there once for all is there with the first.
    let mut clients: Vec<TlsClient> = (0..50).map(connect).collect();
    let before = server.cluster.gateway(0).rss();
    clients.extend((0..CLIENTS).map(connect));
    clients.iter_mut().for_each(|client| client.echo("once"));
    let each = server.cluster.gateway(0).rss().saturating_sub(before) / CLIENTS as u64;
    println!("{each} bytes for each of {CLIENTS} clients with TLS");
    assert!(each <= BYTES_MAX, "{each}");
    server.cluster.stop();
}

#[test]
fn one_file_with_certificate_and_key_is_enough() {
    let files = certificate("one-file", &["localhost"]);
    let both = files.cert.with_extension("both.pem");
    let [cert, key] = [&files.cert, &files.key].map(|file| fs::read_to_string(file).unwrap());
    fs::write(&both, format!("{cert}{key}")).unwrap();
    let flags = ["--listen", "ssl+text://127.0.0.1:0", "--tls-cert", text(&both)];
    let mut cluster = Cluster::builder().gateway_flags(&flags).start();
    let ready = cluster.gateway(0).stdout();
    let address = ready.split_whitespace().find_map(|word| word.strip_prefix("ssl+text://")).unwrap();
    let connector = Connector::trusting("--tls-ca", &files.cert).unwrap();
    TlsClient::connect(address.parse().unwrap(), &connector).unwrap().echo("by one file");
    cluster.stop();
}

/// Starts a gateway that cannot; returns its only line.
fn refused(listen: &str, flags: &[&str], code: i32) -> String {
    let flags: Vec<String> =
        ["--listen", listen].iter().chain(flags).map(|flag| (*flag).to_owned()).collect();
    let mut gateway = Process::start("gateway", "gateway", &flags);
    assert_eq!(gateway.await_exit().code(), Some(code), "{}", gateway.output());
    let line = gateway.stderr();
    assert_eq!((line.lines().count(), gateway.stdout().as_str()), (1, ""), "{line}");
    line
}

#[test]
fn what_is_wrong_at_start_is_one_line() {
    let (good, other) = (certificate("start", &["localhost"]), certificate("start-other", &["localhost"]));
    let (cert, key) = (text(&good.cert), text(&good.key));
    let missing = PathBuf::from("missing.pem");
    for (listen, flags, code, words) in [
        ("wss://127.0.0.1:0", &[][..], 2, "needs --tls-cert"),
        ("ws://127.0.0.1:0", &["--inner-tls-ca", cert], 2, "all three of --inner-tls-…, or none"),
        ("wss://127.0.0.1:0", &["--tls-key", key], 2, "each certificate needs its key"),
        ("wss://127.0.0.1:0", &["--tls-cert", cert], 1, "--tls-key names the file that has it"),
        ("ws://127.0.0.1:0", &["--tls-cert", cert, "--tls-key", key], 2, "no --listen with TLS"),
        (
            "ssl+tcp://127.0.0.1:0",
            &["--tls-cert", text(&missing), "--tls-key", key],
            1,
            "--tls-cert missing.pem: No such file",
        ),
        ("ssl+frame://127.0.0.1:0", &["--tls-cert", key, "--tls-key", key], 1, "has no certificate"),
        (
            "wss://127.0.0.1:0",
            &["--tls-cert", cert, "--tls-key", text(&other.key)],
            1,
            "is not the key of the certificate",
        ),
    ] {
        let line = refused(listen, flags, code);
        assert!(line.contains(words), "{line}");
    }
}

/// A program's files, of an authority that vouches for it alone; the other programs of its cluster have the same.
fn inner_tls(name: &str) -> InnerTls {
    let file = |end: &str| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.{end}"));
    let files = InnerTls { ca: file("ca"), cert: file("pem"), key: file("key") };
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = Key::generate().unwrap();
    fs::write(&files.ca, params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    let key = Key::generate().unwrap();
    let signed = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    fs::write(&files.cert, signed.pem()).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    files
}

fn inner_flags(files: &InnerTls) -> [&str; 6] {
    let InnerTls { ca, cert, key } = files;
    ["--inner-tls-ca", text(ca), "--inner-tls-cert", text(cert), "--inner-tls-key", text(key)]
}

/// What a stranger at a port of programs hears beside TLS: nothing, whether it says `first` or a handshake and then `first` in TLS.
fn assert_told_nothing(address: SocketAddr, session: Option<Session>, first: &[u8]) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let Some(mut session) = session else {
        // It may be closed while this is still said.
        let _ = stream.write_all(first);
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard);
        // Of TLS that is none there is an alert at most.
        assert!(heard.is_empty() || heard.starts_with(&[21, 3, 3]), "{heard:?}");
        return;
    };
    let (mut out, mut plain, mut has_spoken) = (Vec::new(), Vec::new(), false);
    let mut received = Vec::new();
    loop {
        let result = session.receive(&mut received, &mut plain, &mut out);
        if session.is_open() && !std::mem::replace(&mut has_spoken, true) {
            session.seal(first, &mut out).unwrap();
        }
        let _ = stream.write_all(&std::mem::take(&mut out));
        received.resize(4096, 0);
        match stream.read(&mut received) {
            Ok(size) if size > 0 && result.is_ok() => received.truncate(size),
            _ => break,
        }
    }
    assert!(plain.is_empty(), "{plain:?}");
}

/// Everybody who has no right to speak to the programs, one after the other, at a port of theirs.
fn besiege(address: SocketAddr, first: &[u8], foreign: &Mutual) {
    let bare = Connector::insecure().connect("localhost").unwrap();
    for session in [bare, foreign.connect()] {
        assert_told_nothing(address, Some(session), first);
    }
    for said in [first, &[b'x'; 65_536], &[&[22, 3, 1, 64, 0][..], &[0xaa; 65_536]].concat()] {
        assert_told_nothing(address, None, said);
    }
}

/// A gateway and a worker in one process, which join a cluster.
fn start_embedded(register: &str, flags: &[&str]) -> Process {
    let own = ["--register-address", register, "--page", "127.0.0.1:0", "--app", "echo", "--count", "1"];
    let listen = ["--listen", "websocket://127.0.0.1:0"];
    let flags: Vec<String> = [&own, &listen[..], flags].concat().into_iter().map(str::to_owned).collect();
    let embedded = Process::start("ringway", "ringway", &flags);
    embedded.await_ready("ringway");
    embedded
}

#[test]
fn the_commands_of_the_guide_make_what_programs_take() {
    let guide = include_str!("../../docs/OPERATIONS.md");
    let (_, behind) = guide.split_once("An authority and a certificate, with openssl:\n\n").unwrap();
    let commands: Vec<&str> = behind.lines().map_while(|line| line.strip_prefix("    ")).collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("inner-guide");
    fs::create_dir_all(&place).unwrap();
    let ran = Command::new("sh").args(["-ec", &commands.join("\n")]).current_dir(&place).output().unwrap();
    if ran.status.code() == Some(127) {
        assert!(std::env::var_os("RINGWAY_NEED_OPENSSL").is_none(), "RINGWAY_NEED_OPENSSL=1, but {ran:?}");
        return eprintln!("SKIPPED: there is no openssl (RINGWAY_NEED_OPENSSL=1 demands it)");
    }
    assert!(ran.status.success(), "{ran:?}");
    let [ca, cert, key] = ["ca.pem", "program.pem", "program.key"].map(|file| place.join(file));
    Mutual::load(&InnerTls { ca, cert, key }).unwrap();
}

#[test]
fn programs_with_certificates_of_one_authority_are_a_cluster_and_others_get_nothing() {
    let (ours, foreign) = (inner_tls("inner-ours"), inner_tls("inner-foreign"));
    let flags = inner_flags(&ours);
    let mut cluster = Cluster::builder().gateways(2).listen(&[Listen::Text]).flags(&flags).admin().start();
    let register = cluster.register_address().to_string();
    let mut embedded = start_embedded(&register, &flags);
    cluster.await_links(0, 0, 2);
    cluster.await_links(1, 0, 2);

    let mut clients = [cluster.plain(0, Framing::Text), cluster.plain(1, Framing::Text)];
    clients.iter_mut().for_each(|client| client.echo(b"within"));
    // More than one record, and more than a socket takes at once.
    clients[0].echo(&vec![b'l'; 1_000_000]);
    let config = Config {
        register_addresses: vec![register.clone()],
        inner_tls: Some(ours.clone()),
        ..Config::default()
    };
    let api = blocking::Client::connect(config.clone()).unwrap();
    assert!(api.send_to_all("to all").is_complete());
    for client in &mut clients {
        assert_eq!(client.receive().as_deref(), Some(&b"to all"[..]));
    }
    let count = api.client_count();
    assert!(count.value == 2 && count.missing.is_empty(), "{count:?}");

    // One that stalls holds its place while all else goes on.
    let inner = SocketAddr::from(cluster.inner_address(0, 0));
    let mut stalled = TcpStream::connect(inner).unwrap();
    stalled.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    let foreign = Mutual::load(&foreign).unwrap();
    // GATEWAY_CLIENT_CONNECT without a key, and what asks a register for its list.
    let connect = [&28_u32.to_be_bytes()[..], &[202], &[0; 23]].concat();
    besiege(inner, &connect, &foreign);
    besiege(
        cluster.register_address().into(),
        b"{\"event\":\"worker_connect\",\"secret_key\":\"\"}\n",
        &foreign,
    );
    let admin = cluster.admin_addresses();
    assert_eq!((counter(admin[1], "links_without_tls"), counter(admin[1], "links_tls_failed")), (2, 3));
    assert_eq!((counter(admin[0], "refused_without_tls"), counter(admin[0], "refused_tls_failed")), (2, 3));
    assert!(cluster.gateway(0).stderr().contains("speaks no TLS: give it --inner-tls-ca"));
    let plain = Config { inner_tls: None, ..config };
    assert!(blocking::Client::connect(plain).is_err());
    clients[0].echo(b"as before");

    // Certificates are renewed, the worker is replaced, and a gateway dies.
    cluster.gateway(0).hang_up();
    wait_until("the certificate", || {
        cluster.gateway(0).stderr().contains("certificates for other programs loaded again").then_some(())
    });
    cluster.worker(0).signal(Signal::USR1);
    wait_until("the successor", || cluster.worker_log(0).contains("the old worker process").then_some(()));
    clients.iter_mut().for_each(|client| client.echo(b"by another"));
    cluster.kill_gateway(1);
    cluster.start_gateway(1);
    cluster.await_links(1, 0, 2);
    clients[0].echo(b"one is left");
    PlainClient::connect(cluster.address(1, Listen::Text), Framing::Text).echo(b"and one is back");
    stalled.set_nonblocking(true).unwrap();
    let heard = stalled.read(&mut [0; 64]);
    assert!(
        matches!(&heard, Ok(0)) || heard.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    );
    embedded.stop();
    cluster.stop();
}
