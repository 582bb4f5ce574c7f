use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use morsel_link::{Counts, Link, Proxy, Upstream};

/// A server that answers what it is sent with so many bytes, and knows how many connections there were at once.
fn server(len: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let peak = Arc::<AtomicUsize>::default();
    let (open, known) = (Arc::<AtomicUsize>::default(), Arc::clone(&peak));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, open) = (stream.unwrap(), Arc::clone(&open));
            known.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::spawn(move || {
                stream.read_exact(&mut [0; 4]).unwrap();
                open.fetch_sub(1, Ordering::SeqCst);
                // A client that breaks off is no failure here.
                let _ = stream.write_all(&vec![7; len]);
            });
        }
    });
    (address, peak)
}

fn ask(mut stream: TcpStream) -> usize {
    stream.write_all(b"give").unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap()
}

fn crowd(proxy: &Proxy, count: usize) -> Vec<usize> {
    let ask = || ask(TcpStream::connect(proxy.address()).unwrap());
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|_| scope.spawn(ask)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn everything_arrives_over_any_number_of_connections() {
    let (address, _) = server(1_000_000);
    for link in
        [Link::NONE, "1Gbit,1ms,jitter=1ms".parse().unwrap(), "1Gbit,1ms,each=500Mbit".parse().unwrap()]
    {
        for count in [1_u64, 32] {
            let proxy = Proxy::start(Upstream::Server(address), link).unwrap();
            assert!(crowd(&proxy, count as usize).iter().all(|len| *len == 1_000_000));
            let expected = Counts { connections: count, up: 4 * count, down: 1_000_000 * count };
            // A client may have bytes a moment before they are counted.
            while proxy.counts() != expected {
                assert!(proxy.counts().down <= expected.down);
                thread::yield_now();
            }
        }
    }
}

#[test]
fn there_are_no_more_connections_than_there_may_be() {
    let (address, peak) = server(100_000);
    let link = Link { connections: NonZeroUsize::new(3), ..Link::of_megabits(1000, 1) };
    let proxy = Proxy::start(Upstream::Server(address), link).unwrap();
    assert_eq!(crowd(&proxy, 20), [100_000; 20]);
    assert!(peak.load(Ordering::SeqCst) <= 3);
}

#[test]
fn a_client_may_say_where_it_wants_to_go() {
    let (address, _) = server(1000);
    let proxy = Proxy::start(Upstream::Anywhere, Link::of_megabits(1000, 1)).unwrap();
    let connect = |target: &str| {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        (stream, String::from_utf8(answer.to_vec()).unwrap())
    };
    let (mut stream, answer) = connect(&address.to_string());
    assert_eq!(answer, "HTTP/1.1 200");
    stream.read_exact(&mut [0; 7]).unwrap();
    assert_eq!(ask(stream), 1000);
    assert_eq!(connect("127.0.0.1:0").1, "HTTP/1.1 502");
    assert_eq!(connect("nowhere").1, "HTTP/1.1 502");
}

#[test]
fn ends_that_vanish_take_their_connection_with_them() {
    let (address, _) = server(10_000_000);
    let proxy = Proxy::start(Upstream::Server(address), Link::of_megabits(1000, 1)).unwrap();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        stream.write_all(b"give").unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    // One that nobody serves.
    let nowhere = Proxy::start(Upstream::Server(([127, 0, 0, 1], 1).into()), Link::NONE).unwrap();
    let mut stream = TcpStream::connect(nowhere.address()).unwrap();
    assert!(matches!(stream.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(crowd(&proxy, 2), [10_000_000; 2]);
    drop(proxy);
}
