//! Which files a state has, as far as this run needs to know.

use rustc_hash::{FxHashMap, FxHashSet};
use sha2::{Digest, Sha256};

use super::{State, StateError, tables};
use crate::trail::{Day, LogFile};

/// Files by the hash of their location: 24 bytes each.
#[derive(Default)]
pub(super) struct Known {
    /// Days of delivery whose objects are here.
    days: FxHashSet<Option<Day>>,
    /// What tells the version of a file that was read; None where nothing did.
    versions: FxHashMap<[u64; 2], Option<u64>>,
    /// Files read in this run.
    fresh: FxHashSet<[u64; 2]>,
}

impl Known {
    /// True when `file` was read as it is now.
    pub(super) fn has(&self, file: &LogFile) -> bool {
        let version = version(file.bytes, file.stamp);
        version.is_some() && self.versions.get(&identity(&file.location)) == Some(&version)
    }

    /// Takes down that `file` was read. True when it was read by an earlier run, as it was then; None when this run has read it already.
    pub(super) fn learn(&mut self, file: &LogFile) -> Option<bool> {
        let identity = identity(&file.location);
        if !self.fresh.insert(identity) {
            return None;
        }
        Some(self.versions.insert(identity, version(file.bytes, file.stamp)).is_some())
    }
}

fn identity(location: &str) -> [u64; 2] {
    let digest: [u8; 32] = Sha256::digest(location.as_bytes()).into();
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = digest;
    [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes([i, j, k, l, m, n, o, p])]
}

/// Size and stamp in one; None where the size is not known beforehand: such a file is read every time.
fn version(bytes: Option<u64>, stamp: u64) -> Option<u64> {
    bytes.map(|bytes| stamp.rotate_left(32) ^ bytes.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

impl State {
    /// Sees to it that `known` has the objects delivered on `day`: a listing that leaves out old days never asks for them.
    pub(super) fn load_known(&self, known: &mut Known, day: Option<Day>) -> Result<(), StateError> {
        if !known.days.insert(day) {
            return Ok(());
        }
        for segment in self.opened.objects.iter().filter(|segment| segment.day == day) {
            tables::decode_objects(self.load(segment)?, &mut |row| {
                if !self.opened.is_past(&row.location, segment.number) {
                    known.versions.insert(identity(&row.location), version(row.bytes, row.stamp));
                }
            })
            .map_err(|reason| self.damaged(&segment.key, reason))?;
        }
        Ok(())
    }
}
