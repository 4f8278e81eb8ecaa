//! A state to a scan.

use std::borrow::Cow;
use std::sync::atomic::Ordering;

use rayon::prelude::*;

use super::manifest::Segment;
use super::{RequestText, State, StateError, lock, tables};
use crate::packing::Request;
use crate::scan::{Coverage, Fate, Scanner};

impl State {
    /// Gives `scanner` everything the state has: calls, the requests they stand for, and what files were read.
    ///
    /// Only what is [committed](State::commit) is part of the state.
    ///
    /// # Errors
    /// [`StateError::Damaged`] when a file of the state is not what it was; [`StateError::Store`].
    pub fn recall(&self, scanner: &Scanner) -> Result<(), StateError> {
        let manifest = lock(&self.committed).clone();
        let kept = |segment: &&Segment| !self.is_pruned(segment);
        manifest.calls.par_iter().filter(kept).try_for_each(|segment| {
            let mut recall = scanner.recall();
            tables::decode_calls(self.load(segment)?, &mut |location, record, call, request| {
                if !manifest.is_past(location, segment.number) {
                    recall.call(location, record, call, request);
                }
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
            recall.done();
            Ok::<_, StateError>(())
        })?;
        // Requests come when it is known which of them calls stand for, so that none is packed in vain.
        manifest.requests.par_iter().try_for_each(|segment| {
            tables::decode_requests(self.load(segment)?, &|fingerprint| scanner.wants(fingerprint), &mut |row| {
                let text: RequestText = serde_json::from_str(&row.request).map_err(|_| "a request in it is no request".to_owned())?;
                let RequestText { policy, policy_arns, tags, inherited_tags } = text;
                scanner.fill(row.role_arn.as_deref(), Request { policy, policy_arns, tags, inherited_tags });
                if scanner.wants(&row.fingerprint) { Err("a request in it has another fingerprint".to_owned()) } else { Ok(()) }
            })
            .map_err(|reason| self.damaged(&segment.key, reason))
        })?;
        if scanner.unfilled() > 0 {
            return Err(self.damaged(super::REQUESTS, format!("{} requests are missing", scanner.unfilled())));
        }
        self.recalled.store(0, Ordering::Relaxed);
        let changed = manifest.superseded.values().max().copied().unwrap_or(0);
        for segment in manifest.objects.iter().filter(kept) {
            self.recall_objects(segment, segment.number < changed, &manifest, scanner)?;
        }
        Ok(())
    }

    /// Counts the objects of a segment: by its sums, and one by one where some are damaged or past.
    fn recall_objects(&self, segment: &Segment, one_by_one: bool, manifest: &super::Manifest, scanner: &Scanner) -> Result<(), StateError> {
        let Some(sums) = &segment.sums else { return Err(self.damaged(super::MANIFEST, "it lacks a part")) };
        let mut coverage = Coverage::default();
        if !one_by_one {
            coverage.files_read = sums.read;
            coverage.skipped = sums.skipped.iter().map(|(what, &count)| (Cow::Owned(what.clone()), count)).collect();
            coverage.files_listed = coverage.files_read + coverage.files_skipped();
            coverage.records = sums.records;
            coverage.bytes_read = sums.bytes_read;
            coverage.bytes_inflated = sums.bytes_inflated;
        }
        if one_by_one || sums.damaged > 0 {
            tables::decode_objects(self.load(segment)?, &mut |row| {
                let counted = !one_by_one && !matches!(row.read.fate, Fate::Damaged(_));
                if !counted && !manifest.is_past(&row.location, segment.number) {
                    coverage.count(&row.location, row.read);
                }
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
        }
        self.recalled.fetch_add(coverage.files_listed, Ordering::Relaxed);
        scanner.remember(coverage);
        Ok(())
    }
}
