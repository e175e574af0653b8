//! Logs for programs that gather them, and how much is logged while a program runs.

use ringway_tests::Cluster;
use ringway_tests::status::{get, put};
use ringway_tests::wait::wait_until;
use serde_json::Value;

/// The lines of a log, each of which is an object.
fn lines(log: &str) -> Vec<Value> {
    // The last one may not be whole yet.
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    let read = |line: &str| -> Value {
        let value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let Value::Object(fields) = &value else { panic!("no object: {line}") };
        for field in ["timestamp", "level", "message"] {
            assert!(fields[field].is_string(), "{field}: {line}");
        }
        value
    };
    whole.lines().map(read).collect()
}

#[test]
fn each_line_is_an_object_and_the_level_is_changed_while_it_runs() {
    let mut cluster = Cluster::builder().workers(0).gateway_flags(&["--log-format", "json"]).admin().start();
    let admin = cluster.admin_addresses()[1];
    let level = || get(admin, "/log-level", "").2;
    assert_eq!(level(), "info\n");
    let has = |cluster: &mut Cluster, level: &str, part: &str| {
        let lines = lines(&cluster.gateway(0).stderr());
        let is = |line: &&Value| {
            line["level"] == level && line["message"].as_str().is_some_and(|text| text.contains(part))
        };
        lines.iter().find(is).cloned()
    };
    let registered = wait_until("it to be registered", || has(&mut cluster, "INFO", "registered"));
    assert_eq!(registered["register"], cluster.register_address().to_string());
    assert_eq!(registered["target"], "gateway_core::serve::register_link");

    let (code, why) = put(admin, "/log-level", "info,gateway_core=loud");
    assert!(code == 400 && why.contains("info,gateway_core=loud"), "{code}: {why}");
    assert_eq!(level(), "info\n");
    assert_eq!(put(admin, "/log-level", "info,gateway_core=debug"), (204, String::new()));
    assert!(level().contains("gateway_core=debug"), "{}", level());
    wait_until("the change to be logged", || has(&mut cluster, "WARN", "the log level was changed"));
    // A link is a line of this level.
    cluster.start_worker(0);
    wait_until("a line of debug", || has(&mut cluster, "DEBUG", ""));
    assert!(has(&mut cluster, "TRACE", "").is_none());

    assert_eq!(put(admin, "/log-level", "off").0, 204);
    let before = cluster.gateway(0).stderr();
    cluster.worker(0).terminate();
    cluster.worker(0).await_clean_exit();
    wait_until("the worker to be gone", || {
        get(admin, "/readyz", "").2.contains("has no worker").then_some(())
    });
    assert_eq!(cluster.gateway(0).stderr(), before, "a worker that goes is a line of info");
    cluster.stop();
}
