//! Where kept calls come from: millions of file names that differ by a few characters, kept small.

use std::cmp::Ordering;
use std::sync::{PoisonError, RwLock};

use rustc_hash::FxHashMap;

/// A directory with the first name seen in it, whose ends the other names share.
struct Directory {
    path: Box<str>,
    first_name: Box<str>,
}

/// A file: its directory, and what its name does not share with the directory's first name.
#[derive(Clone, Copy)]
struct File {
    directory: u32,
    middle: u32,
    middle_bytes: u16,
    /// Bytes at the start shared with the first name.
    head_bytes: u16,
    /// Bytes at the end shared with the first name.
    tail_bytes: u16,
}

#[derive(Default)]
struct Inner {
    by_path: FxHashMap<Box<str>, u32>,
    directories: Vec<Directory>,
    files: Vec<File>,
    middles: String,
}

/// Names of files by the number each got when it was inserted.
///
/// A name as CloudTrail gives it takes about 41 bytes here instead of 130.
#[derive(Default)]
pub(super) struct Locations(RwLock<Inner>);

impl Locations {
    /// Takes the name of a file and returns its number.
    pub(super) fn insert(&self, location: &str) -> u32 {
        // A poisoned lock only says that another thread panicked between two complete states.
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(location)
    }

    /// The order of two files by their names.
    pub(super) fn order(&self, a: u32, b: u32) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let bytes = |number| inner.parts(number).into_iter().flatten().flat_map(str::bytes);
        bytes(a).cmp(bytes(b))
    }

    /// All names, without what only inserting needs.
    pub(super) fn finish(self) -> FileNames {
        let inner = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        FileNames(Inner { by_path: FxHashMap::default(), ..inner })
    }
}

/// The names of files when all are known: read without a lock.
pub(super) struct FileNames(Inner);

impl FileNames {
    /// Adds the name of the file of this number to `text`; nothing when there is none.
    pub(super) fn write(&self, number: u32, text: &mut String) {
        self.0.parts(number).into_iter().flatten().for_each(|part| text.push_str(part));
    }
}

impl Inner {
    fn insert(&mut self, location: &str) -> u32 {
        let (path, name) = location.rsplit_once('/').map_or(("", location), |(path, _)| location.split_at(path.len() + 1));
        let directory = match self.by_path.get(path) {
            Some(&at) => at,
            None => {
                let at = u32::try_from(self.directories.len()).unwrap_or(u32::MAX);
                self.directories.push(Directory { path: path.into(), first_name: name.into() });
                self.by_path.insert(path.into(), at);
                at
            }
        };
        let first = self.directories.get(directory as usize).map_or("", |one| &one.first_name);
        let limit = usize::from(u16::MAX);
        // Only ASCII characters are shared, so that no cut falls inside a character.
        let alike = |(a, b): &(u8, u8)| a == b && a.is_ascii();
        let head = name.bytes().zip(first.bytes()).take(limit).take_while(alike).count();
        let room = name.len().min(first.len()) - head;
        let tail = name.bytes().rev().zip(first.bytes().rev()).take(room.min(limit)).take_while(alike).count();
        let middle = name.get(head..name.len() - tail).unwrap_or_default();
        let length = |bytes: usize| u16::try_from(bytes).unwrap_or(u16::MAX);
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        self.files.push(File {
            directory,
            middle: u32::try_from(self.middles.len()).unwrap_or(u32::MAX),
            middle_bytes: length(middle.len()),
            head_bytes: length(head),
            tail_bytes: length(tail),
        });
        self.middles.push_str(middle);
        number
    }

    fn parts(&self, number: u32) -> Option<[&str; 4]> {
        let file = self.files.get(number as usize)?;
        let directory = self.directories.get(file.directory as usize)?;
        let head = directory.first_name.get(..usize::from(file.head_bytes))?;
        let tail = directory.first_name.get(directory.first_name.len() - usize::from(file.tail_bytes)..)?;
        let middle = self.middles.get(file.middle as usize..file.middle as usize + usize::from(file.middle_bytes))?;
        Some([&directory.path, head, middle, tail])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(names: &FileNames, number: u32) -> String {
        let mut text = String::new();
        names.write(number, &mut text);
        text
    }

    #[test]
    fn names_as_cloudtrail_gives_them_take_a_third_of_their_length() {
        let locations = Locations::default();
        let name = |at: u32| {
            format!(
                "AWSLogs/o-example/111122223333/CloudTrail/us-east-1/2026/07/{:02}/111122223333_CloudTrail_us-east-1_202607{:02}T{:04}Z_{:016x}.json.gz",
                at % 28 + 1,
                at % 28 + 1,
                at % 2400,
                u64::from(at).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            )
        };
        (0..10_000).for_each(|at| assert_eq!(locations.insert(&name(at)), at));
        let names = locations.finish();
        assert!((0..10_000).all(|at| written(&names, at) == name(at)));
        let inner = names.0;
        let bytes = inner.middles.len() + inner.files.len() * size_of::<File>();
        assert!(bytes / 10_000 < name(0).len() / 3, "{} bytes a name", bytes / 10_000);
    }

    proptest! {
        #[test]
        fn every_name_comes_back_and_keeps_its_order(names in proptest::collection::vec("[ab/é€.]{0,12}", 1..20)) {
            let locations = Locations::default();
            let numbers: Vec<u32> = names.iter().map(|name| locations.insert(name)).collect();
            for (&number, name) in numbers.iter().zip(&names) {
                for (&other, its_name) in numbers.iter().zip(&names) {
                    prop_assert_eq!(locations.order(number, other), name.cmp(its_name));
                }
            }
            let finished = locations.finish();
            for (&number, name) in numbers.iter().zip(&names) {
                prop_assert_eq!(&written(&finished, number), name);
            }
            prop_assert_eq!(written(&finished, u32::try_from(names.len()).unwrap()), "");
        }
    }
}
