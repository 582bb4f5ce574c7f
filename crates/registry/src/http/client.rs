//! Sends requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use chunked::Class;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Client, Method, NoProxy, Proxy, StatusCode, Url, Version, redirect};
use tokio::runtime::{Builder, Runtime};

use super::body::Body;
use super::failure::{Failure, Reason};
use super::redact::Place;
use super::request::Request;
use super::retry::{Backoff, is_transient, retry_after};
use super::tls::Tls;
use super::{Options, Proxies};

/// Most redirects on the way to one answer.
const REDIRECTS_MAX: usize = 5;
/// Slowest upload that is waited for, in bytes a second.
const UPLOAD_RATE_MIN: u64 = 32 << 10;
/// What of an answer may be on its way before we ask for more: what a link of 1 Gbit/s and 16 ms holds.
const HTTP2_STREAM_WINDOW: u32 = 2 << 20;
/// The same for all answers of a connection: as much as 64 of them, so that some that nobody reads do not stop the others.
const HTTP2_CONNECTION_WINDOW: u32 = 128 << 20;
/// Hosts that no proxy could reach.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1";

/// Sends requests; clones share connections.
#[derive(Debug, Clone)]
pub(crate) struct Http(Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    /// Only gone while this is dropped.
    runtime: Option<Runtime>,
    options: Options,
    /// A client, with its connections, for each way to trust servers.
    clients: Mutex<HashMap<Arc<Tls>, Client>>,
}

/// An answer, of any status that is not worth another try.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    /// Where it came from, after redirects.
    pub(crate) url: Url,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    /// Requests it took.
    pub(crate) sent: u64,
    /// Those of them that were sent because another one failed.
    pub(crate) retries: u64,
}

impl Http {
    /// Starts the thread that serves the connections.
    ///
    /// # Errors
    /// When the machine has no thread or no event queue to give.
    pub(crate) fn new(options: Options) -> std::io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("http").enable_all().build()?;
        Ok(Self(Arc::new(Inner { runtime: Some(runtime), options, clients: Mutex::default() })))
    }

    /// Counts the tries of something that takes several requests.
    pub(crate) fn backoff(&self) -> Backoff {
        Backoff::new(&self.0.options.retries)
    }

    /// Sends a request until there is an answer, and follows redirects.
    ///
    /// # Errors
    /// [`Failure`] when nothing answers, when the server is not trusted, when it stays unavailable, and when it redirects
    /// in circles.
    pub(crate) fn send(&self, request: &Request) -> Result<Response, Failure> {
        let mut backoff = self.backoff();
        let mut sent = 0;
        let outcome = loop {
            let outcome = self.follow(request, &mut sent);
            let asks = match &outcome {
                Ok(response) if is_transient(response.status()) => {
                    retry_after(response.headers(), SystemTime::now())
                }
                Err(failure) if failure.class() == Class::Transient => None,
                _ => break outcome,
            };
            if request.once || !backoff.wait(asks) {
                break outcome;
            }
            if let Ok(response) = outcome {
                self.body(response).drain();
            }
        };
        let response = outcome?;
        let (status, tried) = (response.status(), backoff.tried());
        if is_transient(status) {
            return Err(Failure::Unavailable { place: Place::from(response.url()), status, tried });
        }
        Ok(self.response(response, sent, u64::from(tried)))
    }

    fn response(&self, response: reqwest::Response, sent: u64, retries: u64) -> Response {
        Response {
            status: response.status(),
            url: response.url().clone(),
            version: response.version(),
            headers: response.headers().clone(),
            body: self.body(response),
            sent,
            retries,
        }
    }

    fn body(&self, response: reqwest::Response) -> Body {
        Body::new(response, self.0.runtime().handle().clone(), self.0.options.stall_timeout, self.0.clone())
    }

    /// Sends a request once to each place on its way.
    fn follow(&self, request: &Request, sent: &mut u64) -> Result<reqwest::Response, Failure> {
        let client = self.0.client(request)?;
        let mut target = request.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            *sent = sent.saturating_add(1);
            let response = self.exchange(&client, request, target.clone())?;
            let Some(next) = redirected(request, &response)? else { return Ok(response) };
            self.body(response).drain();
            target = next;
        }
        let target = format!("more than {REDIRECTS_MAX} times");
        Err(Failure::Redirect { place: Place::from(&request.url), target })
    }

    /// Sends one request, and waits for the head of the answer.
    fn exchange(
        &self,
        client: &Client,
        request: &Request,
        target: Url,
    ) -> Result<reqwest::Response, Failure> {
        let place = Place::from(&target);
        let len = request.body.len() as u64;
        let limit = self.0.options.stall_timeout + Duration::from_secs(len / UPLOAD_RATE_MIN);
        let headers = request.headers_for(&target);
        let mut outgoing = client.request(request.method.clone(), target).headers(headers);
        if len > 0 || matches!(request.method, Method::POST | Method::PUT | Method::PATCH) {
            outgoing = outgoing.body(request.body.clone());
        }
        let answer = self.0.runtime().block_on(async { tokio::time::timeout(limit, outgoing.send()).await });
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::of(&error, place)),
            Err(_) => Err(Failure::Stalled { place, limit }),
        }
    }
}

/// Returns where an answer redirects to, if it does.
fn redirected(request: &Request, response: &reqwest::Response) -> Result<Option<Url>, Failure> {
    let reads = matches!(request.method, Method::GET | Method::HEAD);
    let redirects = match response.status().as_u16() {
        _ if !request.follow => false,
        // These turn other methods into GET, which is never what such a request is for.
        301..=303 => reads,
        307 | 308 => true,
        _ => false,
    };
    let Some(location) = response.headers().get(LOCATION).filter(|_| redirects) else { return Ok(None) };
    let wrong =
        |target: &str| Failure::Redirect { place: Place::from(response.url()), target: target.to_owned() };
    let location = location.to_str().map_err(|_| wrong("to something that is no URL"))?;
    let url = response.url().join(location).map_err(|_| wrong("to something that is no URL"))?;
    match url.scheme() {
        // What no digest vouches for must not come by a way on which anybody can change it.
        "http" if response.url().scheme() == "https" && !request.may_be_plain() => {
            Err(wrong("away from TLS"))
        }
        "http" | "https" => Ok(Some(url)),
        other => Err(wrong(&format!("to `{other}:`, which is not HTTP"))),
    }
}

impl Inner {
    #[expect(clippy::expect_used, reason = "the runtime is only taken by `drop`")]
    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("the runtime is there until this is dropped")
    }

    /// Returns the client that trusts servers as `request` wants.
    fn client(&self, request: &Request) -> Result<Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&request.tls) {
            return Ok(client.clone());
        }
        let config = request.tls.to_config().map_err(|error| Failure::Certificates {
            place: Place::from(&request.url),
            source: Reason::of(&error),
        })?;
        let client = build(&self.options, config).map_err(|error| Failure::Unsendable {
            place: Place::from(&request.url),
            source: Reason::of(&error),
        })?;
        clients.insert(request.tls.clone(), client.clone());
        Ok(client)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting for connections that nobody uses any more.
            runtime.shutdown_background();
        }
    }
}

fn build(options: &Options, tls: rustls::ClientConfig) -> reqwest::Result<Client> {
    let mut headers = HeaderMap::new();
    // Blobs are wanted as they are: their digest is that of the bytes sent.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let builder = Client::builder()
        .user_agent(concat!("morsel/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(options.connect_timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .http2_initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .http2_initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .tls_backend_preconfigured(tls)
        .no_proxy();
    proxies(&options.proxies)?.into_iter().fold(builder, |builder, proxy| builder.proxy(proxy)).build()
}

fn proxies(proxies: &Proxies) -> reqwest::Result<Vec<Proxy>> {
    let except = match &proxies.except {
        Some(except) => format!("{except},{THIS_MACHINE}"),
        None => THIS_MACHINE.to_owned(),
    };
    let except = NoProxy::from_string(&except);
    let http = proxies.http.as_ref().map(Proxy::http);
    let https = proxies.https.as_ref().map(Proxy::https);
    http.into_iter().chain(https).map(|proxy| Ok(proxy?.no_proxy(except.clone()))).collect()
}
