//! Instruction counts: a small card for each benchmark, by topic.

use std::collections::BTreeMap;
use std::fmt::Write;

use loadgen::page::{escape, grouped};
use serde_json::Value;

use super::{Kept, commit};

/// Counts of one benchmark, in order of results: index of the result, count.
type Counts = Vec<(usize, f64)>;

/// Appends the cards of all benchmarks there ever were.
pub fn write(results: &[&Kept], out: &mut String) {
    let mut by_topic: BTreeMap<&str, BTreeMap<&str, Counts>> = BTreeMap::new();
    for (index, kept) in results.iter().enumerate() {
        let counts = kept.figures.get("instructions").and_then(Value::as_object);
        for (name, count) in counts.into_iter().flatten() {
            let (topic, what) = name.split_once('/').unwrap_or(("others", name));
            let count = (index, count.as_f64().unwrap_or_default());
            by_topic.entry(topic).or_default().entry(what).or_default().push(count);
        }
    }
    for (topic, benches) in by_topic {
        let _ = writeln!(
            out,
            "<h2 class=\"topic\">{}: instructions per operation, and since the first result</h2>",
            escape(topic)
        );
        out.push_str("<div class=\"counts\">\n");
        for (what, counts) in benches {
            write_card(results, what, &counts, out);
        }
        out.push_str("</div>\n");
    }
}

fn write_card(results: &[&Kept], what: &str, counts: &Counts, out: &mut String) {
    let (Some((first, from)), Some((_, now))) = (counts.first(), counts.last()) else { return };
    let change = (now / from - 1.0) * 100.0;
    let class = match change {
        3.0.. => "bad",
        ..-3.0 => "good",
        _ => "",
    };
    let (what, now, since) = (escape(what), grouped(now.round() as u64), commit(&results[*first].stand));
    let _ = write!(
        out,
        "<section class=\"card count\"><h3>{what}</h3><p><b>{now}</b><small class=\"{class}\" title=\"since {since}\">{change:+.1} %</small></p>"
    );
    write_line(results, counts, out);
    out.push_str("</section>\n");
}

/// The counts as a line, from somewhat below the lowest to somewhat above the highest: a change of a few percent shows,
/// a smaller one does not look like much.
fn write_line(results: &[&Kept], counts: &Counts, out: &mut String) {
    let low = counts.iter().map(|count| count.1).fold(f64::INFINITY, f64::min) * 0.93;
    let high = counts.iter().map(|count| count.1).fold(1.0, f64::max) * 1.07;
    let last = results.len().saturating_sub(1).max(1) as f64;
    let places: Vec<(f64, f64)> = counts
        .iter()
        .map(|(index, count)| {
            let (x, y) = (*index as f64 / last, (count - low) / (high - low));
            (MARGIN + x * (WIDTH - 2.0 * MARGIN), HEIGHT - y * HEIGHT)
        })
        .collect();
    let _ = write!(out, r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}"><polyline class="curve s0" points=""#);
    for (x, y) in &places {
        let _ = write!(out, "{x:.1},{y:.1} ");
    }
    out.push_str("\"/>");
    for ((x, y), (index, count)) in places.iter().zip(counts) {
        let commit = escape(commit(&results[*index].stand));
        let _ = write!(
            out,
            r#"<circle class="dot s0" cx="{x:.1}" cy="{y:.1}" r="3"><title>{commit}: {count}</title></circle>"#
        );
    }
    out.push_str("</svg>");
}

const WIDTH: f64 = 240.0;
const HEIGHT: f64 = 44.0;
const MARGIN: f64 = 4.0;
