//! What people do with an image all day, with one whose layers were published.
