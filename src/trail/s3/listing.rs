use std::collections::HashSet;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::DateTime;
use tokio::sync::{Semaphore, mpsc};

use super::client::{Bucket, Session};
use super::errors::{Cause, Failure};
use super::fetch::{Fetched, Limits, Object};
use super::{runtime, split, wait};
use crate::trail::layout::{day_folders, delivery, is_account, region_folder};
use crate::trail::{Day, Entry, Folder, LogFile, Memory, Reach, TrailError, Wanted};

/// Folders are searched for the layout this far below a source; what lies deeper is listed whole.
const SEARCHED_LEVELS: usize = 4;

/// Keys found and not yet being fetched, at most.
const KEYS_AHEAD: usize = 4096;

/// What a file costs beside its bytes while it waits to be read.
const FILE_BYTES: usize = 1024;

/// How far the clock of whoever delivers may be behind that of an event, in seconds.
const EARLY: i64 = 3600;

/// How late a file may come after its events, in seconds.
const LATE: i64 = 86_400;

/// What the minutes in a file's name leave open, in seconds.
const MINUTES: i64 = 300;

/// The files of sources in S3, in the order in which they arrive.
#[derive(Debug)]
pub(in crate::trail) struct Remote(mpsc::UnboundedReceiver<Entry>);

impl Iterator for Remote {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.0.blocking_recv()
    }
}

/// Begins to list and fetch what lies at `sources`, all of them `s3://` locations.
///
/// Each source costs one request first, which finds out what it is, where it lies, and whether it can be reached.
pub(in crate::trail) fn list(sources: &[&str], reach: &Reach) -> Result<Remote, TrailError> {
    let mut starts = Vec::with_capacity(sources.len());
    let mut session = None;
    for source in sources {
        let (bucket, key) = split(source).ok_or_else(|| TrailError::Missing((*source).to_owned()))?;
        let start = wait(async {
            let session = match &mut session {
                Some(session) => session,
                none => none.insert(Session::reading(&reach.s3).await),
            };
            look(session, bucket, key).await
        });
        starts.extend(start.map_err(|failure| TrailError::S3 { location: (*source).to_owned(), reason: failure.text })?);
    }

    let limits = Arc::new(Limits::new(reach.s3.requests, reach.s3.bytes));
    let (entries, remote) = mpsc::unbounded_channel();
    let (found, to_fetch) = mpsc::channel(KEYS_AHEAD);
    let shared = Arc::new(Shared {
        span: Span::of(&reach.wanted, reach.memory.is_some()),
        wanted: reach.wanted.clone(),
        memory: reach.memory.clone(),
        listings: Semaphore::new(reach.s3.requests.clamp(1, 64)),
        limits: Arc::clone(&limits),
        seen: (starts.len() > 1).then(Mutex::default),
        found,
        entries: entries.clone(),
    });
    let runtime = runtime().map_err(|error| TrailError::S3 { location: sources.join(", "), reason: error.to_string() })?;
    runtime.spawn(fetch(to_fetch, limits, entries));
    // Named keys are known before anything is met, so that they keep their names.
    let (objects, prefixes): (Vec<Start>, Vec<Start>) = starts.into_iter().partition(|start| matches!(start, Start::Object(_)));
    let objects: Vec<Found> = objects
        .into_iter()
        .filter_map(|start| match start {
            Start::Object(found) => shared.is_new(&found).then_some(found),
            Start::Prefix(..) => None,
        })
        .collect();
    for start in prefixes {
        if let Start::Prefix(bucket, root) = start {
            let special = folders(&root).any(|name| Folder::of_name(name).is_some());
            let walk = Arc::new(Walk { shared: Arc::clone(&shared), bucket, root: root.clone(), special });
            spawn(walk, root, 0);
        }
    }
    runtime.spawn(async move {
        for found in objects {
            if shared.found.send(found).await.is_err() {
                return;
            }
        }
    });
    Ok(Remote(remote))
}

/// A source that has been looked at.
enum Start {
    /// One key.
    Object(Found),
    /// Everything in a bucket below a prefix that is empty or ends in `/`.
    Prefix(Arc<Bucket>, String),
}

/// Finds out what a source is; None where no key starts with it.
async fn look(session: &Session, bucket: &str, key: &str) -> Result<Option<Start>, Failure> {
    let (bucket, answer) = Bucket::find(session, bucket, key).await;
    let bucket = Arc::new(bucket);
    let folder = key.is_empty() || key.ends_with('/');
    let prefix = if folder { key.to_owned() } else { format!("{key}/") };
    match answer {
        Ok(answer) => Ok(match answer.contents().first() {
            // In the order of keys, the key itself comes first.
            Some(first) if !folder && first.key() == Some(key) => found(&bucket, first, true).map(Start::Object),
            Some(_) => Some(Start::Prefix(bucket, prefix)),
            None => None,
        }),
        Err(failure) if failure.cause == Cause::Denied => {
            // Who may not list may still read a key that is known to them.
            if !folder {
                let head = bucket.client.head_object().bucket(&bucket.name).key(key).set_request_payer(bucket.payer.clone());
                if let Ok(head) = head.send().await {
                    let bytes = head.content_length().and_then(|length| u64::try_from(length).ok()).unwrap_or_default();
                    let found = Found::new(&bucket, key, bytes, head.e_tag(), head.last_modified(), true);
                    return Ok(Some(Start::Object(found)));
                }
            }
            Ok(Some(Start::Prefix(bucket, prefix)))
        }
        Err(failure) => Err(failure),
    }
}

/// A key that is to be read.
struct Found {
    object: Object,
    file: LogFile,
    /// Of the region's folder that it was found in.
    folder: Option<Arc<Whole>>,
}

impl Found {
    fn new(bucket: &Arc<Bucket>, key: &str, bytes: u64, etag: Option<&str>, modified: Option<&DateTime>, named: bool) -> Found {
        let file = LogFile::listed(bucket.location(key), named, bytes, stamp(etag, modified));
        Found {
            object: Object { bucket: Arc::clone(bucket), key: key.to_owned(), bytes, etag: etag.map(str::to_owned) },
            file,
            folder: None,
        }
    }
}

/// A key of a listing; None for the marker of a folder.
fn found(bucket: &Arc<Bucket>, listed: &aws_sdk_s3::types::Object, named: bool) -> Option<Found> {
    let key = listed.key()?;
    let bytes = listed.size().and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    let marker = key.ends_with('/') && bytes == 0;
    (!marker).then(|| Found::new(bucket, key, bytes, listed.e_tag(), listed.last_modified(), named))
}

/// Tells versions of an object apart: the start of its ETag, which is a hash; where a store gives none, the time of its last change.
fn stamp(etag: Option<&str>, modified: Option<&DateTime>) -> u64 {
    let etag = etag.unwrap_or_default().trim_matches('"');
    match (etag.get(..16).map(|start| u64::from_str_radix(start, 16)), modified) {
        (Some(Ok(start)), _) => start,
        // FNV-1a: a stamp that is kept may not depend on the standard library's hash of the day.
        _ if !etag.is_empty() => {
            etag.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
        }
        (_, Some(modified)) => u64::try_from(modified.as_nanos()).unwrap_or_default(),
        (_, None) => 0,
    }
}

/// Says that a region's folder was listed, once all its files have been handed out, if it was listed to its end.
struct Whole {
    entry: Option<Entry>,
    complete: AtomicBool,
    entries: mpsc::UnboundedSender<Entry>,
}

impl Drop for Whole {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take().filter(|_| *self.complete.get_mut()) {
            let _ = self.entries.send(entry);
        }
    }
}

/// Names what was being listed or fetched if that ends in no other way than a panic: nothing is lost without a word.
struct Watch {
    location: String,
    whole: Option<Arc<Whole>>,
    entries: mpsc::UnboundedSender<Entry>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(whole) = &self.whole {
                whole.complete.store(false, Ordering::Release);
            }
            let location = std::mem::take(&mut self.location);
            let _ = self.entries.send(Entry::Unreadable { location, reason: "failed inside packtrail: this is a bug".to_owned() });
        }
    }
}

/// The days and times that can hold what is wanted.
struct Span {
    from: Option<Day>,
    through: Option<Day>,
    /// Of single files by their names, both ends included.
    times: Option<(i64, i64)>,
}

impl Span {
    /// Where there is a memory, days are read whole, since that is how it remembers them.
    fn of(wanted: &Wanted, whole_days: bool) -> Span {
        let day = |time: i64| Day::try_from(time.div_euclid(86_400)).ok();
        let first = wanted.since.map(|since| since.saturating_sub(EARLY));
        let last = wanted.until.map(|until| until.saturating_add(LATE));
        Span {
            from: first.and_then(day),
            through: last.and_then(day),
            times: (!whole_days).then(|| (first.unwrap_or(i64::MIN), last.map_or(i64::MAX, |last| last.saturating_add(MINUTES)))),
        }
    }
}

/// What the listings of all sources share.
struct Shared {
    span: Span,
    wanted: Wanted,
    memory: Option<Arc<dyn Memory>>,
    /// A permit for each listing whose keys are held in memory.
    listings: Semaphore,
    limits: Arc<Limits>,
    /// `None` where one source alone cannot meet a key twice.
    seen: Option<Mutex<HashSet<[u64; 2]>>>,
    found: mpsc::Sender<Found>,
    entries: mpsc::UnboundedSender<Entry>,
}

impl Shared {
    /// Not known from an earlier run, and not met before.
    fn is_new(&self, found: &Found) -> bool {
        self.memory.as_ref().is_none_or(|memory| !memory.knows(&found.file))
            && self.seen.as_ref().is_none_or(|seen| {
                seen.lock().unwrap_or_else(PoisonError::into_inner).insert([0_u8, 1].map(|half| {
                    let mut hasher = DefaultHasher::new();
                    (half, &found.file.location).hash(&mut hasher);
                    hasher.finish()
                }))
            })
    }
}

/// One source being walked.
struct Walk {
    shared: Arc<Shared>,
    bucket: Arc<Bucket>,
    /// Where it begins: empty, or up to and with a `/`.
    root: String,
    /// It begins in a folder without management events: who names such a folder wants it looked at.
    special: bool,
}

fn folders(prefix: &str) -> impl DoubleEndedIterator<Item = &str> {
    prefix.split('/').filter(|name| !name.is_empty())
}

/// Where in CloudTrail's layout a prefix is.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// `AWSLogs/` or an organisation's folder in it: accounts and organisations lie below.
    Accounts,
    /// An account's folder in one of these.
    Account(&'a str),
    /// `CloudTrail/` in an account's folder: regions lie below.
    Regions(&'a str),
    /// A region's folder, or a year, month or day in it.
    Region { account: &'a str, region: &'a str, folder: &'a str },
    /// Not in the layout as far as can be seen.
    Elsewhere,
}

fn place(prefix: &str) -> Place<'_> {
    if let Some((account, region, folder)) = region_folder(prefix) {
        return Place::Region { account, region, folder };
    }
    let names: Vec<&str> = prefix.strip_suffix('/').unwrap_or(prefix).split('/').collect();
    let organisation = |name: &str| name.starts_with("o-");
    match *names.as_slice() {
        [.., "AWSLogs"] => Place::Accounts,
        [.., "AWSLogs", name] if organisation(name) => Place::Accounts,
        [.., "AWSLogs", account] if is_account(account) => Place::Account(account),
        [.., "AWSLogs", name, account] if organisation(name) && is_account(account) => Place::Account(account),
        [.., "AWSLogs", account, "CloudTrail"] if is_account(account) => Place::Regions(account),
        [.., "AWSLogs", name, account, "CloudTrail"] if organisation(name) && is_account(account) => Place::Regions(account),
        _ => Place::Elsewhere,
    }
}

/// Lists a folder beside whatever else is going on.
fn spawn(walk: Arc<Walk>, prefix: String, depth: usize) {
    // A listing begets listings: without a box its type would contain itself.
    let visit: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move { walk.visit(prefix, depth).await });
    if let Ok(runtime) = runtime() {
        runtime.spawn(visit);
    }
}

impl Walk {
    async fn visit(self: Arc<Self>, mut prefix: String, depth: usize) {
        let shared = &self.shared;
        let Ok(_listing) = shared.listings.acquire().await else { return };
        let wants = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        let mut bounds = (None, None);
        let mut whole = None;
        let mut levels = false;
        if !self.special {
            match place(&prefix) {
                Place::Account(account) | Place::Regions(account) if !wants(&shared.wanted.accounts, account) => return,
                // What else lies there is other services', and CloudTrail's without management events.
                Place::Account(_) if depth > 0 => {
                    prefix.push_str("CloudTrail/");
                    levels = true;
                }
                Place::Account(_) | Place::Accounts | Place::Regions(_) => levels = true,
                Place::Region { account, region, folder } => {
                    if !wants(&shared.wanted.accounts, account) || !wants(&shared.wanted.regions, region) {
                        return;
                    }
                    let Some(days) = self.days(folder) else { return };
                    bounds = days.keys(folder);
                    if folder == prefix {
                        whole = Some(Arc::new(Whole {
                            entry: Some(days.listed(self.bucket.location(folder))),
                            complete: AtomicBool::new(false),
                            entries: shared.entries.clone(),
                        }));
                    }
                }
                Place::Elsewhere => levels = depth < SEARCHED_LEVELS,
            }
        }
        let _watch = Watch { location: self.bucket.location(&prefix), whole: whole.clone(), entries: shared.entries.clone() };
        match (self.pages(&prefix, depth, levels, bounds, whole.as_ref()).await, &whole) {
            (Ok(()), Some(whole)) => whole.complete.store(true, Ordering::Release),
            (Ok(()), None) => {}
            (Err(failure), _) => {
                let location = self.bucket.location(&prefix);
                let _ = shared.entries.send(match failure.cause {
                    Cause::Denied => Entry::Denied { prefix: location, reason: failure.text },
                    _ => Entry::Unreadable { location, reason: format!("cannot be listed: {}", failure.text) },
                });
            }
        }
    }

    /// The days of a region's folder that are to be listed; None when there are none.
    fn days(&self, folder: &str) -> Option<Days> {
        let Span { from, through, .. } = self.shared.span;
        let Some(memory) = &self.shared.memory else { return Some(Days { from, through }) };
        let first = memory.first_open_day(&self.bucket.location(folder), from, through)?;
        Some(Days { from: if first == Day::MIN { from } else { Some(first) }, through })
    }

    /// Lists `prefix` page by page, up to the next `/` where `levels`, and between the keys of `bounds`.
    async fn pages(
        self: &Arc<Self>,
        prefix: &str,
        depth: usize,
        levels: bool,
        bounds: (Option<String>, Option<String>),
        whole: Option<&Arc<Whole>>,
    ) -> Result<(), Failure> {
        let shared = &self.shared;
        let (after, end) = bounds;
        let mut token = None;
        // Keys of this page and the one before: some stores repeat one where pages meet.
        let mut before = HashSet::new();
        loop {
            let mut request = self.bucket.list(prefix);
            if levels {
                request = request.delimiter("/");
            }
            request = match token.take() {
                Some(token) => request.continuation_token(token),
                None => request.set_start_after(after.clone()),
            };
            let page: ListObjectsV2Output = {
                let Ok(_request) = shared.limits.requests.acquire().await else { return Ok(()) };
                request.send().await.map_err(|error| Failure::of(&error, "s3:ListBucket"))?
            };
            let mut names = HashSet::new();
            for below in page.common_prefixes().iter().filter_map(|one| one.prefix()) {
                let special = below.get(prefix.len()..).is_some_and(|name| Folder::of_name(name.trim_end_matches('/')).is_some());
                if names.insert(below.to_owned()) && !before.contains(below) && !special && below != prefix {
                    spawn(Arc::clone(self), below.to_owned(), depth + 1);
                }
            }
            let mut over = false;
            let mut wanted = Vec::new();
            for listed in page.contents() {
                let Some(key) = listed.key() else { continue };
                if end.as_deref().is_some_and(|end| key >= end) {
                    over = true;
                    break;
                }
                if names.insert(key.to_owned()) && !before.contains(key) && self.wants(key) {
                    wanted.extend(found(&self.bucket, listed, false));
                }
            }
            // A memory may lie in S3 itself: asked here, it may wait for the runtime without standing on it.
            tokio::task::block_in_place(|| wanted.retain(|found| shared.is_new(found)));
            for mut found in wanted {
                found.folder = whole.cloned();
                // Nobody reads any more.
                if shared.found.send(found).await.is_err() {
                    return Ok(());
                }
            }
            if over {
                return Ok(());
            }
            before = names;
            token = page.next_continuation_token.filter(|_| page.is_truncated == Some(true));
            if token.is_none() {
                return Ok(());
            }
        }
    }

    /// Whether what the key tells lets it hold what is wanted.
    fn wants(&self, key: &str) -> bool {
        let below = key.get(self.root.len()..).unwrap_or_default();
        let mut above = folders(below);
        above.next_back();
        if !self.special && above.any(|name| Folder::of_name(name).is_some()) {
            return false;
        }
        if self.shared.wanted.excepts(&self.bucket.location(key)) {
            return false;
        }
        let Some(delivery) = delivery(key) else { return true };
        let Shared { wanted, span, .. } = &*self.shared;
        let among = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        among(&wanted.accounts, delivery.account)
            && among(&wanted.regions, delivery.region)
            && span.from.is_none_or(|from| delivery.day >= from)
            && span.through.is_none_or(|through| delivery.day <= through)
            && span.times.zip(delivery.time).is_none_or(|((first, last), time)| (first..=last).contains(&time))
    }
}

/// Days of a region's folder, both included.
struct Days {
    from: Option<Day>,
    through: Option<Day>,
}

impl Days {
    /// The key after which the days begin, and the first one behind them.
    fn keys(&self, folder: &str) -> (Option<String>, Option<String>) {
        let key = |day: Day, end: &str| day_folders(day).map(|day| format!("{folder}{day}{end}"));
        // `0` comes right after `/`.
        (self.from.and_then(|day| key(day, "/")), self.through.and_then(|day| key(day, "0")))
    }

    fn listed(&self, folder: String) -> Entry {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
        let today = Day::try_from(now).unwrap_or(Day::MAX);
        Entry::Listed { folder, from: self.from, through: self.through.map_or(today, |through| through.min(today)) }
    }
}

/// Fetches what is found, as fast as the limits allow.
async fn fetch(mut found: mpsc::Receiver<Found>, limits: Arc<Limits>, entries: mpsc::UnboundedSender<Entry>) {
    while let Some(Found { object, file, folder }) = found.recv().await {
        if entries.is_closed() {
            return;
        }
        let whole = object.bytes <= limits.whole_bytes;
        let held = if whole { usize::try_from(object.bytes).unwrap_or_default() + FILE_BYTES } else { limits.window_bytes };
        // These permits are given back by the reader, who needs no others for what it has been handed: this cannot stand still.
        let Ok(held) = Arc::clone(&limits.bytes).acquire_many_owned(u32::try_from(held).unwrap_or(u32::MAX)).await else { return };
        if !whole {
            let fetched = Fetched::large(object, Arc::clone(&limits), held);
            let _ = entries.send(Entry::File(file.fetched(fetched)));
            drop(folder);
            continue;
        }
        let Ok(request) = Arc::clone(&limits.requests).acquire_owned().await else { return };
        let entries = entries.clone();
        tokio::spawn(async move {
            let _watch = Watch { location: file.location.clone(), whole: folder.clone(), entries: entries.clone() };
            let fetched = Fetched::whole(object, held).await;
            drop(request);
            let _ = entries.send(Entry::File(file.fetched(fetched)));
            drop(folder);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_tells_its_place_in_the_layout() {
        let region = |account, region, folder| Place::Region { account, region, folder };
        for (prefix, expected) in [
            ("", Place::Elsewhere),
            ("x/", Place::Elsewhere),
            ("AWSLogs/", Place::Accounts),
            ("x/AWSLogs/o-abc/", Place::Accounts),
            ("AWSLogs/111122223333/", Place::Account("111122223333")),
            ("x/AWSLogs/o-abc/111122223333/", Place::Account("111122223333")),
            ("x/o-abc/111122223333/", Place::Elsewhere),
            ("x/111122223333/", Place::Elsewhere),
            ("AWSLogs/111122223333/Config/", Place::Elsewhere),
            ("x/111122223333/CloudTrail/", Place::Elsewhere),
            ("x/AWSLogs/o-abc/111122223333/CloudTrail/", Place::Regions("111122223333")),
            // A prefix that the trail's owner chose.
            ("111122223333/CloudTrail/AWSLogs/", Place::Accounts),
            ("111122223333/CloudTrail/AWSLogs/444455556666/", Place::Account("444455556666")),
            (
                "111122223333/CloudTrail/AWSLogs/444455556666/CloudTrail/us-east-1/2026/",
                region("444455556666", "us-east-1", "111122223333/CloudTrail/AWSLogs/444455556666/CloudTrail/us-east-1/"),
            ),
            ("AWSLogs/111122223333/CloudTrail-Digest/", Place::Elsewhere),
            (
                "AWSLogs/111122223333/CloudTrail/us-east-1/",
                region("111122223333", "us-east-1", "AWSLogs/111122223333/CloudTrail/us-east-1/"),
            ),
            (
                "AWSLogs/111122223333/CloudTrail/us-east-1/2026/09/",
                region("111122223333", "us-east-1", "AWSLogs/111122223333/CloudTrail/us-east-1/"),
            ),
        ] {
            assert_eq!(place(prefix), expected, "{prefix}");
        }
    }

    #[test]
    fn margins_are_an_hour_before_and_a_day_after() {
        let day = 86_400;
        let wanted = Wanted { since: Some(10 * day), until: Some(12 * day), ..Wanted::default() };
        let span = Span::of(&wanted, false);
        assert_eq!((span.from, span.through), (Some(9), Some(13)));
        assert_eq!(span.times, Some((10 * day - 3600, 13 * day + 300)));
        assert_eq!(Span::of(&wanted, true).times, None);
        let days = Days { from: Some(20_711), through: Some(20_711) };
        assert_eq!(days.keys("r/"), (Some("r/2026/09/15/".to_owned()), Some("r/2026/09/150".to_owned())));
    }

    #[test]
    fn a_stamp_is_the_start_of_the_etag() {
        assert_eq!(stamp(Some("\"0123456789abcdef0123456789abcdef-7\""), None), 0x0123_4567_89ab_cdef);
        assert_ne!(stamp(Some("\"other\""), None), stamp(Some("\"others\""), None));
        assert_eq!(stamp(None, Some(&DateTime::from_secs(2))), 2_000_000_000);
        assert_eq!(stamp(None, None), 0);
    }
}
