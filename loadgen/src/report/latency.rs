//! Distributions of times, as the report has them.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A distribution of times in microseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// How many there are.
    pub count: u64,
    /// The shortest.
    pub min: f64,
    /// On average.
    pub mean: f64,
    /// Half are at most this.
    pub p50: f64,
    /// 90 % are.
    pub p90: f64,
    /// 99 % are.
    pub p99: f64,
    /// 99.9 % are.
    pub p999: f64,
    /// All are.
    pub max: f64,
    /// The whole distribution, quantiles ascending.
    pub curve: Vec<Quantile>,
}

/// A point of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    /// The share of all, 0 to 1.
    pub quantile: f64,
    /// At most this, in microseconds.
    pub us: f64,
}

impl Latency {
    /// Of nanoseconds; none if there are none.
    pub(crate) fn new(ns: &Histogram<u64>) -> Option<Latency> {
        if ns.is_empty() {
            return None;
        }
        let at = |quantile| ns.value_at_quantile(quantile) as f64 / 1e3;
        Some(Latency {
            count: ns.len(),
            min: ns.min() as f64 / 1e3,
            mean: ns.mean() / 1e3,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: ns.max() as f64 / 1e3,
            curve: curve(ns),
        })
    }
}

/// Up to the highest quantile that more than one value is beyond, and the highest value.
fn curve(ns: &Histogram<u64>) -> Vec<Quantile> {
    let inner = QUANTILES.iter().copied().filter(|quantile| (1.0 - quantile) * ns.len() as f64 > 1.0);
    let point = |quantile| Quantile { quantile, us: ns.value_at_quantile(quantile) as f64 / 1e3 };
    inner.chain([1.0]).map(point).collect()
}

/// Where a distribution is looked at, closer towards its end.
const QUANTILES: [f64; 28] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.96, 0.97, 0.98, 0.99, 0.993,
    0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 0.99995, 0.99998, 0.99999,
];
