//! tmp
#![allow(clippy::all)]
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut o = morsel_chunked::convert::Options::default();
    if let Some(j) = std::env::var("JOBS").ok() {
        o.jobs = j.parse().unwrap();
    }
    if let Some(j) = std::env::var("LEVEL").ok() {
        o.level = morsel_chunked::convert::Level::new(j.parse().unwrap()).unwrap();
    }
    if std::env::var("NOCHECK").is_ok() {
        o.self_check = morsel_chunked::convert::SelfCheck::Off;
    }
    let input = std::fs::File::open(&a[1]).unwrap();
    let out = std::fs::File::create(&a[2]).unwrap();
    let c = morsel_chunked::convert::convert(input, out, &o, &morsel_chunked::convert::NoProgress).unwrap();
    println!("{}", serde_json::to_string_pretty(&c).unwrap());
}
