//! Tokens end to end: made by openssl and Python, shown by a browser's library, renewed, and expired.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ringway_tests::client::websocket::{Event, WebsocketClient};
use ringway_tests::process::Process;
use ringway_tests::wait::wait_until;
use ringway_tests::{Cluster, Listen, app};

/// A gateway, a register and the worker of tests, which greets who has a token.
struct Server {
    cluster: Cluster,
    worker: Process,
}

impl Server {
    fn start(flags: &[&str]) -> Server {
        let flags = [&["--jwt-bind-sub"], flags].concat();
        let cluster =
            Cluster::builder().workers(0).listen(&[Listen::Websocket]).gateway_flags(&flags).start();
        let worker = app::start(&cluster, 1);
        Server { cluster, worker }
    }

    /// Connects by this token and is greeted.
    fn greeted(&self, token: &str, name: &str) -> WebsocketClient {
        let address = self.cluster.address(0, Listen::Websocket);
        let mut client = WebsocketClient::connect_to(address, &format!("/?token={token}"), &[]);
        client.expect(&Event::text(format!("hello, {name}")));
        client
    }

    /// What a request with this target is answered.
    fn answer(&self, target: &str) -> String {
        let mut client = WebsocketClient::connect_silently(self.cluster.address(0, Listen::Websocket));
        let fixed = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        client.send_bytes(format!("GET {target} HTTP/1.1\r\n{fixed}\r\n\r\n").as_bytes());
        client.read_response().unwrap()
    }

    fn stop(mut self) {
        self.worker.terminate();
        self.worker.await_clean_exit();
        self.cluster.stop();
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("jwt-{name}"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What a program says when it is given `input`; `None`: there is no such program, and none is demanded.
fn said(program: &str, args: &[&str], input: &[u8], demand: &str) -> Option<Vec<u8>> {
    let piped = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = match piped {
        Ok(child) => child,
        Err(error) => {
            assert!(std::env::var_os(demand).is_none(), "{program} does not start: {error}");
            eprintln!("SKIPPED: {program} does not start: {error} ({demand}=1 demands it)");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {args:?}");
    Some(output.stdout)
}

fn openssl(args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    said("openssl", args, input, "RINGWAY_NEED_OPENSSL")
}

fn base64(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8(openssl(&["base64", "-A"], bytes)?).unwrap();
    Some(text.replace('+', "-").replace('/', "_").trim_end_matches('=').to_owned())
}

/// A token signed by a private key in a file, or for HS256 by a secret.
fn token(algorithm: &str, sign: &[&str], claims: &str) -> Option<String> {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#);
    let message = format!("{}.{}", base64(header.as_bytes())?, base64(claims.as_bytes())?);
    let path = file("message");
    fs::write(&path, &message).unwrap();
    let signature = openssl(&[sign, &[text(&path)]].concat(), b"")?;
    Some(format!("{message}.{}", base64(&signature)?))
}

fn now_s() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

#[test]
fn tokens_of_openssl_let_in_until_they_expire_and_keys_are_renewed() {
    let (private, public) = (file("rsa.key"), file("rsa.pem"));
    let key = ["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", text(&private)];
    if openssl(&key, b"").is_none() {
        return;
    }
    openssl(&["pkey", "-in", text(&private), "-pubout", "-out", text(&public)], b"").unwrap();
    let mut server = Server::start(&["--jwt-key", text(&public), "--jwt-issuer", "login"]);
    let rs256 = ["dgst", "-sha256", "-sign", text(&private)];
    let long = format!(r#"{{"sub":"ann","iss":"login","exp":{}}}"#, now_s() + 600);
    let good = token("RS256", &rs256, &long).unwrap();
    let mut stays = server.greeted(&good, "ann");
    // The leeway is all that is left of this one.
    let ends = format!(r#"{{"sub":"bob","iss":"login","exp":{}}}"#, now_s() - 5);
    let mut leaves = server.greeted(&token("RS256", &rs256, &ends).unwrap(), "bob");
    leaves.expect(&Event::Close(Some(4401)));

    let foreign = token("RS256", &rs256, &long.replace("login", "other")).unwrap();
    // The key that everybody may know is no secret.
    let hexkey = fs::read(&public).unwrap().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let hmac = ["dgst", "-sha256", "-binary", "-mac", "HMAC", "-macopt", &format!("hexkey:{hexkey}")];
    let confused = token("HS256", &hmac, &long).unwrap();
    for refused in ["/".to_owned(), format!("/?token={foreign}"), format!("/?token={confused}")] {
        assert!(server.answer(&refused).starts_with("HTTP/1.1 401 "), "{refused}");
    }

    fs::write(&public, "0123456789abcdef0123456789abcdef\n").unwrap();
    server.cluster.gateway(0).hang_up();
    wait_until("the keys", || {
        server.cluster.gateway(0).stderr().contains("keys of tokens loaded again").then_some(())
    });
    assert!(server.answer(&format!("/?token={good}")).starts_with("HTTP/1.1 401 "));
    let hmac = ["dgst", "-sha256", "-binary", "-hmac", "0123456789abcdef0123456789abcdef"];
    server.greeted(&token("HS256", &hmac, &long.replace("ann", "eve")).unwrap(), "eve");
    stays.echo("is let in for as long as it was said");
    let log = server.cluster.gateway(0).stderr();
    assert!(!log.contains(&good) && !log.contains(&foreign) && !log.contains("eyJ"), "{log}");
    server.stop();
}

/// Chrome's way among them: a page can say a token as a subprotocol, and wants one of those that it offered in the answer.
#[test]
fn pythons_websockets_comes_in_by_every_way() {
    const SCRIPT: &str = r#"
import asyncio, base64, hashlib, hmac, json, sys, time, websockets

def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")

def token(secret):
    message = part(b'{"alg":"HS256","kid":"now"}') + b"." + part(json.dumps({"sub": "ann", "exp": time.time() + 60}).encode())
    return (message + b"." + part(hmac.digest(secret, message, hashlib.sha256))).decode()

async def greeted(url, **how):
    async with websockets.connect(url, **how) as client:
        assert await client.recv() == "hello, ann"
        return client.subprotocol

async def main():
    url, good = sys.argv[1], token(sys.argv[2].encode())
    assert await greeted(f"{url}/?token={good}") is None
    assert await greeted(url, additional_headers={"Authorization": f"Bearer {good}"}) is None
    assert await greeted(url, additional_headers={"Cookie": f"a=b; session={good}"}) is None
    assert await greeted(url, subprotocols=["bearer", good]) == "bearer"
    assert await greeted(url, subprotocols=["chat", "bearer", good]) == "chat"
    try:
        await greeted(f"{url}/?token={token(b'another')}")
    except websockets.exceptions.InvalidStatus as error:
        print(error.response.status_code, error.response.headers["WWW-Authenticate"])

asyncio.run(main())
"#;
    let Some(python) = std::env::var_os("RINGWAY_PYTHON") else {
        return eprintln!(
            "SKIPPED: RINGWAY_PYTHON names no Python that has websockets; scripts/test has one"
        );
    };
    let (keys, secret) = (file("keys.json"), "an HS256 secret has 32 bytes or more");
    let Some(k) = base64(secret.as_bytes()) else { return };
    fs::write(&keys, format!(r#"{{"keys":[{{"kty":"oct","kid":"now","k":"{k}"}}]}}"#)).unwrap();
    let from = "header,query:token,cookie:session,subprotocol";
    let server = Server::start(&["--jwt-key", text(&keys), "--jwt-from", from, "--subprotocol", "chat"]);
    let url = format!("ws://{}", server.cluster.address(0, Listen::Websocket));
    let output = Command::new(python).args(["-c", SCRIPT, &url, secret]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "401 Bearer error=\"invalid_token\"\n");
    server.stop();
}
