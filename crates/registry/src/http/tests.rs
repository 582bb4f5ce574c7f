use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chunked::Class;
use reqwest::header::{HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Url};

use super::*;

/// A server that gives each connection the next of its answers, and remembers what was asked.
struct Script {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Script {
    fn serve(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                // A TLS handshake has no lines, and begins with this byte.
                let is_tls = reader.fill_buf().unwrap().first() == Some(&22);
                while !is_tls && !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).unwrap() > 0 {}
                log.lock().unwrap().push(head);
                stream.write_all(answer.as_bytes()).unwrap();
                if answer.contains("hold: open") {
                    // The client ends it.
                    let _ = stream.read(&mut [0]);
                }
            }
        });
        Self { address, asked }
    }

    fn url(&self) -> Url {
        format!("http://user:secret@{}/v2/a?signature=secret", self.address).parse().unwrap()
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}", body.len())
}

fn http() -> Http {
    let retries = Retries { count: 3, first_wait: Duration::from_millis(1), ..Retries::default() };
    Http::new(Options { retries, stall_timeout: Duration::from_millis(300), ..Options::default() }).unwrap()
}

fn get(url: Url) -> Request {
    Request::new(Method::GET, url, Arc::default()).authorized(Some(HeaderValue::from_static("Bearer secret")))
}

fn text(body: Body) -> std::io::Result<String> {
    let mut text = String::new();
    let mut body = body;
    body.read_to_string(&mut text).map(|_| text)
}

#[test]
fn busy_servers_are_asked_again() {
    let busy = answer("503 Service Unavailable", "Retry-After: 0\r\n", "later");
    let script = Script::serve(vec![
        busy.clone(),
        answer("429 Too Many Requests", "", ""),
        answer("206 Partial Content", "", "ok"),
    ]);
    let response = http().send(&get(script.url())).unwrap();
    assert_eq!((response.status.as_u16(), response.sent, response.retries), (206, 3, 2));
    assert_eq!(text(response.body).unwrap(), "ok");

    let script = Script::serve(vec![busy; 4]);
    let failure = http().send(&get(script.url())).unwrap_err();
    assert_eq!(failure.class(), Class::Transient);
    let message = failure.to_string().replace(&script.address, "HOST");
    insta::assert_snapshot!(message, @"`http://HOST/v2/a?...` answers 503 Service Unavailable, also when tried 3 more times");
    let script = Script::serve(vec![answer("500 Internal Server Error", "", "")]);
    assert!(http().send(&get(script.url()).once()).is_err());
    assert_eq!(script.asked().len(), 1);
}

#[test]
fn a_wait_that_is_too_long_is_not_waited() {
    let script = Script::serve(vec![answer("429 Too Many Requests", "Retry-After: 3600\r\n", "")]);
    assert!(matches!(http().send(&get(script.url())), Err(Failure::Unavailable { tried: 0, .. })));
}

#[test]
fn credentials_stay_with_their_host() {
    let other = Script::serve(vec![answer("200 OK", "", "ok")]);
    let away = answer("307 Temporary Redirect", &format!("Location: {}\r\n", other.url()), "gone");
    let script = Script::serve(vec![answer("302 Found", "Location: /v2/b\r\n", ""), away]);
    let range = HeaderValue::from_static("bytes=0-1");
    let mut private = HeaderMap::new();
    private.append("x-key", HeaderValue::from_static("own"));
    private.append("x-key", HeaderValue::from_static("other"));
    let request = get(script.url()).header(RANGE, range).with_private(private);
    let response = http().send(&request).unwrap();
    assert_eq!((response.sent, response.retries), (3, 0));
    assert_eq!(response.url.port(), other.url().port());
    let (here, there) = (script.asked(), other.asked());
    assert!(here.iter().all(|head| head.contains("authorization: Bearer secret")), "{here:?}");
    assert!(here.iter().all(|head| head.contains("x-key: own\r\nx-key: other\r\n")), "{here:?}");
    assert!(here.get(1).is_some_and(|head| head.starts_with("GET /v2/b HTTP/1.1")), "{here:?}");
    assert!(
        there.iter().all(|head| !head.contains("Bearer")
            && !head.contains("x-key")
            && head.contains("range: bytes=0-1")),
        "{there:?}"
    );
    assert!(there.iter().all(|head| head.contains("accept-encoding: identity")), "{there:?}");
}

#[test]
fn only_what_has_a_digest_may_come_without_tls() {
    let url: Url = "https://example.com/".parse().unwrap();
    let request = Request::new(Method::GET, url.clone(), Arc::default());
    assert!(!request.may_be_plain());
    assert!(request.with_digest().may_be_plain());
    let tls = Tls { verification: Verification::Off, ..Tls::default() };
    assert!(Request::new(Method::GET, url, Arc::new(tls)).may_be_plain());
}

#[test]
fn redirects_end() {
    let around = answer("302 Found", "Location: /v2/a\r\n", "");
    let script = Script::serve(vec![around; 6]);
    let failure = http().send(&get(script.url())).unwrap_err();
    let message = failure.to_string().replace(&script.address, "HOST");
    insta::assert_snapshot!(message, @"`http://HOST/v2/a?...` redirects more than 5 times");
    let script = Script::serve(vec![answer("302 Found", "Location: file:///etc/passwd\r\n", "")]);
    let message = http().send(&get(script.url())).unwrap_err().to_string().replace(&script.address, "HOST");
    insta::assert_snapshot!(message, @"`http://HOST/v2/a?...` redirects to `file:`, which is not HTTP");
}

#[test]
fn uploads_are_not_turned_into_downloads() {
    let script = Script::serve(vec![answer("303 See Other", "Location: /v2/b\r\n", "")]);
    let request = Request::new(Method::POST, script.url(), Arc::default()).with_body("abc".into());
    assert_eq!(http().send(&request).unwrap().status.as_u16(), 303);
    assert!(script.asked().iter().all(|head| head.contains("content-length: 3")));
}

#[test]
fn bodies_that_break_off_or_stall_are_transient() {
    let script = Script::serve(vec![answer("200 OK", "", "0123").replace("Length: 4", "Length: 9")]);
    let response = http().send(&get(script.url())).unwrap();
    let error = text(response.body).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    insta::assert_snapshot!(error.to_string().replace(&script.address, "HOST"), @"the answer of `http://HOST/v2/a?...` broke off: end of file before message length reached");

    let stalled = answer("200 OK", "hold: open\r\n", "0123").replace("Length: 4", "Length: 9");
    let script = Script::serve(vec![stalled]);
    let response = http().send(&get(script.url())).unwrap();
    assert_eq!(response.body.stated_len(), Some(9));
    let error = text(response.body).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn bodies_are_read_up_to_a_limit() {
    let script = Script::serve(vec![answer("200 OK", "", "0123"), answer("200 OK", "", "0123")]);
    let body = || http().send(&get(script.url())).unwrap().body;
    assert_eq!(body().read_limited(4).unwrap(), Some(b"0123".to_vec()));
    assert_eq!(body().read_limited(3).unwrap(), None);
}

#[test]
fn proxies_are_used_but_not_for_this_machine() {
    let proxy = Script::serve(vec![answer("200 OK", "", "by proxy")]);
    let server = Script::serve(vec![answer("200 OK", "", "direct")]);
    let address = Some(format!("http://{}", proxy.address));
    let except = Some("other.invalid".to_owned());
    let proxies = Proxies { http: address, https: None, except };
    let http = Http::new(Options { proxies, ..Options::default() }).unwrap();
    let read = |url: Url| text(http.send(&get(url)).unwrap().body).unwrap();
    assert_eq!(read("http://registry.invalid/v2/".parse().unwrap()), "by proxy");
    assert_eq!(read(server.url()), "direct");
    assert!(proxy.asked().iter().all(|head| head.starts_with("GET http://registry.invalid/v2/ HTTP/1.1")));
}

#[test]
fn failures_to_connect_say_why() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let failure = http().send(&get(format!("http://{free}/").parse().unwrap())).unwrap_err();
    assert_eq!(failure.class(), Class::Transient);
    let cause = std::error::Error::source(&failure).unwrap().to_string();
    insta::assert_snapshot!(cause, @"Connection refused (os error 111)");
    let script = Script::serve(vec![answer("400 Bad Request", "", "")]);
    let mut url = script.url();
    url.set_scheme("https").unwrap();
    let failure = http().send(&get(url)).unwrap_err();
    assert!(matches!(failure, Failure::NotTls { .. }), "{failure:?}");
    assert_eq!(failure.class(), Class::Unsupported);
}
