//! Tests of the proxy over real sockets. They count, and leave times to the tests of the lines.

mod fuzz;
mod proxy;
