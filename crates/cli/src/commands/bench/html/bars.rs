//! Bars that begin at zero, with their numbers beside them.

use std::fmt::{self, Write as _};

use super::{Escaped, STYLE};
use crate::commands::bench::spread::Spread;

/// How much of the width the longest bar takes.
const LONGEST: f64 = 99.0;
/// Pixels of a row, of its bar, and from the row's top to the bar.
const ROW: f64 = 38.0;
const THICK: f64 = 14.0;
const BAR_TOP: f64 = 18.0;

/// A picture of numbers of one kind.
#[derive(Debug)]
pub(in super::super) struct Bars {
    pub(in super::super) title: String,
    /// What the marks in it mean.
    pub(in super::super) legend: Vec<(&'static str, &'static str)>,
    pub(in super::super) rows: Vec<Bar>,
}

/// A number, drawn.
#[derive(Debug)]
pub(in super::super) struct Bar {
    pub(in super::super) name: String,
    /// Lengths of what it consists of, and their classes.
    pub(in super::super) parts: Vec<(Part, f64)>,
    /// From where to where the number went.
    pub(in super::super) spread: Option<Spread>,
    /// Where something else happened.
    pub(in super::super) mark: Option<f64>,
    /// The number, in words.
    pub(in super::super) label: String,
}

/// What a part of a bar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Part {
    Own,
    Peer,
    Wasted,
}

impl Part {
    fn class(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Peer => "peer",
            Self::Wasted => "wasted",
        }
    }
}

impl Bar {
    fn len(&self) -> f64 {
        self.parts.iter().map(|(_, len)| len).sum()
    }

    /// Returns how far it reaches with everything that is drawn of it.
    fn end(&self) -> f64 {
        let most = self.spread.map_or(0.0, |spread| spread.most);
        self.len().max(most).max(self.mark.unwrap_or(0.0))
    }
}

impl Bars {
    /// Writes it as a picture of its own, `width` pixels wide.
    pub(in super::super) fn to_svg(&self, width: u32) -> String {
        let (top, height) = (26.0, self.height() + 30.0);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             <style>\n{STYLE}rect.paper {{ fill: var(--paper); }}\n</style>\n\
             <rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n\
             <svg x=\"8\" width=\"{}\">\n<text x=\"0\" y=\"16\" class=\"title\">{}</text>\n",
            width.saturating_sub(16),
            Escaped(&self.title),
        );
        let _ = write!(text, "<svg y=\"{top}\" width=\"100%\">\n{}</svg>\n</svg>\n</svg>\n", Rows(self));
        text
    }

    fn height(&self) -> f64 {
        ROW * self.rows.len() as f64 + 4.0
    }
}

/// The bars without what is around them.
struct Rows<'a>(&'a Bars);

impl fmt::Display for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.rows.iter().map(Bar::end).fold(f64::MIN_POSITIVE, f64::max);
        for (number, row) in self.0.rows.iter().enumerate() {
            draw(f, row, ROW * number as f64, |value| value / end * LONGEST)?;
        }
        Ok(())
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "<figure>\n<figcaption>{}{}</figcaption>", Escaped(&self.title), Legend(&self.legend))?;
        let height = self.height();
        writeln!(
            f,
            "<svg class=\"bars\" role=\"img\" width=\"100%\" height=\"{height}\" aria-label=\"{}\">",
            Escaped(&self.title)
        )?;
        write!(f, "{}", Rows(self))?;
        write!(f, "</svg>\n</figure>")
    }
}

/// Draws a row; `at` is where a value is, in percent of the width.
fn draw(f: &mut fmt::Formatter<'_>, row: &Bar, top: f64, at: impl Fn(f64) -> f64) -> fmt::Result {
    writeln!(f, "<text x=\"0\" y=\"{:.0}\" class=\"name\">{}</text>", top + 12.0, Escaped(&row.name))?;
    let y = top + 12.0;
    writeln!(
        f,
        "<text x=\"100%\" y=\"{y:.0}\" class=\"number\" text-anchor=\"end\">{}</text>",
        Escaped(&row.label)
    )?;
    let (bar, middle) = (top + BAR_TOP, top + BAR_TOP + THICK / 2.0);
    let mut start = 0.0;
    for (part, len) in &row.parts {
        let (x, width, class) = (at(start), at(*len), part.class());
        writeln!(
            f,
            "<rect x=\"{x:.2}%\" y=\"{bar}\" width=\"{width:.2}%\" height=\"{THICK}\" class=\"{class}\"/>"
        )?;
        start += len;
    }
    if let Some(spread) = row.spread.filter(|spread| spread.most > spread.least) {
        let (least, most) = (at(spread.least), at(spread.most));
        writeln!(
            f,
            "<line x1=\"{least:.2}%\" y1=\"{middle}\" x2=\"{most:.2}%\" y2=\"{middle}\" class=\"spread\"/>"
        )?;
        for x in [least, most] {
            let (top, bottom) = (middle - 4.0, middle + 4.0);
            writeln!(
                f,
                "<line x1=\"{x:.2}%\" y1=\"{top}\" x2=\"{x:.2}%\" y2=\"{bottom}\" class=\"spread\"/>"
            )?;
        }
    }
    if let Some(mark) = row.mark {
        let (x, top, bottom) = (at(mark), bar - 3.0, bar + THICK + 3.0);
        writeln!(f, "<line x1=\"{x:.2}%\" y1=\"{top}\" x2=\"{x:.2}%\" y2=\"{bottom}\" class=\"mark\"/>")?;
    }
    Ok(())
}

/// Colors, and what they mean.
pub(super) struct Legend<'a>(pub(super) &'a [(&'static str, &'static str)]);

impl fmt::Display for Legend<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(class, text)| {
            write!(f, " <span class=\"key\"><i class=\"{class}\"></i>{}</span>", Escaped(text))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_begin_at_zero() {
        let bar = |name: &str, parts: &[(Part, f64)], most: f64| Bar {
            name: name.to_owned(),
            parts: parts.to_vec(),
            spread: Some(Spread { median: 0.0, least: 0.0, most }),
            mark: None,
            label: "x".to_owned(),
        };
        let rows = vec![
            bar("a", &[(Part::Own, 1.0), (Part::Wasted, 1.0)], 0.0),
            bar("b", &[(Part::Peer, 2.0)], 4.0),
        ];
        let text = Bars { title: "t".to_owned(), legend: vec![], rows }.to_string();
        let rects: Vec<_> = text.lines().filter(|line| line.starts_with("<rect")).collect();
        assert!(rects[0].contains("x=\"0.00%\"") && rects[0].contains("width=\"24.75%\""), "{}", rects[0]);
        assert!(rects[1].contains("x=\"24.75%\"") && rects[1].contains("class=\"wasted\""), "{}", rects[1]);
        assert!(rects[2].contains("width=\"49.50%\""), "{}", rects[2]);
        assert!(text.contains("x2=\"99.00%\""));
    }
}
