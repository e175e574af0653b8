//! What an operator sets by flags of a program that is gateway and worker at once.

use admin::Address;
use argh::{ArgsInfo, CommandInfoWithArgs, EarlyExit, FromArgs};
use gateway_core::protocol::address;
use program::{Both, Flags, Refusal, Words};

use crate::Meeting;

/// What the program is beside its gateway.
#[derive(FromArgs, ArgsInfo, Clone, Debug, Default)]
#[argh(description = "A whole Ringway in one process: register, gateway and worker.")]
pub struct Beside {
    /// where its register listens, for other programs (default: a port that is told nobody)
    #[argh(option, arg_name = "HOST:PORT")]
    pub register_listen: Option<String>,
    /// where it tells of itself: a dashboard, /status, /metrics, /healthz (default: none)
    #[argh(option, arg_name = "[IP:]PORT")]
    pub admin: Option<Address>,
    /// what who asks there says; without it an address open to other machines answers probes alone (default: none)
    #[argh(option, hidden_help, arg_name = "TOKEN")]
    pub admin_token: Option<String>,
}

/// The flags of a program that is gateway and worker at once: the gateway's, open to this machine alone unless they say
/// otherwise, and a few of its own.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is not the gateway's.
    pub beside: Beside,
    /// The gateway's. Their number of shards, register and key are the worker's, too.
    pub gateway: gateway_core::Options,
}

impl Flags for Options {
    fn parts() -> Vec<CommandInfoWithArgs> {
        Both::<Beside, gateway_core::Options>::parts()
    }

    fn read(words: &mut Words<'_>) -> Result<Options, EarlyExit> {
        let Both(beside, gateway) = Both::read(words)?;
        Ok(Options { beside, gateway })
    }

    /// Open to this machine alone, and beside another gateway.
    fn defaults(_program: &str) -> Vec<(&'static str, String)> {
        vec![("listen", "websocket://127.0.0.1:8282".to_owned()), ("start-port", "0".to_owned())]
    }
}

impl Options {
    /// Where gateway and worker find others.
    ///
    /// # Errors
    /// A flag that is wrong, or two that exclude each other.
    pub fn meeting(&self) -> Result<Meeting, Refusal> {
        let wrong = |flag: &str, why: String| Refusal::Usage(format!("{flag}: {why}"));
        let secret_key = self.gateway.secret_key()?;
        match (&self.beside.register_listen, &self.gateway.register_address) {
            (Some(_), Some(_)) => Err(Refusal::Usage(
                "--register-listen is for a register of our own, --register-address for others: one of them"
                    .to_owned(),
            )),
            (Some(listen), None) => {
                let listen =
                    address::register_listen(listen).map_err(|why| wrong("--register-listen", why))?;
                Ok(Meeting::Served { listen: listen.to_string(), secret_key })
            }
            (None, Some(addresses)) => {
                let addresses =
                    address::registers(addresses).map_err(|why| wrong("--register-address", why))?;
                Ok(Meeting::Joined { addresses, secret_key })
            }
            (None, None) if secret_key.is_empty() => Ok(Meeting::Private),
            (None, None) => Err(wrong(
                "--secret-key",
                "nobody else can come without a register: add --register-listen or --register-address"
                    .to_owned(),
            )),
        }
    }
}

/// Takes the flags of the program `name`, from the command line, the environment as `RINGWAY_…`, and the config file. Ends the
/// process where there is nothing to run: after `--help` and the like, after wrong usage.
pub fn options(name: &'static str) -> Options {
    program::parse_as("ringway", name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_for_those_who_can_come() {
        let options = |gateway: gateway_core::Options, listen: Option<&str>| Options {
            beside: Beside { register_listen: listen.map(str::to_owned), ..Beside::default() },
            gateway,
        };
        let with_key = gateway_core::Options { secret_key: "k".to_owned(), ..Default::default() };
        let Err(Refusal::Usage(why)) = options(with_key.clone(), None).meeting() else { unreachable!() };
        assert!(why.starts_with("--secret-key: "), "{why}");
        assert!(options(with_key, Some("127.0.0.1:1236")).meeting().is_ok());
        assert_eq!(options(gateway_core::Options::default(), None).meeting(), Ok(Meeting::Private));
    }
}
