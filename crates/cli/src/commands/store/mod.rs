//! The verbs that look after the store.

mod images;
mod rm;

pub(crate) use images::run as images;
pub(crate) use rm::run as rm;
