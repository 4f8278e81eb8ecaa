//! Log files to kept calls: over all cores, bounded in memory, each call once, everything counted.

mod calls;
mod locations;
mod names;
mod requests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use crate::packing::calibrate::{Calibration, Content, Seen};
use crate::packing::{Profile, Regime, Request};
use crate::record::{Damage, Found, Kind, Limits, Reader, Reason, Strings};
use crate::sts_call::{self, Outcome, StsCall};
use crate::trail::{Day, Entry, Folder, Listing, LogFile};

pub use calls::{Call, Calls, EventId, Likeness, Slot, UUID_CHARS};
use calls::{Collector, Texts};
use locations::FileNames;
use names::Lately;
pub use names::{Name, Names, ReadNames};
pub use requests::{Facts, Fingerprint, RequestId, Requests, fingerprint};
use requests::{Interner, Remembered};

/// Which calls to keep.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Keep calls at or after this event time, seconds since 1970-01-01 UTC.
    pub since: Option<i64>,
    /// Keep calls before this event time, seconds since 1970-01-01 UTC.
    pub until: Option<i64>,
    /// Keep calls whose role ARN matches one of these; all when empty.
    pub roles: Vec<glob::Pattern>,
    /// Keep records delivered to one of these accounts; all when empty.
    pub accounts: Vec<String>,
    /// Keep calls made in one of these regions; all when empty.
    pub regions: Vec<String>,
}

fn among(wanted: &[String], text: Option<&str>) -> bool {
    wanted.is_empty() || text.is_some_and(|text| wanted.iter().any(|one| one == text))
}

impl Filter {
    /// False when no copy of this call can pass: what all copies share does not. A copy in another account may still name the role.
    fn may_keep(&self, call: &StsCall<'_>) -> bool {
        let alone = call.shared_event_id.is_none() && call.updates_event_id.is_none();
        self.since.is_none_or(|since| call.time >= since)
            && self.until.is_none_or(|until| call.time < until)
            && among(&self.regions, call.region.as_deref())
            && (!alone || among(&self.accounts, call.account_id.as_deref()))
            && (call.role_arn.is_none() || self.matches_role(call.role_arn.as_deref()))
    }

    fn matches_role(&self, role_arn: Option<&str>) -> bool {
        self.roles.is_empty() || role_arn.is_some_and(|arn| self.roles.iter().any(|role| role.matches(arn)))
    }

    /// True when the kept row of a call passes.
    fn keeps(&self, call: &Call, names: &Names) -> bool {
        (self.accounts.is_empty() || among(&self.accounts, names.text(call.account).as_deref()))
            && (self.roles.is_empty() || self.matches_role(names.text(call.role).as_deref()))
    }
}

/// A log file that could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// The file, as the user would name it.
    pub location: String,
    /// What is wrong with it, and where.
    pub reason: String,
    /// Records read before the damage (and after it, where reading went on); they count.
    pub records_read: u64,
}

/// A folder of S3 that may not be listed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// `s3://bucket/prefix/`.
    pub prefix: String,
    /// What S3 said.
    pub reason: String,
}

/// What was read and what was not. `files_listed == files_read + files_skipped + unreadable.len()`.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Files found at the sources.
    pub files_listed: u64,
    /// Files read to their end.
    pub files_read: u64,
    /// Files that hold no management events, by kind.
    pub skipped: BTreeMap<Cow<'static, str>, u64>,
    /// Bytes of the files as they lie on disk.
    pub bytes_read: u64,
    /// Bytes of JSON after inflating.
    pub bytes_inflated: u64,
    /// CloudTrail records met, of any kind.
    pub records: u64,
    /// Records that were followed bracket by bracket, since something in them is unusual (see [`Outcome`](crate::record::Outcome)); of the files read in this
    /// run.
    pub unusual: u64,
    /// Records of STS calls that give a session, before filters and duplicates.
    pub sts_calls: u64,
    /// STS calls that the filters left out.
    pub filtered: u64,
    /// Further copies of kept calls. `sts_calls == kept calls + filtered + duplicates`.
    pub duplicates: u64,
    /// Files that could not be read to their end, by location.
    pub unreadable: Vec<Unreadable>,
    /// Folders of S3 that may not be listed, by name.
    pub denied: Vec<Denied>,
}

impl Coverage {
    /// Files that hold no management events.
    pub fn files_skipped(&self) -> u64 {
        self.skipped.values().sum()
    }
}

/// How far a scan is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Files done.
    pub files: u64,
    /// Bytes read so far, of files that are done and of those that are not.
    pub bytes: u64,
}

/// Counts what all threads have read, and tells.
struct Meter<'a> {
    files: AtomicU64,
    bytes: AtomicU64,
    tell: &'a (dyn Fn(Progress) + Sync),
}

impl Meter<'_> {
    fn add(&self, files: u64, bytes: u64) {
        (self.tell)(Progress {
            files: self.files.fetch_add(files, Ordering::Relaxed) + files,
            bytes: self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes,
        });
    }
}

/// A file whose bytes are counted as they are read, so that a huge one shows progress too.
struct Metered<'a, R> {
    content: R,
    meter: &'a Meter<'a>,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.content.read(buffer)?;
        self.meter.add(0, count as u64);
        Ok(count)
    }
}

/// Everything one run found.
pub struct Scan {
    /// The kept calls in the order of the events table.
    pub calls: Calls,
    /// Their texts.
    pub names: Names,
    /// Their distinct requests.
    pub requests: Requests,
    /// What was read and what was not.
    pub coverage: Coverage,
    locations: FileNames,
}

impl Scan {
    /// Where the record of `call` stands: the file and, after `#`, the number of the record in it, from 1.
    pub fn location(&self, call: &Call) -> String {
        let mut text = String::new();
        self.write_location(call, &mut text);
        text
    }

    /// Adds [`Scan::location`] to `text`.
    pub fn write_location(&self, call: &Call, text: &mut String) {
        self.locations.write(call.file, text);
        text.push('#');
        text.push_str(itoa::Buffer::new().format(call.record));
    }
}

/// Calls that one thread takes for a calibration, at least: each thread looks at every request it meets.
const LEAST_CALIBRATED: usize = 1 << 14;

/// What a scan found before its requests are packed: which figures fit them only all of them can tell.
pub struct Gathered(Scan);

impl Gathered {
    /// What was read and what was not.
    pub fn coverage(&self) -> &Coverage {
        &self.0.coverage
    }

    /// The calls whose size STS logged, to fit the engine's figures to; a sample of at most `most` distinct ones.
    pub fn calibration(&self, most: usize) -> Calibration {
        let slots = self.0.calls.slots();
        let each = slots.len().div_ceil(rayon::current_num_threads()).max(LEAST_CALIBRATED);
        let parts: Vec<Calibration> = slots.par_chunks(each).map(|slots| self.calibration_of(slots, most)).collect();
        parts
            .into_iter()
            .reduce(|mut all, part| {
                all.absorb(part);
                all
            })
            .unwrap_or_else(|| Calibration::with_most(most))
    }

    fn calibration_of(&self, slots: &[Slot], most: usize) -> Calibration {
        let Scan { calls, requests, .. } = &self.0;
        let mut calibration = Calibration::with_most(most);
        let mut contents: FxHashMap<RequestId, Content> = FxHashMap::default();
        for call in slots.iter().filter_map(|&slot| calls.get(slot)) {
            let (Some(regime), false) = (call.regime, call.outcome == Outcome::RefusedOtherwise) else { continue };
            let seen = Seen {
                regime,
                percent: call.observed_percent(),
                token_bytes: call.session_token_bytes,
                refused: call.outcome == Outcome::RefusedForSize,
                time: call.time,
            };
            if seen.percent.is_none() && seen.token_bytes.is_none() {
                continue;
            }
            let content = match contents.get(&call.request) {
                Some(content) => *content,
                None => {
                    let Some(request) = requests.request(call.request) else { continue };
                    let content = calibration.content(&request);
                    contents.insert(call.request, content);
                    content
                }
            };
            calibration.add_again(&content, &call.session(), &seen);
        }
        calibration
    }

    /// The scan, its requests packed by `profile`.
    pub fn pack(self, profile: Profile) -> Scan {
        let mut scan = self.0;
        scan.requests.pack(profile);
        scan
    }
}

/// What reading a file came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRead {
    /// What became of the file.
    pub fate: Fate,
    /// CloudTrail records met, of any kind.
    pub records: u64,
    /// Records of any kind that could be read.
    pub records_read: u64,
    /// Bytes of the file as it lies on disk.
    pub bytes_read: u64,
    /// Bytes of JSON after inflating.
    pub bytes_inflated: u64,
}

/// What became of a file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Read to its end.
    Read,
    /// Holds no management events; what it is instead.
    Skipped(Cow<'static, str>),
    /// Its content is damaged, or no CloudTrail log where one was named: what is wrong.
    Damaged(String),
}

/// Takes what is read in place of the [`Scanner`], which then keeps nothing of it but what cannot be read: a report is made from what the recorder
/// remembers.
pub trait Recorder: Sync {
    /// Reading of `file` begins; what this returns takes its calls, from one thread. Dropped before its end is told where the file cannot be read for now.
    fn file<'a>(&'a self, file: &'a LogFile) -> Box<dyn FileRecorder + 'a>;

    /// `file` cannot be read now, whatever is in it: it vanished, or access to it is denied, or the network failed.
    fn unreached(&self, file: &LogFile);

    /// All files of these days of `folder` have been handed out (see [`Entry::Listed`]); some may still be being read.
    fn listed(&self, folder: &str, from: Option<Day>, through: Day);

    /// True when recording has failed, for a reason that the recorder keeps: nothing more is read.
    fn failed(&self) -> bool;
}

/// Takes the calls of one file.
pub trait FileRecorder {
    /// The call that stands in this record of the file, from 1.
    fn call(&mut self, record: u32, call: StsCall<'_>);

    /// The file's calls are complete.
    fn done(self: Box<Self>, read: FileRead);
}

/// The files still to read.
struct Queue<'a> {
    listing: Listing,
    recorder: Option<&'a dyn Recorder>,
    listed: u32,
    /// Of the files waiting one more than the size, 0 where that is unknown, and the number, the earlier first among equals; and where in `waiting` they are.
    largest: BinaryHeap<(u64, std::cmp::Reverse<u32>, u32)>,
    waiting: Vec<Option<LogFile>>,
    /// Where nothing is waiting.
    free: Vec<u32>,
    coverage: Coverage,
}

impl Queue<'_> {
    /// The largest of the files listed so far.
    fn next(&mut self) -> Option<LogFile> {
        while self.largest.len() < self.listing.ahead() {
            let Some(entry) = self.listing.next() else { break };
            match entry {
                Entry::File(file) => {
                    let at = self.free.pop().or_else(|| u32::try_from(self.waiting.len()).ok()).unwrap_or(u32::MAX);
                    let size = file.bytes.map_or(0, |bytes| bytes.saturating_add(1));
                    self.largest.push((size, std::cmp::Reverse(self.listed), at));
                    match self.waiting.get_mut(at as usize) {
                        Some(place) => *place = Some(file),
                        None => self.waiting.push(Some(file)),
                    }
                    self.listed = self.listed.wrapping_add(1);
                }
                Entry::Skipped { folder, .. } => {
                    self.coverage.files_listed += 1;
                    self.coverage.skip(Cow::Borrowed(folder_name(folder)));
                }
                Entry::Denied { prefix, reason } => self.coverage.denied.push(Denied { prefix, reason }),
                Entry::Listed { folder, from, through } => {
                    if let Some(recorder) = self.recorder {
                        recorder.listed(&folder, from, through);
                    }
                }
                Entry::Unreadable { location, reason } => {
                    self.coverage.files_listed += 1;
                    self.coverage.unreadable.push(Unreadable { location, reason, records_read: 0 });
                }
            }
        }
        let (_, _, at) = self.largest.pop()?;
        self.free.push(at);
        self.waiting.get_mut(at as usize)?.take()
    }
}

/// What one thread counts on its own.
#[derive(Default)]
struct Own {
    coverage: Coverage,
    sightings: Sightings,
    remembered: Remembered,
    lately: Lately,
    strings: Strings,
}

/// Takes calls, as they are read from log files or as they were remembered, until [`Scanner::gather`] makes a [`Gathered`] of them.
pub struct Scanner {
    filter: Filter,
    texts: Texts,
    requests: Interner,
    collector: Collector,
    own: Mutex<Own>,
}

/// Reads every file of `listing` on the threads of the current rayon pool and keeps the calls that pass `filter`.
///
/// A file that cannot be read costs that file only; it is named in the coverage. `progress` is called from many threads, some
/// times for each file.
pub fn scan(listing: Listing, filter: &Filter, profile: Profile, progress: &(dyn Fn(Progress) + Sync)) -> Scan {
    let scanner = Scanner::new(filter.clone());
    scanner.read(listing, None, progress);
    scanner.gather().pack(profile)
}

impl Scanner {
    /// Has no calls yet, and keeps those that pass `filter`.
    pub fn new(filter: Filter) -> Scanner {
        Scanner { filter, texts: Texts::default(), requests: Interner::default(), collector: Collector::default(), own: Mutex::default() }
    }

    /// Reads every file of `listing` as [`scan`] does. With a recorder the calls go there, whatever the filter, and here only those files are counted that the
    /// recorder cannot have: what listing skipped, and what cannot be read for now.
    pub fn read(&self, listing: Listing, recorder: Option<&dyn Recorder>, progress: &(dyn Fn(Progress) + Sync)) {
        let meter = Meter { files: AtomicU64::new(0), bytes: AtomicU64::new(0), tell: progress };
        let queue = Mutex::new(Queue {
            listing,
            recorder,
            listed: 0,
            largest: BinaryHeap::new(),
            waiting: Vec::new(),
            free: Vec::new(),
            coverage: Coverage::default(),
        });
        let threads = rayon::current_num_threads();
        rayon::broadcast(|_| {
            let mut reader = Reader::new(Limits::for_threads(threads));
            let mut own = Own::default();
            while !recorder.is_some_and(Recorder::failed) {
                let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(file) = next else { break };
                self.read_file(&mut reader, &file, recorder, &meter, &mut own);
                meter.add(1, 0);
            }
            self.add(own);
        });
        let coverage = queue.into_inner().unwrap_or_else(PoisonError::into_inner).coverage;
        self.remember(coverage);
    }

    fn add(&self, own: Own) {
        let mut all = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        all.coverage.add(own.coverage);
        all.sightings.0.extend(own.sightings.0);
    }

    /// Counts what was read in earlier runs.
    pub fn remember(&self, coverage: Coverage) {
        self.add(Own { coverage, ..Own::default() });
    }

    /// Takes calls that were read in earlier runs; one for each thread.
    pub fn recall(&self) -> Recall<'_> {
        Recall { scanner: self, own: Own::default(), location: String::new(), place: None }
    }

    /// True while a call stands for the request of this fingerprint and the request itself has not come: see [`Scanner::fill`].
    pub fn wants(&self, fingerprint: &Fingerprint) -> bool {
        self.requests.is_reserved(fingerprint)
    }

    /// Takes a request that remembered calls stand for. False when none does, or it is there already.
    pub fn fill(&self, role_arn: Option<&str>, request: Request) -> bool {
        self.requests.fill(role_arn, request)
    }

    /// How many requests of remembered calls have not come.
    pub fn unfilled(&self) -> usize {
        self.requests.reserved()
    }

    /// All calls, each once, their requests not yet packed.
    pub fn gather(self) -> Gathered {
        let Scanner { filter, texts, requests, collector, own } = self;
        let Own { mut coverage, sightings, .. } = own.into_inner().unwrap_or_else(PoisonError::into_inner);
        coverage.unreadable.sort();
        coverage.denied.sort();
        let mut calls = collector.finish(&texts);
        coverage.duplicates = calls.duplicates();
        assign_regimes(&mut calls, sightings);
        if !(filter.accounts.is_empty() && filter.roles.is_empty()) {
            coverage.filtered += calls.retain(|call| filter.keeps(call, &texts.names));
        }
        let Texts { names, locations } = texts;
        Gathered(Scan { calls, names, requests: requests.finish(), coverage, locations: locations.finish() })
    }

    /// Keeps `call` unless the filter leaves it out. `place` is the number of `location` where it has one yet; the request is asked for only if need be.
    fn take(
        &self,
        own: &mut Own,
        (location, place): (&str, &mut Option<u32>),
        record: u32,
        call: &StsCall<'_>,
        request: impl FnOnce() -> RequestId,
    ) {
        own.coverage.sts_calls += 1;
        let names = &self.texts.names;
        if !self.filter.may_keep(call) {
            own.coverage.filtered += 1;
            // Another copy may show the new regime where one without its response looks like the old.
            let sure = call.answered || call.shared_event_id.is_none();
            if let (true, Outcome::Granted, Some(regime)) = (sure, call.outcome, call.regime) {
                own.sightings.push(names.intern_some(call.region.as_deref()), call.time, regime);
            }
            return;
        }
        let file = *place.get_or_insert_with(|| self.texts.locations.insert(location));
        let replaces = call.updates_event_id.as_deref().map(|id| EventId::new(Some(id), names));
        self.collector.insert(Call::new(call, request(), (file, location), record, (names, &mut own.lately)), replaces, &self.texts);
    }

    fn read_file(&self, reader: &mut Reader, file: &LogFile, recorder: Option<&dyn Recorder>, meter: &Meter<'_>, own: &mut Own) {
        let content = match file.open() {
            Ok(content) => content,
            Err(error) => return unreached(file, error.to_string(), recorder, &mut own.coverage),
        };
        let mut recording = recorder.map(|recorder| recorder.file(file));
        let mut bad: Option<(u64, String)> = None;
        let mut bad_records = 0_u64;
        let mut place = None;
        let mut sink = |found: Found<'_>| {
            let number = u32::try_from(found.record).unwrap_or(u32::MAX);
            // The usual way, without reading a request that was seen before; what it leaves to the other takes that from its beginning.
            if recording.is_none()
                && let Some(Ok(call)) = sts_call::parse_but_request(found.json, &mut own.strings)
            {
                let Some((mut call, texts)) = call else { return };
                let known = match texts.filter(|_| self.filter.may_keep(&call)) {
                    Some(texts) => own.remembered.id(&self.requests, call.role_arn.as_deref(), &texts),
                    None => Some((RequestId::NONE, None)),
                };
                if let Some((id, policy_chars)) = known {
                    call.policy_chars = policy_chars;
                    self.take(own, (&file.location, &mut place), number, &call, || id);
                    return;
                }
            }
            match sts_call::parse(found.json) {
                Ok(None) => {}
                Ok(Some(mut call)) => {
                    if call.damaged {
                        bad_records += 1;
                        bad.get_or_insert_with(|| (found.record, "a part of the STS call cannot be read".to_owned()));
                    }
                    match &mut recording {
                        Some(recording) => recording.call(number, call),
                        None => {
                            let request = call.request.take();
                            self.take(own, (&file.location, &mut place), number, &call, || {
                                request.map_or(RequestId::NONE, |request| self.requests.intern(call.role_arn.as_deref(), request))
                            });
                        }
                    }
                }
                Err(error) => {
                    bad_records += 1;
                    bad.get_or_insert_with(|| (found.record, error.to_string()));
                }
            }
        };
        let outcome = reader.read_from(&mut Metered { content, meter }, file.bytes, &mut sink);
        own.coverage.unusual += outcome.unusual;
        if let Some(damage) = outcome.damage.as_ref().filter(|damage| recorder.is_some() && is_io(damage)) {
            // What a half of the file told is forgotten: all of it is read again next time.
            drop(recording);
            return unreached(file, damage.to_string(), recorder, &mut own.coverage);
        }
        let fate = match (outcome.damage, bad, outcome.kind) {
            (Some(damage), _, _) => Fate::Damaged(damage.to_string()),
            (None, Some((record, error)), _) => {
                let more = if bad_records > 1 { format!(" (and {} more records)", bad_records - 1) } else { String::new() };
                Fate::Damaged(format!("record {record}: {error}{more}"))
            }
            (None, None, Kind::CloudTrail) => Fate::Read,
            (None, None, Kind::NotALog) if file.named => Fate::Damaged("no CloudTrail log".to_owned()),
            (None, None, kind) => Fate::Skipped(Cow::Borrowed(kind_name(kind))),
        };
        let read = FileRead {
            fate,
            records: if matches!(outcome.kind, Kind::CloudTrail | Kind::Unknown) { outcome.records } else { 0 },
            records_read: outcome.records.saturating_sub(bad_records),
            bytes_read: outcome.bytes_read,
            bytes_inflated: outcome.bytes_inflated,
        };
        match recording {
            Some(recording) => recording.done(read),
            None => own.coverage.count(&file.location, read),
        }
    }
}

/// Takes calls that were read in earlier runs.
pub struct Recall<'a> {
    scanner: &'a Scanner,
    own: Own,
    location: String,
    place: Option<u32>,
}

impl Recall<'_> {
    /// Takes one call: what [`Scanner::read`] would have found at this place. Its request is given by fingerprint and comes later, by [`Scanner::fill`].
    pub fn call(&mut self, location: &str, record: u32, call: &StsCall<'_>, request: Option<&Fingerprint>) {
        if self.location != location {
            self.location.clear();
            self.location.push_str(location);
            self.place = None;
        }
        let scanner = self.scanner;
        scanner.take(&mut self.own, (location, &mut self.place), record, call, || {
            request.map_or(RequestId::NONE, |fingerprint| scanner.requests.reserve(fingerprint))
        });
    }

    /// Adds what was taken to the scanner's counts.
    pub fn done(self) {
        self.scanner.add(self.own);
    }
}

/// True when the file itself may be sound, and only getting its bytes failed.
fn is_io(damage: &Damage) -> bool {
    matches!(damage.reason, Reason::Io(_)) || damage.end.as_deref().is_some_and(is_io)
}

/// Counts a file that cannot be read now.
fn unreached(file: &LogFile, reason: String, recorder: Option<&dyn Recorder>, coverage: &mut Coverage) {
    if let Some(recorder) = recorder {
        recorder.unreached(file);
    }
    coverage.files_listed += 1;
    coverage.unreadable.push(Unreadable { location: file.location.clone(), reason, records_read: 0 });
}

/// What a folder without management events is called in the coverage.
fn folder_name(folder: Folder) -> &'static str {
    kind_name(match folder {
        Folder::Digest => Kind::Digest,
        Folder::Insight => Kind::Insight,
        Folder::NetworkActivity => Kind::NetworkActivity,
        Folder::Aggregated => Kind::Aggregated,
    })
}

/// What a file without management events is called in the coverage.
fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::CloudTrail => "log",
        Kind::Digest => "digest",
        Kind::Insight => "insight",
        Kind::NetworkActivity => "network_activity",
        Kind::Aggregated => "aggregated",
        Kind::NotALog => "no_log",
        Kind::Unknown => "unknown",
    }
}

impl Coverage {
    fn skip(&mut self, what: Cow<'static, str>) {
        *self.skipped.entry(what).or_default() += 1;
    }

    /// Counts a file that was read; its calls are counted one by one.
    pub fn count(&mut self, location: &str, read: FileRead) {
        self.files_listed += 1;
        self.bytes_read += read.bytes_read;
        self.bytes_inflated += read.bytes_inflated;
        self.records += read.records;
        match read.fate {
            Fate::Read => self.files_read += 1,
            Fate::Skipped(what) => self.skip(what),
            Fate::Damaged(reason) => {
                self.unreadable.push(Unreadable { location: location.to_owned(), reason, records_read: read.records_read });
            }
        }
    }

    fn add(&mut self, other: Coverage) {
        self.files_listed += other.files_listed;
        self.files_read += other.files_read;
        for (kind, count) in other.skipped {
            *self.skipped.entry(kind).or_default() += count;
        }
        self.bytes_read += other.bytes_read;
        self.bytes_inflated += other.bytes_inflated;
        self.records += other.records;
        self.unusual += other.unusual;
        self.sts_calls += other.sts_calls;
        self.filtered += other.filtered;
        self.unreadable.extend(other.unreadable);
        self.denied.extend(other.denied);
    }
}

/// Granted calls that the filters left out: they still tell which limit was in force when, so that a filter changes no row it keeps.
#[derive(Default)]
struct Sightings(Vec<(Name, i64, Regime)>);

/// Beyond this many sightings (16 bytes each) runs of one regime are cut down to their ends.
const SIGHTINGS_MOST: usize = 1 << 20;

impl Sightings {
    fn push(&mut self, region: Name, time: i64, regime: Regime) {
        self.0.push((region, time, regime));
        if self.0.len() >= SIGHTINGS_MOST {
            self.compact();
        }
    }

    /// Inside a run of one regime every refusal has the same nearest regime, so the ends of the run suffice.
    fn compact(&mut self) {
        self.0.sort_unstable_by_key(|&(region, time, regime)| (region.order(), time, regime));
        // Of two in the same second the older regime counts.
        self.0.dedup_by_key(|&mut (region, time, _)| (region, time));
        let mut ends: Vec<(Name, i64, Regime)> = Vec::new();
        for run in self.0.chunk_by(|a, b| (a.0, a.2) == (b.0, b.2)) {
            ends.extend(run.first());
            ends.extend(run.last().filter(|_| run.len() > 1));
        }
        self.0 = ends;
    }
}

/// Which regime was in force when, by region, as granted calls show it.
#[derive(Default)]
struct Timelines(FxHashMap<Name, Vec<(i64, Regime)>>);

impl Timelines {
    /// Takes the regime of a second in which a region granted calls; in each region seconds come in order, each once. Of a run of one regime only the ends
    /// are kept: inside it the nearest is of that regime.
    fn push(&mut self, region: Name, time: i64, regime: Regime) {
        let line = self.0.entry(region).or_default();
        if let [.., before, last] = line.as_mut_slice()
            && before.1 == regime
            && last.1 == regime
        {
            last.0 = time;
        } else {
            line.push((time, regime));
        }
    }

    /// The regime of the granted call nearest to `time` in `region`; of two equally near the earlier.
    fn nearest(&self, region: Name, time: i64) -> Option<Regime> {
        let line = self.0.get(&region)?;
        let (before, after) = line.split_at(line.partition_point(|&(at, _)| at <= time));
        match (before.last(), after.first()) {
            (Some((before, regime)), Some((after, _))) if time - before <= after - time => Some(*regime),
            (_, Some((_, regime))) | (Some((_, regime)), None) => Some(*regime),
            (None, None) => None,
        }
    }
}

/// The regimes of one second by region, the older where both were seen: a line takes seconds, so that it does not matter in which order calls come.
#[derive(Default)]
struct Second {
    time: i64,
    regimes: Vec<(Name, Regime)>,
}

impl Second {
    fn add(&mut self, lines: &mut Timelines, region: Name, time: i64, regime: Regime) {
        if time != self.time {
            self.end(lines);
            self.time = time;
        }
        match self.regimes.iter_mut().find(|(other, _)| *other == region) {
            Some((_, older)) => *older = regime.min(*older),
            None => self.regimes.push((region, regime)),
        }
    }

    fn end(&mut self, lines: &mut Timelines) {
        for (region, regime) in self.regimes.drain(..) {
            lines.push(region, self.time, regime);
        }
    }
}

/// Gives each refusal the regime of the nearest granted call in time in the same region.
fn assign_regimes(calls: &mut Calls, mut sightings: Sightings) {
    sightings.0.sort_unstable_by_key(|&(_, time, _)| time);
    let mut seen = sightings.0.into_iter().peekable();
    let mut lines = Timelines::default();
    let mut second = Second::default();
    let mut refusals: Vec<Slot> = Vec::new();
    for (slot, call) in calls.iter() {
        match (call.outcome, call.regime) {
            (Outcome::Granted, Some(regime)) => {
                while let Some((region, time, regime)) = seen.next_if(|&(_, time, _)| time <= call.time) {
                    second.add(&mut lines, region, time, regime);
                }
                second.add(&mut lines, call.region, call.time, regime);
            }
            _ => refusals.push(slot),
        }
    }
    for (region, time, regime) in seen {
        second.add(&mut lines, region, time, regime);
    }
    second.end(&mut lines);
    for slot in refusals {
        let regime = calls.get(slot).and_then(|call| lines.nearest(call.region, call.time));
        calls.set_regime(slot, regime);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_nearest_regime_is_that_of_all_calls_in_whatever_order_they_come(
            seen in proptest::collection::vec((0_i64..30, any::<bool>(), any::<u32>()), 1..40),
            at in 0_i64..30,
        ) {
            let region = Names::default().intern("us-east-1");
            let regime = |new| if new { Regime::SessionToken } else { Regime::PackedPolicy };
            let expected = seen.iter().map(|&(time, new, _)| ((time - at).abs(), time, regime(new))).min().map(|(_, _, regime)| regime);
            let mut shuffled = seen;
            shuffled.sort_by_key(|&(time, _, order)| (time, order));
            let (mut lines, mut second) = (Timelines::default(), Second::default());
            for (time, new, _) in shuffled {
                second.add(&mut lines, region, time, regime(new));
            }
            second.end(&mut lines);
            prop_assert_eq!(lines.nearest(region, at), expected);
        }
    }
}
