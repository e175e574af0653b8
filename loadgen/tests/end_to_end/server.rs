//! Servers of one thread per connection. They end with the test's process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use protocol::client::frame::Frame;
use protocol::client::tcp::Tcp;
use protocol::client::text::Text;
use protocol::client::websocket::Websocket;
use protocol::client::{Decoded, Limits, Protocol};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A listener whose connections `serve` gets, each on a thread of its own.
pub(crate) fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (serve, stream) = (Arc::clone(&serve), stream.unwrap());
            stream.set_nodelay(true).unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// What a server does with a message: appends what it answers.
pub(crate) type Answer = dyn Fn(&dyn Protocol, &[u8], &mut Vec<u8>) + Send + Sync;

/// A protocol by its scheme.
pub(crate) fn protocol(scheme: &str) -> Box<dyn Protocol> {
    match scheme {
        "ws" => Box::new(Websocket::default()),
        "text" => Box::new(Text),
        "frame" => Box::new(Frame),
        "tcp" => Box::new(Tcp),
        _ => panic!("no protocol {scheme}"),
    }
}

/// A server of a protocol that answers what comes with `answer`.
pub(crate) fn answering(scheme: &'static str, answer: &'static Answer) -> SocketAddr {
    listen(move |stream| serve(stream, &*protocol(scheme), &[], answer))
}

/// A server that echoes.
pub(crate) fn echo(scheme: &'static str) -> SocketAddr {
    answering(scheme, &|protocol, body, out| protocol.encode(body, Default::default(), out))
}

/// Serves a connection to its end; `hello` is sent first, behind the handshake if there is one.
pub(crate) fn serve(mut stream: impl Read + Write, protocol: &dyn Protocol, hello: &[u8], answer: &Answer) {
    let (mut codec, mut input, mut out) = (protocol.codec(), Vec::new(), Vec::new());
    let mut hello = Some(hello);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        loop {
            if let Some(hello) = hello.take_if(|_| codec.is_open()) {
                out.extend_from_slice(hello);
            }
            let mut answers = Vec::new();
            let consumed = match codec.decode(&LIMITS, &mut input, &mut out) {
                Decoded::NeedMore { consumed } => {
                    input.drain(..consumed);
                    break;
                }
                Decoded::Message { consumed, body, .. } => {
                    answer(protocol, body, &mut answers);
                    consumed
                }
                Decoded::Handshake { consumed, request } => {
                    request.accept(&[], &mut answers);
                    consumed
                }
                Decoded::Deflated { .. } | Decoded::Close { .. } | Decoded::Malformed(_) => return,
            };
            out.extend_from_slice(&answers);
            input.drain(..consumed);
        }
        if stream.write_all(&out).is_err() {
            return;
        }
        out.clear();
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(size) => input.extend_from_slice(&buffer[..size]),
        }
    }
}

/// A server that echoes within TLS, and a file with its certificate, which is for `localhost`.
pub(crate) fn secure_echo(scheme: &'static str) -> (SocketAddr, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let address = listen(move |stream| {
        let secured = StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
        serve(secured, &*protocol(scheme), &[], &|protocol, body, out| {
            protocol.encode(body, Default::default(), out);
        });
    });
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.pem", address.port()));
    std::fs::write(&file, made.cert.pem()).unwrap();
    (address, file)
}

const LIMITS: Limits = Limits::new(16 << 20);
