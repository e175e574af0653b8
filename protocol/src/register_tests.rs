use super::*;

fn encoded(request: &Request) -> String {
    let mut out = Vec::new();
    request.encode(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn requests_are_written_as_php_writes_them() {
    for (request, line) in [
        (
            Request::GatewayConnect {
                address: "127.0.0.2:11400".to_owned(),
                secret_key: "k3y".to_owned(),
                admin: None,
            },
            "{\"event\":\"gateway_connect\", \"address\":\"127.0.0.2:11400\", \"secret_key\":\"k3y\"}\n",
        ),
        (
            Request::WorkerConnect { secret_key: "a\"b".to_owned(), admin: None },
            "{\"event\":\"worker_connect\",\"secret_key\":\"a\\\"b\"}\n",
        ),
        (
            Request::WorkerConnect { secret_key: "k".to_owned(), admin: Some(9501) },
            "{\"event\":\"worker_connect\",\"secret_key\":\"k\",\"admin\":9501}\n",
        ),
        (Request::Ping, "{\"event\":\"ping\"}\n"),
        (Request::RingwayPing, "{\"event\":\"ping\",\"ringway\":1}\n"),
    ] {
        assert_eq!(encoded(&request), line);
        assert_eq!(Request::decode(line.as_bytes()), Ok(request));
    }
}

#[test]
fn requests_in_other_words() {
    let gateway = |key: &str| {
        let (address, secret_key) = ("1.2.3.4:5".to_owned(), key.to_owned());
        Ok(Request::GatewayConnect { address, secret_key, admin: None })
    };
    let worker = |admin| Ok(Request::WorkerConnect { secret_key: String::new(), admin });
    for (line, request) in [
        (
            r#" {"secret_key" : "k", "x":[{}], "address":"1.2.3.4:5","event":"gateway_connect"} "#,
            gateway("k"),
        ),
        (r#"{"address":"1.2.3.4:5","event":"gateway_connect"}"#, gateway("")),
        (r#"{"address":"1.2.3.4:5","event":"gateway_connect","secret_key":5}"#, Err(RequestError::BadKey)),
        (r#"{"event":"gateway_connect"}"#, Err(RequestError::EmptyAddress)),
        (r#"{"event":"gateway_connect","address":""}"#, Err(RequestError::EmptyAddress)),
        (r#"{"event":"gateway_connect","address":["1.2.3.4:5"]}"#, Err(RequestError::EmptyAddress)),
        (r#"{"event":"worker_connect"}"#, worker(None)),
        (r#"{"event":"worker_connect","admin":65535}"#, worker(Some(65_535))),
        (r#"{"event":"worker_connect","admin":0}"#, worker(None)),
        (r#"{"event":"worker_connect","admin":65536}"#, worker(None)),
        (r#"{"event":"worker_connect","admin":-1}"#, worker(None)),
        (r#"{"event":"worker_connect","admin":"9501"}"#, worker(None)),
        (r#"{"event":"worker_connect","admin":{"port":9501}}"#, worker(None)),
        (r#"{"event":"hello"}"#, Err(RequestError::UnknownEvent)),
        (r#"{"event":7}"#, Err(RequestError::UnknownEvent)),
        (r#"{"event":""}"#, Err(RequestError::NotARequest)),
        (r#"{"event":null}"#, Err(RequestError::NotARequest)),
        ("{}", Err(RequestError::NotARequest)),
        ("[]", Err(RequestError::NotARequest)),
        ("", Err(RequestError::NotARequest)),
        ("GET / HTTP/1.1", Err(RequestError::NotARequest)),
        ("{\"event\":\"ping\"", Err(RequestError::NotARequest)),
    ] {
        assert_eq!(Request::decode(line.as_bytes()), request, "{line}");
    }
}

/// As in WIRE.md §14.
#[test]
fn proofs_are_hex() {
    let [a, b, c] = ["aa", "bb", "cc"].map(|byte| byte.repeat(32));
    let challenge = challenge_line(&Nonce([0xaa; NONCE_SIZE]));
    assert_eq!(challenge, format!("{{\"event\":\"challenge\",\"nonce\":\"{a}\"}}\n").as_bytes());
    assert_eq!(Response::decode(&challenge), Ok(Response::Challenge(Nonce([0xaa; NONCE_SIZE]))));
    let proof = proof_line(&[0xcc; 32]);
    assert_eq!(proof, format!("{{\"event\":\"proof\",\"proof\":\"{c}\"}}\n").as_bytes());
    assert_eq!(Response::decode(&proof), Ok(Response::Proof([0xcc; 32])));
    let mut answer = [0xbb; 64];
    answer[NONCE_SIZE..].fill(0xcc);
    for (address, field) in [("", ""), ("10.0.0.1:2900", ",\"address\":\"10.0.0.1:2900\"")] {
        let request = Request::Prove { answer, address: address.to_owned() };
        let line = format!("{{\"event\":\"prove\",\"nonce\":\"{b}\",\"proof\":\"{c}\"{field}}}\n");
        assert_eq!(encoded(&request), line);
        assert_eq!(Request::decode(line.as_bytes()), Ok(request));
    }
    for nonce in
        [String::new(), a.replace("aa", "a"), a.replace('a', "g"), a.replace("aa", "é"), a.clone() + "aa"]
    {
        let line = format!("{{\"event\":\"challenge\",\"nonce\":\"{nonce}\"}}");
        assert_eq!(Response::decode(line.as_bytes()), Err(BroadcastError), "{nonce}");
        let line = format!("{{\"event\":\"prove\",\"nonce\":\"{nonce}\",\"proof\":\"{c}\"}}");
        assert_eq!(Request::decode(line.as_bytes()), Err(RequestError::NoProof), "{nonce}");
    }
    assert_eq!(Request::decode(br#"{"event":"prove","nonce":7}"#), Err(RequestError::NoProof));
}

#[test]
fn broadcasts_in_both_forms() {
    let broadcast = Broadcast { addresses: vec!["127.0.0.2:11500".to_owned(), "127.0.0.2:11400".to_owned()] };
    let mut line = Vec::new();
    broadcast.encode(&mut line);
    assert_eq!(
        line,
        b"{\"event\":\"broadcast_addresses\",\"addresses\":[\"127.0.0.2:11500\",\"127.0.0.2:11400\"]}\n"
    );
    assert_eq!(Broadcast::decode(&line), Ok(broadcast.clone()));
    let object =
        br#"{"addresses":{"0":"127.0.0.2:11500","4":"127.0.0.2:11400","5":6},"event":"broadcast_addresses"}"#;
    assert_eq!(Broadcast::decode(object), Ok(broadcast));
    assert_eq!(
        Broadcast::decode(br#"{"event":"broadcast_addresses","addresses":[]}"#),
        Ok(Broadcast::default())
    );
    for line in [
        &b""[..],
        b"[]",
        br#"{"event":"x","addresses":[]}"#,
        br#"{"event":"broadcast_addresses"}"#,
        br#"{"event":"broadcast_addresses","addresses":5}"#,
    ] {
        assert_eq!(Broadcast::decode(line), Err(BroadcastError));
        assert_eq!(Response::decode(line), Err(BroadcastError));
    }
    assert_eq!(
        Response::decode(&line),
        Ok(Response::Addresses(Vec::from(["127.0.0.2:11500", "127.0.0.2:11400"].map(str::to_owned))))
    );
    assert_eq!(Response::decode(PONG), Ok(Response::Pong));
    assert_eq!(Broadcast::decode(PONG), Err(BroadcastError));
}

#[test]
fn lines_end_where_they_end() {
    let mut lines = Lines::default();
    lines.push(b"a\r\n\nb");
    assert_eq!(lines.next_line(), Ok(Some(&b"a"[..])));
    assert_eq!(lines.next_line(), Ok(Some(&b""[..])));
    assert_eq!(lines.next_line(), Ok(None));
    lines.push(b"");
    assert_eq!(lines.unfinished(), b"b");
    lines.push(b"c\n");
    assert_eq!(lines.next_line(), Ok(Some(&b"bc"[..])));
    assert_eq!(lines.next_line(), Ok(None));
}

#[test]
fn a_line_has_a_limit() {
    let mut lines = Lines::default();
    lines.push(&vec![b'x'; LINE_SIZE_MAX]);
    assert_eq!(lines.next_line(), Ok(None));
    lines.push(b"\n");
    assert_eq!(lines.next_line().map(|line| line.map(<[u8]>::len)), Ok(Some(LINE_SIZE_MAX)));
    lines.push(&vec![b'x'; LINE_SIZE_MAX + 1]);
    assert_eq!(lines.next_line(), Err(LineTooLong));
}
