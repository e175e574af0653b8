//! What is wrong with a gateway's addresses, and what is only odd about them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use protocol::address::{self, Host};

use super::StartError;
use crate::listen::overlap;
use crate::{Listen, Settings, jwt};

/// Checks what does not depend on the machine, and writes the registers' addresses as they are connected to.
pub(super) fn addresses(settings: &mut Settings) -> Result<(), StartError> {
    for address in &mut settings.register_address {
        *address = address::register(address)
            .map_err(|why| StartError::Settings(format!("--register-address: {why}")))?
            .to_string();
    }
    let wrong = unreachable(settings.lan_ip)
        .or_else(|| shared_listeners(&settings.listen))
        .or_else(|| listener_on_inner_port(settings))
        .or_else(|| open_to_all(settings))
        .or_else(|| values(settings));
    wrong.map_or(Ok(()), |why| Err(StartError::Settings(why)))
}

fn unreachable(lan_ip: Ipv4Addr) -> Option<String> {
    (lan_ip.is_unspecified() || lan_ip.is_multicast() || lan_ip.is_broadcast()).then(|| {
        format!("--lan-ip {lan_ip}: workers cannot reach that; say this machine's address in their network")
    })
}

/// Who speaks to an inner port without a key can do everything.
fn open_to_all(settings: &Settings) -> Option<String> {
    let Settings { secret_key, no_secret_key, inner_tls, lan_ip, .. } = settings;
    if !secret_key.is_empty() || inner_tls.is_some() || *no_secret_key {
        return None;
    }
    let inner = settings.inner_ip();
    let (flag, ip) = match address::is_public(inner) {
        true => ("--inner-listen", inner),
        false if inner.is_unspecified() && address::is_public((*lan_ip).into()) => {
            ("--lan-ip", (*lan_ip).into())
        }
        false => return None,
    };
    Some(format!(
        "{flag} {ip}: anybody there could command this gateway; set --secret-key or --inner-tls-ca, or say --no-secret-key \
         if a firewall is in front"
    ))
}

/// Two listeners of one process would share their clients by lot.
fn shared_listeners(listen: &[Listen]) -> Option<String> {
    listen.iter().enumerate().find_map(|(index, one)| {
        let other = listen[..index].iter().find(|other| overlap(one.address, other.address))?;
        Some(format!("--listen {other} and --listen {one} are one port: give each a port of its own"))
    })
}

fn listener_on_inner_port(settings: &Settings) -> Option<String> {
    let Settings { start_port, count, .. } = *settings;
    let inner = |port: u16| SocketAddr::from((settings.inner_ip(), port));
    settings.listen.iter().find_map(|listen| {
        let port = listen.address.port();
        let shard = usize::from(port.checked_sub(start_port)?);
        let is_inner = start_port != 0 && shard < count && overlap(listen.address, inner(port));
        is_inner.then(|| {
            format!(
                "--listen {listen} is the inner port of shard {shard}: choose another port, or another --start-port \
                 than {start_port}"
            )
        })
    })
}

fn values(settings: &Settings) -> Option<String> {
    if let Err(why) = settings.inner_auth.check(&settings.secret_key) {
        return Some(why);
    }
    let why = match settings {
        Settings { count, .. } if *count > SHARDS_MAX => "--count above 4096",
        Settings { send_to_client_buffer_size: 0, .. } => {
            "--send-to-client-buffer-size 0: every client would be a slow one"
        }
        Settings { send_to_worker_buffer_size: 0, .. } => {
            "--send-to-worker-buffer-size 0: no client could ever be read"
        }
        Settings { jwt: Some(_), listen, .. } if !listen.iter().any(Listen::is_websocket) => {
            "--jwt-key, but no --listen for websockets: clients of other protocols have no token to show"
        }
        Settings { proxy_protocol: true, trusted_proxies, .. } if trusted_proxies.are_none() => {
            "--proxy-protocol: say by --trusted-proxies which networks' headers are to be believed"
        }
        Settings { forwarded_header: Some(_), trusted_proxies, .. } if trusted_proxies.are_none() => {
            "--forwarded-header: say by --trusted-proxies which networks' headers are to be believed"
        }
        Settings { name, .. } if name.is_empty() || name.contains(char::is_control) => {
            "--name: it is to be shown in logs, so it is some letters"
        }
        _ => return None,
    };
    Some(why.to_owned())
}

/// What an operator should know, one line each.
pub(super) fn warnings(settings: &Settings) -> Vec<String> {
    let is_elsewhere = |address: &&String| {
        address::register(address).is_ok_and(|register| !is_here(&register.host))
            && settings.lan_ip.is_loopback()
    };
    let warning = |register: &String| {
        format!(
            "workers on other machines cannot reach --lan-ip {}, which the register {register} will tell them; say this \
             machine's address in their network",
            settings.lan_ip
        )
    };
    let elsewhere = settings.register_address.iter().find(is_elsewhere).map(warning);
    let is_idle = !settings.proxy_protocol && settings.forwarded_header.is_none();
    let idle = (is_idle && !settings.trusted_proxies.are_none()).then(|| {
        "--trusted-proxies alone does nothing: add --proxy-protocol or --forwarded-header, as the proxies have it".to_owned()
    });
    let uninvited =
        settings.jwt.as_ref().and_then(|_| settings.listen.iter().find(|listen| !listen.is_websocket()));
    let open =
        uninvited.map(|listen| format!("--jwt-key is for websockets: all may come in at --listen {listen}"));
    let of_certificates = settings.tls.iter().flat_map(tls::Acceptor::notices);
    let of_inner_tls = settings.inner_tls.iter().flat_map(tls::Mutual::notices);
    let of_token_keys = settings.jwt.iter().flat_map(jwt::Verifier::notices);
    let of_files = of_certificates.chain(of_inner_tls).chain(of_token_keys).cloned();
    elsewhere.into_iter().chain(idle).chain(open).chain(of_files).collect()
}

/// Whether a host is this machine. Names are not looked up: only one of them has to mean it.
fn is_here(host: &Host) -> bool {
    let is_own = |ip: IpAddr| UdpSocket::bind((ip, 0)).is_ok();
    host.is_loopback() || host.ip().is_some_and(is_own)
}

/// Shards per gateway, more than machines have CPUs.
const SHARDS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ForwardedHeader;

    fn settings(listen: &[&str]) -> Settings {
        let listen = listen.iter().map(|listen| listen.parse().unwrap()).collect();
        Settings { listen, ..Settings::default() }
    }

    fn wrong(mut settings: Settings) -> String {
        addresses(&mut settings).unwrap_err().to_string()
    }

    #[test]
    fn a_public_address_needs_a_key_or_the_word_that_there_is_none() {
        let at = |lan_ip: [u8; 4], inner: Option<[u8; 4]>| Settings {
            lan_ip: lan_ip.into(),
            inner_listen: inner.map(IpAddr::from),
            ..settings(&["text://127.0.0.1:8282"])
        };
        for (lan_ip, inner, flag) in [
            ([8, 8, 8, 8], None, "--lan-ip 8.8.8.8: "),
            ([10, 0, 0, 1], Some([8, 8, 8, 8]), "--inner-listen 8.8.8.8: "),
        ] {
            assert!(wrong(at(lan_ip, inner)).starts_with(flag));
            let mut meant = Settings { no_secret_key: true, ..at(lan_ip, inner) };
            assert!(addresses(&mut meant).is_ok());
            let mut keyed = Settings { secret_key: "k".to_owned(), ..at(lan_ip, inner) };
            assert!(addresses(&mut keyed).is_ok());
        }
        for (lan_ip, inner) in
            [([10, 0, 0, 1], None), ([10, 0, 0, 1], Some([0, 0, 0, 0])), ([8, 8, 8, 8], Some([10, 0, 0, 1]))]
        {
            assert!(addresses(&mut at(lan_ip, inner)).is_ok());
        }
    }

    #[test]
    fn addresses_that_can_be_are_taken() {
        let mut good = Settings {
            register_address: vec!["text://10.0.0.1:1236".to_owned()],
            ..settings(&["websocket://0.0.0.0:8282", "text://0.0.0.0:8283", "tcp://0.0.0.0:2900"])
        };
        good.inner_listen = Some([10, 0, 0, 1].into());
        good.start_port = 2901;
        addresses(&mut good).unwrap();
        assert_eq!(good.register_address, ["10.0.0.1:1236"]);
    }

    #[test]
    fn what_cannot_be_is_told() {
        let twice = wrong(settings(&["websocket://0.0.0.0:82", "text://127.0.0.1:1", "tcp://127.0.0.1:82"]));
        assert!(
            twice.starts_with("--listen websocket://0.0.0.0:82 and --listen tcp://127.0.0.1:82 "),
            "{twice}"
        );
        let inner = wrong(Settings { count: 2, ..settings(&["tcp://0.0.0.0:2901"]) });
        assert!(inner.starts_with("--listen tcp://0.0.0.0:2901 is the inner port of shard 1"), "{inner}");
        let default = Settings::default;
        for (settings, flag) in [
            (Settings { register_address: vec!["nonsense".into()], ..default() }, "--register-address"),
            (Settings { lan_ip: Ipv4Addr::UNSPECIFIED, ..default() }, "--lan-ip"),
            (Settings { lan_ip: Ipv4Addr::BROADCAST, ..default() }, "--lan-ip"),
            (Settings { count: 5000, ..default() }, "--count"),
            (Settings { send_to_client_buffer_size: 0, ..default() }, "--send-to-client-buffer-size"),
            (Settings { send_to_worker_buffer_size: 0, ..default() }, "--send-to-worker-buffer-size"),
            (Settings { name: "a\0".into(), ..default() }, "--name"),
            (Settings { proxy_protocol: true, ..default() }, "--proxy-protocol"),
            (
                Settings { forwarded_header: Some(ForwardedHeader::XRealIp), ..default() },
                "--forwarded-header",
            ),
        ] {
            assert!(wrong(settings).starts_with(flag), "{flag}");
        }
    }

    #[test]
    fn proxies_of_which_nothing_is_believed_are_odd() {
        let trusted_proxies = "10.0.0.0/8".parse().unwrap();
        let idle = Settings { trusted_proxies, ..Settings::default() };
        assert_eq!(warnings(&idle).len(), 1);
        assert!(warnings(&Settings { proxy_protocol: true, ..idle }).is_empty());
    }

    #[test]
    fn loopback_for_a_register_elsewhere_is_odd() {
        let warned = |lan_ip: &str, registers: &[&str]| {
            let register_address = registers.iter().map(|&register| register.to_owned()).collect();
            let lan_ip = lan_ip.parse().unwrap();
            warnings(&Settings { lan_ip, register_address, ..Settings::default() }).len()
        };
        // 192.0.2.0/24 is reserved for documentation, no interface has it.
        assert_eq!(warned("127.0.0.1", &["192.0.2.1:1236"]), 1);
        assert_eq!(warned("127.0.0.1", &["127.0.0.1:1236", "register:1236"]), 1);
        assert_eq!(warned("127.0.0.1", &["127.0.0.1:1236", "localhost:1236", "[::1]:1236"]), 0);
        assert_eq!(warned("10.0.0.3", &["192.0.2.1:1236"]), 0);
    }
}
