//! Links in a time of their own: hours of transfers, exact to the nanosecond, whatever the machine does.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// An end of a connection: what can be read from it, and when what was written to it arrived.
#[derive(Debug, Default, Clone)]
struct Fake(Rc<RefCell<State>>);

#[derive(Debug, Default)]
struct State {
    now: Option<Instant>,
    /// Bytes that it still sends.
    left: usize,
    /// The last bytes of a request, which it answers with as many as it has left.
    asked: bool,
    is_server: bool,
    arrived: Vec<(Instant, usize)>,
    finished: bool,
}

impl Fake {
    fn client() -> Self {
        let state = State { left: 100, ..State::default() };
        Self(Rc::new(RefCell::new(state)))
    }

    fn server(len: usize) -> Self {
        let state = State { left: len, is_server: true, ..State::default() };
        Self(Rc::new(RefCell::new(state)))
    }

    fn first(&self) -> Instant {
        self.0.borrow().arrived.first().unwrap().0
    }

    fn last(&self) -> Instant {
        self.0.borrow().arrived.last().unwrap().0
    }

    fn len(&self) -> usize {
        self.0.borrow().arrived.iter().map(|(_, len)| len).sum()
    }
}

impl Read for Fake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        if state.is_server && !state.asked {
            return Err(ErrorKind::WouldBlock.into());
        }
        let len = state.left.min(buffer.len());
        state.left -= len;
        Ok(len)
    }
}

impl Write for Fake {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.borrow_mut();
        let now = state.now.unwrap();
        state.arrived.push((now, bytes.len()));
        state.asked = true;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl End for Fake {
    fn finish(&mut self) {
        self.0.borrow_mut().finished = true;
    }
}

impl Line<Fake> {
    /// Does what polling the ends does, and tells whether one was ready.
    fn poll(&mut self) -> bool {
        let wanted = self.interests();
        let can = self.ends().map(|end| {
            let state = end.0.borrow();
            Interest { read: state.asked || !state.is_server, write: true }
        });
        let ready = [0, 1].map(|end| Interest {
            read: wanted[end].read && can[end].read,
            write: wanted[end].write && can[end].write,
        });
        for (end, can) in ready.into_iter().enumerate() {
            self.ready(end, can);
        }
        ready.iter().any(|ready| ready.is_any())
    }
}

/// A transfer of `len` bytes over each of `count` connections. Whoever waits wakes up to `late` too late.
fn transfer(link: Link, count: usize, len: usize, late: Duration) -> (Instant, Vec<Fake>) {
    let start = Instant::now();
    let mut lines = Lines::new(link);
    let ends: Vec<_> = (0..count).map(|_| (Fake::client(), Fake::server(len))).collect();
    for (client, server) in &ends {
        lines.add(client.clone(), server.clone(), start);
    }
    carry(&mut lines, &ends, start, late);
    (start, ends.into_iter().map(|(client, _)| client).collect())
}

/// Carries everything from a time on, and returns when that is done.
fn carry(lines: &mut Lines<Fake>, ends: &[(Fake, Fake)], start: Instant, late: Duration) -> Instant {
    let (mut now, mut lateness) = (start, Jitter(7));
    while lines.count() > 0 {
        for (client, server) in ends {
            client.0.borrow_mut().now = Some(now);
            server.0.borrow_mut().now = Some(now);
        }
        let wake = lines.turn(now).wake;
        let is_ready = lines.iter_mut().map(Line::poll).filter(|is_ready| *is_ready).count() > 0;
        assert!(wake.is_some() || is_ready || lines.count() == 0, "nothing would ever happen again");
        if is_ready {
            continue;
        }
        let step = Duration::from_micros(1);
        now = wake.map_or(now, |wake| wake.max(now + step)) + lateness.next(late);
    }
    now
}

fn seconds(from: Instant, to: Instant) -> f64 {
    (to - from).as_secs_f64()
}

#[track_caller]
fn assert_within_5_percent(what: &str, found: f64, asked: f64) {
    let off = found / asked - 1.0;
    assert!(off.abs() < 0.05, "{what}: {found} instead of {asked}, which is {:+.1} %", off * 100.0);
}

#[test]
fn rate_and_delay_are_as_asked_for_one_connection_and_for_many() {
    for link in ["1Gbit,1ms", "100Mbit,20ms", "20Mbit,100ms", "1Mbit,600ms"] {
        let link: Link = link.parse().unwrap();
        for late in [Duration::ZERO, Duration::from_micros(25)] {
            for count in [1, 32] {
                let all = (link.rate * 0.5) as usize;
                let (start, clients) = transfer(link, count, all / count, late);
                let name = format!("{link} with {count} connections, up to {late:?} late");
                // A round trip to connect, one to ask and be answered, and then the bytes of all connections.
                let last = clients.iter().map(Fake::last).max().unwrap();
                let asked = 2.0 * link.round_trip.as_secs_f64() + all as f64 / link.rate;
                assert_within_5_percent(&format!("time over {name}"), seconds(start, last), asked);
                let first = clients.iter().map(Fake::first).min().unwrap();
                // The request of 100 bytes and the first slice take their time, too.
                let slice = (100.0 + link.slice_len() as f64) / link.rate;
                let asked = 2.0 * link.round_trip.as_secs_f64() + slice;
                assert_within_5_percent(&format!("delay over {name}"), seconds(start, first), asked);
                let rate = all as f64 / seconds(first, last);
                assert_within_5_percent(&format!("rate over {name}"), rate, link.rate);
                assert_eq!(clients.iter().map(Fake::len).sum::<usize>(), all / count * count);
            }
        }
    }
}

#[test]
fn short_answers_one_after_another_take_their_time_each() {
    for link in ["1Gbit,1ms", "100Mbit,20ms"] {
        let link: Link = link.parse().unwrap();
        let len = (link.rate * 0.004) as usize;
        let (mut lines, mut now) = (Lines::new(link), Instant::now());
        for _ in 0..10 {
            let (start, client, server) = (now, Fake::client(), Fake::server(len));
            lines.add(client.clone(), server.clone(), start);
            now = carry(&mut lines, &[(client.clone(), server)], start, Duration::ZERO);
            let asked = 2.0 * link.round_trip.as_secs_f64() + len as f64 / link.rate;
            assert_within_5_percent(&format!("an answer over {link}"), seconds(start, client.last()), asked);
        }
    }
}

#[test]
fn connections_share_the_link_evenly() {
    let link: Link = "100Mbit,20ms".parse().unwrap();
    let (start, clients) = transfer(link, 32, 1_000_000, Duration::ZERO);
    let ends: Vec<_> = clients.iter().map(|client| seconds(start, client.last())).collect();
    let (first, last) =
        (ends.iter().copied().fold(f64::MAX, f64::min), ends.iter().copied().fold(0.0, f64::max));
    assert!(first > last * 0.95, "the first ends after {first} s, the last after {last} s");
}

#[test]
fn a_connection_may_have_a_rate_of_its_own() {
    let link: Link = "100Mbit,20ms,each=10Mbit".parse().unwrap();
    for (count, rate) in [(1, 1.25e6), (4, 5e6), (32, 12.5e6)] {
        let (_, clients) = transfer(link, count, 1_000_000, Duration::ZERO);
        let first = clients.iter().map(Fake::first).min().unwrap();
        let last = clients.iter().map(Fake::last).max().unwrap();
        let found = count as f64 * 1e6 / seconds(first, last);
        assert_within_5_percent(&format!("rate of {count} connections"), found, rate);
    }
}

#[test]
fn jitter_only_delays() {
    let link: Link = "100Mbit,20ms,jitter=10ms".parse().unwrap();
    let delays: Vec<_> = (0..50)
        .map(|seed| {
            let mut lines = Lines::<Fake>::new(link);
            lines.jitter = Jitter(seed * 77 + 1);
            let delays = (0..20).map(|_| lines.jitter.next(link.jitter).as_secs_f64());
            delays.last().unwrap()
        })
        .collect();
    assert!(delays.iter().all(|delay| (0.0..=0.01).contains(delay)));
    assert!(delays.iter().any(|delay| *delay > 0.007) && delays.iter().any(|delay| *delay < 0.003));
    let (start, clients) = transfer(link, 1, 1_250_000, Duration::ZERO);
    let late = seconds(start, clients[0].last()) - 0.14;
    assert!((0.0..=0.011).contains(&late), "{late}");
}

#[test]
fn both_ends_learn_of_the_end() {
    let link = Link { connections: NonZeroUsize::new(1), ..Link::NONE };
    let (_, clients) = transfer(link, 1, 1000, Duration::ZERO);
    assert!(clients[0].0.borrow().finished);
}

proptest! {
    #[test]
    fn nothing_is_lost_over_any_link(
        rate in 1e3..1e10f64, millis in 0..700u64, jitter in 0..50u64, count in 1..8usize, len in 0..300_000usize,
    ) {
        let link = Link { jitter: Duration::from_millis(jitter), ..Link::new(rate, Duration::from_millis(millis)) };
        let (_, clients) = transfer(link, count, len, Duration::from_micros(50));
        prop_assert!(clients.iter().all(|client| client.len() == len));
    }
}
