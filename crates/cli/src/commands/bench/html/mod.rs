//! Pages with pictures: one file that needs no network, no scripts, and no particular width.

mod bars;
mod timeline;

use std::fmt::{self, Write as _};

pub(super) use bars::{Bar, Bars, Part};
pub(super) use timeline::{Line, Timelines};

/// Colors, for light and dark, and for paper.
const STYLE: &str = include_str!("style.css");

/// A page that is being written.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    body: String,
}

impl Page {
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: format!("<h1>{}</h1>\n", Escaped(title)) }
    }

    /// Adds a heading; what follows belongs to it.
    pub(super) fn heading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", Escaped(text));
    }

    /// Adds a heading below another one.
    pub(super) fn subheading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h3>{}</h3>", Escaped(text));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", Escaped(text));
    }

    /// Adds a paragraph that is not to be missed.
    pub(super) fn remark(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p class=\"remark\">{}</p>", Escaped(text));
    }

    /// Adds names and what is said of them.
    pub(super) fn list(&mut self, rows: &[(String, String)]) {
        self.body += "<dl>\n";
        for (name, text) in rows {
            let _ = writeln!(self.body, "<dt>{}</dt><dd>{}</dd>", Escaped(name), Escaped(text));
        }
        self.body += "</dl>\n";
    }

    /// Adds pictures, side by side where there is room.
    pub(super) fn figures(&mut self, figures: &[&dyn fmt::Display]) {
        self.body += "<div class=\"figures\">\n";
        for figure in figures {
            let _ = writeln!(self.body, "{figure}");
        }
        self.body += "</div>\n";
    }

    /// Adds a table; the first row is its head.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) {
        self.body += "<div class=\"wide\"><table>\n";
        for (number, row) in rows.iter().enumerate() {
            let tag = if number == 0 { "th" } else { "td" };
            let cells = row.iter().map(|cell| format!("<{tag}>{}</{tag}>", Escaped(cell)));
            let _ = writeln!(self.body, "<tr>{}</tr>", cells.collect::<String>());
        }
        self.body += "</table></div>\n";
    }

    /// Adds data for programs, which nobody sees.
    pub(super) fn data(&mut self, json: &str) {
        // Nothing in it can end the element, nor begin a comment that hides its end.
        let json = json.replace('<', "\\u003c");
        let _ = writeln!(self.body, "<script type=\"application/json\" id=\"data\">{json}</script>");
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n\
             <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            Escaped(&self.title),
            self.body
        )
    }
}

/// Text in which nothing is markup.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                c if c.is_control() && c != '\n' => f.write_char(char::REPLACEMENT_CHARACTER)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_markup() {
        let mut page = Page::new("<script>alert(1)</script>");
        page.list(&[("a & \"b\"".to_owned(), "\u{1b}[31m".to_owned())]);
        page.table(&[vec!["<td>".to_owned()]]);
        page.data("{\"name\": \"</script><b>\"}");
        let text = page.to_string();
        assert!(
            !text.contains("<script>alert") && !text.contains("</script><b>") && !text.contains('\u{1b}')
        );
        assert!(text.contains("<dt>a &amp; &quot;b&quot;</dt>"));
    }
}
