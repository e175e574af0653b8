//! A web backend that pushes to users: `POST /push/{uid}` sends the body to every client of the uid, on whichever
//! gateway they are, and says how many gateways did not get it.
//!
//! Start `ringway`, then `cargo run -p ringway-gateway-client --example push_http -- 127.0.0.1:1236`, then
//! `curl -d 'your order has shipped' http://127.0.0.1:8000/push/alice`.

use std::error::Error;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use gateway_client::{Client, Config};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let register = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:1236".to_owned());
    let client = Client::connect(Config { register_addresses: vec![register], ..Config::default() }).await?;
    let app = Router::new().route("/push/{uid}", post(push)).with_state(client);
    let listener = TcpListener::bind("127.0.0.1:8000").await?;
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
