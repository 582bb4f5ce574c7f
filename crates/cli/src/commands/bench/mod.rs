//! Measures what pulls, registries and conversions take.

mod convert;
mod html;
mod measure;
mod pull;
mod registry;
mod spread;

pub(crate) use convert::run as convert;
pub(crate) use pull::run as pull;
pub(crate) use registry::run as registry;
