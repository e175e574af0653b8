//! What Prometheus and load balancers see of a cluster: `/metrics`, `/healthz`, `/readyz`.
//!
//! Needs Debian's package prometheus, and a Python that has prometheus_client (`RINGWAY_PYTHON`). Without them the tests that ask
//! for one say so and pass, unless the environment has `RINGWAY_NEED_PROMETHEUS=1`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ringway_tests::process::Process;
use ringway_tests::status::get;
use ringway_tests::wait::wait_until;
use ringway_tests::{Clients, Cluster, own_address};
use serde_json::Value;

/// A cluster whose programs have counted and measured something of everything that is not a fault.
fn busy_cluster() -> Cluster {
    let cluster = Cluster::builder().shards(2).workers(2).admin().start();
    let mut clients: Vec<_> = (0..8).map(|_| cluster.websocket(0)).collect();
    for client in &mut clients {
        // One event in 64 of each link is timed.
        (0..80).for_each(|number| client.echo(&format!("message {number}")));
    }
    wait_until("events to be timed", || {
        let timed = value(&cluster, 1, "ringway_gateway_event_duration_seconds_count");
        (timed > 0.0).then_some(())
    });
    cluster
}

/// The sum of a metric over all its series, of a program by its place in `Cluster::admin_addresses`.
fn value(cluster: &Cluster, program: usize, name: &str) -> f64 {
    let (_, _, text) = get(cluster.admin_addresses()[program], "/metrics", "");
    let lines = text.lines().filter_map(|line| line.rsplit_once(' '));
    let values = lines.filter(|(series, _)| series.split('{').next() == Some(name));
    values.map(|(_, value)| value.parse::<f64>().expect("a value is a number")).sum()
}

#[test]
fn metrics_tell_what_the_cluster_does() {
    let cluster = busy_cluster();
    let value = |program, name: &str| value(&cluster, program, name);
    let [register, gateway, worker0, worker1] = [0, 1, 2, 3];
    assert_eq!(value(gateway, "ringway_gateway_messages_in_total"), 640.0);
    assert_eq!(value(gateway, "ringway_gateway_messages_out_total"), 640.0);
    assert!(value(gateway, "ringway_gateway_sent_bytes_total") > 640.0 * 10.0);
    assert_eq!(value(gateway, "ringway_gateway_up"), 2.0);
    assert_eq!(value(gateway, "ringway_gateway_registered"), 2.0);
    assert_eq!(value(gateway, "ringway_gateway_links"), 4.0);
    let workers = |name: &str| value(worker0, name) + value(worker1, name);
    assert_eq!(workers("ringway_worker_messages_in_total"), 640.0);
    assert!(workers("ringway_worker_handler_duration_seconds_count") >= 8.0);
    assert!(workers("ringway_worker_turn_duration_seconds_count") >= 1.0);
    assert_eq!(value(register, "ringway_register_gateways"), 2.0);
    assert_eq!(value(register, "ringway_register_workers"), 2.0);

    let (_, head, text) = get(cluster.admin_addresses()[gateway], "/metrics", "");
    assert!(head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{head}");
    // The clients are gone, or on their way.
    assert!(text.contains("ringway_gateway_clients{shard=\"1\",protocol=\"websocket\"} "), "{text}");
    assert!(text.contains("ringway_gateway_dropped_total{shard=\"0\",cause=\"slow_client\"} 0\n"), "{text}");
    cluster.stop();
}

#[test]
fn both_formats_are_as_prometheus_wants_them() {
    let Some(promtool) = find("promtool") else { return };
    let python = std::env::var_os("RINGWAY_PYTHON").map(PathBuf::from);
    assert!(python.is_some() || !are_needed(), "RINGWAY_NEED_PROMETHEUS=1 needs RINGWAY_PYTHON");
    let cluster = busy_cluster();
    for address in cluster.admin_addresses() {
        let (_, _, text) = get(address, "/metrics", "");
        let mut check = Command::new(&promtool);
        let said = feed(check.args(["check", "metrics"]), &text);
        assert_eq!(said, "", "promtool of {address}");
        let open = "Accept: application/openmetrics-text; version=1.0.0\r\n";
        let (_, head, open_text) = get(address, "/metrics", open);
        assert!(head.contains("application/openmetrics-text; version=1.0.0"), "{head}");
        let Some(python) = &python else { continue };
        for (parser, text) in [("prometheus_client", &text), ("prometheus_client.openmetrics", &open_text)] {
            let program = format!(
                "import sys; from {parser}.parser import text_string_to_metric_families as read\n\
                 print(sum(len(family.samples) for family in read(sys.stdin.read())))"
            );
            let count = feed(Command::new(python).args(["-c", &program]), text);
            let series = text.lines().filter(|line| !line.starts_with('#')).count();
            assert_eq!(count.trim(), series.to_string(), "{parser} of {address}");
        }
    }
    cluster.stop();
}

#[test]
fn alerts_come_when_they_should() {
    let Some(promtool) = find("promtool") else { return };
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/tests/alerts.yml");
    let tested = Command::new(promtool).args(["test", "rules"]).arg(tests).output().expect("promtool runs");
    assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stdout));
}

#[test]
fn a_real_prometheus_takes_the_metrics_the_alerts_and_what_the_dashboard_asks_for() {
    let Some(program) = find("prometheus") else { return };
    let cluster = busy_cluster();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the test can write its files");
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring");
    let rules = deploy.join("ringway.rules.yml").canonicalize().expect("there are rules");
    let targets: Vec<String> =
        cluster.admin_addresses().iter().map(|address| format!("'{address}'")).collect();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}']\nscrape_configs:\n\
         - job_name: ringway\n  static_configs:\n  - targets: [{}]\n",
        rules.display(),
        targets.join(", ")
    );
    fs::write(folder.join("prometheus.yml"), config).expect("the test can write its files");
    let address = SocketAddrV4::new(own_address(), 9090);
    let mut command = Command::new(program);
    command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.arg(format!("--web.listen-address={address}"));
    let mut prometheus = Process::spawn("prometheus", command);
    wait_until("Prometheus to listen", || std::net::TcpStream::connect(address).ok().map(drop));
    wait_until("Prometheus to be ready", || (get(address, "/-/ready", "").0 == 200).then_some(()));
    let ask = |path: &str| -> Value {
        let (code, _, body) = get(address, path, "");
        assert_eq!(code, 200, "{path}: {body}");
        serde_json::from_str(&unchunked(&body)).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
    };
    // Two scrapes of each, for rates.
    let scraped = "count(count_over_time(ringway_build_info[1m]) >= 3)";
    wait_until("everything to be scraped", || {
        let found = ask(&format!("/api/v1/query?query={}", encoded(scraped)));
        (found["data"]["result"][0]["value"][1] == "4").then_some(())
    });

    let rules = ask("/api/v1/rules");
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("the rules are loaded").clone();
    assert!(rules.len() >= 10);
    wait_until("the rules to be looked at", || {
        let rules = ask("/api/v1/rules");
        let looked = |rule: &Value| rule["health"] == "ok";
        rules["data"]["groups"][0]["rules"].as_array()?.iter().all(looked).then_some(())
    });
    let alerts = ask("/api/v1/alerts");
    assert_eq!(alerts["data"]["alerts"], Value::Array(Vec::new()), "nothing is wrong");

    let dashboard = fs::read_to_string(deploy.join("ringway-dashboard.json")).expect("there is a dashboard");
    let dashboard: Value = serde_json::from_str(&dashboard).expect("it is JSON");
    let expressions: Vec<String> = strings(&dashboard, "expr");
    assert!(expressions.len() > 30);
    let of_rules = rules.iter().filter_map(|rule| rule["query"].as_str()).map(str::to_owned);
    for expression in expressions.into_iter().chain(of_rules) {
        let filled = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        let answer = ask(&format!("/api/v1/query?query={}", encoded(&filled)));
        assert_eq!(answer["status"], "success", "{filled}");
        for name in names(&filled) {
            let found = ask(&format!("/api/v1/query?query={}", encoded(&name)));
            assert!(found["data"]["result"][0].is_object(), "no program tells {name}, of {filled}");
        }
    }
    prometheus.terminate();
    prometheus.await_exit();
    cluster.stop();
}

#[test]
fn a_program_is_ready_when_somebody_can_be_sent_to_it() {
    let control = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ready-control");
    let flags = ["--control", control.to_str().expect("cargo's folder has a name"), "--cordon-delay", "0"];
    let mut cluster = Cluster::builder().workers(0).gateway_flags(&flags).admin().start();
    let [register, gateway] = cluster.admin_addresses()[..] else { panic!("a register and a gateway") };
    let is = |address, path: &str, code: u16, body: &str| {
        wait_until(&format!("{path} to be {code}"), || {
            let (told, _, text) = get(address, path, "");
            (told == code && text == body).then_some(())
        });
    };
    is(register, "/readyz", 200, "ok\n");
    is(gateway, "/readyz", 503, "gateway:0 has no worker\n");
    is(gateway, "/healthz", 200, "ok\n");
    cluster.start_worker(0);
    is(gateway, "/readyz", 200, "ok\n");
    let worker = cluster.admin_addresses()[2];
    is(worker, "/readyz", 200, "ok\n");
    let order = |word: &str| {
        let mut order = Process::start("order", "gateway", &[word, flags[0], flags[1]].map(str::to_owned));
        assert!(order.await_exit().success(), "{}", order.output());
    };
    order("cordon");
    is(gateway, "/readyz", 503, "gateway cordoned, takes no new clients\n");
    is(gateway, "/healthz", 200, "ok\n");
    order("uncordon");
    is(gateway, "/readyz", 200, "ok\n");
    cluster.worker(0).terminate();
    is(gateway, "/readyz", 503, "gateway:0 has no worker\n");
    cluster.stop();
}

#[test]
fn a_thread_that_does_not_turn_is_told_while_it_does_not() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_test-worker"));
    let cluster = Cluster::builder().workers(0).start();
    let admin = SocketAddrV4::new(own_address(), 9600);
    let register = cluster.register_address().to_string();
    command.args([
        "--count",
        "1",
        "--no-master",
        "--register-address",
        &register,
        "--admin",
        &admin.to_string(),
    ]);
    let mut worker = Process::spawn("test-worker", command);
    worker.await_ready("test-worker");
    let mut client = cluster.websocket(0);
    client.send_text("block 14");
    wait_until("the core to be missed", || {
        let (code, _, text) = get(admin, "/healthz", "");
        (code == 503 && text.contains(":0 has not turned for 1") && text.ends_with(" s\n")).then_some(())
    });
    wait_until("the core to be back", || (get(admin, "/healthz", "").0 == 200).then_some(()));
    worker.terminate();
    worker.await_exit();
    cluster.stop();
}

/// What a program says that reads this; it must be content.
fn feed(command: &mut Command, text: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().expect("it is piped").write_all(text.as_bytes()).expect("the program reads it");
    let output = child.wait_with_output().expect("it can be waited for");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {said:?}");
    said.concat()
}

/// Where a program is; `None` if it is not here and need not be.
fn find(program: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths).map(|path| path.join(program)).find(|path| path.is_file());
    assert!(found.is_some() || !are_needed(), "RINGWAY_NEED_PROMETHEUS=1, but there is no {program} here");
    if found.is_none() {
        writeln!(std::io::stderr(), "SKIPPED: no {program} here (RINGWAY_NEED_PROMETHEUS=1 demands it)")
            .expect("stderr takes a line");
    }
    found
}

fn are_needed() -> bool {
    std::env::var_os("RINGWAY_NEED_PROMETHEUS").is_some_and(|value| value == "1")
}

/// For the query of a URL.
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A body, whether it came in chunks or not.
fn unchunked(body: &str) -> String {
    let (mut whole, mut rest) = (String::new(), body);
    if body.starts_with(['{', '[']) {
        return body.to_owned();
    }
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).expect("a chunk has its size in front");
        whole.push_str(&behind[..size]);
        rest = behind.get(size + 2..).unwrap_or_default();
    }
    whole
}

/// All strings under this key, wherever.
fn strings(value: &Value, key: &str) -> Vec<String> {
    match value {
        Value::Object(map) => {
            let own = map.get(key).and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(map.values().flat_map(|value| strings(value, key))).collect()
        }
        Value::Array(list) => list.iter().flat_map(|value| strings(value, key)).collect(),
        _ => Vec::new(),
    }
}

/// The metrics that an expression is about.
fn names(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words
        .filter(|word| word.starts_with("ringway_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}
