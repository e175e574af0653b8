//! A gateway of one's own: websocket clients must name a token, and devices speak a protocol of theirs.
//!
//! `cargo run -p ringway-gateway-core --example own_gateway`, beside a register and a worker.

mod json_frames;

use std::sync::Arc;

use gateway_core::protocol::client::websocket::Request;
use gateway_core::{ClientInfo, Gateway, Handshake, Hooks, HooksFactory, Listen, ListenProtocol, Settings};

struct TokenHolders;

impl Hooks for TokenHolders {
    fn on_websocket_connect(&mut self, _client: &ClientInfo, request: &Request<'_>) -> Handshake {
        match request.query() {
            b"token=open-sesame" => Handshake::Accept { headers: vec!["X-Greeting: welcome".into()] },
            _ => Handshake::Refuse { status: 403 },
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let devices = Listen {
        address: "127.0.0.1:8300".parse()?,
        protocol: ListenProtocol::Custom(Arc::new(json_frames::JsonFrames)),
        tls: false,
    };
    let gateway = Gateway::start(Settings {
        listen: vec!["websocket://127.0.0.1:8282".parse()?, devices],
        hooks: HooksFactory::new(|| TokenHolders),
        ..Settings::default()
    })?;
    println!("websocket on {}, devices on {}; Enter ends it", gateway.listen()[0], gateway.listen()[1]);
    std::io::stdin().read_line(&mut String::new())?;
    gateway.stop();
    Ok(())
}
