//! tar-split: everything of a tar except the content of its files, so that the two together give the tar back.
//!
//! The stream is newline-delimited JSON, one object for each *segment* of raw tar bytes and one for each member of the
//! tar. Its format is that of [vbatts/tar-split](https://github.com/vbatts/tar-split).

mod crc64;
mod invalid;
mod paths;
mod read;
mod rebuild;
mod row;
mod write;

pub use crc64::Crc64;
pub(crate) use invalid::shorten;
pub use invalid::{Invalid, Problem};
pub use paths::Paths;
pub use read::{Reader, Record};
pub use rebuild::rebuild;
pub use write::Writer;
