//! All kept results as one page: how figures went from commit to commit. Reads `results/`; measures nothing.

mod instructions;

use std::io;
use std::path::{Path, PathBuf};

use loadgen::page::chart::{Chart, Line};
use loadgen::page::{document, si};
use serde::Deserialize;
use serde_json::Value;

use crate::Stand;

/// A file of `results/`. Figures are taken as they were written, by whichever version of the benchmark.
#[derive(Clone, Debug, Deserialize)]
struct Kept {
    bench: String,
    stand: Stand,
    figures: Value,
}

/// Where results are kept.
pub fn results_directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"))
}

/// The page of the results in a directory.
///
/// # Errors
/// It cannot be read, or a file in it is no result.
pub fn page(directory: &Path) -> io::Result<String> {
    let results = read(directory)?;
    let of = |bench: &str| -> Vec<&Kept> { results.iter().filter(|kept| kept.bench == bench).collect() };
    let (echo, million) = (of("echo"), of("million"));
    let mut body = String::from(
        "<p class=\"what\">Results in benches/results, by date. Points name their commit; those of one chart may be of \
         different machines.</p>\n<div class=\"charts\">\n",
    );
    for chart in [
        chart(
            "Echo, 1,000 clients: CPU as a multiple of the bare echo",
            &echo,
            &[("ratio", "/ratio")],
            times,
        ),
        chart(
            "Echo: CPU per message",
            &echo,
            &[("gateway", "/gateway_us"), ("worker", "/worker_us"), ("bare echo", "/bare_us")],
            us,
        ),
        chart(
            "Idle clients: memory of each",
            &million,
            &[("kernel", "/memory/kernel_per_client_held"), ("gateway", "/memory/user_per_client_held")],
            bytes,
        ),
        chart(
            "Echo beside idle clients: gateway CPU per message",
            &million,
            &[("all idle clients", "/echo_many/gateway_us"), ("few", "/echo_few/gateway_us")],
            us,
        ),
    ] {
        chart.write(&mut body);
    }
    for (title, scenario, place, write_y) in SCENARIOS {
        chart(title, &of(scenario), &[("median", place)], write_y).write(&mut body);
    }
    body.push_str("</div>\n");
    instructions::write(&of("instructions"), &mut body);
    Ok(document("Ringway, from commit to commit", STYLE, &body))
}

/// All results, oldest first.
fn read(directory: &Path) -> io::Result<Vec<Kept>> {
    let mut results = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let kept: Kept = serde_json::from_str(&std::fs::read_to_string(&path)?)
                .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
            results.push(kept);
        }
    }
    results.sort_by(|a, b| a.stand.date.cmp(&b.stand.date));
    Ok(results)
}

/// Figures of one benchmark; a line is its name, and where its figure is in the results.
fn chart<'a>(
    title: &'a str,
    results: &[&Kept],
    lines: &[(&'a str, &str)],
    write_y: fn(f64) -> String,
) -> Chart<'a> {
    let line = |(name, place): &(&'a str, &str)| {
        let figures = results.iter().enumerate();
        let points = figures.filter_map(|(x, kept)| Some((x as f64, kept.figures.pointer(place)?.as_f64()?)));
        Line { name, points: points.collect() }
    };
    let every = results.len().div_ceil(TICKS_MAX).max(1);
    let ticks = results.iter().enumerate().step_by(every);
    let x_ticks = ticks.map(|(x, kept)| (x as f64, commit(&kept.stand).to_owned())).collect();
    Chart { title, x_ticks, lines: lines.iter().map(line).collect(), write_y, log: false, shade: None }
}

/// As short as it can be told from others.
fn commit(stand: &Stand) -> &str {
    stand.commit.get(..7).unwrap_or(&stand.commit)
}

fn times(ratio: f64) -> String {
    format!("{ratio:.2}")
}

fn us(us: f64) -> String {
    format!("{us:.1} µs")
}

fn bytes(bytes: f64) -> String {
    format!("{} B", si(bytes))
}

/// Of each scenario with a goal, the figure that is judged: title, scenario, place, unit.
const SCENARIOS: [(&str, &str, &str, WriteY); 5] = [
    ("One client: p50 as a multiple of two bare hops'", "latency", "/medians/2", times),
    ("Broadcast: CPU per delivery as a multiple of a bare loop's", "broadcast", "/medians/2", times),
    ("Burst of broadcasts: CPU per delivery", "burst", "/medians/1", |value| format!("{value:.2} µs")),
    ("Echo among many idle clients as a multiple of that among few", "idle", "/medians/2", times),
    ("Memory of a client with uid, group and session", "bound", "/medians/1", bytes),
];

/// How values are written.
type WriteY = fn(f64) -> String;

/// Commits named below a chart.
const TICKS_MAX: usize = 8;

const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_results_make_a_page() {
        let page = page(&results_directory()).unwrap();
        assert!(page.contains("Idle clients") && page.ends_with("</html>\n"));
    }

    #[test]
    fn what_a_result_lacks_is_left_out() {
        let kept = |date: &str, figures| Kept {
            bench: "echo".into(),
            stand: Stand { date: date.into(), commit: "0123456789".into(), ..Stand::now() },
            figures,
        };
        let old = kept("2026-01-01T00:00:00Z", serde_json::json!({}));
        let new = kept("2026-01-02T00:00:00Z", serde_json::json!({ "ratio": 1.5 }));
        let chart = chart("t", &[&old, &new], &[("ratio", "/ratio")], times);
        assert_eq!(chart.lines[0].points, [(1.0, 1.5)]);
        assert_eq!(chart.x_ticks[0].1, "0123456");
    }
}
