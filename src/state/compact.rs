//! Small segments to larger ones.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashSet;

use super::manifest::{Manifest, Segment};
use super::tables::{CallRow, ObjectRow, RequestRow};
use super::{State, StateError, lock, tables};
use crate::scan::{Fingerprint, Names};
use crate::trail::Day;

/// Segments, and the one that says what they said; None when nothing of it is left.
type Joined = (Vec<Segment>, Option<Segment>);

impl State {
    /// Writes segments together where there are many, then a manifest, then removes those it no longer names.
    pub(super) fn compact(&self) -> Result<(), StateError> {
        let mut committed = lock(&self.committed);
        let mut manifest = committed.clone();
        let forget = manifest.superseded.len() > self.settings.superseded;
        let mut old = Vec::new();
        let calls = self.crowded(&manifest.calls, forget);
        let objects = self.crowded(&manifest.objects, forget);
        replace(&mut manifest.calls, &mut old, self.rewrite(&calls, |day, group| self.join_calls(day, group, &committed))?);
        replace(&mut manifest.objects, &mut old, self.rewrite(&objects, |day, group| self.join_objects(day, group, &committed))?);
        if forget {
            manifest.superseded.clear();
        }
        let since_packed = manifest.requests.iter().filter(|segment| segment.number >= manifest.requests_packed).count();
        if since_packed > self.settings.request_segments {
            let joined = self.join_requests(&manifest)?;
            old.append(&mut manifest.requests);
            manifest.requests = joined;
            manifest.requests_packed = self.next.load(std::sync::atomic::Ordering::Relaxed);
        }
        self.adopt(&mut committed, manifest)?;
        old.iter().try_for_each(|segment| self.files.delete(&segment.key))?;
        Ok(())
    }

    /// Days with too many small segments, with these, cut into groups of at most about as many rows as a segment should have; all segments when what is past
    /// is to be forgotten.
    fn crowded(&self, segments: &[Segment], all: bool) -> Vec<(Option<Day>, Vec<Segment>)> {
        let mut days: BTreeMap<Option<Day>, Vec<&Segment>> = BTreeMap::new();
        for segment in segments.iter().filter(|segment| all || segment.rows < self.settings.segment_rows as u64 / 2) {
            days.entry(segment.day).or_default().push(segment);
        }
        let mut groups = Vec::new();
        for (day, segments) in days.into_iter().filter(|(_, segments)| all || segments.len() > self.settings.segments) {
            let mut group: Vec<Segment> = Vec::new();
            for segment in segments {
                group.push(segment.clone());
                if group.iter().map(|segment| segment.rows).sum::<u64>() >= self.settings.segment_rows as u64 {
                    groups.push((day, std::mem::take(&mut group)));
                }
            }
            if !group.is_empty() {
                groups.push((day, group));
            }
        }
        groups
    }

    /// The segment each group becomes; none of an empty one.
    fn rewrite(
        &self,
        groups: &[(Option<Day>, Vec<Segment>)],
        join: impl Fn(Option<Day>, &[Segment]) -> Result<Option<Segment>, StateError> + Sync,
    ) -> Result<Vec<Joined>, StateError> {
        groups.par_iter().map(|(day, group)| Ok((group.clone(), join(*day, group)?))).collect()
    }

    fn join_calls(&self, day: Option<Day>, group: &[Segment], manifest: &Manifest) -> Result<Option<Segment>, StateError> {
        let names = Names::default();
        let mut rows: Vec<CallRow> = Vec::new();
        for segment in group {
            tables::decode_calls(self.load(segment)?, &mut |location, record, call, request| {
                if !manifest.is_past(location, segment.number) {
                    let location = match rows.last() {
                        Some(last) if *last.location == *location => Arc::clone(&last.location),
                        _ => Arc::from(location),
                    };
                    rows.push(CallRow::new(&location, record, call, request.copied(), &names));
                }
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
        }
        match day {
            Some(day) if !rows.is_empty() => self.calls_segment(day, &rows, &names).map(Some),
            _ => Ok(None),
        }
    }

    fn join_objects(&self, day: Option<Day>, group: &[Segment], manifest: &Manifest) -> Result<Option<Segment>, StateError> {
        let mut rows: Vec<ObjectRow> = Vec::new();
        for segment in group {
            tables::decode_objects(self.load(segment)?, &mut |row| {
                if !manifest.is_past(&row.location, segment.number) {
                    rows.push(row);
                }
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
        }
        if rows.is_empty() { Ok(None) } else { self.objects_segment(day, &rows).map(Some) }
    }

    /// All requests that calls stand for, together.
    fn join_requests(&self, manifest: &Manifest) -> Result<Vec<Segment>, StateError> {
        let mut wanted: FxHashSet<Fingerprint> = FxHashSet::default();
        for segment in &manifest.calls {
            tables::decode_fingerprints(tables::CALLS, self.load(segment)?, &mut |one| {
                wanted.insert(one);
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
        }
        let mut joined = Vec::new();
        let mut rows: Vec<RequestRow> = Vec::new();
        let mut bytes = 0;
        for segment in &manifest.requests {
            tables::decode_requests(self.load(segment)?, &|fingerprint| wanted.contains(fingerprint), &mut |row| {
                bytes += row.request.len();
                rows.push(row);
                Ok(())
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
            if bytes >= self.settings.request_bytes {
                joined.push(self.requests_segment(&std::mem::take(&mut rows))?);
                bytes = 0;
            }
        }
        if !rows.is_empty() {
            joined.push(self.requests_segment(&rows)?);
        }
        Ok(joined)
    }
}

/// Puts new segments in the place of those they were made of, which go to `old`.
fn replace(segments: &mut Vec<Segment>, old: &mut Vec<Segment>, rewritten: Vec<Joined>) {
    let gone: FxHashSet<u64> = rewritten.iter().flat_map(|(group, _)| group).map(|segment| segment.number).collect();
    if gone.is_empty() {
        return;
    }
    old.extend(segments.extract_if(.., |segment| gone.contains(&segment.number)));
    segments.extend(rewritten.into_iter().filter_map(|(_, made)| made));
    segments.sort_by_key(|segment| segment.number);
}
