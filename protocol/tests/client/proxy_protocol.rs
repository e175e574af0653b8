//! Headers of the PROXY protocol: bytes from its specification and from real proxies, and whatever else.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use ringway_protocol::client::proxy_protocol::{
    HEADER_SIZE_MAX, Header, HeaderError, LINE_SIZE_MAX, decode, is_header,
};

use crate::harness::cut;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What came of input that came in pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Outcome {
    NeedMore,
    Malformed,
    Header { size: usize, source: Option<SocketAddr>, authority: Option<String> },
}

fn feed<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Outcome {
    let mut input = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        match decode(&input) {
            Ok(None) => {}
            Ok(Some(Header { size, source, authority })) => {
                assert!(size <= input.len() && size <= HEADER_SIZE_MAX);
                return Outcome::Header { size, source, authority: authority.map(str::to_owned) };
            }
            Err(HeaderError) => return Outcome::Malformed,
        }
    }
    Outcome::NeedMore
}

/// What comes of `input`, which must be the same whole and byte by byte.
fn run(input: &[u8]) -> Outcome {
    let whole = feed([input]);
    assert_eq!(feed(input.chunks(1)), whole, "byte by byte: {input:?}");
    whole
}

fn header(size: usize, source: Option<&str>) -> Outcome {
    let source = source.map(|source| source.parse().expect("an address"));
    Outcome::Header { size, source, authority: None }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let size = u16::try_from(rest.len()).expect("it is short").to_be_bytes();
    [SIGNATURE, &[command, family], &size, rest].concat()
}

/// Source and destination, each with its port.
fn addresses(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ports = [source.port().to_be_bytes(), destination.port().to_be_bytes()].concat();
    [octets(source), octets(destination), ports].concat()
}

fn value(kind: u8, value: &[u8]) -> Vec<u8> {
    let size = u16::try_from(value.len()).expect("it is short").to_be_bytes();
    [&[kind], &size[..], value].concat()
}

fn v4() -> Vec<u8> {
    addresses("192.0.2.1:56324".parse().expect("good"), "198.51.100.1:443".parse().expect("good"))
}

/// The longest that the specification gives for each family.
#[test]
fn lines_are_read() {
    let longest4 = "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n";
    assert_eq!(run(longest4.as_bytes()), header(56, Some("255.255.255.255:65535")));
    let ip = ["ffff"; 8].join(":");
    let longest6 = format!("PROXY TCP6 {ip} {ip} 65535 65535\r\n");
    assert_eq!(run(longest6.as_bytes()), header(104, Some(&format!("[{ip}]:65535"))));
    let longest = format!("PROXY UNKNOWN {ip} {ip} 65535 65535\r\n");
    assert_eq!((longest.len(), run(longest.as_bytes())), (LINE_SIZE_MAX, header(LINE_SIZE_MAX, None)));
    for (line, source) in [
        ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", Some("192.168.0.1:56324")),
        ("PROXY TCP6 2001:db8::1 ::1 0 8282\r\n", Some("[2001:db8::1]:0")),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", Some("192.0.2.7:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN whatever this is\r\n", None),
    ] {
        assert_eq!(run(line.as_bytes()), header(line.len(), source), "{line}");
        let more = [line.as_bytes(), b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(run(&more), header(line.len(), source), "{line}");
        assert!(is_header(line.as_bytes()));
    }
}

#[test]
fn lines_that_are_nearly_right_are_not() {
    for line in [
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 7\r\n",
        "PROXY TCP4  192.168.0.1 192.168.0.11 56324 443\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 56324 65536\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 +5 443\r\n",
        "PROXY TCP4 192.168.0.1 192.168.0.11 05 443\r\n",
        "PROXY TCP4 192.168.0.01 192.168.0.11 5 443\r\n",
        "PROXY TCP4 ::1 ::1 5 443\r\n",
        "PROXY TCP6 192.168.0.1 192.168.0.11 5 443\r\n",
        "PROXY TCP5 192.168.0.1 192.168.0.11 5 443\r\n",
        "PROXY TCP4\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWN\n",
        "proxy TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
        "GET / HTTP/1.1\r\n",
        "\u{16}\u{3}",
    ] {
        assert_eq!(run(line.as_bytes()), Outcome::Malformed, "{line}");
    }
    let endless = format!("PROXY UNKNOWN {}", "x".repeat(LINE_SIZE_MAX));
    assert_eq!(run(&endless.as_bytes()[..LINE_SIZE_MAX - 1]), Outcome::NeedMore);
    assert_eq!(run(&endless.as_bytes()[..LINE_SIZE_MAX]), Outcome::Malformed);
    assert_eq!(run(b"PROXY UNKNOWN\xff\r\n"), Outcome::Malformed);
    for beginning in [&b""[..], b"PRO", b"\r\n\r\n"] {
        assert_eq!(run(beginning), Outcome::NeedMore);
    }
}

#[test]
fn binary_headers_are_read() {
    assert_eq!(run(&binary(0x21, 0x11, &v4())), header(28, Some("192.0.2.1:56324")));
    let v6 = addresses("[2001:db8::1]:5".parse().expect("good"), "[::1]:443".parse().expect("good"));
    assert_eq!(run(&binary(0x21, 0x21, &v6)), header(52, Some("[2001:db8::1]:5")));
    let mapped = addresses("[::ffff:192.0.2.7]:5".parse().expect("good"), "[::1]:4".parse().expect("good"));
    assert_eq!(run(&binary(0x21, 0x21, &mapped)), header(52, Some("192.0.2.7:5")));
    // A health check, whatever it says; who does not know; a socket of Unix; datagrams.
    for (command, family, rest) in [
        (0x20, 0x00, &[][..]),
        (0x20, 0x11, &v4()),
        (0x20, 0xff, b"anything"),
        (0x21, 0x00, &[]),
        (0x21, 0x31, &[b'/'; 216]),
        (0x21, 0x12, &v4()),
        (0x21, 0x10, &v4()),
    ] {
        assert_eq!(run(&binary(command, family, rest)), header(16 + rest.len(), None), "{family:#x}");
    }
}

#[test]
fn a_host_name_is_kept_and_other_values_are_skipped() {
    let values = [value(4, &[0; 200]), value(2, b"chat.example.com"), value(0xea, b"\x01vpce-1")].concat();
    let with_values = |family: u8, addresses: &[u8], values: &[u8]| {
        run(&[&binary(0x21, family, &[addresses, values].concat())[..], b"behind"].concat())
    };
    let Outcome::Header { source, authority, size } = with_values(0x11, &v4(), &values) else {
        panic!("it is one")
    };
    assert_eq!((source, size), ("192.0.2.1:56324".parse().ok(), 28 + values.len()));
    assert_eq!(authority.as_deref(), Some("chat.example.com"));
    for (family, addresses) in [(0x00, &[][..]), (0x31, &[0; 216])] {
        let Outcome::Header { source: None, authority, .. } = with_values(family, addresses, &values) else {
            panic!("it is one")
        };
        assert_eq!(authority.as_deref(), Some("chat.example.com"));
    }
    let unreadable = with_values(0x11, &v4(), &value(2, b"\xff"));
    assert_eq!(unreadable, header(28 + 4, Some("192.0.2.1:56324")));
}

/// Behind it stands what the client said.
#[test]
fn haproxy_writes_them_so() {
    let bytes = |hex: &str| -> Vec<u8> {
        let hex = hex.replace(' ', "");
        let pairs = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16));
        pairs.collect::<Result<_, _>>().expect("hex digits")
    };
    // `send-proxy`, `send-proxy-v2` for IPv4 and IPv6, `send-proxy-v2-ssl-cn proxy-v2-options authority,crc32c,unique-id`.
    for (hex, size, source, authority) in [
        (
            "50524f58592054435034203132372e302e302e31203132372e392e392e3120343631313620383130310d0a 68656c6c6f0a",
            43,
            "127.0.0.1:46116",
            None,
        ),
        ("0d0a0d0a000d0a515549540a 2111000c 7f0000017f090901e49e1fa6 68656c6c6f0a", 28, "127.0.0.1:58526", None),
        (
            "0d0a0d0a000d0a515549540a 21210024 00000000000000000000000000000001 00000000000000000000000000000001
             dfe81fa8 68656c6c6f0a",
            52,
            "[::1]:57320",
            None,
        ),
        (
            "0d0a0d0a000d0a515549540a 2111005f 7f0000017f0909019d3a1fa7 0300047a8f5762 020010636861742e6578616d706c652e636f6d
             05002431303162646237642d386265312d343234332d623662382d333465353438313030386563
             20000f0100000000 210007544c5376312e33 68656c6c6f0a",
            16 + 0x5f,
            "127.0.0.1:40250",
            Some("chat.example.com".to_owned()),
        ),
    ] {
        let bytes = bytes(&hex.replace('\n', ""));
        assert_eq!(bytes.len(), size + b"hello\n".len());
        assert_eq!(run(&bytes), Outcome::Header { size, source: source.parse().ok(), authority });
    }
}

#[test]
fn binary_headers_that_are_nearly_right_are_not() {
    for (command, family, rest) in [
        (0x11, 0x11, v4()),
        (0x22, 0x11, v4()),
        (0x21, 0x13, v4()),
        (0x21, 0x41, v4()),
        (0x21, 0x11, v4()[..11].to_vec()),
        (0x21, 0x21, v4()),
        (0x21, 0x31, v4()),
        (0x21, 0x11, [v4(), vec![2, 0]].concat()),
        (0x21, 0x11, [v4(), vec![2, 0, 2, b'a']].concat()),
        (0x21, 0x11, [v4(), vec![0; HEADER_SIZE_MAX]].concat()),
    ] {
        assert_eq!(run(&binary(command, family, &rest)), Outcome::Malformed, "{command:#x} {family:#x}");
    }
    let mut wrong = binary(0x21, 0x11, &v4());
    wrong[4] = 1;
    assert_eq!(run(&wrong), Outcome::Malformed);
    let largest = value(4, &vec![0; HEADER_SIZE_MAX - 28 - 3]);
    let largest = binary(0x21, 0x11, &[v4(), largest].concat());
    assert_eq!(
        (largest.len(), run(&largest)),
        (HEADER_SIZE_MAX, header(HEADER_SIZE_MAX, Some("192.0.2.1:56324")))
    );
}

/// A header of either version, and the source that it says.
fn any_header() -> impl Strategy<Value = (Vec<u8>, SocketAddr)> {
    let v4 = (any::<[u8; 4]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((ip, port)));
    let v6 = (any::<[u8; 16]>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::from((ip, port)));
    let values = prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..4);
    (prop_oneof![v4, v6], any::<bool>(), values).prop_map(|(source, is_line, values)| {
        let values: Vec<u8> = values.iter().flat_map(|(kind, bytes)| value(*kind, bytes)).collect();
        let (ip, port) = (source.ip(), source.port());
        let bytes = match (ip, is_line) {
            (IpAddr::V4(_), true) => format!("PROXY TCP4 {ip} {ip} {port} {port}\r\n").into_bytes(),
            (IpAddr::V6(_), true) => format!("PROXY TCP6 {ip} {ip} {port} {port}\r\n").into_bytes(),
            (_, false) => {
                let family = if source.is_ipv4() { 0x11 } else { 0x21 };
                binary(0x21, family, &[addresses(source, source), values].concat())
            }
        };
        (bytes, SocketAddr::new(ip.to_canonical(), port))
    })
}

proptest! {
    #[test]
    fn headers_come_through(
        (bytes, source) in any_header(),
        behind in prop::collection::vec(any::<u8>(), 0..20),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        let input = [&bytes[..], &behind].concat();
        let outcome = run(&input);
        prop_assert_eq!(feed(cut(&input, &sizes)), outcome.clone());
        let Outcome::Header { size, source: read, .. } = outcome else { panic!("{outcome:?}") };
        prop_assert_eq!((size, read), (bytes.len(), Some(source)));
        prop_assert_eq!(run(&bytes[..bytes.len() - 1]), Outcome::NeedMore);
    }

    #[test]
    fn mutated_headers_do_no_harm(
        (mut bytes, _) in any_header(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        prop_assert_eq!(feed(cut(&bytes, &sizes)), run(&bytes));
    }

    #[test]
    fn anything_goes_in(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY TCP4 "[..]), Just(&b"PROXY "[..]), Just(SIGNATURE)],
        behind in prop::collection::vec(prop_oneof![Just(b' '), Just(b'\r'), Just(b'\n'), 0..0x23u8, any::<u8>()], 0..150),
        sizes in prop::collection::vec(1usize..30, 1..5),
    ) {
        let input = [start, &behind].concat();
        prop_assert_eq!(feed(cut(&input, &sizes)), run(&input));
    }
}
