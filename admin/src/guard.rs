//! Who may ask at an admin address.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::accept::Dialled;
use crate::proof::{Asked, minute};

/// Who is answered at an admin address. The probes are for everybody: they tell of nothing but health.
#[derive(Clone, Debug)]
pub(crate) enum Guard {
    /// Who says this.
    Token(Arc<str>),
    /// Who is on this machine, and names it by its number or as `localhost`: so no page in a browser gets here by a name of its own
    /// that leads to this machine (DNS rebinding).
    ThisMachine,
    /// Nobody else: the address is open to other machines.
    Probes,
}

impl Guard {
    /// For this address.
    ///
    /// # Errors
    /// The token is empty; in one line.
    pub(crate) fn new(address: SocketAddr, token: Option<&str>) -> Result<Guard, String> {
        match token {
            Some("") => Err("--admin-token: it is empty".to_owned()),
            Some(token) => Ok(Guard::Token(Arc::from(token))),
            None if address.ip().is_loopback() => Ok(Guard::ThisMachine),
            None => Ok(Guard::Probes),
        }
    }

    /// The token, if there is one.
    pub(crate) fn token(&self) -> Option<Arc<str>> {
        if let Guard::Token(token) = self { Some(Arc::clone(token)) } else { None }
    }

    fn refuse(&self, asked: Asked<'_>, headers: &HeaderMap) -> Option<Response> {
        let Asked { method, path, .. } = asked;
        let value = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
        let wants_token = |why| {
            ([(header::WWW_AUTHENTICATE, "Bearer")], refusal(StatusCode::UNAUTHORIZED, why)).into_response()
        };
        if !method.is_safe()
            && value(header::ORIGIN).is_some_and(|origin| !is_of(origin, value(header::HOST)))
        {
            return Some(refusal(StatusCode::FORBIDDEN, "a page from elsewhere may not ask for this"));
        }
        match self {
            _ if PROBES.contains(&path) => None,
            // It has no data.
            Guard::Token(_) if path == PAGE => None,
            Guard::Token(token) => {
                let is_right = value(header::AUTHORIZATION).is_some_and(|told| {
                    told.strip_prefix("Bearer ").is_some_and(|told| protocol::is_secret(told, token))
                        || asked.is_proven(told, token, minute())
                });
                (!is_right).then(|| wants_token("say the --admin-token: Authorization: Bearer TOKEN"))
            }
            Guard::ThisMachine => {
                let is_here = value(header::HOST).is_some_and(names_an_address);
                let why = match is_here {
                    true if !is_private(method, path) => return None,
                    true => "set --admin-token: this needs it, also on this machine",
                    false => "ask by the address, not by a name",
                };
                Some(refusal(StatusCode::FORBIDDEN, why))
            }
            Guard::Probes => Some(wants_token("this address is open to other machines: set --admin-token")),
        }
    }
}

/// Lets requests in. Who has shown nothing keeps no connection, of which there are few, for longer than one answer.
pub(crate) async fn admit(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Dialled(at) = *request.extensions().get::<Dialled>().expect("each connection has its address");
    let asked = Asked { at, method: request.method(), path: request.uri().path() };
    let is_for_all = PROBES.contains(&asked.path) || asked.path == PAGE;
    let refusal = guard.refuse(asked, request.headers());
    let is_stranger = is_for_all || refusal.is_some();
    let mut response = match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    };
    if is_stranger {
        response.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    }
    response
}

/// An answer of one line, for programs and for people.
pub(crate) fn refusal(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(BTreeMap::from([("error", why.into())]))).into_response()
}

/// Whether this is for nobody without a token, not even on this machine: it concerns clients, or changes more than the log.
fn is_private(method: &Method, path: &str) -> bool {
    let is_of_clients = ["/client/", "/uid/"].iter().any(|of| path.starts_with(of));
    is_of_clients || !method.is_safe() && path != LOG_LEVEL
}

/// Whether a browser says by this `Origin` that the page it asks for came from the same `Host`.
fn is_of(origin: &str, host: Option<&str>) -> bool {
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.zip(host).is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
}

/// Whether a `Host` is an address or `localhost`, with a port or without.
fn names_an_address(host: &str) -> bool {
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

/// What may be asked without a token.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// What may be changed on this machine by whoever is there.
const LOG_LEVEL: &str = "/log-level";

/// The dashboard, which asks for the token itself.
const PAGE: &str = "/";

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    fn asked<'a>(method: &'a Method, path: &'a str) -> Asked<'a> {
        Asked { at: SocketAddr::from(([10, 0, 0, 1], 9500)), method, path }
    }

    fn get(path: &str) -> Asked<'_> {
        asked(&Method::GET, path)
    }

    #[test]
    fn an_address_that_is_open_to_others_needs_a_token() {
        let [here, open] = ["127.0.0.1:1", "10.0.0.1:1"].map(|address| address.parse().unwrap());
        assert!(matches!(Guard::new(here, None), Ok(Guard::ThisMachine)));
        assert!(matches!(Guard::new(open, Some("t")), Ok(Guard::Token(_))));
        assert!(Guard::new(here, Some("")).is_err());
        let guard = Guard::new(open, None).unwrap();
        let host = headers(&[(header::HOST, "10.0.0.1:1"), (header::AUTHORIZATION, "Bearer t")]);
        assert_eq!(guard.refuse(get("/metrics"), &host).unwrap().status(), StatusCode::UNAUTHORIZED);
        assert!(
            guard.refuse(get("/healthz"), &host).is_none() && guard.refuse(get("/readyz"), &host).is_none()
        );
    }

    #[test]
    fn without_a_token_names_are_refused() {
        let guard = Guard::ThisMachine;
        for host in ["127.0.0.1", "127.0.0.1:9500", "[::1]:9500", "localhost", "LocalHost:1"] {
            assert!(guard.refuse(get("/status"), &headers(&[(header::HOST, host)])).is_none(), "{host}");
        }
        for host in ["evil.example", "evil.example:9500", "127.0.0.1.evil.example", ""] {
            let refusal = guard.refuse(get("/status"), &headers(&[(header::HOST, host)])).unwrap();
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{host}");
        }
        assert!(guard.refuse(get("/status"), &headers(&[])).is_some());
    }

    #[test]
    fn a_token_is_asked_for_but_by_probes() {
        let guard = Guard::Token("right".into());
        let told = |told| headers(&[(header::AUTHORIZATION, told), (header::HOST, "gateway-0.example:9500")]);
        assert!(guard.refuse(get("/metrics"), &told("Bearer right")).is_none());
        for wrong in ["Bearer wrong", "Bearer right ", "right", "Basic right", "Bearer "] {
            let refusal = guard.refuse(get("/metrics"), &told(wrong)).unwrap();
            assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED, "{wrong}");
        }
        assert!(guard.refuse(get("/healthz"), &headers(&[])).is_none());
        assert!(guard.refuse(get("/status"), &headers(&[(header::HOST, "127.0.0.1")])).is_some());
    }

    #[test]
    fn a_page_from_elsewhere_changes_nothing() {
        let host = (header::HOST, "10.0.0.1:9500");
        let bearer = (header::AUTHORIZATION, "Bearer t");
        let [token, here] = [Guard::Token("t".into()), Guard::ThisMachine];
        for guard in [&token, &here] {
            for origin in ["http://evil.example", "null", "http://10.0.0.1:9501", "http://10.0.0.1", ""] {
                let told = headers(&[host.clone(), bearer.clone(), (header::ORIGIN, origin)]);
                for method in [Method::POST, Method::PUT, Method::DELETE] {
                    let refusal = guard.refuse(asked(&method, "/log-level"), &told).unwrap();
                    assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{origin}");
                }
                assert!(guard.refuse(get("/log-level"), &told).is_none());
            }
            for told in [
                headers(&[host.clone(), bearer.clone()]),
                headers(&[host.clone(), bearer.clone(), (header::ORIGIN, "http://10.0.0.1:9500")]),
            ] {
                assert!(guard.refuse(asked(&Method::PUT, "/log-level"), &told).is_none());
            }
        }
    }

    #[test]
    fn the_page_opens_without_a_token_and_what_it_shows_does_not() {
        let [token, here] = [Guard::Token("t".into()), Guard::ThisMachine];
        let host = headers(&[(header::HOST, "gateway-0.example:9500")]);
        assert!(token.refuse(get("/"), &host).is_none());
        assert_eq!(token.refuse(get("/cluster"), &host).unwrap().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(here.refuse(get("/"), &host).unwrap().status(), StatusCode::FORBIDDEN);
        assert!(Guard::Probes.refuse(get("/"), &host).is_some());
    }

    #[test]
    fn clients_and_actions_need_a_token_also_on_this_machine() {
        let host = headers(&[(header::HOST, "127.0.0.1:9500")]);
        for asked in [
            asked(&Method::GET, "/client/0a000001b5400000000a"),
            asked(&Method::GET, "/uid/alice"),
            asked(&Method::POST, "/uid/alice/send"),
            asked(&Method::POST, "/drain"),
            asked(&Method::POST, "/member/127.0.0.1:9501/drain"),
        ] {
            let refusal = Guard::ThisMachine.refuse(asked, &host).unwrap();
            assert_eq!(refusal.status(), StatusCode::FORBIDDEN, "{asked:?}");
        }
        assert!(Guard::ThisMachine.refuse(get("/cluster"), &host).is_none());
    }

    #[test]
    fn a_register_proves_that_it_knows_the_token() {
        let guard = Guard::Token("right".into());
        let told = |asked: Asked<'_>, token, minute| {
            headers(&[(header::AUTHORIZATION, &asked.prove(token, minute))])
        };
        let member = get("/member");
        assert!(guard.refuse(member, &told(member, "right", minute())).is_none());
        assert!(guard.refuse(get("/cluster"), &told(member, "right", minute())).is_some());
        assert!(guard.refuse(member, &told(member, "wrong", minute())).is_some());
        assert!(guard.refuse(member, &told(member, "right", minute() - 4)).is_some());
    }
}
