//! Methods of GatewayWorker's Gateway by their names, done with ours; results in the form that PHP gives them.

use ringway_worker::php::{self, Array, Key, Value};
use ringway_worker::{Body, Client, ClientId, Gateway, Name};

/// Calls the method. False when it cannot be: its name is unknown, or an argument is no client id.
pub(crate) async fn call(gateway: &Gateway, client: &Client, op: &str, args: Vec<Value>) -> Value {
    let args = Args(args);
    if let Some(result) = send(gateway, client, op, &args) {
        return result;
    }
    if let Some(result) = command(gateway, client, op, &args) {
        return result;
    }
    if let Some(result) = of_clients(gateway, client, op, &args).await {
        return result;
    }
    if let Some(result) = of_names(gateway, op, &args).await {
        return result;
    }
    Value::Bool(false)
}

/// Whether a call changes the session when its handler has ended.
pub(crate) fn changes_session(op: &str) -> bool {
    matches!(op, "writeSession" | "forgetSession")
}

/// The session as PHP shows it: null when there is none.
pub(crate) fn session_or_null(client: &Client) -> Value {
    match client.session() {
        session if session.is_empty() => Value::Null,
        session => Value::Array(session),
    }
}

/// What PHP has in `$_SERVER`.
pub(crate) fn server(client: &Client) -> Value {
    let mut server = Array::new();
    server.insert("REMOTE_ADDR", client.address().ip().to_string());
    server.insert("REMOTE_PORT", i64::from(client.address().port()));
    server.insert("GATEWAY_ADDR", client.id().gateway.ip().to_string());
    server.insert("GATEWAY_PORT", i64::from(client.gateway_port()));
    server.insert("GATEWAY_CLIENT_ID", client.id().to_string());
    Value::Array(server)
}

fn send(gateway: &Gateway, client: &Client, op: &str, args: &Args) -> Option<Value> {
    match op {
        "sendToClient" => {
            let dropped = gateway.counters().commands_dropped;
            let id = args.client(0)?;
            gateway.send_to_client(id, args.encoded_body(1, 2));
            return Some(Value::Bool(gateway.counters().commands_dropped == dropped));
        }
        "sendToCurrentClient" => {
            gateway.send_to_client(client.id(), args.body(0));
            return Some(Value::Bool(true));
        }
        "sendToAll" => send_to_all(gateway, args),
        "sendToUid" => gateway.send_to_uids(args.names(0), args.encoded_body(1, 2)),
        "sendToGroup" if args.name(0).is_some_and(|group| group.is_empty()) => {
            return Some(Value::Bool(false));
        }
        "sendToGroup" => gateway.send_to_groups(args.names(0), &args.clients(2), args.encoded_body(1, 3)),
        "closeClient" => close(gateway, args.client(0), args, 1),
        "closeCurrentClient" => close(gateway, Some(client.id()), args, 0),
        "destoryClient" => args.client(0).into_iter().for_each(|id| gateway.destroy_client(id)),
        "destoryCurrentClient" => gateway.destroy_client(client.id()),
        _ => return None,
    }
    Some(Value::Null)
}

fn send_to_all(gateway: &Gateway, args: &Args) {
    let exclude = args.clients(2);
    if args.is_null(1) {
        return gateway.send_to_all_except(&exclude, args.encoded_body(0, 3));
    }
    let clients: Vec<ClientId> = args.clients(1).into_iter().filter(|id| !exclude.contains(id)).collect();
    gateway.send_to_clients(&clients, args.encoded_body(0, 3));
}

fn close(gateway: &Gateway, client: Option<ClientId>, args: &Args, message: usize) {
    let Some(client) = client else { return };
    if args.is_null(message) {
        gateway.close_client(client);
    } else {
        gateway.close_client_with(client, args.body(message));
    }
}

fn command(gateway: &Gateway, client: &Client, op: &str, args: &Args) -> Option<Value> {
    if op == "ungroup" {
        let group = args.name(0)?;
        let refused = group.is_empty();
        gateway.ungroup(group);
        return Some(if refused { Value::Bool(false) } else { Value::Null });
    }
    match op {
        "writeSession" => {
            let (key, value) = (Key::from(args.bytes(0)), args.value(1));
            client.edit_session(|session| drop(session.insert(key, value)));
        }
        "forgetSession" => client.set_session(Array::new()),
        "bindUid" => gateway.bind_uid(args.client(0)?, args.name(1)?),
        "unbindUid" => gateway.unbind_uid(args.client(0)?),
        "joinGroup" => gateway.join_group(args.client(0)?, args.name(1)?),
        "leaveGroup" => gateway.leave_group(args.client(0)?, args.name(1)?),
        "setSession" => gateway.set_session(args.client(0)?, args.array(1)),
        "updateSession" => gateway.update_session(args.client(0)?, args.array(1)),
        _ => return None,
    }
    Some(Value::Null)
}

/// Queries about clients.
async fn of_clients(gateway: &Gateway, client: &Client, op: &str, args: &Args) -> Option<Value> {
    Some(match op {
        "readSession" => session_or_null(client),
        "server" => server(client),
        "isOnline" => match args.client(0) {
            Some(id) => flag(gateway.is_online(id).await.into_value()),
            None => flag(false),
        },
        "getSession" => gateway.session(args.client(0)?).await.into_value().into(),
        "getUidByClientId" => gateway.uid_of_client(args.client(0)?).await.into_value().map(bytes).into(),
        "getAllClientIdList" => client_map(gateway.client_ids().await.into_value()),
        "getAllClientIdCount" | "getAllClientCount" => count(gateway.client_count().await.into_value()),
        "getAllClientSessions" => session_map(gateway.sessions().await.into_value()),
        "getAllClientInfo" => session_map(gateway.sessions().await.into_value()),
        "getClientInfoByGroup" if args.name(0)?.is_empty() => {
            session_map(gateway.sessions().await.into_value())
        }
        "getClientSessionsByGroup" | "getClientInfoByGroup" => {
            session_map(gateway.sessions_of_group(args.name(0)?).await.into_value())
        }
        "getClientIdCountByGroup" | "getClientCountByGroup" => match args.name(0) {
            Some(group) if !group.as_bytes().is_empty() => {
                count(gateway.client_count_of_group(group).await.into_value())
            }
            _ => count(gateway.client_count().await.into_value()),
        },
        "getClientIdListByGroup" => {
            let mut clients = Vec::new();
            for group in args.names(0) {
                clients.extend(gateway.client_ids_of_group(group).await.into_value());
            }
            client_map(clients)
        }
        _ => return None,
    })
}

/// Queries about uids and groups.
async fn of_names(gateway: &Gateway, op: &str, args: &Args) -> Option<Value> {
    Some(match op {
        "getClientIdByUid" => {
            let clients = gateway.client_ids_of_uid(args.name(0)?).await.into_value();
            list(clients.iter().map(|id| Value::from(id.to_string())))
        }
        "isUidOnline" => flag(gateway.is_uid_online(args.name(0)?).await.into_value()),
        "getAllUidList" => name_map(gateway.uids().await.into_value()),
        "getAllUidCount" => count(gateway.uid_count().await.into_value()),
        "getUidListByGroup" => name_map(uids_of_groups(gateway, args).await),
        "getUidCountByGroup" => match uids_of_groups(gateway, args).await {
            uids if args.names(0).len() == 1 => {
                let counted = gateway.uid_count_of_group(args.name(0)?).await.into_value();
                count(counted.max(uids.len() as u64))
            }
            uids => count(name_map(uids).as_array()?.len() as u64),
        },
        "getAllGroupIdList" => {
            let groups = gateway.groups().await.into_value();
            map(groups.into_iter().map(|group| (key(&group), int_or_bytes(group))))
        }
        "getAllGroupUidList" => {
            let groups = gateway.all_group_uids().await.into_value();
            map(groups.into_iter().map(|(group, uids)| (key(&group), name_map(uids))))
        }
        "getAllGroupUidCount" => counts(gateway.all_group_uid_counts().await.into_value()),
        "getAllGroupClientIdList" => {
            let groups = gateway.all_group_client_ids().await.into_value();
            map(groups.into_iter().map(|(group, clients)| (key(&group), client_map(clients))))
        }
        "getAllGroupClientIdCount" => counts(gateway.all_group_client_id_counts().await.into_value()),
        _ => return None,
    })
}

async fn uids_of_groups(gateway: &Gateway, args: &Args) -> Vec<Name> {
    let mut uids = Vec::new();
    for group in args.names(0) {
        uids.extend(gateway.uids_of_group(group).await.into_value());
    }
    uids
}

/// The arguments of a call. What is not there is null.
struct Args(Vec<Value>);

impl Args {
    fn value(&self, index: usize) -> Value {
        self.0.get(index).cloned().unwrap_or_default()
    }

    fn is_null(&self, index: usize) -> bool {
        self.0.get(index).is_none_or(Value::is_null)
    }

    fn array(&self, index: usize) -> Array {
        self.0.get(index).and_then(Value::as_array).cloned().unwrap_or_default()
    }

    /// A string, or a number as PHP converts it to one.
    fn bytes(&self, index: usize) -> Vec<u8> {
        as_bytes(&self.value(index))
    }

    fn client(&self, index: usize) -> Option<ClientId> {
        self.0.get(index).and_then(client)
    }

    /// One client id or a list.
    fn clients(&self, index: usize) -> Vec<ClientId> {
        self.items(index).iter().filter_map(client).collect()
    }

    /// `None` when it is a list.
    fn name(&self, index: usize) -> Option<Name> {
        let value = self.0.get(index)?;
        value.as_array().is_none().then(|| Name::from(as_bytes(value)))
    }

    /// One name or a list.
    fn names(&self, index: usize) -> Vec<Name> {
        self.items(index).iter().map(|item| Name::from(as_bytes(item))).collect()
    }

    fn items(&self, index: usize) -> Vec<Value> {
        match self.0.get(index) {
            Some(Value::Array(array)) => array.values().cloned().collect(),
            Some(value) => vec![value.clone()],
            None => Vec::new(),
        }
    }

    fn body(&self, index: usize) -> Body<'static> {
        match String::from_utf8(self.bytes(index)) {
            Ok(text) => Body::from(text),
            Err(no_text) => Body::from(no_text.into_bytes()),
        }
    }

    /// A body that is encoded already if the argument at `raw` says so.
    fn encoded_body(&self, index: usize, raw: usize) -> Body<'static> {
        match self.value(raw).as_bool() {
            Some(true) => Body::encoded(self.bytes(index)),
            _ => self.body(index),
        }
    }
}

fn client(value: &Value) -> Option<ClientId> {
    value.as_str()?.parse().ok()
}

/// Scalars as PHP converts them to strings, all else as a gateway shows it to websocket clients.
fn as_bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.clone(),
        Value::Bool(bool) => if *bool { "1" } else { "" }.into(),
        Value::Float(_) => php::to_json(value).unwrap_or_default().to_ascii_uppercase(),
        _ => php::to_json(value).unwrap_or_default(),
    }
}

fn flag(flag: bool) -> Value {
    Value::Int(i64::from(flag))
}

fn count(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn bytes(name: Name) -> Value {
    Value::Bytes(name.into_bytes())
}

fn key(name: &Name) -> Key {
    Key::from(name.as_bytes())
}

/// A name as PHP has it once it was an array's key.
fn int_or_bytes(name: Name) -> Value {
    match key(&name) {
        Key::Int(int) => Value::Int(int),
        _ => bytes(name),
    }
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    let mut array = Array::new();
    for item in items {
        array.push(item);
    }
    Value::Array(array)
}

fn map(items: impl Iterator<Item = (Key, Value)>) -> Value {
    let mut array = Array::new();
    for (key, item) in items {
        array.insert(key, item);
    }
    Value::Array(array)
}

fn name_map(names: Vec<Name>) -> Value {
    map(names.into_iter().map(|name| (key(&name), bytes(name))))
}

fn client_map(clients: Vec<ClientId>) -> Value {
    let named = clients.into_iter().map(|id| id.to_string());
    map(named.map(|id| (Key::from(id.as_str()), Value::from(id))))
}

fn session_map(sessions: Vec<(ClientId, Array)>) -> Value {
    map(sessions.into_iter().map(|(id, session)| (Key::from(id.to_string()), Value::Array(session))))
}

fn counts(groups: Vec<(Name, u64)>) -> Value {
    map(groups.into_iter().map(|(group, members)| (key(&group), count(members))))
}
