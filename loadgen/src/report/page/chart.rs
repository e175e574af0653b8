//! Lines over axes as SVG. Knows numbers and labels, not what they mean.

use std::fmt::Write;

use super::escape;

/// A chart: lines over a common x and y axis.
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Where the x ticks are, with their labels; the first and the last need not be the ends of the lines.
    pub x_ticks: Vec<(f64, String)>,
    /// The lines; at most three can be told apart.
    pub lines: Vec<Line<'a>>,
    /// How y values are written.
    pub write_y: fn(f64) -> String,
    /// Whether y grows by factors.
    pub log: bool,
    /// The part of the x axis that matters most.
    pub shade: Option<(f64, f64)>,
}

/// A line through points, x ascending.
pub struct Line<'a> {
    /// As the key names it.
    pub name: &'a str,
    /// Its points, each with x and y.
    pub points: Vec<(f64, f64)>,
}

/// From values to places on the paper.
struct Paper {
    x: (f64, f64),
    y: (f64, f64),
    log: bool,
}

impl Chart<'_> {
    /// Appends the chart as a card.
    pub fn write(&self, out: &mut String) {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().count() < 2 {
            return;
        }
        let ys = ends(points().map(|point| point.1));
        let y_ticks = if self.log { log_ticks(ys) } else { linear_ticks(ys.1) };
        let xs = points().map(|point| point.0).chain(self.x_ticks.iter().map(|tick| tick.0));
        let paper = Paper { x: ends(xs), y: ends(y_ticks.iter().copied()), log: self.log };
        let _ = write!(out, r#"<section class="card"><h2>{}</h2><p class="key">"#, escape(self.title));
        // One line is named by the title.
        for (index, line) in self.lines.iter().enumerate().filter(|_| self.lines.len() > 1) {
            let _ = write!(out, r#"<span><i class="s{index}"></i>{}</span>"#, escape(line.name));
        }
        let title = escape(self.title);
        let _ = write!(out, r#"</p><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">"#);
        self.write_axes(&paper, &y_ticks, out);
        for (index, line) in self.lines.iter().enumerate() {
            self.write_line(&paper, index, line, out);
        }
        out.push_str("</svg></section>\n");
    }

    fn write_axes(&self, paper: &Paper, y_ticks: &[f64], out: &mut String) {
        if let Some((from, to)) = self.shade {
            let (left, right) = (paper.left(from.max(paper.x.0)), paper.left(to.min(paper.x.1)));
            let (width, height) = ((right - left).max(0.0), BOTTOM - TOP);
            let _ = write!(
                out,
                r#"<rect class="shade" x="{left:.1}" y="{TOP}" width="{width:.1}" height="{height}"><title>measured</title></rect>"#
            );
        }
        for &tick in y_ticks {
            let (y, label) = (paper.top(tick), (self.write_y)(tick));
            let _ = write!(
                out,
                r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{RIGHT}" y2="{y:.1}"/><text x="{x}" y="{at:.1}" text-anchor="end">{label}</text>"#,
                x = LEFT - 8.0,
                at = y + 4.0,
            );
        }
        for (tick, label) in &self.x_ticks {
            let (x, y) = (paper.left(*tick), BOTTOM + 20.0);
            let _ = write!(out, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{}</text>"#, escape(label));
        }
    }

    fn write_line(&self, paper: &Paper, index: usize, line: &Line<'_>, out: &mut String) {
        let places: Vec<(f64, f64)> =
            line.points.iter().map(|&(x, y)| (paper.left(x), paper.top(y))).collect();
        let _ = write!(out, r#"<polyline class="curve s{index}" points=""#);
        for (x, y) in &places {
            let _ = write!(out, "{x:.1},{y:.1} ");
        }
        out.push_str("\"/>");
        if places.len() > DOTS_MAX {
            return;
        }
        for ((x, y), (_, value)) in places.iter().zip(&line.points) {
            let value = (self.write_y)(*value);
            let _ = write!(
                out,
                r#"<circle class="dot s{index}" cx="{x:.1}" cy="{y:.1}" r="5"><title>{}: {value}</title></circle>"#,
                escape(line.name)
            );
        }
    }
}

impl Paper {
    fn left(&self, x: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * share(x, self.x)
    }

    fn top(&self, y: f64) -> f64 {
        let share = if self.log {
            share(y.max(self.y.0).ln(), (self.y.0.ln(), self.y.1.ln()))
        } else {
            share(y, self.y)
        };
        BOTTOM - (BOTTOM - TOP) * share
    }
}

/// Where a value is between two others; halfway if those are one.
fn share(value: f64, (low, high): (f64, f64)) -> f64 {
    if high > low { (value - low) / (high - low) } else { 0.5 }
}

/// The lowest and the highest.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
}

/// Round numbers from zero to `high` or a little beyond, four to six of them; two if `high` is zero.
pub fn linear_ticks(high: f64) -> Vec<f64> {
    if high <= 0.0 {
        return vec![0.0, 1.0];
    }
    let rough = high / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
    (0..=(high / step).ceil() as u32).map(|index| f64::from(index) * step).collect()
}

/// Round numbers from `low` or below to `high` or beyond, each two to three times the one before, or ten if the range is
/// wide.
fn log_ticks((low, high): (f64, f64)) -> Vec<f64> {
    let low = low.max(1e-3);
    let wide = high / low > 1e3;
    let steps: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let all = (-3..12).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
    let all: Vec<f64> = all.collect();
    let first = all.iter().rposition(|tick| *tick <= low * 1.001).unwrap_or(0);
    let last = all.iter().position(|tick| *tick >= high * 0.999).unwrap_or(all.len() - 1);
    all[first..=last.max(first + 1).min(all.len() - 1)].to_vec()
}

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 586.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 228.0;

/// Points of a line that tell their value under the mouse; more would only make the page heavy.
const DOTS_MAX: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_around() {
        assert_eq!(linear_ticks(0.0), [0.0, 1.0]);
        assert_eq!(linear_ticks(2_000.0), [0.0, 500.0, 1_000.0, 1_500.0, 2_000.0]);
        assert_eq!(linear_ticks(7.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(log_ticks((30.0, 900.0)), [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
        assert_eq!(log_ticks((10.0, 20_000.0)), [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]);
        assert_eq!(log_ticks((5.0, 5.0)).len(), 2);
    }

    #[test]
    fn lines_stay_on_the_paper() {
        let paper = Paper { x: (0.0, 10.0), y: (0.0, 4.0), log: false };
        assert_eq!((paper.left(0.0), paper.left(10.0)), (LEFT, RIGHT));
        assert_eq!((paper.top(0.0), paper.top(4.0)), (BOTTOM, TOP));
        let log = Paper { x: (1.0, 1.0), y: (1.0, 100.0), log: true };
        assert_eq!((log.top(0.0), log.left(1.0)), (BOTTOM, (LEFT + RIGHT) / 2.0));
        assert!((log.top(10.0) - (TOP + BOTTOM) / 2.0).abs() < 1e-9);
    }
}
