//! Metrics as text, in the two formats that Prometheus reads.
//!
//! Neither of the well-kept crates writes both: `prometheus` has the older text alone, `prometheus-client` OpenMetrics alone,
//! and both want to own the numbers, which belong to the data threads.

use std::fmt::Write;

use indexmap::IndexMap;

use crate::{Histogram, Value};

/// How metrics are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// A metric with all that tells it from others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Sample {
    /// Without `_total`.
    pub name: String,
    pub help: &'static str,
    pub labels: Vec<(&'static str, String)>,
    pub value: Value,
}

impl Format {
    /// What a scraper gets that says this in `Accept`: OpenMetrics if it is named there, for who knows it prefers it.
    pub fn accepted(accept: &str) -> Format {
        let is_named = accept.split(',').any(|range| {
            let kind = range.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/openmetrics-text")
                && !range.replace(' ', "").ends_with(";q=0")
        });
        if is_named { Format::OpenMetrics } else { Format::Text }
    }

    /// What the answer says of itself.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// All of them; those of one name have one kind and one help, the first one's, and stand together.
    pub(crate) fn write(self, samples: &[Sample]) -> String {
        let mut families: IndexMap<&str, Vec<&Sample>> = IndexMap::new();
        for sample in samples {
            families.entry(&sample.name).or_default().push(sample);
        }
        let mut text = String::new();
        for (name, family) in families {
            self.write_head(&mut text, name, family[0]);
            family.iter().for_each(|sample| write_sample(&mut text, sample));
        }
        if self == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn write_head(self, text: &mut String, name: &str, first: &Sample) {
        let (kind, suffix) = match first.value {
            // OpenMetrics names the family, the text format the series.
            Value::Counter(_) | Value::Time(_) if self == Format::Text => ("counter", "_total"),
            Value::Counter(_) | Value::Time(_) => ("counter", ""),
            Value::Gauge(_) => ("gauge", ""),
            Value::Histogram(_) => ("histogram", ""),
        };
        let help = first.help.replace('\\', r"\\").replace('\n', r"\n");
        let help = if self == Format::OpenMetrics { help.replace('"', "\\\"") } else { help };
        put(text, format_args!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
    }
}

fn write_sample(text: &mut String, sample: &Sample) {
    let Sample { name, labels, value, .. } = sample;
    match value {
        Value::Counter(count) => put(text, format_args!("{name}_total{} {count}\n", Labels(labels, None))),
        Value::Time(time) => {
            put(text, format_args!("{name}_total{} {}\n", Labels(labels, None), time.as_secs_f64()));
        }
        Value::Gauge(value) => put(text, format_args!("{name}{} {value}\n", Labels(labels, None))),
        Value::Histogram(values) => write_histogram(text, sample, values),
    }
}

fn write_histogram(text: &mut String, Sample { name, labels, .. }: &Sample, values: &Histogram) {
    for (bound, count) in values.cumulated() {
        let bound = format!("{bound:?}");
        put(text, format_args!("{name}_bucket{} {count}\n", Labels(labels, Some(&bound))));
    }
    let count = values.count();
    put(text, format_args!("{name}_bucket{} {count}\n", Labels(labels, Some("+Inf"))));
    put(text, format_args!("{name}_sum{} {}\n", Labels(labels, None), values.total()));
    put(text, format_args!("{name}_count{} {count}\n", Labels(labels, None)));
}

/// Labels in braces, if there are any; the last may be a bound.
struct Labels<'a>(&'a [(&'static str, String)], Option<&'a str>);

impl std::fmt::Display for Labels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        for (at, (name, value)) in labels.chain(self.1.map(|bound| ("le", bound))).enumerate() {
            f.write_str(if at == 0 { "{" } else { "," })?;
            let value = value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            write!(f, "{name}=\"{value}\"")?;
        }
        f.write_str(if self.0.is_empty() && self.1.is_none() { "" } else { "}" })
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes all that fits in memory");
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Scale;

    fn sample(name: &str, labels: &[(&'static str, &str)], value: Value) -> Sample {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Sample { name: name.to_owned(), help: "What \"it\" is.", labels, value }
    }

    fn samples() -> [Sample; 5] {
        let mut times = Histogram::new(Scale::Time);
        times.record(20);
        [
            sample("a", &[("shard", "0")], Value::Counter(1)),
            sample("b", &[], Value::Gauge(2)),
            sample("a", &[("shard", "1"), ("cause", "\"\\\n")], Value::Counter(3)),
            sample("c_seconds", &[("core", "0")], Value::Histogram(times)),
            sample("d_seconds", &[], Value::Time(Duration::from_millis(1500))),
        ]
    }

    #[test]
    fn the_text_format() {
        let text = Format::Text.write(&samples());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[..8],
            [
                r#"# HELP a_total What "it" is."#,
                "# TYPE a_total counter",
                r#"a_total{shard="0"} 1"#,
                r#"a_total{shard="1",cause="\"\\\n"} 3"#,
                r#"# HELP b What "it" is."#,
                "# TYPE b gauge",
                "b 2",
                r#"# HELP c_seconds What "it" is."#,
            ]
        );
        assert_eq!(
            lines[9..12],
            [
                r#"c_seconds_bucket{core="0",le="1e-5"} 0"#,
                r#"c_seconds_bucket{core="0",le="2.5e-5"} 1"#,
                r#"c_seconds_bucket{core="0",le="5e-5"} 1"#,
            ]
        );
        assert!(text.contains("c_seconds_bucket{core=\"0\",le=\"+Inf\"} 1\n"));
        assert!(text.contains("c_seconds_sum{core=\"0\"} 0.00002\nc_seconds_count{core=\"0\"} 1\n"));
        assert!(text.ends_with("# TYPE d_seconds_total counter\nd_seconds_total 1.5\n"));
    }

    #[test]
    fn open_metrics_names_families_and_has_an_end() {
        let text = Format::OpenMetrics.write(&samples());
        assert!(
            text.starts_with("# HELP a What \\\"it\\\" is.\n# TYPE a counter\na_total{shard=\"0\"} 1\n"),
            "{text}"
        );
        assert!(text.ends_with("d_seconds_total 1.5\n# EOF\n"));
    }

    #[test]
    fn who_names_open_metrics_gets_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for other in
            ["", "*/*", "text/plain", "application/openmetrics-text; q=0", "x/application/openmetrics-text"]
        {
            assert_eq!(Format::accepted(other), Format::Text, "{other}");
        }
    }
}
