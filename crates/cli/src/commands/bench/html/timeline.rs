//! Bytes over time, one small picture above the other, all over the same time.

use std::fmt;

use super::Escaped;
use super::bars::Legend;
use crate::ui::words;

/// Pixels of a picture, of its plot, and from the picture's top to the plot.
const HEIGHT: f64 = 100.0;
const PLOT: f64 = 56.0;
const TOP: f64 = 18.0;
/// Points of a line: more cannot be told apart.
const POINTS_MAX: usize = 400;
/// Ticks of requests that are drawn, of as many as there are.
const TICKS_MAX: usize = 400;

/// Several lines.
#[derive(Debug)]
pub(in super::super) struct Timelines {
    pub(in super::super) title: String,
    pub(in super::super) lines: Vec<Line>,
}

/// The bytes of one pull.
#[derive(Debug)]
pub(in super::super) struct Line {
    pub(in super::super) name: String,
    pub(in super::super) is_peer: bool,
    /// Seconds, and bytes that had come by then.
    pub(in super::super) points: Vec<(f64, u64)>,
    /// When requests came.
    pub(in super::super) requests: Vec<f64>,
    pub(in super::super) ready: Option<f64>,
    pub(in super::super) end: f64,
    /// What it came to, in words.
    pub(in super::super) label: String,
}

impl Line {
    fn last(&self) -> f64 {
        self.ready.unwrap_or(0.0).max(self.end)
    }
}

impl fmt::Display for Timelines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let legend = [("own", "bytes that came"), ("tick", "requests"), ("mark", "ready")];
        writeln!(f, "<figure>\n<figcaption>{}{}</figcaption>", Escaped(&self.title), Legend(&legend))?;
        let seconds = self.lines.iter().map(Line::last).fold(f64::MIN_POSITIVE, f64::max);
        let bytes =
            self.lines.iter().filter_map(|line| line.points.last()).map(|point| point.1).max().unwrap_or(0);
        writeln!(f, "<div class=\"lines\">")?;
        for line in &self.lines {
            draw(f, line, (seconds, bytes.max(1) as f64))?;
        }
        write!(f, "</div>\n</figure>")
    }
}

fn draw(f: &mut fmt::Formatter<'_>, line: &Line, (seconds, bytes): (f64, f64)) -> fmt::Result {
    let x = |time: f64| time / seconds * 100.0;
    writeln!(
        f,
        "<svg class=\"line\" role=\"img\" width=\"100%\" height=\"{HEIGHT}\" aria-label=\"{}\">",
        Escaped(&line.name)
    )?;
    writeln!(f, "<text x=\"0\" y=\"12\" class=\"name\">{}</text>", Escaped(&line.name))?;
    writeln!(
        f,
        "<text x=\"100%\" y=\"12\" class=\"number\" text-anchor=\"end\">{}</text>",
        Escaped(&line.label)
    )?;
    // The plot is stretched to whatever width there is; lines stay as thin as they are.
    writeln!(
        f,
        "<svg x=\"0\" y=\"{TOP}\" width=\"100%\" height=\"{PLOT}\" viewBox=\"0 0 100 {PLOT}\" preserveAspectRatio=\"none\">"
    )?;
    let y = |count: u64| PLOT - count as f64 / bytes * (PLOT - 4.0);
    let points = thinned(&line.points, POINTS_MAX);
    let last = points.last().map_or(PLOT, |point| y(point.1));
    let path: String =
        points.iter().map(|(time, count)| format!(" {:.2},{:.1}", x(*time), y(*count))).collect();
    let end = x(line.end);
    let class = if line.is_peer { "peer" } else { "own" };
    writeln!(
        f,
        "<polygon points=\"0,{PLOT}{path} {end:.2},{last:.1} {end:.2},{PLOT}\" class=\"area {class}\"/>"
    )?;
    writeln!(f, "<polyline points=\"0,{PLOT}{path} {end:.2},{last:.1}\" class=\"curve {class}\"/>")?;
    writeln!(f, "</svg>")?;
    let floor = TOP + PLOT;
    writeln!(f, "<line x1=\"0\" y1=\"{floor}\" x2=\"100%\" y2=\"{floor}\" class=\"axis\"/>")?;
    let y = HEIGHT - 4.0;
    let times = [("0", "start", "0".to_owned()), ("100%", "end", words::seconds(seconds))];
    for (x, anchor, time) in times {
        writeln!(f, "<text x=\"{x}\" y=\"{y}\" class=\"time\" text-anchor=\"{anchor}\">{time}</text>")?;
    }
    for time in thinned(&line.requests, TICKS_MAX) {
        let (x, top, bottom) = (x(time), floor + 2.0, floor + 8.0);
        writeln!(f, "<line x1=\"{x:.2}%\" y1=\"{top}\" x2=\"{x:.2}%\" y2=\"{bottom}\" class=\"tick\"/>")?;
    }
    if let Some(ready) = line.ready {
        let x = x(ready);
        writeln!(
            f,
            "<line x1=\"{x:.2}%\" y1=\"{TOP}\" x2=\"{x:.2}%\" y2=\"{}\" class=\"mark\"/>",
            floor + 8.0
        )?;
    }
    writeln!(f, "</svg>")
}

/// Leaves out all but so many, evenly, and keeps the first and the last.
fn thinned<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    let count = items.len();
    if count <= most {
        return items.to_vec();
    }
    (0..most).filter_map(|place| items.get(place * (count - 1) / (most - 1))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_keep_their_ends() {
        let items: Vec<_> = (0..1000).collect();
        let thin = thinned(&items, 10);
        assert_eq!((thin.len(), thin[0], thin[9]), (10, 0, 999));
        assert_eq!(thinned(&items, 2000).len(), 1000);
    }

    #[test]
    fn nothing_to_draw_is_no_trouble() {
        let line = Line {
            name: String::new(),
            is_peer: false,
            points: vec![],
            requests: vec![],
            ready: None,
            end: 0.0,
            label: String::new(),
        };
        let text = Timelines { title: String::new(), lines: vec![line] }.to_string();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
