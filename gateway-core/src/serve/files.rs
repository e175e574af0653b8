//! Files that are read again while the gateway runs: certificates, and the keys of tokens.

use std::fmt::Display;

use tracing::{error, info, warn};

use super::{Control, ShardControl};
use crate::jwt::Verifier;

/// The files of a gateway that may be read again.
#[derive(Clone)]
pub struct Files {
    pub(super) certificates: Option<tls::Acceptor>,
    pub(super) inner_tls: Option<tls::Mutual>,
    pub(super) token_keys: Option<Verifier>,
    pub(super) shards: Vec<ShardControl>,
}

impl Files {
    /// Reads them again, for clients and programs that come from now on; those that are there notice nothing. What came of it is logged: if a
    /// file is not as it should be, what was there before stays.
    pub fn reload(&self) {
        if let Some(acceptor) = &self.certificates {
            self.replace("certificates", acceptor.reload(), tls::Acceptor::notices, Control::Certificates);
        }
        if let Some(mutual) = &self.inner_tls {
            self.replace(
                "certificates for other programs",
                mutual.reload(),
                tls::Mutual::notices,
                Control::InnerTls,
            );
        }
        if let Some(verifier) = &self.token_keys {
            self.replace("keys of tokens", verifier.reload(), Verifier::notices, Control::TokenKeys);
        }
    }

    /// Gives all shards what was read, if it could be.
    fn replace<T: Clone>(
        &self,
        what: &str,
        read: Result<T, impl Display>,
        notices: impl Fn(&T) -> &[String],
        control: impl Fn(T) -> Control,
    ) {
        let read = match read {
            Err(error) => return error!("{error}; the {what} from before stay"),
            Ok(read) => read,
        };
        for notice in notices(&read) {
            warn!("{notice}");
        }
        for shard in &self.shards {
            // A shard that has ended needs none.
            let _ = shard.tell(control(read.clone()));
        }
        info!("{what} loaded again");
    }
}
