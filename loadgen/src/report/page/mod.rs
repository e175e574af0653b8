//! Pages for people, the report's and others': no scripts, nothing from elsewhere, light or dark as the reader likes it.

pub mod chart;

use std::fmt::Write;

use self::chart::{Chart, Line, linear_ticks};
use super::{Latency, Outcome, Report, Second};

impl Report {
    /// As an HTML page of its own.
    pub fn to_html(&self) -> String {
        let mut body = String::with_capacity(64 * 1024);
        let _ = writeln!(body, "<p class=\"what\">{}</p>", escape(&self.in_words()));
        self.write_tiles(&mut body);
        body.push_str("<div class=\"charts\">\n");
        for chart in self.charts() {
            chart.write(&mut body);
        }
        let table = escape(&self.to_string());
        let _ = writeln!(body, "</div>\n<section class=\"card tables\"><pre>{table}</pre></section>");
        document(&format!("loadgen: {}", self.first().setup.scenario), "", &body)
    }

    fn in_words(&self) -> String {
        let (setup, seconds) = (&self.setup, self.first().measured.seconds);
        let first = setup.targets.first().map_or("", String::as_str);
        let more = match setup.targets.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let threads = if setup.cores == 1 { "1 thread".into() } else { format!("{} threads", setup.cores) };
        let end = if self.interrupted { ", interrupted" } else { "" };
        format!(
            "{} connections to {first}{more}, {threads}, {seconds:.1} s measured (shaded){end}",
            grouped(self.connections.asked)
        )
    }

    fn write_tiles(&self, out: &mut String) {
        let Outcome { measured, churn, latency_us, fanout, .. } = self.first();
        let (connections, churned) = (&self.connections, churn.as_ref());
        let failed = connections.failures.total() + churned.map_or(0, |churn| churn.failures.total());
        let lost = connections.losses.total();
        let asked = format!("of {}, {}/s", grouped(connections.asked), si(connections.opened_per_second));
        let mut tiles = vec![("connections", grouped(connections.opened), asked, false)];
        match churned {
            Some(churn) => {
                let rate = format!("of {}", grouped(churn.begun));
                tiles.push(("clients that came", grouped(churn.made), rate, false));
            }
            None => {
                let rate = format!("{}/s", si(measured.received_per_second));
                tiles.push(("received", rate, grouped(measured.received), false));
            }
        }
        for (name, latency) in [
            (if churned.is_some() { "connect" } else { "latency" }, latency_us.as_ref()),
            ("last receiver", fanout.as_ref().and_then(|fanout| fanout.last_receiver_us.as_ref())),
        ] {
            if let Some(Latency { p50, p99, .. }) = latency {
                tiles.push((name, time(*p50), format!("p50, p99 {}", time(*p99)), false));
            }
        }
        if let Some(server) = &self.server {
            let before = format!("at most, {} before", bytes(server.first_bytes as f64));
            tiles.push(("server memory", bytes(server.most_bytes as f64), before, false));
        }
        tiles.push(("failed", grouped(failed), connections.failures.summary(), failed > 0));
        tiles.push(("lost", grouped(lost), connections.losses.summary(), lost > 0));
        out.push_str("<div class=\"tiles\">");
        for (name, value, detail, bad) in tiles {
            let bad = if bad { " bad" } else { "" };
            let detail = escape(&detail);
            let _ = write!(
                out,
                "<div class=\"card tile{bad}\"><span>{name}</span><b>{value}</b><small>{detail}</small></div>"
            );
        }
        out.push_str("</div>\n");
    }

    fn charts(&self) -> Vec<Chart<'_>> {
        let [by_percentile, by_time, rates] = if self.first().churn.is_some() {
            ["Connect time by percentile", "Connect time, second by second", "Clients that came, per second"]
        } else {
            ["Latency by percentile", "Latency, second by second", "Messages received, per second"]
        };
        let connections = vec![
            self.over_time("connected", |second| second.connected as f64),
            self.over_time("failed", |second| second.failed as f64),
            self.over_time("lost", |second| second.lost as f64),
        ];
        let happened =
            |line: &Line<'_>| line.name == "connected" || line.points.iter().any(|point| point.1 > 0.0);
        let latency =
            vec![self.times("p99", |second| second.p99_us), self.times("p50", |second| second.p50_us)];
        let rate = vec![self.over_time("rate", |second| second.rate)];
        let memory = self.times("memory", |second| second.server_bytes.map(|bytes| bytes as f64));
        vec![
            self.percentiles(by_percentile),
            Chart { write_y: time, log: true, ..self.timeline(by_time, latency) },
            self.timeline("Connections", connections.into_iter().filter(happened).collect()),
            self.timeline(rates, rate),
            Chart { write_y: bytes, ..self.timeline("Memory of the server", vec![memory]) },
        ]
    }

    /// Percentiles spread by how rare what is beyond them is.
    fn percentiles<'a>(&'a self, title: &'a str) -> Chart<'a> {
        let line = |name, latency: &Latency| {
            let place = |quantile: f64| -(1.0 - quantile).max(0.5 / latency.count as f64).log10();
            let points = latency.curve.iter().map(|point| (place(point.quantile), point.us)).collect();
            Line { name, points }
        };
        let Outcome { latency_us, fanout, .. } = self.first();
        let last = fanout.as_ref().and_then(|fanout| fanout.last_receiver_us.as_ref());
        let lines: Vec<Line<'_>> = [("each", latency_us.as_ref()), ("last receiver", last)]
            .into_iter()
            .filter_map(|(name, latency)| latency.map(|latency| line(name, latency)))
            .collect();
        let end = lines.iter().flat_map(|line| &line.points).map(|point| point.0).fold(0.0, f64::max);
        let ticks = [
            (0.5, "50 %"),
            (0.9, "90 %"),
            (0.99, "99 %"),
            (0.999, "99.9 %"),
            (0.9999, "99.99 %"),
            (0.99999, "99.999 %"),
        ];
        let x_ticks =
            ticks.map(|(quantile, label): (f64, &str)| (-(1.0 - quantile).log10(), label.to_owned()));
        let x_ticks = x_ticks.into_iter().filter(|tick| tick.0 <= end + 1e-9).collect();
        Chart { title, x_ticks, lines, write_y: time, log: true, shade: None }
    }

    fn timeline<'a>(&self, title: &'a str, lines: Vec<Line<'a>>) -> Chart<'a> {
        let end = self.seconds.last().map_or(0.0, |second| second.at_seconds);
        let mut ticks = linear_ticks(end);
        ticks.retain(|tick| *tick <= end);
        let x_ticks = ticks.into_iter().map(|tick| (tick, format!("{tick} s"))).collect();
        let measured = &self.first().measured;
        let from = measured.from_seconds;
        let shade = (measured.seconds > 0.0).then_some((from, from + measured.seconds));
        Chart { title, x_ticks, lines, write_y: si, log: false, shade }
    }

    /// A count or a rate, which is zero when the run begins.
    fn over_time(&self, name: &'static str, value: impl Fn(&Second) -> f64) -> Line<'static> {
        let seen = self.seconds.iter().map(|second| (second.at_seconds, value(second)));
        Line { name, points: std::iter::once((0.0, 0.0)).chain(seen).collect() }
    }

    /// A time, where there is one.
    fn times(&self, name: &'static str, value: impl Fn(&Second) -> Option<f64>) -> Line<'static> {
        let seen = self.seconds.iter().filter_map(|second| Some((second.at_seconds, value(second)?)));
        Line { name, points: seen.collect() }
    }
}

/// A page around `body`, which is HTML; `style` is CSS beside the one that all pages have.
pub fn document(title: &str, style: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title>\n<style>\n{STYLE}{style}</style></head>\n\
         <body><h1>{title}</h1>\n{body}</body></html>\n",
        title = escape(title)
    )
}

/// Text as HTML, also inside of quotes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A count with its digits in threes.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Three digits and a unit.
pub fn si(value: f64) -> String {
    match value {
        1e9.. => format!("{}G", short(value / 1e9)),
        1e6.. => format!("{}M", short(value / 1e6)),
        1e3.. => format!("{}k", short(value / 1e3)),
        _ => short(value),
    }
}

/// Bytes.
fn bytes(value: f64) -> String {
    format!("{}B", si(value))
}

/// Microseconds.
fn time(us: f64) -> String {
    match us {
        1e6.. => format!("{} s", short(us / 1e6)),
        1e3.. => format!("{} ms", short(us / 1e3)),
        _ => format!("{} µs", short(us)),
    }
}

fn short(value: f64) -> String {
    let decimals = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.5, "0.5"), (12.34, "12.3"), (99.96, "100"), (1_500.0, "1.5k"), (2e6, "2M")]
        {
            assert_eq!(si(value), text);
        }
        assert_eq!(
            (time(278.2), time(3_350.0), time(2e6)),
            ("278 µs".into(), "3.35 ms".into(), "2 s".into())
        );
        assert_eq!(
            (grouped(7), grouped(1_234), grouped(1_000_000)),
            ("7".into(), "1,234".into(), "1,000,000".into())
        );
    }

    #[test]
    fn text_cannot_break_out() {
        assert_eq!(escape("<a b=\"&\">"), "&lt;a b=&quot;&amp;&quot;&gt;");
    }
}
