use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use protocol::client::Limits;
use protocol::client::websocket::{Peeked, WebsocketCodec};
use rcgen::KeyPair;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LIMITS: Limits = Limits::new(0);
const NOW_S: u64 = 1_700_000_000;
const CLAIMS: &str = r#"{"sub":"ann","exp":2000000000}"#;

/// Made by openssl, as is [`RSA_TOKEN`]; its private half is nowhere any more.
const RSA_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApf9OwrBoc6vH4eKZDdm5\n\
a9+uvMFT6fG6Hyqze5vH96gcZmJNHiQ5DgF2GBN9V/fMd5ipMdwklMtbPCB+yK4n\n\
JLqbmf+LnQZIPR/8WFGzWwB+yzvLsqdOpShUqEq8oPhroSEJP+V/Zn3SxGRJCwbM\n\
RWhhxn04+UX0ZzgzrrXS+7A1AJ5fM7W5jnuJSCNmtbc+ZaId3ltjGIrBdRxs7Pxy\n\
AZMdj7Gw6AbJ2ZCSg0scoECNMMTLSTxr2oZ/YvYi7LZ/sBQxXMsubI/RtGA1rswa\n\
Bc9VeT1FmWXo/5LOHduXCrKhCt+9QHLASNcJqjXzX75fNEl7/MaR9PDrP46kUhXy\n\
wQIDAQAB\n\
-----END PUBLIC KEY-----\n";
const RSA_KEY_PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----\n\
MIIBCgKCAQEApf9OwrBoc6vH4eKZDdm5a9+uvMFT6fG6Hyqze5vH96gcZmJNHiQ5\n\
DgF2GBN9V/fMd5ipMdwklMtbPCB+yK4nJLqbmf+LnQZIPR/8WFGzWwB+yzvLsqdO\n\
pShUqEq8oPhroSEJP+V/Zn3SxGRJCwbMRWhhxn04+UX0ZzgzrrXS+7A1AJ5fM7W5\n\
jnuJSCNmtbc+ZaId3ltjGIrBdRxs7PxyAZMdj7Gw6AbJ2ZCSg0scoECNMMTLSTxr\n\
2oZ/YvYi7LZ/sBQxXMsubI/RtGA1rswaBc9VeT1FmWXo/5LOHduXCrKhCt+9QHLA\n\
SNcJqjXzX75fNEl7/MaR9PDrP46kUhXywQIDAQAB\n\
-----END RSA PUBLIC KEY-----\n";
const RSA_MODULUS: &str = "pf9OwrBoc6vH4eKZDdm5a9-uvMFT6fG6Hyqze5vH96gcZmJNHiQ5DgF2GBN9V_fMd5ipMdwklMtbPCB-yK4nJLqbmf-LnQZI\
    PR_8WFGzWwB-yzvLsqdOpShUqEq8oPhroSEJP-V_Zn3SxGRJCwbMRWhhxn04-UX0ZzgzrrXS-7A1AJ5fM7W5jnuJSCNmtbc-\
    ZaId3ltjGIrBdRxs7PxyAZMdj7Gw6AbJ2ZCSg0scoECNMMTLSTxr2oZ_YvYi7LZ_sBQxXMsubI_RtGA1rswaBc9VeT1FmWXo\
    _5LOHduXCrKhCt-9QHLASNcJqjXzX75fNEl7_MaR9PDrP46kUhXywQ";
/// `{"alg":"RS256","typ":"JWT","kid":"r1"}`, [`CLAIMS`].
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InIxIn0.eyJzdWIiOiJhbm4iLCJleHAiOjIwMDAwMDAwMDB9.mEr\
    Ic9wHeffwYkOhQ9iXfB7o2Ty1SHaA5ux7IrPezpArOb2LOuziq97bBZBE2oVkIBrtAE4K9i8dZ2eiu6XPNdoH-ARETr9rd7y\
    x6IKaRQtP8EgbVjI7obqV_E82-5N5knSHoTcpAxoScRmyJ58d5TdBj0aYiUOzcYE996c8RC--uPODEhmHjWDq2554BIshg2q\
    nsdUjbyOMXaEaxKC1zKewajm0M_OjzwEYyo0nPfneO3EDxTdLFjcovbqZkU5Dot1zECHG7TTmwkwUkx8x3T2xV5sfa1Nnsp7\
    mXKmXF4ljzYe9p19T7tY5HuCR8D2kI9NmK9VXQZkLkHh2RCdaDA";
const WEAK_RSA_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDShYAmEh9W34TIM6mXvxIVHn00\n\
nRxRKHXuKWGT0C/Oyy6DyCbtQ7hXoTDEX/xiVDZcGzfi6MkWC/Lds6xgJFG7tEHh\n\
D+WyPDWJfSJ3FMTN//mJGIzJ1SJRcjgnHD9yNE4gpUIbbHrX95NLc8RZp31p2eqK\n\
wpdMIwQnzGT5fgIgewIDAQAB\n\
-----END PUBLIC KEY-----\n";

fn base64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A token with this header, signed by whoever `sign` is.
fn token(header: &str, claims: &str, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", base64(header), base64(claims));
    let signature = base64(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn hs256(claims: &str) -> String {
    token(r#"{"alg":"HS256"}"#, claims, |message| hmac(SECRET.as_bytes(), message))
}

fn hmac(secret: &[u8], message: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    ring::hmac::sign(&key, message).as_ref().to_vec()
}

fn verifier(key: &str, rules: Rules) -> Verifier {
    let keys = Keys::read(key.as_bytes()).unwrap_or_else(|why| panic!("{why}"));
    Verifier(Arc::new(Loaded { file: String::new(), keys, rules }))
}

/// Asks with these lines behind a request's own.
fn ask(verifier: &Verifier, target: &str, headers: &str) -> Result<Admitted, Refusal> {
    let request = format!(
        "GET {target} HTTP/1.1\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    );
    let mut codec = WebsocketCodec::default();
    let Peeked::Request(request) = codec.peek(&LIMITS, request.as_bytes()) else { panic!("{request}") };
    verifier.check(&request, NOW_S)
}

fn check(verifier: &Verifier, token: &str) -> Result<Admitted, Refusal> {
    ask(verifier, "/", &format!("Authorization: Bearer {token}\r\n"))
}

fn refused(key: &str, token: &str) -> Option<Refusal> {
    check(&verifier(key, Rules::default()), token).err()
}

#[test]
fn every_algorithm_lets_in_by_its_key() {
    let random = SystemRandom::new();
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let signing =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, p256.serialized_der(), &random).unwrap();
    let es256 = token(r#"{"alg":"ES256"}"#, CLAIMS, |message| {
        signing.sign(&random, message).unwrap().as_ref().to_vec()
    });
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let signing = Ed25519KeyPair::from_pkcs8_maybe_unchecked(ed25519.serialized_der()).unwrap();
    let eddsa = token(r#"{"alg":"EdDSA"}"#, CLAIMS, |message| signing.sign(message).as_ref().to_vec());
    let expected = Admitted {
        claims: CLAIMS.to_owned(),
        uid: None,
        until_s: Some(2_000_000_010),
        is_subprotocol: false,
    };
    let x = |point: &[u8]| base64(&point[..32]);
    let keys = [
        (format!("{SECRET}\n"), hs256(CLAIMS)),
        (format!(r#"{{"kty":"oct","k":"{}"}}"#, base64(SECRET)), hs256(CLAIMS)),
        (RSA_KEY.to_owned(), RSA_TOKEN.to_owned()),
        (RSA_KEY_PKCS1.to_owned(), RSA_TOKEN.to_owned()),
        (format!(r#"{{"kty":"RSA","kid":"r1","n":"{RSA_MODULUS}","e":"AQAB"}}"#), RSA_TOKEN.to_owned()),
        (p256.public_key_pem(), es256.clone()),
        (
            format!(
                r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
                x(&p256.public_key_raw()[1..]),
                x(&p256.public_key_raw()[33..])
            ),
            es256,
        ),
        (ed25519.public_key_pem(), eddsa.clone()),
        (format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, base64(ed25519.public_key_raw())), eddsa),
    ];
    for (key, good) in &keys {
        let verifier = verifier(key, Rules::default());
        assert_eq!(check(&verifier, good).as_ref(), Ok(&expected), "{key}");
        // Neither another's token, nor its own with another end.
        for (_, other) in keys.iter().filter(|(_, other)| other != good) {
            assert_eq!(check(&verifier, other), Err(Refusal::UnknownKey), "{key}");
        }
        let (message, signature) = good.rsplit_once('.').unwrap();
        let (header, _) = message.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", base64(r#"{"sub":"bob","exp":2000000000}"#));
        assert_eq!(check(&verifier, &forged), Err(Refusal::Signature), "{key}");
    }
}

/// The public key of a gateway is known to everybody: as a secret it must let nobody in.
#[test]
fn the_algorithm_is_the_keys_and_not_the_tokens() {
    for secret in [RSA_KEY, RSA_KEY.trim(), RSA_KEY_PKCS1] {
        let confused =
            token(r#"{"alg":"HS256","kid":"r1"}"#, CLAIMS, |message| hmac(secret.as_bytes(), message));
        assert_eq!(refused(RSA_KEY, &confused), Some(Refusal::UnknownKey));
        let jwk = format!(r#"{{"keys":[{{"kty":"RSA","n":"{RSA_MODULUS}","e":"AQAB"}}]}}"#);
        assert_eq!(refused(&jwk, &confused), Some(Refusal::UnknownKey));
    }
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":""}"#,
        r#"{}"#,
        r#"{"alg":"HS256","crit":["x"],"x":1}"#,
    ] {
        let bare = token(header, CLAIMS, |_| Vec::new());
        let signed = token(header, CLAIMS, |message| hmac(SECRET.as_bytes(), message));
        assert_eq!(
            [refused(SECRET, &bare), refused(SECRET, &signed)],
            [Some(Refusal::Malformed); 2],
            "{header}"
        );
    }
    for algorithm in ["HS384", "HS512", "RS256", "ES256", "PS256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{algorithm}"}}"#);
        let signed = token(&header, CLAIMS, |message| hmac(SECRET.as_bytes(), message));
        assert_eq!(refused(SECRET, &signed), Some(Refusal::UnknownKey), "{algorithm}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let good = hs256(CLAIMS);
    let (message, _) = good.rsplit_once('.').unwrap();
    let large = hs256(&format!(r#"{{"exp":2000000000,"a":"{}"}}"#, "a".repeat(TOKEN_SIZE_MAX)));
    for (token, why) in [
        ("x", Refusal::Malformed),
        ("..", Refusal::Malformed),
        (message, Refusal::Malformed),
        (&format!("{message}."), Refusal::Signature),
        (&format!("{good}="), Refusal::Malformed),
        (&format!("{good}.x"), Refusal::Malformed),
        (&large, Refusal::Malformed),
        (&hs256("no json"), Refusal::Malformed),
        (&hs256("[1]"), Refusal::Malformed),
        (&hs256("{}"), Refusal::Claims),
        (&hs256(r#"{"exp":"2000000000"}"#), Refusal::Claims),
        (&hs256(r#"{"exp":null}"#), Refusal::Claims),
        (&hs256(r#"{"exp":2000000000,"nbf":"0"}"#), Refusal::Claims),
    ] {
        assert_eq!(refused(SECRET, token), Some(why), "{token}");
    }
}

#[test]
fn a_token_counts_from_its_beginning_to_its_end_and_some_seconds() {
    for (claims, why) in [
        (format!(r#"{{"exp":{}}}"#, NOW_S - 10), Some(Refusal::Expired)),
        (format!(r#"{{"exp":{}}}"#, NOW_S - 9), None),
        (format!(r#"{{"exp":{}.5}}"#, NOW_S - 9), None),
        (r#"{"exp":-1}"#.to_owned(), Some(Refusal::Expired)),
        (r#"{"exp":1e300}"#.to_owned(), None),
        (format!(r#"{{"exp":2000000000,"nbf":{}}}"#, NOW_S + 10), None),
        (format!(r#"{{"exp":2000000000,"nbf":{}}}"#, NOW_S + 11), Some(Refusal::Early)),
    ] {
        assert_eq!(refused(SECRET, &hs256(&claims)), why, "{claims}");
    }
    let optional = verifier(SECRET, Rules { is_exp_optional: true, ..Rules::default() });
    assert_eq!(check(&optional, &hs256("{}")).unwrap().until_s, None);
    assert_eq!(check(&optional, &hs256(r#"{"exp":1}"#)), Err(Refusal::Expired));
}

#[test]
fn issuer_audience_and_subject_are_held_to_what_is_asked() {
    let rules = Rules {
        issuers: vec!["login".to_owned()],
        audiences: vec!["chat".to_owned(), "games".to_owned()],
        binds_sub: true,
        ..Rules::default()
    };
    let verifier = verifier(SECRET, rules);
    for (claims, expected) in [
        (r#""iss":"login","aud":"chat","sub":"ann""#, Ok("ann")),
        (r#""iss":"login","aud":["mail","games"],"sub":"ann""#, Ok("ann")),
        (r#""iss":"other","aud":"chat","sub":"ann""#, Err(Refusal::Foreign)),
        (r#""iss":"login","aud":"mail","sub":"ann""#, Err(Refusal::Foreign)),
        (r#""iss":"login","aud":[],"sub":"ann""#, Err(Refusal::Foreign)),
        (r#""aud":"chat","sub":"ann""#, Err(Refusal::Claims)),
        (r#""iss":"login","sub":"ann""#, Err(Refusal::Claims)),
        (r#""iss":"login","aud":1,"sub":"ann""#, Err(Refusal::Claims)),
        (r#""iss":"login","aud":"chat""#, Err(Refusal::Claims)),
        (r#""iss":"login","aud":"chat","sub":7"#, Err(Refusal::Claims)),
        (r#""iss":"login","aud":"chat","sub":"0""#, Err(Refusal::Claims)),
    ] {
        let admitted = check(&verifier, &hs256(&format!(r#"{{"exp":2000000000,{claims}}}"#)));
        assert_eq!(
            admitted.map(|admitted| admitted.uid),
            expected.map(|uid| Some(uid.to_owned())),
            "{claims}"
        );
    }
    let everybody = hs256(r#"{"exp":2000000000,"iss":"anybody","aud":"anyone"}"#);
    assert_eq!(refused(SECRET, &everybody), None);
}

#[test]
fn keys_are_found_by_their_names() {
    let other = "fedcba9876543210fedcba9876543210";
    let set = format!(
        r#"{{"keys":[
            {{"kty":"oct","kid":"a","k":"{}"}},
            {{"kty":"oct","kid":"b","alg":"HS256","use":"sig","k":"{}"}},
            {{"kty":"RSA","kid":"r1","n":"{RSA_MODULUS}","e":"AQAB"}},
            {{"kty":"RSA","kid":"for secrecy","use":"enc","alg":"RSA-OAEP","n":"{RSA_MODULUS}","e":"AQAB"}},
            {{"kty":"RSA","kid":"another hash","alg":"RS512","n":"{RSA_MODULUS}","e":"AQAB"}},
            {{"kty":"of days to come","kid":"z"}}
        ]}}"#,
        base64(SECRET),
        base64(other)
    );
    let verifier = verifier(&set, Rules::default());
    assert_eq!(verifier.notices().len(), 3, "{:?}", verifier.notices());
    let by = |header: &str, secret: &str| {
        check(&verifier, &token(header, CLAIMS, |message| hmac(secret.as_bytes(), message))).err()
    };
    assert_eq!(by(r#"{"alg":"HS256","kid":"a"}"#, SECRET), None);
    assert_eq!(by(r#"{"alg":"HS256","kid":"b"}"#, other), None);
    assert_eq!(by(r#"{"alg":"HS256","kid":"a"}"#, other), Some(Refusal::Signature));
    assert_eq!(by(r#"{"alg":"HS256","kid":"c"}"#, SECRET), Some(Refusal::UnknownKey));
    assert_eq!(by(r#"{"alg":"HS256","kid":"r1"}"#, SECRET), Some(Refusal::UnknownKey));
    // Which of two was meant is not guessed.
    assert_eq!(by(r#"{"alg":"HS256"}"#, SECRET), Some(Refusal::UnknownKey));
    assert_eq!(check(&verifier, RSA_TOKEN).err(), None);
}

#[test]
fn what_is_no_key_is_told() {
    let bare = RSA_KEY.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    for (key, why) in [
        ("", "it is empty"),
        ("short", "fewer than 32 bytes"),
        (&format!("{SECRET}\n{SECRET}"), "neither a public key"),
        (&bare, "neither a public key"),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKHEChAkKi0n5d2CkNzpNvpcVb3SmJrM ann", "neither a public key"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "it is a private key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "neither a public key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a key for HS256"),
        (WEAK_RSA_KEY, "fewer than 2048 bits"),
        ("{", "no JSON Web Key"),
        (r#"{"keys":[]}"#, "it is empty"),
        (r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#, "key number 0 is passed over: a secret of fewer"),
        (r#"{"kty":"EC","crv":"P-384","x":"AAAA","y":"AAAA"}"#, "P-256 alone"),
        (&format!(r#"{{"kty":"RSA","alg":"HS256","n":"{RSA_MODULUS}","e":"AQAB"}}"#), "not a key for HS256"),
    ] {
        let told = Keys::read(key.as_bytes()).map(|_| ()).unwrap_err();
        assert!(told.contains(why), "{key}: {told}");
    }
    assert!(Keys::read(&[0x80; 64]).is_err());
    let missing = Verifier::load("nowhere.pem".to_owned(), Rules::default()).err().unwrap().to_string();
    assert!(missing.starts_with("--jwt-key nowhere.pem: "), "{missing}");
}

#[test]
fn a_token_is_where_it_was_said_to_be() {
    let good = hs256(CLAIMS);
    let found = |from: &str, target: &str, headers: &str| {
        let rules = Rules { sources: from.parse().unwrap(), ..Rules::default() };
        ask(&verifier(SECRET, rules), target, headers).map(|admitted| admitted.is_subprotocol)
    };
    let query = format!("/chat?a=b&token={good}&c");
    let header = format!("authorization:  bearer  {good} \r\n");
    let cookie = format!("Cookie: a=b; token={good}\r\n");
    let split = format!("Cookie: a=b\r\nCookie: token={good};c=d\r\n");
    let subprotocol = format!("Sec-WebSocket-Protocol: chat, bearer, {good}\r\n");
    for (from, target, headers) in [
        ("query:token", query.as_str(), ""),
        ("header", "/", &header),
        ("cookie:token", "/", &cookie),
        ("cookie:token", "/", &split),
        ("header,query:token", &query, "Authorization: Basic YTpi\r\n"),
        ("header, query:token", &query, ""),
    ] {
        assert_eq!(found(from, target, headers), Ok(false), "{from}");
        for other in ["query:jwt", "cookie:jwt", "subprotocol"] {
            assert_eq!(found(other, target, headers), Err(Refusal::Missing), "{from} {other}");
        }
    }
    assert_eq!(found("subprotocol", "/", &subprotocol), Ok(true));
    assert_eq!(found("subprotocol", "/", "Sec-WebSocket-Protocol: bearer\r\n"), Err(Refusal::Missing));
    assert_eq!(found("query:token", "/?token=", ""), Err(Refusal::Missing));
    // The first that has something counts, good or not.
    assert_eq!(found("header,query:token", &query, "Authorization: Bearer x\r\n"), Err(Refusal::Malformed));
    for (wrong, shown) in
        [("body", "`body`"), ("query:", "`query:`"), ("cookie:a b", "`cookie:a b`"), ("header,", "``")]
    {
        let why = wrong.parse::<Sources>().unwrap_err();
        assert!(why.starts_with(shown), "{why}");
    }
    let text = "header,query:token,cookie:a,subprotocol";
    assert_eq!(text.parse::<Sources>().unwrap().to_string(), text);
}
