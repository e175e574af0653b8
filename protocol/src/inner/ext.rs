//! JSON in ext_data and in the bodies of 200, 202 and 240: targets, exclusions, selections, authorization (WIRE.md §3, §5, §14).

use std::collections::HashSet;

/// Body of WORKER_CONNECT: who a worker is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct WorkerConnect {
    /// `<name>:<process number>`.
    pub worker_key: String,
    /// `None`: the field is missing or no string, which is a mismatch even when no key is set.
    pub secret_key: Option<String>,
    /// The worker said `"ringway":1`.
    pub ringway: bool,
}

impl WorkerConnect {
    /// `None`: not a JSON object.
    pub fn decode(body: &[u8]) -> Option<WorkerConnect> {
        let _ = body;
        None
    }

    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Body of GATEWAY_CLIENT_CONNECT: the key of a querying connection.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ClientConnect {
    /// As in [`WorkerConnect::secret_key`].
    pub secret_key: Option<String>,
}

impl ClientConnect {
    /// `None`: not a JSON object.
    pub fn decode(body: &[u8]) -> Option<ClientConnect> {
        let _ = body;
        None
    }

    /// The body.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Body of RINGWAY_HELLO.
pub const RINGWAY_HELLO: &[u8] = br#"{"ringway":1}"#;

/// ext_data of SEND_TO_ALL: who gets the message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Targets {
    /// Everybody.
    All,
    /// These connections, in this order.
    Only(Vec<u32>),
    /// Everybody but these connections.
    Except(HashSet<u32>),
}

impl Targets {
    /// `None`: broken JSON.
    pub fn decode(ext: &[u8]) -> Option<Targets> {
        let _ = ext;
        None
    }

    /// The ext_data; empty for everybody.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// ext_data of SEND_TO_GROUP.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GroupTargets {
    /// Groups in order; a member of two gets the message twice.
    pub groups: Vec<Vec<u8>>,
    /// Connections that get nothing.
    pub exclude: HashSet<u32>,
}

impl GroupTargets {
    /// `None`: broken JSON.
    pub fn decode(ext: &[u8]) -> Option<GroupTargets> {
        let _ = ext;
        None
    }

    /// The ext_data. Names that are not UTF-8 cannot be told and are left out.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// ext_data of SEND_TO_UID and of the batch queries: names of uids or groups. `None`: broken JSON.
pub fn decode_names(ext: &[u8]) -> Option<Vec<Vec<u8>>> {
    let _ = ext;
    None
}

/// The JSON list of these names. Names that are not UTF-8 cannot be told and are left out.
pub fn encode_names<N: AsRef<[u8]>>(names: &[N]) -> Vec<u8> {
    let _ = names;
    Vec::new()
}

/// ext_data of SELECT.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Select {
    /// What the reply holds of each client, in this order.
    pub fields: Vec<Field>,
    /// Which clients; `None`: everybody.
    pub condition: Option<Where>,
}

/// A field of a client that SELECT can ask for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Field {
    /// The stored session bytes.
    Session,
    /// The uid.
    Uid,
    /// The groups.
    Groups,
    /// Something else, answered with null.
    Unknown(String),
}

/// Which clients a SELECT is about: the union of the three. All empty: nobody.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Where {
    /// Members of these groups.
    pub groups: Vec<Vec<u8>>,
    /// Clients of these uids.
    pub uids: Vec<Vec<u8>>,
    /// These connections.
    pub connection_ids: Vec<u32>,
}

impl Field {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Field::Session => "session",
            Field::Uid => "uid",
            Field::Groups => "groups",
            Field::Unknown(name) => name,
        }
    }
}

impl Select {
    /// `None`: broken JSON.
    pub fn decode(ext: &[u8]) -> Option<Select> {
        let _ = ext;
        None
    }

    /// The ext_data. Names that are not UTF-8 cannot be told and are left out.
    pub fn encode(&self) -> Vec<u8> {
        Vec::new()
    }
}
