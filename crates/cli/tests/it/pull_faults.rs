//! Pulls from registries that misbehave: they end well, or say why not, and count what went over the wire.

use testkit::link::Link;
use testkit::scripted::{
    Auth, Blobs, Fault, Headers, Host, Login, Misdeed, Multipart, Ranges, Request, Script, Scripted, Start,
    Target,
};

use crate::update::Update;

/// How exactly the receipt can know the bytes that the registry wrote.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    /// Every answer was read to its end.
    All,
    /// Some answers were left unread, or lost in a reset.
    Some,
}

/// A registry, and what has to be seen of its behavior.
struct Case {
    name: &'static str,
    script: Script,
    bytes: Bytes,
    met: fn(&Request) -> bool,
}

fn case(name: &'static str, script: Script, met: fn(&Request) -> bool) -> Case {
    Case { name, script, bytes: Bytes::All, met }
}

impl Case {
    fn unread(self) -> Self {
        Self { bytes: Bytes::Some, ..self }
    }
}

fn ranges(ranges: Ranges) -> Script {
    Script { ranges, ..Script::default() }
}

fn fault(target: Target, misdeed: Misdeed) -> Script {
    Script { faults: vec![Fault::new(target, misdeed).times(2)], ..Script::default() }
}

fn status(status: u16, retry_after: Option<u32>) -> Misdeed {
    Misdeed::Status { status, retry_after }
}

fn asks_for_several(request: &Request) -> bool {
    request.range.as_ref().is_some_and(|range| range.contains(','))
}

fn asks_for_one(request: &Request) -> bool {
    request.range.is_some() && !asks_for_several(request)
}

/// Pulls an update from each registry, and compares its receipt with what the registry saw.
fn check(cases: Vec<Case>) {
    let update = Update::new();
    for Case { name, script, bytes, met } in cases {
        // The link keeps the plan from depending on how busy this machine is.
        let registry = Scripted::start(Script { link: Some(Link::new(200, 5)), ..script });
        registry.add_layout("image", &update.after.target);
        let pulled = update.pull(name, &registry.host());
        let requests = update.layer_requests(&registry);
        assert!(requests.iter().any(met), "{name}: {requests:#?}\n{}", pulled.stderr());
        update.assert_complete(&pulled);
        assert_eq!(pulled.traffic("requests"), requests.len() as u64, "{name}: {requests:#?}");
        let sent = requests.iter().map(|request| request.sent).sum::<u64>();
        let known = pulled.traffic("bytes");
        assert!(known == sent || (bytes == Bytes::Some && known < sent), "{name}: {known} of {sent}");
    }
}

#[test]
fn ranges_are_had_from_every_registry() {
    let nginx = Multipart { start: Start::BlankLine, headers: Headers::TypeFirst };
    let go = Multipart { start: Start::Boundary, headers: Headers::RangeFirst };
    let several = |request: &Request| asks_for_several(request) && request.status == 206;
    let one = |request: &Request| asks_for_one(request) && request.status == 206;
    check(vec![
        case("many", ranges(Ranges::Many), several),
        case("nginx", Script { multipart: nginx, ..Script::default() }, several),
        case("go", Script { multipart: go, ..Script::default() }, several),
        case("cloudfront", ranges(Ranges::ManyUnquotedBoundary), several),
        case("adjacent", ranges(Ranges::Coalesced { gap: 0 }), several),
        case("near", ranges(Ranges::Coalesced { gap: 400_000 }), several),
        case("reordered", ranges(Ranges::Reordered), several),
        case("one-part", ranges(Ranges::OnePartForMany), several),
        case("ignores-many", ranges(Ranges::IgnoresMany), one).unread(),
        case("ignores-all", ranges(Ranges::IgnoresAll), |r| r.range.is_some() && r.status == 200).unread(),
        case("refuses-400", ranges(Ranges::Refuses(400)), one).unread(),
        case("refuses-416", ranges(Ranges::Refuses(416)), one).unread(),
        case("refuses-431", ranges(Ranges::Refuses(431)), one).unread(),
        case("refuses-501", ranges(Ranges::Refuses(501)), one).unread(),
        case("long-header-400", Script { header_limit: Some((130, 400)), ..Script::default() }, several).unread(),
        case("long-header-431", Script { header_limit: Some((130, 431)), ..Script::default() }, several).unread(),
        case("count-200", Script { range_limit: Some((3, 200)), ..Script::default() }, one).unread(),
    ]);
}

#[test]
fn what_breaks_off_is_taken_up_again() {
    let broken = |request: &Request| request.status == 206 && request.sent <= 1000;
    let unanswered = |request: &Request| request.status == 0;
    check(vec![
        case("truncated", fault(Target::BlobRanges, Misdeed::Truncate { after: 1000 }), broken),
        case("reset", fault(Target::BlobRanges, Misdeed::Reset { after: 1000 }), broken).unread(),
        case("hang-up", fault(Target::BlobRanges, Misdeed::HangUp), unanswered),
        case("status-429", fault(Target::Blobs, status(429, Some(1))), |r| r.status == 429).unread(),
        case("status-500", fault(Target::Blobs, status(500, None)), |r| r.status == 500).unread(),
        case("status-503", fault(Target::Blobs, status(503, Some(0))), |r| r.status == 503).unread(),
        case("crowded", Script { connection_limit: Some(2), ..Script::default() }, |r| r.status == 206).unread(),
    ]);
}

#[test]
fn blobs_elsewhere_are_followed_and_credentials_stay() {
    let login = || Login::new("ann", "secret");
    let bearer = |uses| Auth::Bearer { login: Some(login()), uses };
    let signed = |uses| Blobs::Signed { uses };
    let at_host = |request: &Request| request.host == Host::Blobs && request.status == 206;
    let expired = |request: &Request| request.status == 403;
    check(vec![
        case("signed", Script { blobs: signed(None), ..Script::default() }, at_host),
        case("expires-soon", Script { blobs: signed(Some(2)), ..Script::default() }, expired).unread(),
        case("expires-at-once", Script { blobs: signed(Some(1)), ..Script::default() }, expired).unread(),
        case("basic", Script { auth: Auth::Basic(login()), ..Script::default() }, |r| r.authorization).unread(),
        case("bearer", Script { auth: bearer(None), ..Script::default() }, |r| r.authorization),
        case("worn-out", Script { auth: bearer(Some(2)), ..Script::default() }, |r| r.status == 401).unread(),
        case(
            "both",
            Script { auth: bearer(None), blobs: signed(Some(2)), ..Script::default() },
            |r| r.host == Host::Blobs && !r.authorization,
        )
        .unread(),
    ]);
}
