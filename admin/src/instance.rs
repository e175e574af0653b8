//! What tells of itself: a process, its parts, and whether it is to be sent anybody.

use std::fmt;
use std::time::Duration;

use program::Uptime;

use crate::ask::wait_for_all;
use crate::exposition::{Format, Sample};
use crate::{Histogram, Metric, NoAnswer, Order, Part, PartReport, Process, Report, Row, Value};

/// A running program, as it tells of itself.
pub struct Instance {
    program: &'static str,
    version: &'static str,
    clock: Uptime,
    parts: Vec<Part>,
    standing: Box<dyn Fn() -> Option<String> + Send + Sync>,
    orders: Option<Box<CarryOut>>,
}

/// Carries an order out: what has happened, or why it has not, in one line. It may take its time.
type CarryOut = dyn Fn(Order) -> Result<String, String> + Send + Sync;

impl Instance {
    /// A program that has begun now, with these parts.
    pub fn new(program: &'static str, version: &'static str, parts: Vec<Part>) -> Instance {
        let standing = Box::new(|| None);
        Instance { program, version, clock: Uptime::start(), parts, standing, orders: None }
    }

    /// The same with somebody who says why nobody is to be sent here, though nothing is broken.
    pub fn with_standing(self, standing: impl Fn() -> Option<String> + Send + Sync + 'static) -> Instance {
        Instance { standing: Box::new(standing), ..self }
    }

    /// The same with somebody who carries orders out.
    pub fn with_orders(
        self,
        carry_out: impl Fn(Order) -> Result<String, String> + Send + Sync + 'static,
    ) -> Instance {
        Instance { orders: Some(Box::new(carry_out)), ..self }
    }

    /// Who carries orders out, if anybody does.
    pub(crate) fn orders(&self) -> Option<&CarryOut> {
        self.orders.as_deref()
    }

    /// Its parts.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Why nobody is to be sent here, though nothing is broken.
    pub(crate) fn standing(&self) -> Option<String> {
        (self.standing)()
    }

    /// Since its start.
    pub(crate) fn uptime(&self) -> Duration {
        self.clock.elapsed()
    }

    /// What `/status` answers. It asks the parts, and may take [`ANSWER_TIMEOUT`](crate::ANSWER_TIMEOUT).
    pub fn report(&self) -> Report {
        self.report_of(self.ask().map(|(part, told)| (part.name.clone(), told.map(|told| told.row))))
    }

    /// The same, and how long the events of its clients took, where that is measured.
    pub(crate) fn report_and_latency(&self) -> (Report, Option<Histogram>) {
        let mut latency: Option<Histogram> = None;
        let rows = self.ask().map(|(part, told)| {
            let row = told.map(|PartReport { row, latency: of_part, .. }| {
                match (&mut latency, of_part) {
                    (Some(all), Some(of_part)) => all.add(&of_part),
                    (all, of_part) => *all = all.or(of_part),
                }
                row
            });
            (part.name.clone(), row)
        });
        let report = self.report_of(rows);
        (report, latency)
    }

    fn report_of(&self, rows: impl Iterator<Item = (String, Result<Row, NoAnswer>)>) -> Report {
        let process = Process::this(self.program, self.version, self.uptime());
        let mut report = Report::new(process, rows);
        report.faults.extend(self.standing());
        report
    }

    /// What it is: `gateway`, `worker`, ….
    pub(crate) fn program(&self) -> &'static str {
        self.program
    }

    /// What `/metrics` answers, in this format. It asks the parts, as [`Instance::report`] does.
    pub fn metrics(&self, format: Format) -> String {
        let mut samples = self.process_samples();
        for (part, told) in self.ask() {
            let up =
                Metric::gauge("up", "Whether the data thread has answered in time.", told.is_ok().into());
            let metrics = told.map_or_else(|_| Vec::new(), |told| told.metrics);
            samples.extend([up].into_iter().chain(metrics).map(|metric| sample(part, metric)));
        }
        format.write(&samples)
    }

    fn ask(&self) -> impl Iterator<Item = (&Part, Result<PartReport, NoAnswer>)> {
        self.parts.iter().zip(wait_for_all(self.parts.iter().map(Part::ask)))
    }

    /// What Prometheus' own clients tell of a process, by the names that they use.
    fn process_samples(&self) -> Vec<Sample> {
        let sample =
            |name: &str, help, value| Sample { name: name.to_owned(), help, labels: Vec::new(), value };
        let info = sample("ringway_build_info", "The program that this is; always 1.", Value::Gauge(1));
        let names = [("program", self.program.to_owned()), ("version", self.version.to_owned())];
        let mut samples = vec![
            Sample { labels: names.into(), ..info },
            sample(
                "ringway_uptime_seconds",
                "How long the process has served.",
                Value::Gauge(self.uptime().as_secs()),
            ),
        ];
        if let Some(usage) = program::usage() {
            samples.extend([
                sample("process_cpu_seconds", "CPU time of user and system.", Value::Time(usage.cpu)),
                sample(
                    "process_resident_memory_bytes",
                    "Resident memory.",
                    Value::Gauge(usage.resident_bytes),
                ),
                sample(
                    "process_open_fds",
                    "Open files, without the clients, which are the rings' alone.",
                    Value::Gauge(usage.open_files),
                ),
            ]);
        }
        samples
    }
}

/// A metric of a part, as it is told apart from those of all others.
fn sample(part: &Part, metric: Metric) -> Sample {
    let Metric { name, help, label, value } = metric;
    let index = part.index.map(|(name, index)| (name, index.to_string()));
    Sample {
        name: format!("ringway_{}_{name}", part.program),
        help,
        labels: index.into_iter().chain(label).collect(),
        value,
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("program", &self.program)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}
