//! Measures what pulls, registries and conversions take.

mod measure;
mod pull;
mod spread;

pub(crate) use pull::run as pull;
