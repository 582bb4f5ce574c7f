//! Images in registries.

mod auth;
mod places;
mod push;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use morsel_registry::client::{Options, Registries};
use morsel_registry::http::{self, Retries};
use morsel_registry::transport::{self, Access};
use morsel_registry::{Error, ImageSink, ImageSource};
use testkit::oci::{Compression, Layout};
use testkit::tar::sample;

use crate::made::tar;

/// An image with two layers, in a layout under the tag `latest`.
fn layout(dir: &Path) -> Layout {
    let layout = Layout::create(dir.join("layout"));
    let second = tar(&[("etc/motd", b"hello")]);
    layout.add_image("latest", Compression::Gzip, &[&sample::rich_tar(), &second]);
    layout
}

/// Options that wait no longer than a test should.
fn options() -> Options {
    let retries = Retries { count: 3, first_wait: Duration::from_millis(1), ..Retries::default() };
    let http = http::Options { retries, stall_timeout: Duration::from_secs(5), ..http::Options::default() };
    Options { http, ..Options::default() }
}

fn access(options: Options) -> Access {
    Access { scratch: std::env::temp_dir(), registries: Registries::new(options) }
}

fn open(name: &str, options: Options) -> Result<Box<dyn ImageSource>, Error> {
    transport::open(&format!("docker://{name}").parse().unwrap(), &access(options))
}

fn create(name: &str, options: Options) -> Result<Box<dyn ImageSink>, Error> {
    transport::create(&format!("docker://{name}").parse().unwrap(), &access(options))
}

/// Reads all of an image: its manifest, its configuration and its layers.
fn read_all(source: &dyn ImageSource) -> Result<usize, Error> {
    let manifest = crate::made::manifest_of(source, source.root());
    let mut count = 1;
    for descriptor in [&manifest.config].into_iter().chain(&manifest.layers) {
        source.small_blob(descriptor)?.unwrap();
        count += 1;
    }
    Ok(count)
}

/// Writes a file with the credentials of one host.
fn auth_file(dir: &Path, host: &str, user: &str, password: &str) -> Vec<PathBuf> {
    let auth = STANDARD.encode(format!("{user}:{password}"));
    write_auths(dir, &format!(r#"{{"{host}":{{"auth":"{auth}"}}}}"#))
}

fn write_auths(dir: &Path, auths: &str) -> Vec<PathBuf> {
    let path = dir.join("auth.json");
    fs::write(&path, format!(r#"{{"auths":{auths}}}"#)).unwrap();
    vec![path]
}

/// Returns an error with its causes. Hosts are told apart by their port, which changes.
fn failure<T>(result: Result<T, Error>, hosts: &[(&str, &str)]) -> String {
    let text = crate::made::failure(result);
    hosts.iter().fold(text, |text, (host, name)| text.replace(host, name))
}
