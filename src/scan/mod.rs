//! Log files to kept calls: over all cores, bounded in memory, each call once, everything counted.

mod calls;
mod names;
mod requests;

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::packing::{Profile, Regime};
use crate::record::{Found, Kind, Limits, Reader};
use crate::sts_call::{self, Outcome, StsCall};
use crate::trail::{Entry, Folder, Listing, LogFile};

pub use calls::{Call, Calls, EventId, Slot};
pub use names::{Name, Names};
pub use requests::{Facts, RequestId, Requests};

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

impl Filter {
    fn keeps(&self, call: &StsCall<'_>) -> bool {
        let among =
            |wanted: &[String], text: Option<&str>| wanted.is_empty() || text.is_some_and(|text| wanted.iter().any(|one| one == text));
        self.since.is_none_or(|since| call.time >= since)
            && self.until.is_none_or(|until| call.time < until)
            && among(&self.accounts, call.account_id.as_deref())
            && among(&self.regions, call.region.as_deref())
            && (self.roles.is_empty() || call.role_arn.as_deref().is_some_and(|arn| self.roles.iter().any(|role| role.matches(arn))))
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

/// What was read and what was not. `files_listed == files_read + files_skipped + unreadable.len()`.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Files found at the sources.
    pub files_listed: u64,
    /// Files read to their end.
    pub files_read: u64,
    /// Files that hold no management events, by kind.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Bytes of the files as they lie on disk.
    pub bytes_read: u64,
    /// Bytes of JSON after inflating.
    pub bytes_inflated: u64,
    /// CloudTrail records met, of any kind.
    pub records: u64,
    /// Records of STS calls that give a session, before filters and duplicates.
    pub sts_calls: u64,
    /// STS calls that the filters left out.
    pub filtered: u64,
    /// Further copies of kept calls. `sts_calls == kept calls + filtered + duplicates`.
    pub duplicates: u64,
    /// Files that could not be read to their end, by location.
    pub unreadable: Vec<Unreadable>,
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
    /// Bytes of files done.
    pub bytes: u64,
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
    /// Names of the files that hold kept calls, by number in the listing.
    locations: FxHashMap<u32, Box<str>>,
}

impl Scan {
    /// Where the record of `call` stands: the file and, after `#`, the number of the record in it, from 1.
    pub fn location(&self, call: &Call) -> String {
        let file = self.locations.get(&call.file).map_or("", |location| location);
        format!("{file}#{}", call.record)
    }
}

/// Files listed ahead of the reading: the largest of them is read next, so that none is left to one thread at the end.
const FILES_AHEAD: usize = 65_536;

/// The files still to read.
struct Queue {
    listing: Listing,
    listed: u32,
    /// Size and number of the files waiting, the earlier first among equals.
    largest: BinaryHeap<(Option<u64>, std::cmp::Reverse<u32>)>,
    waiting: FxHashMap<u32, LogFile>,
    coverage: Coverage,
}

impl Queue {
    /// The largest of the files listed so far, and its number in the listing.
    fn next(&mut self) -> Option<(u32, LogFile)> {
        while self.waiting.len() < FILES_AHEAD {
            match self.listing.next() {
                Some(Entry::File(file)) => {
                    self.largest.push((file.bytes, std::cmp::Reverse(self.listed)));
                    self.waiting.insert(self.listed, file);
                    self.listed += 1;
                }
                Some(Entry::Skipped { folder, .. }) => self.coverage.skip(folder_name(folder)),
                Some(Entry::Unreadable { location, reason }) => {
                    self.coverage.unreadable.push(Unreadable { location, reason, records_read: 0 });
                }
                None => break,
            }
        }
        let (_, std::cmp::Reverse(number)) = self.largest.pop()?;
        self.waiting.remove(&number).map(|file| (number, file))
    }
}

/// What all threads of a scan share.
struct Shared<'a> {
    filter: &'a Filter,
    names: Names,
    requests: Requests,
    collector: calls::Collector,
    locations: Mutex<FxHashMap<u32, Box<str>>>,
}

/// Reads every file of `listing` on the threads of the current rayon pool and keeps the calls that pass `filter`.
///
/// A file that cannot be read costs that file only; it is named in the coverage. `progress` is called from many threads after each file.
pub fn scan(listing: Listing, filter: &Filter, profile: Profile, progress: &(dyn Fn(Progress) + Sync)) -> Scan {
    let shared = Shared {
        filter,
        names: Names::default(),
        requests: Requests::new(profile),
        collector: calls::Collector::default(),
        locations: Mutex::default(),
    };
    let queue =
        Mutex::new(Queue { listing, listed: 0, largest: BinaryHeap::new(), waiting: FxHashMap::default(), coverage: Coverage::default() });
    let (files_done, bytes_done) = (AtomicU64::new(0), AtomicU64::new(0));
    let threads = rayon::current_num_threads();
    let read: Vec<Coverage> = rayon::broadcast(|_| {
        let mut reader = Reader::new(Limits::for_threads(threads));
        let mut own = Coverage::default();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, file)) = next else { break };
            shared.read_file(&mut reader, &file, number, &mut own);
            let bytes = file.bytes.unwrap_or(0);
            progress(Progress {
                files: files_done.fetch_add(1, Ordering::Relaxed) + 1,
                bytes: bytes_done.fetch_add(bytes, Ordering::Relaxed) + bytes,
            });
        }
        own
    });

    let mut coverage = queue.into_inner().unwrap_or_else(PoisonError::into_inner).coverage;
    read.into_iter().for_each(|one| coverage.add(one));
    coverage.unreadable.sort();
    coverage.files_listed = coverage.files_read + coverage.files_skipped() + coverage.unreadable.len() as u64;

    let Shared { names, requests, collector, locations, .. } = shared;
    let mut calls = collector.finish(&names);
    coverage.duplicates = calls.duplicates();
    assign_regimes(&mut calls);
    Scan { calls, names, requests, coverage, locations: locations.into_inner().unwrap_or_else(PoisonError::into_inner) }
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
    fn skip(&mut self, what: &'static str) {
        *self.skipped.entry(what).or_default() += 1;
    }

    fn add(&mut self, other: Coverage) {
        self.files_read += other.files_read;
        for (kind, count) in other.skipped {
            *self.skipped.entry(kind).or_default() += count;
        }
        self.bytes_read += other.bytes_read;
        self.bytes_inflated += other.bytes_inflated;
        self.records += other.records;
        self.sts_calls += other.sts_calls;
        self.filtered += other.filtered;
        self.unreadable.extend(other.unreadable);
    }
}

impl Shared<'_> {
    fn read_file(&self, reader: &mut Reader, file: &LogFile, number: u32, coverage: &mut Coverage) {
        let mut bad: Option<(u64, sts_call::CallError)> = None;
        let mut bad_records = 0_u64;
        let mut located = false;
        let outcome = reader.read(file, &mut |found: Found<'_>| match sts_call::parse(found.json) {
            Ok(None) => {}
            Ok(Some(call)) => {
                coverage.sts_calls += 1;
                if !self.filter.keeps(&call) {
                    coverage.filtered += 1;
                    return;
                }
                if !std::mem::replace(&mut located, true) {
                    self.locations.lock().unwrap_or_else(PoisonError::into_inner).insert(number, file.location.as_str().into());
                }
                let mut call = call;
                let request =
                    call.request.take().map_or(RequestId::NONE, |request| self.requests.intern(call.role_arn.as_deref(), request));
                let replaces = call.updates_event_id.as_deref().map(|id| EventId::new(Some(id), &self.names));
                let record = u32::try_from(found.record).unwrap_or(u32::MAX);
                self.collector.insert(Call::new(&call, request, number, record, &self.names), replaces, &self.names);
            }
            Err(error) => {
                bad_records += 1;
                bad.get_or_insert((found.record, error));
            }
        });
        coverage.bytes_read += outcome.bytes_read;
        coverage.bytes_inflated += outcome.bytes_inflated;
        coverage.records += outcome.records;
        let unreadable = |reason: String| Unreadable {
            location: file.location.clone(),
            reason,
            records_read: outcome.records.saturating_sub(bad_records),
        };
        match (outcome.damage, bad, outcome.kind) {
            (Some(damage), _, _) => coverage.unreadable.push(unreadable(damage.to_string())),
            (None, Some((record, error)), _) => {
                let more = if bad_records > 1 { format!(" (and {} more records)", bad_records - 1) } else { String::new() };
                coverage.unreadable.push(unreadable(format!("record {record}: {error}{more}")));
            }
            (None, None, Kind::CloudTrail) => coverage.files_read += 1,
            (None, None, Kind::NotALog) if file.named => coverage.unreadable.push(unreadable("no CloudTrail log".to_owned())),
            (None, None, kind) => coverage.skip(kind_name(kind)),
        }
    }
}

/// Gives each refusal the regime of the nearest granted call in time in the same region; of two equally near, the earlier.
fn assign_regimes(calls: &mut Calls) {
    /// The nearest granted call so far: how far away, and its regime.
    type Nearest = Option<(i64, Regime)>;
    let mut refusals: Vec<(Slot, Nearest)> = Vec::new();
    let mut last: FxHashMap<Name, (i64, Regime)> = FxHashMap::default();
    for (slot, call) in calls.iter() {
        match (call.outcome, call.regime) {
            (Outcome::Granted, Some(regime)) => {
                last.insert(call.region, (call.time, regime));
            }
            _ => refusals.push((slot, last.get(&call.region).map(|&(time, regime)| (call.time - time, regime)))),
        }
    }
    let mut next: FxHashMap<Name, (i64, Regime)> = FxHashMap::default();
    let mut left = refusals.len();
    for (_, call) in calls.iter().rev() {
        match (call.outcome, call.regime) {
            (Outcome::Granted, Some(regime)) => {
                next.insert(call.region, (call.time, regime));
            }
            _ => {
                left -= 1;
                if let (Some((_, nearest)), Some(&(time, regime))) = (refusals.get_mut(left), next.get(&call.region)) {
                    let away = time - call.time;
                    if nearest.is_none_or(|(before, _)| away < before) {
                        *nearest = Some((away, regime));
                    }
                }
            }
        }
    }
    for (slot, nearest) in refusals {
        calls.set_regime(slot, nearest.map(|(_, regime)| regime));
    }
}
