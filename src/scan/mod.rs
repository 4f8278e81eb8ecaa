//! Log files to kept calls: over all cores, bounded in memory, each call once, everything counted.

mod calls;
mod locations;
mod names;
mod requests;

use std::collections::{BTreeMap, BinaryHeap};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::packing::{Profile, Regime};
use crate::record::{Found, Kind, Limits, Reader};
use crate::sts_call::{self, Outcome, StsCall};
use crate::trail::{Entry, Folder, Listing, LogFile};

pub use calls::{Call, Calls, EventId, Slot};
use locations::Locations;
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
        among(&self.accounts, names.text(call.account).as_deref()) && self.matches_role(names.text(call.role).as_deref())
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
    locations: Locations,
}

impl Scan {
    /// Where the record of `call` stands: the file and, after `#`, the number of the record in it, from 1.
    pub fn location(&self, call: &Call) -> String {
        format!("{}#{}", self.locations.get(call.file).unwrap_or_default(), call.record)
    }
}

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
        while self.waiting.len() < self.listing.ahead() {
            let Some(entry) = self.listing.next() else { break };
            self.coverage.files_listed += 1;
            match entry {
                Entry::File(file) => {
                    self.largest.push((file.bytes, std::cmp::Reverse(self.listed)));
                    self.waiting.insert(self.listed, file);
                    self.listed += 1;
                }
                Entry::Skipped { folder, .. } => self.coverage.skip(folder_name(folder)),
                Entry::Denied { prefix, reason } => {
                    self.coverage.files_listed -= 1;
                    self.coverage.denied.push(Denied { prefix, reason });
                }
                Entry::Listed { .. } => self.coverage.files_listed -= 1,
                Entry::Unreadable { location, reason } => {
                    self.coverage.unreadable.push(Unreadable { location, reason, records_read: 0 });
                }
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
    locations: Mutex<Locations>,
    meter: Meter<'a>,
}

/// Reads every file of `listing` on the threads of the current rayon pool and keeps the calls that pass `filter`.
///
/// A file that cannot be read costs that file only; it is named in the coverage. `progress` is called from many threads, some
/// times for each file.
pub fn scan(listing: Listing, filter: &Filter, profile: Profile, progress: &(dyn Fn(Progress) + Sync)) -> Scan {
    let shared = Shared {
        filter,
        names: Names::default(),
        requests: Requests::new(profile),
        collector: calls::Collector::default(),
        locations: Mutex::default(),
        meter: Meter { files: AtomicU64::new(0), bytes: AtomicU64::new(0), tell: progress },
    };
    let queue =
        Mutex::new(Queue { listing, listed: 0, largest: BinaryHeap::new(), waiting: FxHashMap::default(), coverage: Coverage::default() });
    let threads = rayon::current_num_threads();
    let read: Vec<(Coverage, Sightings)> = rayon::broadcast(|_| {
        let mut reader = Reader::new(Limits::for_threads(threads));
        let mut own = Coverage::default();
        let mut sightings = Sightings::default();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, file)) = next else { break };
            shared.read_file(&mut reader, &file, number, &mut own, &mut sightings);
            shared.meter.add(1, 0);
        }
        (own, sightings)
    });

    let mut coverage = queue.into_inner().unwrap_or_else(PoisonError::into_inner).coverage;
    let mut sightings = Sightings::default();
    for (own, seen) in read {
        coverage.add(own);
        sightings.0.extend(seen.0);
    }
    coverage.unreadable.sort();
    coverage.denied.sort();

    let Shared { names, requests, collector, locations, .. } = shared;
    let mut calls = collector.finish(&names);
    coverage.duplicates = calls.duplicates();
    assign_regimes(&mut calls, sightings);
    coverage.filtered += calls.retain(|call| filter.keeps(call, &names));
    let mut locations = locations.into_inner().unwrap_or_else(PoisonError::into_inner);
    locations.finish();
    Scan { calls, names, requests, coverage, locations }
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
    fn read_file(&self, reader: &mut Reader, file: &LogFile, number: u32, coverage: &mut Coverage, sightings: &mut Sightings) {
        let mut bad: Option<(u64, String)> = None;
        let mut bad_records = 0_u64;
        let mut located = false;
        let mut sink = |found: Found<'_>| match sts_call::parse(found.json) {
            Ok(None) => {}
            Ok(Some(mut call)) => {
                coverage.sts_calls += 1;
                if call.damaged {
                    bad_records += 1;
                    bad.get_or_insert_with(|| (found.record, "a part of the STS call cannot be read".to_owned()));
                }
                if !self.filter.may_keep(&call) {
                    coverage.filtered += 1;
                    // Another copy may show the new regime where one without its response looks like the old.
                    let sure = call.answered || call.shared_event_id.is_none();
                    if let (true, Outcome::Granted, Some(regime)) = (sure, call.outcome, call.regime) {
                        sightings.push(self.names.intern_some(call.region.as_deref()), call.time, regime);
                    }
                    return;
                }
                if !std::mem::replace(&mut located, true) {
                    self.locations.lock().unwrap_or_else(PoisonError::into_inner).insert(number, &file.location);
                }
                let request =
                    call.request.take().map_or(RequestId::NONE, |request| self.requests.intern(call.role_arn.as_deref(), request));
                let replaces = call.updates_event_id.as_deref().map(|id| EventId::new(Some(id), &self.names));
                let record = u32::try_from(found.record).unwrap_or(u32::MAX);
                self.collector.insert(Call::new(&call, request, number, record, &self.names), replaces, &self.names);
            }
            Err(error) => {
                bad_records += 1;
                bad.get_or_insert_with(|| (found.record, error.to_string()));
            }
        };
        let outcome = match file.open() {
            Ok(content) => reader.read_from(&mut Metered { content, meter: &self.meter }, file.bytes, &mut sink),
            // Fails to open here as well, and says so in its outcome.
            Err(_) => reader.read(file, &mut sink),
        };
        coverage.bytes_read += outcome.bytes_read;
        coverage.bytes_inflated += outcome.bytes_inflated;
        if matches!(outcome.kind, Kind::CloudTrail | Kind::Unknown) {
            coverage.records += outcome.records;
        }
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
    /// Takes a granted call; in each region they come in order of time. Of a run of one regime only the ends are kept: inside it the nearest is of that regime.
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

    /// The regime of the granted call nearest to `time` in `region`; of two equally near the earlier, of two in the same second the older regime.
    fn nearest(&self, region: Name, time: i64) -> Option<Regime> {
        let line = self.0.get(&region)?;
        let (before, after) = line.split_at(line.partition_point(|&(at, _)| at <= time));
        let at = |end: Option<&(i64, Regime)>, side: &[(i64, Regime)]| {
            let at = end?.0;
            Some((at, side.iter().filter(|one| one.0 == at).map(|one| one.1).min()?))
        };
        match (at(before.last(), before), at(after.first(), after)) {
            (Some((before, regime)), Some((after, _))) if time - before <= after - time => Some(regime),
            (_, Some((_, regime))) | (Some((_, regime)), None) => Some(regime),
            (None, None) => None,
        }
    }
}

/// Gives each refusal the regime of the nearest granted call in time in the same region.
fn assign_regimes(calls: &mut Calls, mut sightings: Sightings) {
    sightings.0.sort_unstable_by_key(|&(_, time, _)| time);
    let mut seen = sightings.0.into_iter().peekable();
    let mut lines = Timelines::default();
    let mut refusals: Vec<Slot> = Vec::new();
    for (slot, call) in calls.iter() {
        match (call.outcome, call.regime) {
            (Outcome::Granted, Some(regime)) => {
                while let Some((region, time, regime)) = seen.next_if(|&(_, time, _)| time <= call.time) {
                    lines.push(region, time, regime);
                }
                lines.push(call.region, call.time, regime);
            }
            _ => refusals.push(slot),
        }
    }
    for (region, time, regime) in seen {
        lines.push(region, time, regime);
    }
    for slot in refusals {
        let regime = calls.get(slot).and_then(|call| lines.nearest(call.region, call.time));
        calls.set_regime(slot, regime);
    }
}
