//! Puts a server behind a link: `proxy ADDRESS:PORT LINK` prints the address to ask instead, and runs until it is killed.

use std::env;
use std::thread;

use morsel_link::{Link, Proxy, Upstream};

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [upstream, link] = words.as_slice() else {
        println!("usage: proxy ADDRESS:PORT RATE,RTT");
        return Ok(());
    };
    let proxy = Proxy::start(Upstream::Server(upstream.parse()?), link.parse::<Link>()?)?;
    println!("{}", proxy.address());
    loop {
        thread::park();
    }
}
