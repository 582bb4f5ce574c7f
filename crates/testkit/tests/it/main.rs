//! The peers that judge morsel, on their own.

mod peers;
