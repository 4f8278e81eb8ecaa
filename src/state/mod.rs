//! What a scheduled job remembers: which files were read, the calls in them, each distinct request once.
//!
//! A state is a log of segments, Parquet files that are never written again, and one manifest that says which of them count. A run reads what is new into
//! new segments, then writes the manifest, and makes its report from the state alone: whatever ends a run, before, during or after that write, the next one
//! finds either what was there before or all of it. `docs/state.md` describes every file.

mod compact;
mod days;
mod files;
mod known;
mod manifest;
mod recall;
mod tables;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::packing::Request;
use crate::scan::{FileRead, FileRecorder, Fingerprint, Names, Recorder, fingerprint};
use crate::sts_call::StsCall;
use crate::trail::{Day, LogFile, Memory, Store, StoreError, delivery};

pub use files::Files;
use files::{MANIFEST, Stored};
use known::Known;
use manifest::{Manifest, Segment, Unusable, VERSION, sha256};
use tables::{CallRow, ObjectRow, RequestRow};

/// A day's listing is taken for complete this many days after the day's end: files are delivered late, rarely by more than hours.
pub const OVERLAP_DAYS: Day = 3;

const DAY_SECONDS: i64 = 86_400;

/// Why a state cannot be used. Nothing of it was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The place of the state cannot be read or written, or another run is using it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the state is not what it was when it was written.
    #[error("{location}: the state is damaged: {reason}")]
    Damaged {
        /// The file.
        location: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The format is newer than this program.
    #[error("{location}: written by a newer packtrail (format {found}, this one reads {VERSION})")]
    Newer {
        /// The manifest.
        location: String,
        /// The version of its format.
        found: u64,
    },
    /// Other files lie where the state should.
    #[error("{location} is no state of packtrail: it holds `{file}`, but no {MANIFEST}")]
    Foreign {
        /// The place.
        location: String,
        /// One of the files that lie there.
        file: String,
    },
    /// A table cannot be encoded.
    #[error("{location}: {reason}")]
    Encode {
        /// The file that was to be written.
        location: String,
        /// What the encoder says.
        reason: String,
    },
    /// An earlier error, told already, ended the use of this state.
    #[error("the state failed before")]
    Failed,
}

/// When to write, and what day it is.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls kept in memory at most, before they are written.
    pub calls: usize,
    /// Objects kept in memory at most.
    pub objects: usize,
    /// Bytes of requests kept in memory at most.
    pub request_bytes: usize,
    /// Time after which anything new is written.
    pub every: Duration,
    /// Calls or objects in a segment at most, when segments are written together.
    pub segment_rows: usize,
    /// Smaller segments of a day, at most.
    pub segments: usize,
    /// Segments of requests, at most.
    pub request_segments: usize,
    /// Files that changed, at most.
    pub superseded: usize,
    /// The time, seconds since 1970-01-01 UTC.
    pub now: i64,
}

impl Default for Settings {
    fn default() -> Settings {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok());
        Settings {
            calls: 50_000,
            objects: 100_000,
            request_bytes: 32 << 20,
            every: Duration::from_secs(60),
            segment_rows: 100_000,
            segments: 4,
            request_segments: 32,
            superseded: 1_000,
            now: now.unwrap_or(0),
        }
    }
}

/// How many files a run has read and how many it knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Files read in this run.
    pub files_new: u64,
    /// Files that earlier runs read and that are kept.
    pub files_known: u64,
}

/// What was read and is not written yet.
#[derive(Default)]
struct Batch {
    calls: BTreeMap<Day, Vec<CallRow>>,
    call_rows: usize,
    objects: BTreeMap<Option<Day>, Vec<ObjectRow>>,
    object_rows: usize,
    requests: Vec<RequestRow>,
    request_bytes: usize,
    /// Segments of calls of files too large to wait for their end.
    spilled: Vec<Segment>,
    /// Files that were read before as they were then.
    superseded: Vec<String>,
}

/// What reading has come to in this run.
#[derive(Default)]
struct Run {
    batch: Batch,
    /// When the batch began.
    since: Option<Instant>,
    /// Requests the state has; None until the first call asks.
    fingerprints: Option<FxHashSet<Fingerprint>>,
    listed: Vec<(String, Day, Day)>,
    /// Days of folders of which a file could not be read for now.
    unreached: Vec<(String, Day)>,
    files_new: u64,
    /// Segments that will never count.
    garbage: Vec<String>,
}

/// A state that is open: this run's until it is dropped.
pub struct State {
    files: Box<dyn Files>,
    settings: Settings,
    /// The names of this run's segments begin with this.
    prefix: String,
    next: AtomicU64,
    kept_from: Option<Day>,
    /// What was there when the state was opened.
    opened: Manifest,
    names: Names,
    run: Mutex<Run>,
    known: Mutex<Known>,
    /// What has been written. Locked by who writes: before `run` where both are.
    committed: Mutex<Manifest>,
    /// Files counted by the last recall.
    recalled: AtomicU64,
    failed: AtomicBool,
    error: Mutex<Option<StateError>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request as a state keeps it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestText {
    policy: Option<String>,
    policy_arns: Vec<String>,
    tags: Vec<(String, String)>,
    inherited_tags: Vec<(String, String)>,
}

impl State {
    /// Opens the state that lies in `store`, or begins one there; calls and files of days before `keep_from` are forgotten.
    ///
    /// # Errors
    /// [`StateError::Store`] with [`StoreError::Taken`] when another run is using it; the others when there is no state to be used, and nothing is written.
    pub fn open(store: Store, keep_from: Option<Day>) -> Result<Arc<State>, StateError> {
        State::open_with(Box::new(Stored::new(store)), keep_from, Settings::default())
    }

    /// As [`State::open`], on disk, with other settings.
    ///
    /// # Errors
    /// As [`State::open`].
    #[doc(hidden)]
    pub fn open_set(store: Store, keep_from: Option<Day>, settings: Settings) -> Result<Arc<State>, StateError> {
        State::open_with(Box::new(Stored::new(store)), keep_from, settings)
    }

    /// As [`State::open`], in any place.
    ///
    /// # Errors
    /// As [`State::open`].
    #[doc(hidden)]
    pub fn open_with(files: Box<dyn Files>, keep_from: Option<Day>, settings: Settings) -> Result<Arc<State>, StateError> {
        // Before anything is written into what may be another's directory.
        if files.manifest()?.is_none() {
            check_empty(&*files)?;
        }
        files.lock()?;
        let mut manifest = match files.manifest()? {
            Some(bytes) => read_manifest(&*files, &bytes)?,
            None => {
                check_empty(&*files)?;
                if let Some(file) = files.list()?.into_iter().find(|key| Written::parse(key).is_some_and(|name| !name.temporary)) {
                    let reason = format!("there is no such file, but `{file}`");
                    return Err(StateError::Damaged { location: files.location(MANIFEST), reason });
                }
                Manifest::default()
            }
        };
        // With this another run that has the state open can commit no more: its manifest is no longer the last.
        manifest.run += 1;
        manifest.kept_from = manifest.kept_from.max(keep_from);
        replace(&*files, &manifest)?;
        let state = State {
            prefix: format!("{:06}-{:08x}", manifest.run, RandomState::new().build_hasher().finish() >> 32),
            next: AtomicU64::new(manifest.next),
            kept_from: manifest.kept_from,
            names: Names::default(),
            run: Mutex::default(),
            known: Mutex::default(),
            recalled: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            error: Mutex::default(),
            committed: Mutex::new(manifest.clone()),
            opened: manifest,
            files,
            settings,
        };
        state.clean()?;
        Ok(Arc::new(state))
    }

    /// Removes what runs that ended early have left. A run that opened the state later is left alone: its number is higher.
    fn clean(&self) -> Result<(), StateError> {
        let counts: FxHashSet<&str> = self.opened.segments().map(|segment| segment.key.as_str()).collect();
        for key in self.files.list()? {
            if Written::parse(&key).is_some_and(|name| name.temporary || name.run < self.opened.run) && !counts.contains(key.as_str()) {
                self.files.delete(&key)?;
            }
        }
        Ok(())
    }

    /// Where the state lies, as a user would name it.
    pub fn location(&self) -> String {
        place(&*self.files)
    }

    /// The first day that is kept; None when all are. Earlier ones need not be listed.
    pub fn kept_from(&self) -> Option<Day> {
        self.kept_from
    }

    /// How many files this run has read and how many it knew; after [`State::recall`].
    pub fn counts(&self) -> Counts {
        let files_new = lock(&self.run).files_new;
        Counts { files_new, files_known: self.recalled.load(Ordering::Relaxed).saturating_sub(files_new) }
    }

    /// Writes what was read, for good: from here on it is part of the state. Then tidies up.
    ///
    /// # Errors
    /// What went wrong in writing, now or while files were being read; the state is then as it was after the last write.
    pub fn commit(&self) -> Result<(), StateError> {
        self.end_if_failed()?;
        self.write(true)?;
        self.compact()?;
        let garbage = std::mem::take(&mut lock(&self.run).garbage);
        garbage.iter().try_for_each(|key| self.files.delete(key))?;
        self.end_if_failed()
    }

    fn end_if_failed(&self) -> Result<(), StateError> {
        if self.failed.load(Ordering::Acquire) {
            return Err(lock(&self.error).take().unwrap_or(StateError::Failed));
        }
        Ok(())
    }

    /// Keeps the first error of the threads that read, and ends reading.
    fn fail(&self, error: StateError) {
        lock(&self.error).get_or_insert(error);
        self.failed.store(true, Ordering::Release);
    }

    fn damaged(&self, key: &str, reason: impl Into<String>) -> StateError {
        StateError::Damaged { location: self.files.location(key), reason: reason.into() }
    }

    fn is_pruned(&self, segment: &Segment) -> bool {
        matches!((segment.day, self.kept_from), (Some(day), Some(from)) if day < from)
    }

    /// Writes a new segment. It counts once a manifest names it.
    fn segment(
        &self,
        folder: &str,
        day: Option<Day>,
        rows: usize,
        encoded: polars::prelude::PolarsResult<Vec<u8>>,
    ) -> Result<Segment, StateError> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let day_folder = match (folder, day) {
            (REQUESTS, _) => String::new(),
            (_, Some(day)) => format!("day={}/", days::day_text(day)),
            (_, None) => "day=none/".to_owned(),
        };
        let key = format!("{folder}/{day_folder}{}-{number:06}.parquet", self.prefix);
        let bytes = encoded.map_err(|error| StateError::Encode { location: self.files.location(&key), reason: error.to_string() })?;
        let segment = Segment { number, day, rows: rows as u64, bytes: bytes.len() as u64, sha256: sha256(&bytes), key, sums: None };
        self.files.put(&segment.key, bytes)?;
        Ok(segment)
    }

    fn calls_segment(&self, day: Day, rows: &[CallRow], names: &Names) -> Result<Segment, StateError> {
        self.segment(CALLS, Some(day), rows.len(), tables::encode_calls(rows, names))
    }

    fn objects_segment(&self, day: Option<Day>, rows: &[ObjectRow]) -> Result<Segment, StateError> {
        let (bytes, sums) =
            tables::encode_objects(rows).map(|(bytes, sums)| (Ok(bytes), Some(sums))).unwrap_or_else(|error| (Err(error), None));
        Ok(Segment { sums, ..self.segment(OBJECTS, day, rows.len(), bytes)? })
    }

    fn requests_segment(&self, rows: &[RequestRow]) -> Result<Segment, StateError> {
        self.segment(REQUESTS, None, rows.len(), tables::encode_requests(rows))
    }

    /// The bytes of a segment, which are those that were written.
    fn load(&self, segment: &Segment) -> Result<Vec<u8>, StateError> {
        let reason = match self.files.get(&segment.key)? {
            None => "the file is missing",
            Some(bytes) if bytes.len() as u64 == segment.bytes && sha256(&bytes) == segment.sha256 => return Ok(bytes),
            Some(_) => "its checksum is another",
        };
        // Another run may have tidied up since, where nothing keeps it out until this one writes.
        let newest = self.files.get(MANIFEST)?.and_then(|bytes| Manifest::parse(&bytes).ok());
        if newest.is_some_and(|newest| newest.run > self.opened.run) {
            return Err(StoreError::Taken { location: self.location() }.into());
        }
        Err(self.damaged(&segment.key, reason))
    }

    /// Writes the batch and a manifest that names it: now in any case at the `end`, otherwise if there is enough of it.
    fn write(&self, end: bool) -> Result<(), StateError> {
        let mut committed = lock(&self.committed);
        let batch = {
            let mut run = lock(&self.run);
            // Another thread may have written it while this one waited.
            if !end && !self.is_due(&run) {
                return Ok(());
            }
            run.since = None;
            std::mem::take(&mut run.batch)
        };
        let mut manifest = committed.clone();
        manifest.calls.extend(batch.spilled);
        for (day, rows) in batch.calls {
            manifest.calls.push(self.calls_segment(day, &rows, &self.names)?);
        }
        if !batch.requests.is_empty() {
            manifest.requests.push(self.requests_segment(&batch.requests)?);
        }
        for (day, rows) in batch.objects {
            manifest.objects.push(self.objects_segment(day, &rows)?);
        }
        manifest.superseded.extend(batch.superseded.into_iter().map(|location| (location, self.opened.next)));
        let mut gone = Vec::new();
        if end {
            self.close_days(&mut manifest);
            for segments in [&mut manifest.calls, &mut manifest.objects] {
                gone.extend(segments.extract_if(.., |segment| self.is_pruned(segment)));
            }
        }
        self.adopt(&mut committed, manifest)?;
        gone.iter().try_for_each(|segment| self.files.delete(&segment.key))?;
        Ok(())
    }

    /// Writes `manifest` unless it says nothing new.
    fn adopt(&self, committed: &mut Manifest, mut manifest: Manifest) -> Result<(), StateError> {
        if *committed != manifest {
            manifest.next = self.next.load(Ordering::Relaxed);
            replace(&*self.files, &manifest)?;
            *committed = manifest;
        }
        Ok(())
    }

    /// Takes down which days need not be listed again: those listed to the end, long enough ago, whose files could all be read.
    fn close_days(&self, manifest: &mut Manifest) {
        let mut run = lock(&self.run);
        let today = Day::try_from(self.settings.now.div_euclid(DAY_SECONDS)).unwrap_or(0);
        let mut unreached: BTreeMap<String, Vec<Day>> = BTreeMap::new();
        for (folder, day) in std::mem::take(&mut run.unreached) {
            unreached.entry(folder).or_default().push(day);
        }
        for (folder, mut from, through) in std::mem::take(&mut run.listed) {
            let through = through.min(today.saturating_sub(OVERLAP_DAYS + 1));
            let mut open = unreached.get(&folder).cloned().unwrap_or_default();
            open.sort_unstable();
            open.dedup();
            let ranges = manifest.listed.entry(folder).or_default();
            for day in open.into_iter().filter(|&day| day <= through) {
                days::close(ranges, from, day - 1);
                from = from.max(day + 1);
            }
            days::close(ranges, from, through);
        }
        manifest.listed.retain(|_, ranges| !ranges.is_empty());
    }

    fn is_due(&self, run: &Run) -> bool {
        run.batch.call_rows >= self.settings.calls
            || run.batch.object_rows >= self.settings.objects
            || run.batch.request_bytes >= self.settings.request_bytes
            || run.since.is_some_and(|since| since.elapsed() >= self.settings.every)
    }

    /// Takes down a request, unless the state has it.
    fn take_request(&self, role_arn: Option<&str>, mut request: Request) -> Result<Fingerprint, StateError> {
        let fingerprint = fingerprint(role_arn, &mut request);
        let mut run = lock(&self.run);
        if run.fingerprints.is_none() {
            let mut fingerprints = FxHashSet::default();
            for segment in &self.opened.requests {
                tables::decode_fingerprints(tables::REQUESTS, self.load(segment)?, &mut |one| {
                    fingerprints.insert(one);
                })
                .map_err(|reason| self.damaged(&segment.key, reason))?;
            }
            run.fingerprints = Some(fingerprints);
        }
        if run.fingerprints.as_mut().is_none_or(|fingerprints| fingerprints.insert(fingerprint)) {
            let Request { policy, policy_arns, tags, inherited_tags } = request;
            let text = serde_json::to_string(&RequestText { policy, policy_arns, tags, inherited_tags });
            let request = text.map_err(|error| StateError::Encode { location: self.location(), reason: error.to_string() })?;
            run.batch.request_bytes += request.len();
            run.batch.requests.push(RequestRow { fingerprint, role_arn: role_arn.map(str::to_owned), request });
            // One file may hold any number of them; it does no harm if the file is then given up.
            if run.batch.request_bytes >= self.settings.request_bytes {
                drop(run);
                self.write(false)?;
            }
        }
        Ok(fingerprint)
    }
}

const CALLS: &str = "calls";
const OBJECTS: &str = "objects";
const REQUESTS: &str = "requests";

/// What the key of a file tells that a run may have written.
struct Written {
    /// The run that wrote it; 0 for a manifest.
    run: u64,
    /// Not complete: its writer ended early.
    temporary: bool,
}

impl Written {
    fn parse(key: &str) -> Option<Written> {
        let (folders, file) = key.rsplit_once('/').unwrap_or(("", key));
        let (file, temporary) = match file.strip_prefix('.').and_then(|file| file.strip_suffix(".tmp")) {
            Some(file) => (file.rsplit_once('.')?.0, true),
            None => (file, false),
        };
        if folders.is_empty() {
            return (file == MANIFEST && temporary).then_some(Written { run: 0, temporary });
        }
        let (folder, day) = folders.split_once('/').unwrap_or((folders, ""));
        let ours = match folder {
            CALLS | OBJECTS => day.starts_with("day=") && !day.contains('/'),
            REQUESTS => day.is_empty(),
            _ => false,
        };
        let mut parts = file.strip_suffix(".parquet").filter(|_| ours)?.split('-');
        let run = parts.next()?.parse().ok()?;
        let random = parts.next()?;
        parts.next()?.parse::<u64>().ok()?;
        (random.len() == 8 && parts.next().is_none()).then_some(Written { run, temporary })
    }
}

fn place(files: &dyn Files) -> String {
    files.location("").trim_end_matches('/').to_owned()
}

/// An error when something lies in `files` that no run has written.
fn check_empty(files: &dyn Files) -> Result<(), StateError> {
    match files.list()?.into_iter().find(|key| key != "lock" && key != MANIFEST && Written::parse(key).is_none()) {
        Some(file) => Err(StateError::Foreign { location: place(files), file }),
        None => Ok(()),
    }
}

fn read_manifest(files: &dyn Files, bytes: &[u8]) -> Result<Manifest, StateError> {
    let location = files.location(MANIFEST);
    Manifest::parse(bytes).map_err(|unusable| match unusable {
        Unusable::Newer(found) => StateError::Newer { location, found },
        Unusable::Damaged(reason) => StateError::Damaged { location, reason: reason.to_owned() },
    })
}

fn replace(files: &dyn Files, manifest: &Manifest) -> Result<(), StateError> {
    let bytes = manifest.bytes().map_err(|error| StateError::Encode { location: files.location(MANIFEST), reason: error.to_string() })?;
    Ok(files.replace_manifest(bytes)?)
}

impl Memory for State {
    fn knows(&self, file: &LogFile) -> bool {
        let day = delivery(&file.location).map(|delivery| delivery.day);
        // What was pruned is not read again. After a failure nothing is.
        if matches!((day, self.kept_from), (Some(day), Some(from)) if day < from) || self.failed.load(Ordering::Acquire) {
            return true;
        }
        let mut known = lock(&self.known);
        match self.load_known(&mut known, day) {
            Ok(()) => known.has(file),
            Err(error) => {
                self.fail(error);
                true
            }
        }
    }

    fn first_open_day(&self, folder: &str, from: Option<Day>, through: Option<Day>) -> Option<Day> {
        let from = from.unwrap_or(Day::MIN);
        days::first_open(self.opened.listed.get(folder).map_or(&[], Vec::as_slice), from, through)
    }
}

impl Recorder for State {
    fn file<'a>(&'a self, file: &'a LogFile) -> Box<dyn FileRecorder + 'a> {
        Box::new(Reading {
            state: self,
            file,
            location: Arc::from(file.location.as_str()),
            rows: Vec::new(),
            sts_calls: 0,
            spilled: Vec::new(),
        })
    }

    fn unreached(&self, file: &LogFile) {
        if let Some(delivery) = delivery(&file.location) {
            lock(&self.run).unreached.push((delivery.folder.to_owned(), delivery.day));
        }
    }

    fn listed(&self, folder: &str, from: Option<Day>, through: Day) {
        lock(&self.run).listed.push((folder.to_owned(), from.unwrap_or(Day::MIN), through));
    }

    fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// One file while it is read: its calls become part of the batch with its end, all or none.
struct Reading<'a> {
    state: &'a State,
    file: &'a LogFile,
    location: Arc<str>,
    rows: Vec<CallRow>,
    sts_calls: u64,
    spilled: Vec<Segment>,
}

impl Reading<'_> {
    fn take(&mut self, record: u32, mut call: StsCall<'_>) -> Result<(), StateError> {
        let state = self.state;
        self.sts_calls += 1;
        if state.kept_from.is_some_and(|from| day_of(call.time) < from) {
            return Ok(());
        }
        let request = call.request.take();
        let request = request.map(|request| state.take_request(call.role_arn.as_deref(), request)).transpose()?;
        self.rows.push(CallRow::new(&self.location, record, &call, request, &state.names));
        // A file of millions of calls does not wait in memory for its end.
        if self.rows.len() >= state.settings.calls {
            for (day, rows) in by_day(std::mem::take(&mut self.rows)) {
                self.spilled.push(state.calls_segment(day, &rows, &state.names)?);
            }
        }
        Ok(())
    }

    fn end(&mut self, read: FileRead) -> Result<(), StateError> {
        let state = self.state;
        let delivery = delivery(&self.file.location);
        let day = delivery.map(|delivery| delivery.day);
        let mut known = lock(&state.known);
        state.load_known(&mut known, day)?;
        let Some(before) = known.learn(self.file) else {
            // The same file came twice in one run.
            return Ok(());
        };
        drop(known);
        let mut run = lock(&state.run);
        run.files_new += 1;
        run.since.get_or_insert_with(Instant::now);
        let batch = &mut run.batch;
        batch.object_rows += 1;
        batch.objects.entry(day).or_default().push(ObjectRow {
            location: self.file.location.clone(),
            bytes: self.file.bytes,
            stamp: self.file.stamp,
            account_id: delivery.map(|delivery| delivery.account.to_owned()),
            region: delivery.map(|delivery| delivery.region.to_owned()),
            read,
            sts_calls: self.sts_calls,
        });
        batch.call_rows += self.rows.len();
        for row in self.rows.drain(..) {
            batch.calls.entry(day_of(row.time)).or_default().push(row);
        }
        batch.spilled.append(&mut self.spilled);
        if before {
            batch.superseded.push(self.file.location.clone());
        }
        let due = state.is_due(&run);
        drop(run);
        if due { state.write(false) } else { Ok(()) }
    }
}

impl FileRecorder for Reading<'_> {
    fn call(&mut self, record: u32, call: StsCall<'_>) {
        if !self.state.failed()
            && let Err(error) = self.take(record, call)
        {
            self.state.fail(error);
        }
    }

    fn done(mut self: Box<Self>, read: FileRead) {
        if !self.state.failed()
            && let Err(error) = self.end(read)
        {
            self.state.fail(error);
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        lock(&self.state.run).garbage.extend(self.spilled.drain(..).map(|segment| segment.key));
    }
}

fn day_of(time: i64) -> Day {
    Day::try_from(time.div_euclid(DAY_SECONDS)).unwrap_or(0)
}

fn by_day(rows: Vec<CallRow>) -> BTreeMap<Day, Vec<CallRow>> {
    let mut days: BTreeMap<Day, Vec<CallRow>> = BTreeMap::new();
    for row in rows {
        days.entry(day_of(row.time)).or_default().push(row);
    }
    days
}

#[cfg(test)]
mod tests;
