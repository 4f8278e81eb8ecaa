//! Where kept calls come from: millions of file names that differ by a few characters, kept small.

use rustc_hash::FxHashMap;

/// A directory with the first name seen in it, whose ends the other names share.
struct Directory {
    path: Box<str>,
    first_name: Box<str>,
}

/// A file: its number in the listing, its directory, and what its name does not share with the directory's first name.
#[derive(Clone, Copy)]
struct File {
    number: u32,
    directory: u32,
    middle: u32,
    middle_bytes: u16,
    /// Bytes at the start shared with the first name.
    head_bytes: u16,
    /// Bytes at the end shared with the first name.
    tail_bytes: u16,
}

/// Names of files by their number in the listing.
///
/// A name as CloudTrail gives it takes about 45 bytes here instead of 130.
#[derive(Default)]
pub(super) struct Locations {
    by_path: FxHashMap<Box<str>, u32>,
    directories: Vec<Directory>,
    files: Vec<File>,
    middles: String,
}

impl Locations {
    /// Takes the name of the file of this number.
    pub(super) fn insert(&mut self, number: u32, location: &str) {
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
        self.files.push(File {
            number,
            directory,
            middle: u32::try_from(self.middles.len()).unwrap_or(u32::MAX),
            middle_bytes: length(middle.len()),
            head_bytes: length(head),
            tail_bytes: length(tail),
        });
        self.middles.push_str(middle);
    }

    /// Ready to be asked.
    pub(super) fn finish(&mut self) {
        self.by_path = FxHashMap::default();
        self.files.sort_unstable_by_key(|file| file.number);
    }

    /// The name of the file of this number; None when it was not inserted. Only after [`Locations::finish`].
    pub(super) fn get(&self, number: u32) -> Option<String> {
        let at = self.files.binary_search_by_key(&number, |file| file.number).ok()?;
        let file = self.files.get(at)?;
        let directory = self.directories.get(file.directory as usize)?;
        let head = directory.first_name.get(..usize::from(file.head_bytes))?;
        let tail = directory.first_name.get(directory.first_name.len() - usize::from(file.tail_bytes)..)?;
        let middle = self.middles.get(file.middle as usize..file.middle as usize + usize::from(file.middle_bytes))?;
        Some([&directory.path, head, middle, tail].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_as_cloudtrail_gives_them_take_a_third_of_their_length() {
        let mut locations = Locations::default();
        let name = |at: u32| {
            format!(
                "AWSLogs/o-example/111122223333/CloudTrail/us-east-1/2026/07/{:02}/111122223333_CloudTrail_us-east-1_202607{:02}T{:04}Z_{:016x}.json.gz",
                at % 28 + 1,
                at % 28 + 1,
                at % 2400,
                u64::from(at).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            )
        };
        (0..10_000).for_each(|at| locations.insert(at, &name(at)));
        locations.finish();
        assert!((0..10_000).all(|at| locations.get(at).as_deref() == Some(&name(at))));
        let bytes = locations.middles.len() + locations.files.len() * size_of::<File>();
        assert!(bytes / 10_000 < name(0).len() / 3, "{} bytes a name", bytes / 10_000);
    }

    proptest! {
        #[test]
        fn every_name_comes_back(names in proptest::collection::vec("[ab/é€.]{0,12}", 1..20)) {
            let mut locations = Locations::default();
            for (number, name) in names.iter().enumerate().rev() {
                locations.insert(u32::try_from(number).unwrap(), name);
            }
            locations.finish();
            for (number, name) in names.iter().enumerate() {
                let found = locations.get(u32::try_from(number).unwrap());
                prop_assert_eq!(found.as_deref(), Some(name.as_str()));
            }
            prop_assert_eq!(locations.get(u32::try_from(names.len()).unwrap()), None);
        }
    }
}
