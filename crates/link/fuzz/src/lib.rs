//! What the fuzzers do with an input. Each of these panics when something is wrong.

use morsel_link::{HEAD_LEN_MAX, Link, Target as Place};

/// What a target does with an input; it panics when it finds something.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 2] = [("connect", connect), ("link", link)];

/// A request to connect names a host that cannot be taken for anything else.
pub fn connect(input: &[u8]) {
    if let Ok(target) = Place::parse(input) {
        assert!(input.len() <= HEAD_LEN_MAX && !target.host.is_empty());
        assert!(target.host.chars().all(|c| c.is_ascii_alphanumeric() || ".-_:".contains(c)));
    }
}

/// A link can be written again, and is finite but for the one that is none.
pub fn link(input: &[u8]) {
    let Some(link) = str::from_utf8(input).ok().and_then(|text| text.parse::<Link>().ok()) else { return };
    assert!(link == Link::NONE || (link.rate.is_finite() && link.rate > 0.0));
    assert!(link.slice_len() > 0 && link.to_string().parse::<Link>().is_ok());
}
