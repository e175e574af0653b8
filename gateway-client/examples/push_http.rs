//! A web backend that pushes to users: `POST /push/{uid}` sends the body to every client of the uid, on whichever
//! gateway they are, and says how many gateways did not get it.
//!
//! Start `scripts/demo` and come in on its page as alice; then `cargo run -p ringway-gateway-client --example push_http`, and
//! `curl -d 'your order has shipped' http://127.0.0.1:8000/push/alice`.

use std::error::Error;
use std::net::SocketAddr;

use argh::FromArgs;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use gateway_client::{Client, Config};
use tokio::net::TcpListener;

/// Pushes to users what is posted to http://HOST:PORT/push/UID.
#[derive(FromArgs)]
struct Flags {
    /// the gateways' register (default 127.0.0.1:1236)
    #[argh(option, default = "String::from(\"127.0.0.1:1236\")")]
    register_address: String,
    /// the key that the register knows (default: none)
    #[argh(option, default = "String::new()")]
    secret_key: String,
    /// where requests are taken (default 127.0.0.1:8000)
    #[argh(option, default = "SocketAddr::from(([127, 0, 0, 1], 8000))")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let Flags { register_address, secret_key, listen } = argh::from_env();
    let register_addresses = vec![register_address];
    let client = Client::connect(Config { register_addresses, secret_key, ..Config::default() }).await?;
    let app = Router::new().route("/push/{uid}", post(push)).with_state(client);
    let listener = TcpListener::bind(listen).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

/// 200 when every gateway got it; 502 when some did not, while the others have sent it all the same; 503 when there is
/// none.
async fn push(State(client): State<Client>, Path(uid): Path<String>, body: String) -> (StatusCode, String) {
    let delivery = client.send_to_uid(uid, body).await;
    let (reached, missing) = (delivery.reached, delivery.missing.len());
    let status = match (reached, missing) {
        (0, 0) => StatusCode::SERVICE_UNAVAILABLE,
        (_, 0) => StatusCode::OK,
        _ => StatusCode::BAD_GATEWAY,
    };
    (status, format!("{reached} gateways got it, {missing} did not\n"))
}
