//! S3 in process: a server over a directory that checks signatures, and a proxy that misbehaves.

use std::collections::VecDeque;
use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// Listens on a free port and serves each connection by `serve`.
fn listen<F>(serve: impl Fn(tokio::net::TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime().spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            socket.set_nodelay(true).unwrap();
            tokio::spawn(serve(socket));
        }
    });
    address
}

/// A real implementation of S3 whose buckets are directories.
pub struct Server {
    pub url: String,
    root: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Server {
        let root = tempfile::tempdir().unwrap();
        let mut service = S3ServiceBuilder::new(s3s_fs::FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let address = listen(move |socket| {
            let service = service.clone();
            async move {
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            }
        });
        fs::create_dir(root.path().join("trail")).unwrap();
        Server { url: format!("http://{address}"), root }
    }

    /// The directory behind bucket `trail`.
    pub fn bucket(&self) -> PathBuf {
        self.root.path().join("trail")
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        put(&self.bucket(), key, bytes);
    }

    pub fn put_all(&self, from: &Path) {
        for (key, bytes) in tree(from) {
            self.put(&key, &bytes);
        }
    }
}

pub fn put(root: &Path, key: &str, bytes: &[u8]) {
    let path = root.join(key);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// The files below a directory, by their paths below it.
pub fn tree(root: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let key = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.push((key, fs::read(path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// A request as the proxy saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl Seen {
    /// Its path with escapes resolved, without the bucket and its slashes.
    pub fn key(&self) -> String {
        let path = self.uri.path().trim_start_matches('/');
        unescape(path.split_once('/').map_or("", |(_, key)| key))
    }

    pub fn is_list(&self) -> bool {
        self.uri.query().is_some_and(|query| query.contains("list-type=2"))
    }

    pub fn is_get(&self) -> bool {
        self.method == Method::GET && !self.is_list()
    }

    /// The prefix that is listed.
    pub fn prefix(&self) -> String {
        let query = self.uri.query().unwrap_or_default();
        unescape(query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or_default())
    }
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// What the proxy does to a request.
#[derive(Clone, Debug)]
pub enum Act {
    Pass,
    Wait(Duration),
    /// Answers with this status, these headers and this body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Closes the connection without an answer.
    Reset,
    /// Breaks the connection off after so many bytes of the body, whose length was announced.
    Cut(usize),
    /// Leaves out what follows so many bytes of the body, and announces no more.
    Shorten(usize),
    /// Announces this many bytes and sends zeros as long as anybody reads them.
    Zeros(u64),
    /// Does what is asked and closes the connection without an answer.
    Lose,
    /// Changes the text of a listing.
    Edit(fn(String) -> String),
}

/// An answer of S3 in error.
pub fn refusal(status: u16, code: &str) -> Act {
    Act::Answer(status, vec![], format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>"))
}

/// Decides by a request and how many requests for the same thing came before it.
type Rule = dyn Fn(&Seen, usize) -> Act + Send + Sync;

/// A proxy that forwards requests as they are signed, but for what its rule says.
pub struct Proxy {
    pub url: String,
    log: Arc<Mutex<Vec<Seen>>>,
    /// Bytes of bodies sent.
    pub sent: Arc<AtomicU64>,
}

impl Proxy {
    pub fn before(upstream: &str, rule: impl Fn(&Seen, usize) -> Act + Send + Sync + 'static) -> Proxy {
        let log = Arc::new(Mutex::new(Vec::new()));
        let sent = Arc::new(AtomicU64::new(0));
        let rule: Arc<Rule> = Arc::new(rule);
        let client: Client<HttpConnector, Full<Bytes>> = runtime().block_on(async { Client::builder(TokioExecutor::new()).build_http() });
        let shared = Shared { upstream: upstream.to_owned(), log: Arc::clone(&log), sent: Arc::clone(&sent), rule, client };
        let address = listen(move |socket| {
            let shared = shared.clone();
            async move {
                let service = service_fn(move |request| shared.clone().answer(request));
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            }
        });
        Proxy { url: format!("http://{address}"), log, sent }
    }

    pub fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    pub fn lists(&self) -> usize {
        self.log().iter().filter(|seen| seen.is_list()).count()
    }

    pub fn gets(&self) -> usize {
        self.log().iter().filter(|seen| seen.is_get()).count()
    }
}

#[derive(Clone)]
struct Shared {
    upstream: String,
    log: Arc<Mutex<Vec<Seen>>>,
    sent: Arc<AtomicU64>,
    rule: Arc<Rule>,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl Shared {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Pieces>, io::Error> {
        let (parts, body) = request.into_parts();
        let seen = Seen { method: parts.method.clone(), uri: parts.uri.clone(), headers: parts.headers.clone() };
        let before = {
            let mut log = self.log.lock().unwrap();
            let before = log.iter().filter(|one| one.method == seen.method && one.uri == seen.uri).count();
            log.push(seen.clone());
            before
        };
        let act = (self.rule)(&seen, before);
        match &act {
            Act::Reset => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            Act::Answer(status, headers, text) => {
                // Read to its end, or the connection could not be used again.
                let _ = body.collect().await;
                let mut response = Response::new(Pieces::of(Bytes::from(text.clone()), &self.sent));
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(if parts.method == Method::HEAD { 0 } else { text.len() }));
                *response.status_mut() = StatusCode::from_u16(*status).unwrap();
                for (name, value) in headers {
                    response.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
                }
                return Ok(response);
            }
            Act::Zeros(length) => {
                let mut response = Response::new(Pieces { queue: VecDeque::new(), zeros: *length, sent: Arc::clone(&self.sent) });
                response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(*length));
                return Ok(response);
            }
            Act::Wait(time) => tokio::time::sleep(*time).await,
            _ => {}
        }

        let uri: Uri = format!("{}{}", self.upstream, parts.uri.path_and_query().unwrap()).parse().unwrap();
        let mut forwarded = Request::new(Full::new(body.collect().await.map_err(io::Error::other)?.to_bytes()));
        *forwarded.method_mut() = parts.method.clone();
        *forwarded.uri_mut() = uri;
        // The Host among them, which is signed.
        *forwarded.headers_mut() = parts.headers;
        let response = self.client.request(forwarded).await.map_err(io::Error::other)?;
        if let Act::Lose = act {
            return Err(io::Error::from(io::ErrorKind::ConnectionReset));
        }
        let (mut head, body) = response.into_parts();
        let head_only = parts.method == Method::HEAD;
        let mut bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let mut broken = false;
        match act {
            Act::Cut(at) if at < bytes.len() => {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                bytes.truncate(at);
                broken = true;
            }
            Act::Shorten(at) => {
                bytes.truncate(at);
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            Act::Edit(edit) => {
                bytes = Bytes::from(edit(String::from_utf8(bytes.to_vec()).unwrap()));
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            }
            _ => {}
        }
        head.headers.remove(hyper::header::TRANSFER_ENCODING);
        if !head_only && !broken {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
        }
        let mut pieces = Pieces::of(bytes, &self.sent);
        if broken {
            pieces.queue.push_back(Err(io::Error::from(io::ErrorKind::ConnectionReset)));
        }
        Ok(Response::from_parts(head, pieces))
    }
}

/// A body in pieces, of which one may be the end of the connection.
struct Pieces {
    queue: VecDeque<io::Result<Bytes>>,
    zeros: u64,
    sent: Arc<AtomicU64>,
}

impl Pieces {
    fn of(bytes: Bytes, sent: &Arc<AtomicU64>) -> Pieces {
        let queue = if bytes.is_empty() { VecDeque::new() } else { VecDeque::from([Ok(bytes)]) };
        Pieces { queue, zeros: 0, sent: Arc::clone(sent) }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = match self.queue.pop_front() {
            Some(piece) => Some(piece),
            None if self.zeros > 0 => {
                let count = self.zeros.min(64 << 10);
                self.zeros -= count;
                Some(Ok(Bytes::from(vec![0; usize::try_from(count).unwrap()])))
            }
            None => None,
        };
        // What was written is sent before the connection ends.
        if let Some(Err(error)) = piece {
            if error.kind() == io::ErrorKind::ConnectionReset {
                self.queue.push_back(Err(io::Error::other("cut")));
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(Ok(bytes)) = &piece {
            self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }

    fn is_end_stream(&self) -> bool {
        self.queue.is_empty() && self.zeros == 0
    }
}

/// Sends one request, unsigned, and gives status and body.
pub fn plain(method: &str, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> (u16, String) {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    runtime().block_on(async {
        let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    })
}

/// The text of a path in a URL.
pub fn escape(path: &str) -> String {
    path.bytes().fold(String::new(), |text, byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => text + &char::from(byte).to_string(),
        byte => text + &format!("%{byte:02X}"),
    })
}
