//! Where a report goes, and the folder it is written in until it is whole.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;

use chrono::NaiveDate;

use super::ReportError;
use super::apply::Folders;
use crate::trail::Store;

/// Where a report goes.
#[derive(Debug)]
pub enum Place {
    /// A directory, made if need be.
    Directory(PathBuf),
    /// A store: a bucket and a prefix in it.
    Store(Store),
}

/// Files uploaded at once.
const UPLOADS: usize = 16;

/// One complete file of a report that does not yet lie where it belongs.
#[derive(Debug)]
pub(super) struct Written {
    /// Its name below the place: `events.csv`, `events/day=2026-09-15/events.parquet`.
    pub(super) key: String,
    /// Where it lies until then.
    pub(super) path: PathBuf,
}

impl Place {
    /// The folder a report is written in until it is whole: where files can be renamed into a directory, or else where the system keeps temporary ones.
    pub(super) fn claim(&self, scratch: &Scratch) -> Result<Claim, ReportError> {
        let (parent, owned) = match self {
            Place::Directory(directory) => (directory.clone(), true),
            Place::Store(_) => (std::env::temp_dir(), false),
        };
        // Whoever ends the run just now finds the folder; where the run is already being ended none is made.
        let _placing = scratch.placing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut slot = scratch.slot();
        let folder = fs::create_dir_all(&parent)
            .and_then(|()| Folder::make(&parent, owned))
            .map_err(|source| ReportError::Io { path: parent, source })?;
        let path = folder.path.clone();
        *slot = Some(folder);
        Ok(Claim { scratch: scratch.clone(), path })
    }

    /// Puts all files of a report where they belong: the tables and folders, with those of an earlier report that this one does not have taken away, then the
    /// summary, so that whoever sees the new summary sees the rest.
    pub(super) fn publish(&self, tables: &[Written], by_day: &[&str], folders: &Folders, summary: &Written) -> Result<(), ReportError> {
        self.put_all(tables)?;
        for table in by_day {
            for key in self.partitions(table)? {
                if tables.iter().all(|file| file.key != key) {
                    self.delete(&key)?;
                }
            }
        }
        folders.publish(self)?;
        self.put(summary)
    }

    /// The bytes of `key`; None where there is no such file.
    pub(super) fn read(&self, key: &str) -> Result<Option<Vec<u8>>, ReportError> {
        match self {
            Place::Directory(directory) => match fs::read(directory.join(key)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(ReportError::Io { path: directory.join(key), source }),
            },
            Place::Store(store) => store.get(key).map(|found| found.map(|(bytes, _)| bytes)).map_err(ReportError::Store),
        }
    }

    /// Many at once where each takes its time on the way.
    pub(super) fn put_all(&self, files: &[Written]) -> Result<(), ReportError> {
        let at_once = match self {
            Place::Directory(_) => 1,
            Place::Store(_) => UPLOADS.min(files.len()),
        };
        let next = Mutex::new(files.iter());
        let put_some = || {
            loop {
                let file = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(file) = file else { return Ok(()) };
                self.put(file)?;
            }
        };
        thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(put_some)).collect();
            threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    pub(super) fn put(&self, file: &Written) -> Result<(), ReportError> {
        match self {
            Place::Directory(directory) => {
                let path = directory.join(&file.key);
                let made = path.parent().map_or(Ok(()), fs::create_dir_all);
                made.and_then(|()| fs::rename(&file.path, &path)).map_err(|source| ReportError::Io { path, source })
            }
            Place::Store(store) => store.put_file(&file.key, &file.path).map_err(ReportError::Store),
        }
    }

    /// The partitions of `table` that lie there, by exactly the names reports give them: whatever else lies beside them is not ours.
    fn partitions(&self, table: &str) -> Result<Vec<String>, ReportError> {
        let mut keys = match self {
            Place::Directory(directory) => {
                let path = directory.join(table);
                let days = match fs::read_dir(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                    days => days.and_then(Iterator::collect::<io::Result<Vec<_>>>),
                };
                let days = days.map_err(|source| ReportError::Io { path, source })?;
                days.iter().map(|day| format!("{table}/{}/{table}.parquet", day.file_name().to_string_lossy())).collect()
            }
            Place::Store(store) => store.list(&format!("{table}/day=")).map_err(ReportError::Store)?,
        };
        keys.retain(|key| day_of_key(table, key).is_some());
        Ok(keys)
    }

    pub(super) fn delete(&self, key: &str) -> Result<(), ReportError> {
        match self {
            Place::Directory(directory) => {
                let path = directory.join(key);
                match fs::remove_file(&path) {
                    Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(ReportError::Io { path, source }),
                    _ => {}
                }
                // Folders stay where something else lies in them.
                let folders = path.ancestors().skip(1).take_while(|folder| folder != directory);
                let _ = folders.map(fs::remove_dir).take_while(Result::is_ok).count();
                Ok(())
            }
            Place::Store(store) => store.delete(key).map_err(ReportError::Store),
        }
    }
}

/// The key of the partition of `table` for `day`.
pub(super) fn key_of_day(table: &str, day: i32) -> String {
    format!("{table}/day={}/{table}.parquet", super::date_text(day))
}

fn day_of_key(table: &str, key: &str) -> Option<i32> {
    let day: NaiveDate = key.strip_prefix(table)?.strip_prefix("/day=")?.split('/').next()?.parse().ok()?;
    let day = day.to_epoch_days();
    (key == key_of_day(table, day)).then_some(day)
}

/// The folder of a report that is being written, shared with whoever ends the run before its time.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    folder: Arc<Mutex<Option<Folder>>>,
    /// Held while files are put where they belong.
    placing: Arc<Mutex<()>>,
}

/// As long as it is kept no file is put where it belongs.
#[derive(Debug)]
pub struct Hold<'a>(#[allow(dead_code, reason = "held, not read")] MutexGuard<'a, ()>);

impl Scratch {
    /// Keeps files from being put where they belong, and a run whose folder is gone from complaining: to be kept until the process ends. None where they are
    /// being put there already.
    pub fn hold(&self) -> Option<Hold<'_>> {
        match self.placing.try_lock() {
            Ok(guard) => Some(Hold(guard)),
            Err(TryLockError::Poisoned(error)) => Some(Hold(error.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Removes the folder and what was written in it.
    pub fn remove(&self) {
        *self.slot() = None;
    }

    fn slot(&self) -> MutexGuard<'_, Option<Folder>> {
        self.folder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A report's hold on its folder, which goes with it.
pub(super) struct Claim {
    scratch: Scratch,
    pub(super) path: PathBuf,
}

impl Claim {
    /// Waits for good where the run is being ended.
    pub(super) fn hold(&self) -> Hold<'_> {
        Hold(self.scratch.placing.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.scratch.remove();
    }
}

/// A folder of temporary files, removed when dropped. The lock in it tells other runs that it is in use: it ends with the process in whatever way, and the
/// next run takes over what a killed one left.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    _lock: Option<File>,
}

/// Runs that write to one place at the same time, and more than can have been killed.
const FOLDERS: u32 = 10_000;

impl Folder {
    /// A new folder in `parent`; where that is the user's own (`owned`), also one that a killed run left.
    fn make(parent: &Path, owned: bool) -> io::Result<Folder> {
        for number in 0..FOLDERS {
            let path = parent.join(format!(".packtrail-{number}.tmp"));
            let new = match private_folder(&path) {
                Ok(()) => true,
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(_) if owned => false,
                Err(_) => continue,
            };
            let Ok(lock) = File::create(path.join("lock")) else { continue };
            let locked = match lock.try_lock() {
                Ok(()) => true,
                Err(fs::TryLockError::WouldBlock) => false,
                // A file system without locks: only what was just made is surely nobody else's.
                Err(fs::TryLockError::Error(_)) => new,
            };
            if locked && stands(&lock, &path.join("lock")) {
                for left in fs::read_dir(&path)? {
                    let left = left?;
                    if left.file_name() != "lock" {
                        fs::remove_file(left.path())?;
                    }
                }
                return Ok(Folder { path, _lock: Some(lock) });
            }
        }
        Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many folders of runs that were killed"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Once more where a thread that has not been stopped has just made another file.
        for _ in 0..100 {
            match fs::remove_dir_all(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                _ => break,
            }
        }
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// True where `lock` still is the file at `path`, and not one that a run which just ended has removed.
#[cfg(unix)]
fn stands(lock: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let number = |metadata: io::Result<fs::Metadata>| metadata.ok().map(|metadata| (metadata.dev(), metadata.ino()));
    number(lock.metadata()).is_some_and(|own| number(fs::metadata(path)) == Some(own))
}

#[cfg(not(unix))]
fn stands(_: &File, path: &Path) -> bool {
    path.exists()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_run_that_is_being_ended_puts_nothing_in_its_place_and_none_is_ended_in_the_middle_of_it() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::default();
        let claim = Place::Directory(directory.path().to_owned()).claim(&scratch).unwrap();
        let placing = claim.hold();
        assert!(scratch.hold().is_none());
        drop(placing);
        let ending = scratch.hold().unwrap();
        assert!(claim.path.exists());
        scratch.remove();
        assert!(!claim.path.exists());
        let (sender, goes_on) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let _placing = claim.hold();
                sender.send(()).unwrap();
            });
            assert!(goes_on.recv_timeout(Duration::from_millis(50)).is_err());
            drop(ending);
            goes_on.recv_timeout(Duration::from_secs(10)).unwrap();
        });
    }

    #[test]
    fn only_keys_that_reports_write_are_partitions() {
        assert_eq!(day_of_key("daily", "daily/day=1970-01-02/daily.parquet"), Some(1));
        for other in [
            "daily/day=1970-01-02/daily.csv",
            "daily/day=1970-01-02/events.parquet",
            "daily/day=1970-1-2/daily.parquet",
            "daily/day=1970-13-02/daily.parquet",
            "daily/day=1970-01-02/x/daily.parquet",
            "daily/1970-01-02/daily.parquet",
            "events/day=1970-01-02/events.parquet",
        ] {
            assert_eq!(day_of_key("daily", other), None, "{other}");
        }
    }
}
