//! Every flag of every program with values that cannot be: one line that names it, and exit code 2.

use std::process::Command;

use ringway_tests::process::{Process, binary_path};

/// Runs a program that cannot start with `flags`; asserts that it says so in one line with `what`, with exit code 2.
#[track_caller]
fn assert_wrong(program: &str, flags: &[&str], what: &str) {
    let mut command = Command::new(binary_path(program));
    command.args(flags);
    assert_refused(command, program, 2, what);
}

#[track_caller]
fn assert_refused(command: Command, program: &str, code: i32, what: &str) {
    let said = format!("{command:?}");
    let mut process = Process::spawn(program, command);
    let status = process.await_exit();
    let stderr = process.stderr();
    assert_eq!(status.code(), Some(code), "{said}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "not one line: {said}: {stderr}");
    assert!(stderr.contains(what), "`{what}` is not in: {said}: {stderr}");
    assert_eq!(process.stdout(), "", "{said}");
}

/// Each value alone, behind what else the program needs; the line names the flag.
#[track_caller]
fn assert_all_wrong(program: &str, needed: &[&str], table: &[(&str, &[&str])]) {
    for (flag, values) in table {
        for value in *values {
            assert_wrong(program, &[needed, &[flag, value]].concat(), flag);
        }
    }
}

const COUNTS: &[&str] = &["many", "-1", "0", "99999999999999999999", "1000000"];
const SIZES: &[&str] = &["big", "-1", "0", "1.5"];
const SECONDS: &[&str] = &["soon", "-1", "nan", "inf", "1e18"];
const WHOLE_SECONDS: &[&str] = &["soon", "-1", "1.5", "18446744073709551615"];
const ADMINS: &[&str] = &["here", "70000", "127.0.0.1", "-1"];
const CPUS: &[&str] = &["all", "3-1", "", "60000"];
const REGISTERS: &[&str] = &[
    "",
    "nonsense",
    "127.0.0.1",
    "127.0.0.1:",
    ":1236",
    "127.0.0.1:70000",
    "127.0.0.1:0",
    "http://127.0.0.1:1236",
    "127.0.0.1:1236,",
    "::1:1236",
    "*:1236",
    "1.2.3:1236",
    "a b:1236",
];
const LAN_IPS: &[&str] =
    &["", "here there", "300.1.1.1", "::1", "0.0.0.0", "*", "255.255.255.255", "224.0.0.1"];
const RESPONSE_HEADERS: &[&str] =
    &["", "no colon", "X: a\r\nY: b", "Connection: close", "Sec-WebSocket-Protocol: chat"];
const LISTENERS: &[&str] = &[
    "",
    "127.0.0.1:8282",
    "http://127.0.0.1:8282",
    "websocket://127.0.0.1",
    "websocket://127.0.0.1:70000",
    "websocket://:8282",
    "websocket://127.0.0.1:8282/chat",
    "websocket://1.2.3:8282",
];

#[test]
fn of_a_register() {
    assert_all_wrong(
        "register",
        &[],
        &[
            (
                "--listen",
                &[
                    "",
                    "nonsense",
                    "127.0.0.1",
                    "127.0.0.1:70000",
                    "http://127.0.0.1:1236",
                    "::1:1236",
                    "1236",
                ],
            ),
            ("--admin", ADMINS),
            ("--log-level", &["loud"]),
            ("--cpus", CPUS),
        ],
    );
}

#[test]
fn of_a_gateway() {
    assert_all_wrong("gateway", &[], &[("--listen", LISTENERS)]);
    let listen = ["--listen", "websocket://127.0.0.1:0"];
    assert_all_wrong(
        "gateway",
        &listen,
        &[
            ("--count", COUNTS),
            ("--lan-ip", LAN_IPS),
            ("--start-port", &["first", "-1", "65536"]),
            ("--inner-listen", &["", "a b", "300.1.1.1"]),
            ("--register-address", REGISTERS),
            ("--ping-interval", SECONDS),
            ("--ping-not-response-limit", &["few", "-1", "1.5", "4294967296"]),
            ("--router", &["fastest", ""]),
            ("--steer", &["left", ""]),
            ("--websocket-type", &["json", ""]),
            ("--name", &["", "a\tb"]),
            ("--max-package-size", SIZES),
            ("--max-package-size", &["66060289"]),
            ("--max-fragments", &["few", "-1", "0"]),
            ("--max-header-size", &["big", "-1", "255", "1048577"]),
            ("--send-to-client-buffer-size", SIZES),
            ("--slow-client", &["wait", ""]),
            ("--send-to-worker-buffer-size", SIZES),
            ("--no-worker-wait", SECONDS),
            ("--max-unfinished-size", &["big", "-1", "1.5"]),
            ("--unfinished-timeout", SECONDS),
            ("--response-header", RESPONSE_HEADERS),
            ("--subprotocol", &["", "two words"]),
            ("--drain-timeout", SECONDS),
            ("--admin", ADMINS),
            ("--log-level", &["loud"]),
            ("--cpus", CPUS),
        ],
    );
    assert_wrong("gateway", &[], "no --listen");
    let twice = ["--listen", "websocket://127.0.0.1:0", "--secret-key", "a", "--secret-key-file", "b"];
    assert_wrong("gateway", &twice, "--secret-key-file");
    let unproven = ["--listen", "websocket://127.0.0.1:0", "--inner-auth", "challenge"];
    assert_wrong("gateway", &unproven, "--inner-auth challenge: there is no secret key");
    assert_wrong(
        "worker",
        &["--app", "echo", "--inner-auth", "challenge"],
        "--inner-auth challenge: there is no secret key",
    );
    assert_wrong(
        "register",
        &["--inner-auth", "challenge"],
        "--inner-auth challenge: there is no secret key",
    );
    assert_wrong("register", &["--inner-auth", "other"], "--inner-auth");
    let public = ["--listen", "websocket://127.0.0.1:0", "--lan-ip", "192.0.2.1"];
    assert_wrong("gateway", &public, "--no-secret-key");
    let alone = ["--listen", "websocket://127.0.0.1:0", "--tls-client-ca", "clients.pem"];
    assert_wrong("gateway", &alone, "--tls-client-ca");
    assert_wrong("gateway", &["--listen", "websocket://127.0.0.1:0", "--tls-key", "a"], "--tls-key");
    let last = ["--listen", "websocket://127.0.0.1:0", "--start-port", "65535", "--count", "2"];
    assert_wrong("gateway", &last, "--start-port");
}

#[test]
fn of_listeners_on_one_port() {
    for [one, other] in [
        ["websocket://127.0.0.1:8282", "websocket://127.0.0.1:8282"],
        ["websocket://127.0.0.1:8282", "text://127.0.0.1:8282"],
        ["tcp://0.0.0.0:8282", "websocket://127.0.0.1:8282"],
        ["tcp://[::]:8282", "websocket://127.0.0.1:8282"],
        ["tcp://*:8282", "frame://[::]:8282"],
        ["tcp://localhost:8282", "Frame://127.0.0.1:8282"],
    ] {
        for program in ["gateway", "ringway"] {
            let ports = ["--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0"];
            let ports = if program == "gateway" { &ports[..2] } else { &ports[..] };
            let flags = [ports, &["--listen", one, "--listen", other]].concat();
            assert_wrong(program, &flags, "are one port");
        }
    }
    let inner = ["--listen", "websocket://127.0.0.1:2901", "--count", "2"];
    assert_wrong("gateway", &inner, "is the inner port of shard 1");
    let page = ["--listen", "websocket://127.0.0.1:8080", "--page", "127.0.0.1:8080"];
    assert_wrong("ringway", &page, "are one port");
}

#[test]
fn of_a_worker() {
    assert_all_wrong(
        "worker",
        &["--app", "echo"],
        &[
            ("--count", COUNTS),
            ("--register-address", REGISTERS),
            ("--query-timeout", WHOLE_SECONDS),
            ("--query-timeout", &["0"]),
            ("--send-to-gateway-buffer-size", &["big", "-1", "1.5"]),
            ("--max-concurrent-events", SIZES),
            ("--drain-timeout", WHOLE_SECONDS),
            ("--admin", ADMINS),
            ("--log-level", &["loud"]),
            ("--cpus", CPUS),
        ],
    );
    assert_wrong("worker", &[], "--app");
    assert_wrong("worker", &["--app", "tetris"], "tetris");
    assert_wrong("worker", &["stop"], "--pid-file");
}

#[test]
fn of_ringway() {
    assert_all_wrong("ringway", &["--page", "127.0.0.1:0"], &[("--listen", LISTENERS)]);
    let ports = ["--listen", "websocket://127.0.0.1:0", "--page", "127.0.0.1:0"];
    assert_all_wrong("ringway", &ports[..2], &[("--page", &["", "8080", "here", "127.0.0.1:70000"])]);
    assert_all_wrong(
        "ringway",
        &ports,
        &[
            ("--count", COUNTS),
            ("--app", &["tetris", ""]),
            ("--ping-interval", SECONDS),
            ("--ping-not-response-limit", &["few", "-1", "1.5", "4294967296"]),
            ("--register-listen", &["", "nonsense", "http://127.0.0.1:1236"]),
            ("--register-address", REGISTERS),
            ("--lan-ip", LAN_IPS),
            ("--start-port", &["first", "-1", "65536"]),
            ("--max-unfinished-size", &["big", "-1", "1.5"]),
            ("--unfinished-timeout", SECONDS),
            ("--response-header", RESPONSE_HEADERS),
            ("--subprotocol", &["", "two words"]),
            ("--drain-timeout", SECONDS),
            ("--admin", ADMINS),
            ("--log-level", &["loud"]),
            ("--cpus", CPUS),
        ],
    );
    assert_wrong("ringway", &["--listen", "text://127.0.0.1:0"], "needs a websocket");
    assert_wrong("ringway", &[&ports[..], &["--tls-key", "a"]].concat(), "--tls-key");
    assert_wrong("ringway", &["status", "nonsense"], "nonsense");
}

#[test]
fn of_a_load_generator() {
    assert_all_wrong(
        "loadgen",
        &[],
        &[
            ("--conns", &["many", "0", "-1"]),
            ("--target", &["", "nowhere", "http://127.0.0.1:1", "ws://127.0.0.1"]),
            ("--spread", &["0", "wide", "256"]),
            ("--source", &["here"]),
            ("--scenario", &["sleep"]),
            ("--depth", &["deep"]),
            ("--rate", &["fast", "-1", "0", "nan"]),
            ("--room-size", &["big", "0"]),
            ("--burst", &["big", "0"]),
            ("--size", SIZES),
            ("--hold", SECONDS),
            ("--drain", SECONDS),
            ("--then", &["sleep", "echo,size"]),
            ("--ramp", &["fast", "0", "-1", "nan"]),
            ("--timeout", SECONDS),
            ("--count", COUNTS),
            ("--register", &["nonsense", "", "http://127.0.0.1:1"]),
            ("--server-pid", &["me"]),
            ("--log-level", &["loud"]),
            ("--cpus", CPUS),
        ],
    );
    let echo = ["--scenario", "echo"];
    assert_all_wrong(
        "loadgen",
        &echo,
        &[("--warmup", SECONDS), ("--depth", &["0"]), ("--room-size", &["3"])],
    );
    assert_wrong("loadgen", &["--target", "wss://127.0.0.1:1"], "--tls-ca");
}

#[test]
fn from_the_environment_or_a_file() {
    let file = std::env::temp_dir().join(format!("ringway-tests-wrong-{}.toml", std::process::id()));
    for (program, flag, value) in [
        ("register", "listen", "nonsense"),
        ("gateway", "start-port", "first"),
        ("worker", "register-address", "nonsense"),
        ("ringway", "count", "many"),
        ("loadgen", "conns", "many"),
    ] {
        let prefix =
            if program == "ringway" { String::new() } else { format!("{}_", program.to_uppercase()) };
        let variable = format!("RINGWAY_{prefix}{}", flag.to_uppercase().replace('-', "_"));
        let app: &[&str] = if program == "worker" { &["--app", "echo"] } else { &[] };
        let mut command = Command::new(binary_path(program));
        command.args(app).env(&variable, value);
        // What is judged when the whole is known is judged by the name of the flag.
        let named = if program == "worker" { "--register-address" } else { &variable };
        assert_refused(command, program, 2, named);

        std::fs::write(&file, format!("\n{flag} = \"{value}\"\n")).unwrap();
        let named =
            if program == "worker" { "--register-address".to_owned() } else { format!("line 2: {flag}") };
        let flags = [app, &["--config", file.to_str().unwrap()]].concat();
        assert_wrong(program, &flags, &named);
    }
    std::fs::remove_file(&file).unwrap();
}

/// A name may be found the next time, so a supervisor is to try again.
#[test]
fn a_name_without_address_is_no_wrong_value() {
    for (program, flags) in [
        ("register", &["--listen", "nowhere.invalid:1236"][..]),
        ("gateway", &["--listen", "text://nowhere.invalid:0"]),
        ("gateway", &["--listen", "text://127.0.0.1:0", "--lan-ip", "nowhere.invalid"]),
        ("gateway", &["--listen", "text://127.0.0.1:0", "--inner-listen", "nowhere.invalid"]),
        ("ringway", &["--listen", "websocket://nowhere.invalid:0"]),
    ] {
        let mut command = Command::new(binary_path(program));
        command.args(flags);
        assert_refused(command, program, 1, "nowhere.invalid");
    }
}
