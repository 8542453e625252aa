//! Charts of the last hour as SVG, made on the server: with a title and a description for those who hear a page, and
//! all of it as a table too.

use std::fmt::Write as _;

use askama::Template;
use chrono::{DateTime, Utc};

use crate::wording::number;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 240.0;
/// Room for the labels of the axes.
const LEFT: f64 = 72.0;
const RIGHT: f64 = 32.0;
const TOP: f64 = 22.0;
const BOTTOM: f64 = 30.0;
/// How many minutes there are between two labels.
const LABELLED: usize = 15;

/// One measure over all minutes.
pub(crate) struct Series {
    pub(crate) name: String,
    /// Names its colour in the style sheet.
    pub(crate) class: &'static str,
    /// `None` where nothing is known.
    pub(crate) values: Vec<Option<f64>>,
}

impl Series {
    pub(crate) fn new(name: impl Into<String>, class: &'static str, values: Vec<Option<f64>>) -> Self {
        Self { name: name.into(), class, values }
    }

    fn sum(&self) -> f64 {
        self.values.iter().flatten().sum()
    }
}

/// How values are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Bars upon each other.
    Stack,
    /// A line for each.
    Lines,
}

/// A chart, ready to be put into a page.
#[derive(Template)]
#[template(path = "chart.html")]
pub(crate) struct Chart {
    /// Unique on its page.
    id: &'static str,
    title: &'static str,
    /// What the values are, such as `jobs a minute`.
    unit: &'static str,
    /// What the chart shows, in a sentence.
    description: String,
    legend: Vec<(&'static str, String)>,
    ticks: Vec<(f64, String)>,
    labels: Vec<(f64, String)>,
    bars: Vec<Bar>,
    lines: Vec<(&'static str, String)>,
    rows: Vec<(String, Vec<String>)>,
}

struct Bar {
    class: &'static str,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Chart {
    /// A chart of these series over the minutes that begin at `times`.
    pub(crate) fn new(
        (id, title, unit): (&'static str, &'static str, &'static str),
        times: &[DateTime<Utc>],
        shape: Shape,
        series: &[Series],
    ) -> Self {
        let value = |of: &Series, at: usize| of.values.get(at).copied().flatten();
        let top_of = |at: usize| -> f64 {
            let all = series.iter().filter_map(|of| value(of, at));
            if shape == Shape::Stack { all.sum() } else { all.fold(0.0, f64::max) }
        };
        let most = (0..times.len()).map(top_of).fold(0.0, f64::max);
        let mut values = series.iter().flat_map(|of| of.values.iter().flatten());
        let is_whole = values.all(|value| value.fract() == 0.0);
        let step = step_of(most).max(if is_whole { 1.0 } else { 0.0 });
        let steps = (most / step).ceil().max(1.0);
        let plot = Plot { count: times.len().max(1), most: step * steps };
        let marks = (0..=4).map(f64::from).map(|at| at * step).filter(|mark| *mark <= plot.most + step / 2.0);
        let shown = (0..times.len()).filter(|at| (times.len() - 1 - at).is_multiple_of(LABELLED));
        Self {
            id,
            title,
            unit,
            description: describe(unit, times, series, &top_of),
            legend: series.iter().map(|of| (of.class, of.name.clone())).collect(),
            ticks: marks.map(|mark| (plot.y(mark), amount(mark))).collect(),
            labels: shown.map(|at| (plot.x(at) + plot.width() / 2.0, clock(times[at]))).collect(),
            bars: if shape == Shape::Stack { plot.bars(series, times.len()) } else { Vec::new() },
            lines: if shape == Shape::Lines { plot.lines(series) } else { Vec::new() },
            rows: rows(times, series),
        }
    }
}

/// Turns minutes and values into places.
struct Plot {
    count: usize,
    most: f64,
}

impl Plot {
    #[expect(clippy::cast_precision_loss, reason = "there are 60 minutes")]
    fn x(&self, at: usize) -> f64 {
        LEFT + self.width() * at as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "there are 60 minutes")]
    fn width(&self) -> f64 {
        (WIDTH - LEFT - RIGHT) / self.count as f64
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / self.most
    }

    fn bars(&self, series: &[Series], minutes: usize) -> Vec<Bar> {
        let mut bars = Vec::new();
        for at in 0..minutes {
            let mut below = 0.0;
            for of in series {
                let value = of.values.get(at).copied().flatten().unwrap_or_default();
                if value <= 0.0 {
                    continue;
                }
                let (y, width) = (self.y(below + value), self.width());
                let height = self.y(below) - y;
                bars.push(Bar {
                    class: of.class,
                    x: self.x(at) + width * 0.08,
                    y,
                    width: width * 0.84,
                    height,
                });
                below += value;
            }
        }
        bars
    }

    /// A line for each stretch of minutes of which something is known.
    fn lines(&self, series: &[Series]) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        for of in series {
            let mut line = String::new();
            for (at, value) in of.values.iter().chain([&None]).enumerate() {
                if let Some(value) = value {
                    let (x, y) = (self.x(at) + self.width() / 2.0, self.y(*value));
                    let _ = write!(line, "{}{x:.1},{y:.1}", if line.is_empty() { "" } else { " " });
                } else if !line.is_empty() {
                    // A single minute is a dot: a short stroke with round ends.
                    if !line.contains(' ') {
                        let (x, rest) = line.split_once(',').unwrap_or_default();
                        let further = format!("{:.1},{rest}", x.parse::<f64>().unwrap_or_default() + 0.1);
                        let _ = write!(line, " {further}");
                    }
                    lines.push((of.class, std::mem::take(&mut line)));
                }
            }
        }
        lines
    }
}

/// What the chart shows, for those who do not see it.
fn describe(unit: &str, times: &[DateTime<Utc>], series: &[Series], top_of: &dyn Fn(usize) -> f64) -> String {
    let highest = (0..times.len()).max_by(|a, b| top_of(*a).total_cmp(&top_of(*b)));
    let Some(highest) = highest.filter(|at| top_of(*at) > 0.0) else {
        return format!("The last hour by minute, {unit}: nothing.");
    };
    let sums: Vec<_> = series.iter().filter(|of| of.sum() > 0.0).map(|of| of.name.clone()).collect();
    format!(
        "The last hour by minute, {unit}: {}. Most at {}: {}.",
        sums.join(", "),
        clock(times[highest]),
        amount(top_of(highest))
    )
}

/// The minutes in which something was, latest first.
fn rows(times: &[DateTime<Utc>], series: &[Series]) -> Vec<(String, Vec<String>)> {
    let value = |of: &Series, at: usize| of.values.get(at).copied().flatten();
    let any = |at: &usize| series.iter().any(|of| value(of, *at).is_some_and(|value| value > 0.0));
    let row = |at: usize| {
        let values = series.iter().map(|of| value(of, at).map_or_else(|| "unknown".to_owned(), amount));
        (clock(times[at]), values.collect())
    };
    (0..times.len()).rev().filter(any).map(row).collect()
}

/// The step between lines of the grid: 1, 2 or 5 and zeros, at most four of them to the most.
fn step_of(most: f64) -> f64 {
    let wanted = most / 4.0;
    if wanted <= 0.0 {
        return 1.0;
    }
    let tens = 10_f64.powf(wanted.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * tens)
        .into_iter()
        .find(|step| *step >= wanted * 0.999)
        .unwrap_or(wanted)
}

/// A value with as many digits as it needs.
fn amount(value: f64) -> String {
    if value >= 10.0 || (value - value.round()).abs() < 0.005 {
        return number(format!("{value:.0}"));
    }
    let digits = if value >= 1.0 { 1 } else { 2 };
    format!("{value:.digits$}")
}

fn clock(at: DateTime<Utc>) -> String {
    at.format("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn times() -> Vec<DateTime<Utc>> {
        let first: DateTime<Utc> = "2027-01-15T08:00:00Z".parse().unwrap();
        (0..60).map(|at| first + TimeDelta::minutes(at)).collect()
    }

    fn chart(shape: Shape, series: &[Series]) -> Chart {
        Chart::new(("c", "Ended jobs", "jobs a minute"), &times(), shape, series)
    }

    #[test]
    fn bars_stand_upon_each_other_and_fit() {
        let mut values = vec![Some(0.0); 60];
        values[59] = Some(30.0);
        let chart = chart(
            Shape::Stack,
            &[Series::new("done", "good", values.clone()), Series::new("failed", "bad", values)],
        );
        let [low, high] = chart.bars.as_slice() else { unreachable!("two bars") };
        assert!((low.y - (high.y + high.height)).abs() < 0.01 && high.y >= TOP, "{} {}", low.y, high.y);
        assert!(low.x + low.width <= WIDTH - RIGHT + 0.01);
        let ticks: Vec<_> = chart.ticks.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(ticks, ["0", "20", "40", "60"]);
        let labels: Vec<_> = chart.labels.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(labels, ["08:14", "08:29", "08:44", "08:59"]);
        assert_eq!(
            chart.description,
            "The last hour by minute, jobs a minute: done, failed. Most at 08:59: 60."
        );
        assert_eq!(chart.rows, [("08:59".to_owned(), vec!["30".to_owned(), "30".to_owned()])]);
    }

    #[test]
    fn lines_break_where_nothing_is_known() {
        let mut values = vec![Some(1.0); 60];
        values[10] = None;
        values[12] = None;
        let chart = chart(Shape::Lines, &[Series::new("wait", "busy", values)]);
        assert_eq!(chart.lines.len(), 3);
        assert!(chart.lines.iter().all(|(_, points)| points.contains(' ')));
    }

    #[test]
    fn nothing_is_a_chart_too() {
        let chart = chart(Shape::Stack, &[Series::new("done", "good", vec![Some(0.0); 60])]);
        assert_eq!(chart.description, "The last hour by minute, jobs a minute: nothing.");
        let html = chart.render().unwrap();
        assert!(html.contains("<title id=\"c-t\">Ended jobs</title>") && !html.contains("NaN"), "{html}");
    }

    #[test]
    fn values_have_few_digits() {
        for (value, said) in
            [(0.0, "0"), (0.25, "0.25"), (2.5, "2.5"), (3.0, "3"), (12.4, "12"), (12_000.0, "12 000")]
        {
            assert_eq!(amount(value), said);
        }
        for (most, step) in [(0.0, 1.0), (1.0, 0.5), (4.0, 1.0), (60.0, 20.0), (100.0, 50.0), (0.4, 0.1)] {
            assert!((step_of(most) - step).abs() < 1e-9, "{most}: {}", step_of(most));
        }
    }
}
