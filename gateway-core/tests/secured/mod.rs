//! Clients with TLS beside a fake ring.

#![allow(dead_code, reason = "each test file uses its part")]

use std::fs;
use std::path::Path;

use gateway_core::Settings;
use gateway_core::tls::{Acceptor, Connector, KeyPair, Session};

use crate::world::{World, listen};

/// A client's side of TLS.
pub(crate) struct Secured {
    pub peer: usize,
    pub session: Session,
    pub got: Vec<u8>,
}

impl Secured {
    pub(crate) fn connect(world: &mut World, listener: u8) -> Secured {
        let session = Connector::insecure().connect("localhost").expect("localhost is a name");
        let mut client = Secured { peer: world.client(listener), session, got: Vec::new() };
        let mut hello = Vec::new();
        client.session.receive(&mut [], &mut Vec::new(), &mut hello).expect("a hello is no failure");
        world.say(client.peer, &hello);
        client.hear(world);
        assert!(client.session.is_open());
        client
    }

    /// Takes what the shard has sent, and answers what TLS wants answered.
    pub(crate) fn hear(&mut self, world: &mut World) {
        let mut bytes = world.take(self.peer);
        let mut reply = Vec::new();
        self.session.receive(&mut bytes, &mut self.got, &mut reply).expect("the shard speaks TLS");
        if !reply.is_empty() {
            world.say(self.peer, &reply);
            self.hear(world);
        }
    }

    pub(crate) fn say(&mut self, world: &mut World, bytes: &[u8]) {
        let mut sealed = Vec::new();
        self.session.seal(bytes, &mut sealed).expect("few bytes are sealed");
        world.say(self.peer, &sealed);
    }

    /// What has come since the last time.
    pub(crate) fn take(&mut self, world: &mut World) -> Vec<u8> {
        self.hear(world);
        std::mem::take(&mut self.got)
    }
}

pub(crate) fn acceptor(name: &str) -> Acceptor {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("localhost is a name");
    let files = KeyPair { cert: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) };
    fs::write(&files.cert, made.cert.pem()).expect("the test can write its files");
    fs::write(&files.key, made.signing_key.serialize_pem()).expect("the test can write its files");
    Acceptor::load(&[files]).expect("what was just made is good")
}

pub(crate) fn world(name: &str) -> World {
    let listen =
        listen(&["ssl+text://127.0.0.1:1", "wss://127.0.0.1:2", "text://127.0.0.1:3", "ws://127.0.0.1:4"]);
    World::new(Settings { listen, tls: Some(acceptor(name)), ..Settings::default() })
}
