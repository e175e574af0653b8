//! What the register's dashboard asks and tells clients: over the gateways that the register lists, with its own key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gateway_client::{Client, ClientId, Config, Confirm, InnerAuth, php};
use serde_json::{Value, json};
use tls::InnerTls;
use tokio::sync::OnceCell;

/// The way to the clients, which is made when it is first needed: until then the register has one connection less.
struct Lookup {
    config: Config,
    client: OnceCell<Client>,
}

/// The routes, for whoever may know of clients and do something to them.
pub(crate) fn routes(
    register: SocketAddr,
    secret_key: String,
    inner_auth: InnerAuth,
    inner_tls: Option<InnerTls>,
) -> Router {
    let config = Config {
        register_addresses: vec![reachable(register).to_string()],
        secret_key,
        inner_auth,
        inner_tls,
        connect_timeout: CONNECT_TIMEOUT,
        reply_timeout: REPLY_TIMEOUT,
        // Somebody waits to see it done.
        confirm: Confirm::Handled,
    };
    Router::new()
        .route("/client/{id}", get(client))
        .route("/client/{id}/send", post(send_to_client))
        .route("/client/{id}/close", post(close_client))
        .route("/uid/{uid}", get(uid))
        .route("/uid/{uid}/send", post(send_to_uid))
        .with_state(Arc::new(Lookup { config, client: OnceCell::new() }))
}

impl Lookup {
    async fn client(&self) -> Result<&Client, Refused> {
        let connect = || Client::connect(self.config.clone());
        self.client.get_or_try_init(connect).await.map_err(|error| Refused::unreachable(&error.to_string()))
    }

    /// The way to a client that is online, as far as its gateway says.
    async fn client_online(&self, id: &str) -> Result<(&Client, ClientId), Refused> {
        let id: ClientId = id.parse().map_err(Refused::malformed)?;
        let client = self.client().await?;
        if !client.gateways().contains(&id.gateway) {
            return Err(Refused::offline("no gateway that is registered has such a client"));
        }
        let is_online = client.is_online(id).await;
        match (*is_online, is_online.is_complete()) {
            (true, _) => Ok((client, id)),
            (false, true) => Err(Refused::offline("no such client is online")),
            (false, false) => {
                Err(Refused::unreachable(&format!("the gateway {} does not answer", id.gateway)))
            }
        }
    }
}

async fn client(State(lookup): State<Arc<Lookup>>, Path(id): Path<String>) -> Result<Response, Refused> {
    let (client, id) = lookup.client_online(&id).await?;
    let details = client.details(id).await;
    let Some(details) = details.into_value() else {
        return Err(Refused::offline("the client has just gone"));
    };
    let groups: Vec<_> = details.groups.iter().map(|group| group.text()).collect();
    Ok(Json(json!({
        "id": id,
        "is_online": true,
        "uid": details.uid.as_ref().map(|uid| uid.text()),
        "groups": groups,
        "session": session(&details.session),
        "gateway": id.gateway,
    }))
    .into_response())
}

async fn uid(State(lookup): State<Arc<Lookup>>, Path(uid): Path<String>) -> Result<Response, Refused> {
    let clients = lookup.client().await?.client_ids_of_uid(&uid).await;
    let shown = &clients[..clients.len().min(CLIENTS_MAX)];
    Ok(Json(json!({
        "uid": uid,
        "clients": shown,
        "count": clients.len(),
        "missing": clients.missing,
    }))
    .into_response())
}

async fn send_to_client(
    State(lookup): State<Arc<Lookup>>,
    Path(id): Path<String>,
    text: String,
) -> Result<Response, Refused> {
    let (client, id) = lookup.client_online(&id).await?;
    if !client.send_to_client(id, text).await.is_complete() {
        return Err(Refused::unreachable(&format!("the gateway {} does not answer", id.gateway)));
    }
    tracing::info!("by the admin address: client {id} was sent a message");
    Ok(Json(json!({ "sent": true })).into_response())
}

async fn close_client(
    State(lookup): State<Arc<Lookup>>,
    Path(id): Path<String>,
) -> Result<Response, Refused> {
    let (client, id) = lookup.client_online(&id).await?;
    if !client.close_client(id).await.is_complete() {
        return Err(Refused::unreachable(&format!("the gateway {} does not answer", id.gateway)));
    }
    tracing::info!("by the admin address: client {id} was closed");
    Ok(Json(json!({ "closed": true })).into_response())
}

async fn send_to_uid(
    State(lookup): State<Arc<Lookup>>,
    Path(uid): Path<String>,
    text: String,
) -> Result<Response, Refused> {
    let client = lookup.client().await?;
    if !*client.is_uid_online(&uid).await {
        return Err(Refused::offline("no client that is online has this uid"));
    }
    let delivery = client.send_to_uid(&uid, text).await;
    if let Some(gateway) = delivery.missing.first() {
        return Err(Refused::unreachable(&format!("the gateway {gateway} does not answer")));
    }
    tracing::info!(uid, "by the admin address: the clients of a uid were sent a message");
    Ok(Json(json!({ "sent": true })).into_response())
}

/// A session as its JSON, or as it is stored.
fn session(stored: &[u8]) -> Value {
    if stored.is_empty() {
        return Value::Null;
    }
    let json = php::decode(stored).ok().and_then(|value| php::to_json(&value).ok());
    let json = json.and_then(|json| serde_json::from_slice(&json).ok());
    json.unwrap_or_else(|| String::from_utf8_lossy(stored).into())
}

/// Why something was not done.
struct Refused(StatusCode, String);

impl Refused {
    fn malformed(error: impl std::fmt::Display) -> Refused {
        Refused(StatusCode::BAD_REQUEST, error.to_string())
    }

    fn offline(why: &str) -> Refused {
        Refused(StatusCode::NOT_FOUND, why.to_owned())
    }

    fn unreachable(why: &str) -> Refused {
        Refused(StatusCode::BAD_GATEWAY, why.to_owned())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

/// Where a listener on this machine is found from it.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// How long a gateway may take to be connected to.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// How long one may take to answer.
const REPLY_TIMEOUT: Duration = Duration::from_secs(2);

/// Clients of a uid that are named; of more it is told how many there are.
const CLIENTS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_shown_as_json_and_what_is_none_as_it_is() {
        assert_eq!(session(br#"a:2:{s:4:"name";s:3:"Ann";i:0;b:1;}"#), json!({ "name": "Ann", "0": true }));
        assert_eq!(session(b""), Value::Null);
        assert_eq!(session(b"a:1:{i:0;s:1:\"\xff\";}"), json!("a:1:{i:0;s:1:\"\u{fffd}\";}"));
        assert_eq!(session(b"nonsense"), json!("nonsense"));
    }

    #[test]
    fn a_register_on_all_addresses_is_found_on_this_machine() {
        for (listens, found) in [
            ("0.0.0.0:1236", "127.0.0.1:1236"),
            ("[::]:1236", "[::1]:1236"),
            ("10.0.0.1:1236", "10.0.0.1:1236"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), found);
        }
    }
}
