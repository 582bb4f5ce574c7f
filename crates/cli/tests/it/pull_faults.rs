//! Pulls from registries that misbehave: they end well, or say why not, and count what went over the wire.

use testkit::link::Link;
use testkit::oci::Layout;
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
    let update = Update::new(10, 100_000);
    check_with(&update, &update.after.target, cases);
}

fn check_with(update: &Update, layout: &Layout, cases: Vec<Case>) {
    let failures: String = cases.into_iter().filter_map(|case| failure(update, layout, case)).collect();
    assert!(failures.is_empty(), "{failures}");
}

fn failure(update: &Update, layout: &Layout, Case { name, script, bytes, met }: Case) -> Option<String> {
    // The link keeps the plan from depending on how busy this machine is.
    let registry = Scripted::start(Script { link: Some(Link::of_megabits(100, 2)), ..script });
    registry.add_layout("image", layout);
    let pulled = update.pull(name, &registry.host());
    let requests = update.layer_requests(&registry);
    let sent = requests.iter().map(|request| request.sent).sum::<u64>();
    let (known_requests, known) = (pulled.traffic("requests"), pulled.traffic("bytes"));
    let wrong = if !requests.iter().any(met) {
        "the registry did not misbehave".to_owned()
    } else if let Some(wrong) = update.incomplete(&pulled) {
        wrong
    } else if known_requests != requests.len() as u64 {
        format!("the receipt has {known_requests} requests of {}", requests.len())
    } else if known != sent && (bytes == Bytes::All || known > sent) {
        format!("the receipt has {known} bytes of {sent}")
    } else {
        return None;
    };
    let requests: String = requests.iter().map(|request| format!("  {request}\n")).collect();
    Some(format!("\n{name}: {wrong}\n{requests}"))
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
        case("count-200", Script { range_limit: Some((3, 200)), ..Script::default() }, one).unread(),
    ]);
}

#[test]
fn a_request_that_is_too_long_for_a_server_is_halved() {
    let update = Update::new(80, 20_000);
    let limited = |status| Script { header_limit: Some((1000, status)), ..Script::default() };
    let several = |request: &Request| asks_for_several(request) && request.status == 206;
    let cases = vec![
        case("long-400", limited(400), several).unread(),
        case("long-431", limited(431), several).unread(),
    ];
    check_with(&update, &update.after.target, cases);
}

#[test]
fn plain_layers_go_on_where_they_broke_off() {
    let update = Update::new(4, 300_000);
    // The configuration and the ends of both layers are asked for before.
    let halfway = |misdeed, ranges| Script {
        ranges,
        faults: vec![Fault::new(Target::Blobs, misdeed).after(3).times(2)],
        ..Script::default()
    };
    let (truncate, reset) = (Misdeed::Truncate { after: 600_000 }, Misdeed::Reset { after: 600_000 });
    let broken = |request: &Request| request.range.is_none() && request.sent == 600_000;
    let cases = vec![
        case("plain", Script::default(), |r| r.status == 200),
        case("plain-truncated", halfway(truncate.clone(), Ranges::Many), |r| {
            r.status == 206 && r.range.as_ref().is_some_and(|range| range.starts_with("bytes=600000-"))
        }),
        case("plain-reset", halfway(reset, Ranges::Many), broken).unread(),
        case("plain-from-the-start", halfway(truncate, Ranges::IgnoresAll), broken).unread(),
    ];
    check_with(&update, update.plain(), cases);
}

#[test]
fn what_breaks_off_is_taken_up_again() {
    let broken = |request: &Request| request.status == 206 && request.sent <= 1000;
    let unanswered = |request: &Request| request.status == 0;
    check(vec![
        case("truncated", fault(Target::BlobRanges, Misdeed::Truncate { after: 1000 }), broken),
        case("reset", fault(Target::BlobRanges, Misdeed::Reset { after: 1000 }), broken).unread(),
        case("stalled", fault(Target::BlobRanges, Misdeed::Stall { after: 1000 }), broken),
        case("silent", fault(Target::BlobRanges, Misdeed::Silence), unanswered),
        case("hang-up", fault(Target::BlobRanges, Misdeed::HangUp), unanswered),
        case("status-429", fault(Target::BlobRanges, status(429, Some(1))), |r| r.status == 429).unread(),
        case("status-500", fault(Target::BlobRanges, status(500, None)), |r| r.status == 500).unread(),
        case("status-503", fault(Target::BlobRanges, status(503, Some(0))), |r| r.status == 503).unread(),
        case("crowded", Script { connection_limit: Some(2), ..Script::default() }, |r| r.status == 206)
            .unread(),
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
        case("expires-soon", Script { blobs: signed(Some(3)), ..ranges(Ranges::IgnoresMany) }, expired)
            .unread(),
        case("expires-at-once", Script { blobs: signed(Some(1)), ..Script::default() }, expired).unread(),
        case("basic", Script { auth: Auth::Basic(login()), ..Script::default() }, |r| r.authorization)
            .unread(),
        case("bearer", Script { auth: bearer(None), ..Script::default() }, |r| r.authorization),
        case("worn-out", Script { auth: bearer(Some(2)), ..Script::default() }, |r| r.status == 401).unread(),
        case("both", Script { auth: bearer(None), blobs: signed(Some(2)), ..Script::default() }, |r| {
            r.host == Host::Blobs && !r.authorization
        })
        .unread(),
    ]);
}
