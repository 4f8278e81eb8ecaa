use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_s3::primitives::ByteStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use super::client::{Bucket, SILENCE};
use super::errors::{Cause, Failure};
use super::runtime;

/// Times a broken body is continued.
const CONTINUED: u32 = 8;

/// Bytes of one message from a stream to its reader.
const PIECE: usize = 64 << 10;

/// What is to be fetched, as it was listed.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub bucket: Arc<Bucket>,
    pub key: String,
    pub bytes: u64,
    pub etag: Option<String>,
}

/// Limits of what is in flight, for all sources together.
#[derive(Debug)]
pub(super) struct Limits {
    /// One permit a request.
    pub requests: Arc<Semaphore>,
    /// One permit a byte that was fetched, or is being fetched, and was not yet read.
    pub bytes: Arc<Semaphore>,
    /// Larger objects are streamed.
    pub whole_bytes: u64,
    /// Bytes ahead of the reader of a stream.
    pub window_bytes: usize,
}

impl Limits {
    pub fn new(requests: usize, bytes: usize) -> Limits {
        let bytes = bytes.clamp(4 * PIECE, 1 << 31);
        Limits {
            requests: Arc::new(Semaphore::new(requests.clamp(1, 10_000))),
            bytes: Arc::new(Semaphore::new(bytes)),
            whole_bytes: (bytes as u64 / 4).min(8 << 20),
            window_bytes: (bytes / 4).min(1 << 20),
        }
    }
}

/// The content of a log file in S3: fetched already, or about to be. Can be opened once.
#[derive(Clone, Debug)]
pub(in crate::trail) struct Fetched(Arc<Mutex<State>>);

#[derive(Debug)]
enum State {
    Whole(Whole),
    Large { object: Object, limits: Arc<Limits>, window: OwnedSemaphorePermit },
    Failed(Failure),
    Opened,
}

impl PartialEq for Fetched {
    fn eq(&self, other: &Fetched) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Fetched {}

impl Fetched {
    fn new(state: State) -> Fetched {
        Fetched(Arc::new(Mutex::new(state)))
    }

    /// Fetches a small object; `held` are permits for all its bytes.
    pub(super) async fn whole(object: Object, held: OwnedSemaphorePermit) -> Fetched {
        match whole(object).await {
            Ok(bytes) => Fetched::new(State::Whole(Whole { bytes, at: 0, _held: held })),
            Err(failure) => Fetched::new(State::Failed(failure)),
        }
    }

    /// A large object, to be fetched when it is opened; `window` are permits for what may be ahead of its reader.
    pub(super) fn large(object: Object, limits: Arc<Limits>, window: OwnedSemaphorePermit) -> Fetched {
        Fetched::new(State::Large { object, limits, window })
    }

    /// The bytes, for one reader: they are kept no longer than it reads them.
    pub(in crate::trail) fn open(&self) -> io::Result<Body> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Opened) {
            State::Whole(whole) => Ok(Body(Inner::Whole(whole))),
            State::Large { object, limits, window } => {
                let (sender, pieces) = mpsc::channel((limits.window_bytes / PIECE).max(1));
                runtime()?.spawn(stream(object, limits, sender));
                Ok(Body(Inner::Stream(Stream { pieces, piece: Vec::new(), at: 0, failed: None, _window: window })))
            }
            State::Failed(failure) => {
                *state = State::Failed(failure.clone());
                Err(failure.into())
            }
            State::Opened => Err(io::Error::other("opened before")),
        }
    }
}

/// The bytes of an object in S3.
#[derive(Debug)]
pub struct Body(Inner);

#[derive(Debug)]
enum Inner {
    Whole(Whole),
    Stream(Stream),
}

struct Whole {
    bytes: Vec<u8>,
    at: usize,
    _held: OwnedSemaphorePermit,
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Whole({} bytes)", self.bytes.len())
    }
}

#[derive(Debug)]
struct Stream {
    pieces: mpsc::Receiver<Result<Vec<u8>, Failure>>,
    piece: Vec<u8>,
    at: usize,
    failed: Option<Failure>,
    _window: OwnedSemaphorePermit,
}

fn copy(from: &[u8], at: &mut usize, to: &mut [u8]) -> usize {
    let rest = from.get(*at..).unwrap_or_default();
    let count = rest.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..count), rest.get(..count)) {
        to.copy_from_slice(from);
    }
    *at += count;
    count
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Whole(whole) => Ok(copy(&whole.bytes, &mut whole.at, buffer)),
            Inner::Stream(stream) => {
                while stream.at == stream.piece.len() {
                    if let Some(failure) = &stream.failed {
                        return Err(failure.clone().into());
                    }
                    match stream.pieces.blocking_recv() {
                        Some(Ok(piece)) => (stream.piece, stream.at) = (piece, 0),
                        Some(Err(failure)) => stream.failed = Some(failure),
                        None => return Ok(0),
                    }
                }
                Ok(copy(&stream.piece, &mut stream.at, buffer))
            }
        }
    }
}

/// Sends the bytes of a large object until they end or nobody reads them any more, which closes the connection.
async fn stream(object: Object, limits: Arc<Limits>, sender: mpsc::Sender<Result<Vec<u8>, Failure>>) {
    let Ok(_request) = limits.requests.acquire().await else { return };
    let mut download = Download::new(object);
    loop {
        match download.next().await {
            Ok(None) => return,
            Ok(Some(chunk)) => {
                for piece in chunk.as_ref().chunks(PIECE) {
                    if sender.send(Ok(piece.to_vec())).await.is_err() {
                        return;
                    }
                }
            }
            Err(failure) => {
                let _ = sender.send(Err(failure)).await;
                return;
            }
        }
    }
}

/// All bytes of an object; no more than were listed.
pub(super) async fn whole(object: Object) -> Result<Vec<u8>, Failure> {
    let listed = object.bytes;
    let mut bytes = Vec::with_capacity(usize::try_from(listed).unwrap_or_default());
    let mut download = Download::new(object);
    while let Some(chunk) = download.next().await? {
        if (bytes.len() + chunk.as_ref().len()) as u64 > listed {
            return Err(Failure::other("larger than when it was listed".to_owned()));
        }
        bytes.extend_from_slice(chunk.as_ref());
    }
    Ok(bytes)
}

/// One object on its way: a body that breaks off, stalls or is shorter than the object is continued from there.
struct Download {
    object: Object,
    body: Option<ByteStream>,
    /// Bytes that came so far.
    at: u64,
    /// Bytes of the body to pass over, where a server does not know ranges.
    skip: u64,
    /// Of the version that is being read.
    etag: Option<String>,
    length: u64,
    continued: u32,
}

impl Download {
    fn new(object: Object) -> Download {
        Download { body: None, at: 0, skip: 0, etag: None, length: object.bytes, continued: 0, object }
    }

    async fn next(&mut self) -> Result<Option<impl AsRef<[u8]> + use<>>, Failure> {
        loop {
            let body = match &mut self.body {
                Some(body) => body,
                None => {
                    let body = self.request().await?;
                    self.body.insert(body)
                }
            };
            let broken = match timeout(SILENCE, body.try_next()).await {
                Ok(Ok(Some(mut chunk))) => {
                    let passed = self.skip.min(chunk.len() as u64);
                    self.skip -= passed;
                    let chunk = chunk.split_off(usize::try_from(passed).unwrap_or_default());
                    if chunk.is_empty() {
                        continue;
                    }
                    self.at += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Ok(Ok(None)) if self.at >= self.length => return Ok(None),
                Ok(Ok(None)) => "ends",
                Ok(Err(_)) => "breaks off",
                Err(_) => "stalls",
            };
            self.body = None;
            if self.continued == CONTINUED {
                return Err(Failure::other(format!("body {broken} after {} of {} bytes, again and again", self.at, self.length)));
            }
            sleep(Duration::from_millis((100 << self.continued).min(2000))).await;
            self.continued += 1;
        }
    }

    /// The body from where it broke off.
    async fn request(&mut self) -> Result<ByteStream, Failure> {
        let Object { bucket, key, .. } = &self.object;
        let request = bucket.client.get_object().bucket(&bucket.name).key(key).set_request_payer(bucket.payer.clone());
        let continues = self.at > 0;
        let request = if continues { request.range(format!("bytes={}-", self.at)).set_if_match(self.etag.clone()) } else { request };
        let output = request.send().await.map_err(|error| {
            let archived = error.as_service_error().and_then(|error| match error {
                aws_sdk_s3::operation::get_object::GetObjectError::InvalidObjectState(state) => state.storage_class(),
                _ => None,
            });
            match archived {
                Some(class) => Failure { cause: Cause::Denied, text: format!("archived in {class}, restore it first") },
                None => Failure::of(&error, "s3:GetObject (and kms:Decrypt, where the object is encrypted with a key of KMS)"),
            }
        })?;
        let etag = output.e_tag().map(str::to_owned);
        let length = output.content_length().and_then(|length| u64::try_from(length).ok());
        if continues {
            if self.etag.is_some() && etag.is_some() && self.etag != etag {
                return Err(Failure { cause: Cause::Conflict, text: "changed while it was read".to_owned() });
            }
            self.skip = if output.content_range().is_some() { 0 } else { self.at };
        } else {
            let other = self.object.etag.is_some() && etag.is_some() && self.object.etag != etag;
            self.length = match length {
                Some(length) if other => length,
                length => length.unwrap_or_default().max(self.object.bytes),
            };
            self.etag = etag;
        }
        Ok(output.body)
    }
}
