//! Mirrors of some platforms, against registries that take them and registries that do not.

mod acceptance;
mod kinds;
mod laws;
mod sample;
mod transports;

use std::time::Duration;

use morsel_registry::client;
use morsel_registry::http::{self, Retries};

/// Options that wait no longer than a test should.
fn options() -> client::Options {
    let retries = Retries { count: 3, first_wait: Duration::from_millis(1), ..Retries::default() };
    let http = http::Options { retries, stall_timeout: Duration::from_secs(5), ..http::Options::default() };
    client::Options { http, ..client::Options::default() }
}
