//! JSON text exactly as Go's `encoding/json` writes it, which every other writer of these documents uses, and keys as
//! strictly as it takes to read what Go would read.

mod keys;

pub(crate) use keys::{KeyReader, Keys};

/// Appends `text` as a JSON string, with the HTML escaping that is Go's default: `<`, `>`, `&`, U+2028 and U+2029 are
/// written as `\u` escapes.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if text.bytes().any(may_need_escape) {
        text.chars().for_each(|c| escaped(c, out));
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

/// Tells bytes that start an escaped character, and a few (0xe2 starts U+2028) that might.
fn may_need_escape(byte: u8) -> bool {
    matches!(byte, ..0x20 | b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2)
}

fn escaped(c: char, out: &mut Vec<u8>) {
    match c {
        '"' => out.extend_from_slice(br#"\""#),
        '\\' => out.extend_from_slice(br"\\"),
        '\n' => out.extend_from_slice(br"\n"),
        '\r' => out.extend_from_slice(br"\r"),
        '\t' => out.extend_from_slice(br"\t"),
        '\u{8}' => out.extend_from_slice(br"\b"),
        '\u{c}' => out.extend_from_slice(br"\f"),
        ..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
        }
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_those_of_go() {
        for (text, expected) in [
            ("", r#""""#),
            ("usr/bin/ä€", r#""usr/bin/ä€""#),
            ("a<b>&c", r#""a\u003cb\u003e\u0026c""#),
            ("\"\\/", r#""\"\\/""#),
            ("\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f}\u{7f}", "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\u{7f}\""),
            ("\u{2028}\u{2029}\u{2027}", "\"\\u2028\\u2029\u{2027}\""),
        ] {
            assert_eq!(written(text), expected);
        }
    }

    proptest! {
        #[test]
        fn any_string_reads_back(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
