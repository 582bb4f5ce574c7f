//! Puts a server behind a link: `proxy UPSTREAM MEGABITS MILLISECONDS` prints the address to ask instead, and runs until
//! it is killed.

use std::env;
use std::thread;

use morsel_testkit::link::{Link, proxy};

#[expect(clippy::print_stdout, reason = "an example prints")]
fn main() {
    let words: Vec<String> = env::args().skip(1).collect();
    let [upstream, megabits, milliseconds] = words.as_slice() else {
        println!("usage: proxy ADDRESS:PORT MEGABITS MILLISECONDS");
        return;
    };
    let number = |word: &String| word.parse().expect("a number");
    let link = proxy(upstream, Link::new(number(megabits), number(milliseconds)));
    println!("{}", link.host());
    loop {
        thread::park();
    }
}
