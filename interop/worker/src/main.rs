//! The Rust twin of `interop/Events.php`: the same calls by the same names, and the same events told to the driver,
//! so that the same scenarios can be played with either worker.
#![forbid(unsafe_code)]

mod calls;
mod values;

use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use ringway_worker::php::{self, Array, Value};
use ringway_worker::time::sleep;
use ringway_worker::{Client, Events, Gateway, Message, WebsocketRequest, run};
use serde_json::{Value as Json, json};
use sha1::{Digest, Sha1};

#[global_allocator]
static ALLOCATOR: ringway_worker::Allocator = ringway_worker::Allocator;

fn main() -> ExitCode {
    let driver: Option<SocketAddr> =
        std::env::var("INTEROP_EVENTS").ok().and_then(|driver| driver.parse().ok());
    let Some(driver) = driver else {
        eprintln!("INTEROP_EVENTS is not set to an address");
        return ExitCode::from(2);
    };
    let make = move |core| Interop { core, driver, socket: UdpSocket::bind("127.0.0.1:0").ok() };
    if std::env::var_os("INTEROP_EMBEDDED").is_some() {
        return ringway::embedded(ringway::options("interop-worker"), make);
    }
    run("InteropWorker", make)
}

/// Does what clients ask for, and tells the driver what happens to them.
struct Interop {
    core: usize,
    driver: SocketAddr,
    /// `None`: nobody is told, and the driver says what it missed.
    socket: Option<UdpSocket>,
}

impl Events for Interop {
    async fn on_connect(&self, _gateway: &Gateway, client: &Client) {
        self.tell("onConnect", client, json!({}));
    }

    async fn on_websocket_connect(&self, gateway: &Gateway, client: &Client, request: &WebsocketRequest) {
        let told = json!({ "request": {
            "get": values::array_to_json(&request.get),
            "server": values::array_to_json(&request.server),
            "cookie": values::array_to_json(&request.cookie),
        }});
        self.tell("onWebSocketConnect", client, told);
        gateway.send_to_client(client.id(), "welcome");
        if let Some(from) = request.get.get("session") {
            let mut session = Array::new();
            session.insert("from", from.clone());
            session.insert("ratio", 0.1);
            client.set_session(session);
        }
    }

    async fn on_message(&self, gateway: &Gateway, client: &Client, message: Message) {
        let Some(call) = Call::read(message.as_bytes()) else {
            let sha1: String =
                Sha1::digest(message.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
            return self.tell("onMessage", client, json!({ "size": message.as_bytes().len(), "sha1": sha1 }));
        };
        let result = calls::call(gateway, client, &call.op, call.args).await;
        let answer = json!({
            "answer": call.number,
            "result": values::to_json(&result),
            "serialized": String::from_utf8_lossy(&php::to_bytes(&result)),
        });
        if !calls::changes_session(&call.op) {
            return gateway.send_to_client(client.id(), answer.to_string());
        }
        // The session is stored when the handler has ended; the answer must not be there before.
        let (later, id) = (gateway.clone(), client.id());
        gateway.spawn(async move {
            sleep(SOON).await;
            later.send_to_client(id, answer.to_string());
        });
    }

    async fn on_close(&self, gateway: &Gateway, client: &Client) {
        let online = gateway.is_online(client.id()).await.into_value();
        self.tell("onClose", client, json!({ "isOnline": i32::from(online) }));
    }
}

impl Interop {
    fn tell(&self, event: &str, client: &Client, more: Json) {
        let session = calls::session_or_null(client);
        let mut told = json!({ "event": event, "worker": self.core, "client": client.id().to_string() });
        let facts = json!({
            "session": values::to_json(&session),
            "serialized": String::from_utf8_lossy(&php::to_bytes(&session)),
            "server": values::to_json(&calls::server(client)),
        });
        for part in [more, facts] {
            if let (Json::Object(told), Json::Object(part)) = (&mut told, part) {
                told.extend(part);
            }
        }
        if let Some(socket) = &self.socket {
            // The driver notices what does not arrive.
            let _ = socket.send_to(told.to_string().as_bytes(), self.driver);
        }
    }
}

/// `{"call":17,"op":"bindUid","args":[…]}`
struct Call {
    number: u64,
    op: String,
    args: Vec<Value>,
}

impl Call {
    fn read(message: &[u8]) -> Option<Call> {
        let call: Json = serde_json::from_slice(message).ok()?;
        Some(Call {
            number: call.get("call")?.as_u64()?,
            op: call.get("op")?.as_str()?.to_owned(),
            args: call.get("args")?.as_array()?.iter().map(values::from_json).collect(),
        })
    }
}

/// Until a handler that does not wait has ended for certain.
const SOON: Duration = Duration::from_millis(1);
