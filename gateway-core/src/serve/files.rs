//! Files that are read again while the gateway runs: certificates, and the keys of tokens.

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
            self.reload_certificates(acceptor);
        }
        if let Some(mutual) = &self.inner_tls {
            self.reload_inner_tls(mutual);
        }
        if let Some(verifier) = &self.token_keys {
            self.reload_token_keys(verifier);
        }
    }

    fn reload_certificates(&self, acceptor: &tls::Acceptor) {
        match acceptor.reload() {
            Err(error) => error!("{error}; the certificates from before stay"),
            Ok(acceptor) => {
                for notice in acceptor.notices() {
                    warn!("{notice}");
                }
                self.tell(|| Control::Certificates(acceptor.clone()));
                info!("certificates loaded again");
            }
        }
    }

    fn reload_inner_tls(&self, mutual: &tls::Mutual) {
        match mutual.reload() {
            Err(error) => error!("{error}; the certificate from before stays"),
            Ok(mutual) => {
                if let Some(notice) = mutual.notice() {
                    warn!("{notice}");
                }
                self.tell(|| Control::InnerTls(mutual.clone()));
                info!("certificate for other programs loaded again");
            }
        }
    }

    fn reload_token_keys(&self, verifier: &Verifier) {
        match verifier.reload() {
            Err(error) => error!("{error}; the keys from before stay"),
            Ok(verifier) => {
                for notice in verifier.notices() {
                    warn!("{notice}");
                }
                self.tell(|| Control::TokenKeys(verifier.clone()));
                info!("keys of tokens loaded again");
            }
        }
    }

    fn tell(&self, command: impl Fn() -> Control) {
        for shard in &self.shards {
            // A shard that has ended needs none.
            let _ = shard.tell(command());
        }
    }
}
