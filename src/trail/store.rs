//! A place for whole files under one root, on disk or in S3: where states are kept and reports go.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::S3Options;
use super::s3::{self, Cause, Condition, Failure, Objects};

/// Why a [`Store`] could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system or the network refused.
    #[error("{location}")]
    Io {
        /// The file concerned.
        location: String,
        /// What the system said.
        source: io::Error,
    },
    /// Another process holds the lock, or wrote what was to be replaced in the meantime.
    #[error("{location}: another run is using it")]
    Taken {
        /// What is contended.
        location: String,
    },
}

/// Says which version of a file was read: an ETag in S3; on disk, where a lock keeps others out, nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag(Option<String>);

/// Keeps other processes from locking the same store; given up when dropped or when the process ends in whatever way.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Option<File>);

/// Files under one root, by keys such as `calls/day=2026-09-15/a.parquet`.
#[derive(Debug)]
pub struct Store {
    root: Root,
}

#[derive(Debug)]
enum Root {
    Disk(PathBuf),
    S3(Objects),
}

impl Store {
    /// `s3://bucket/prefix`, which must be reachable, or a directory as with [`Store::disk`]. Of `options` the profile counts: a role and requester pays are the
    /// sources' own.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be made or reached.
    pub fn open(location: &str, options: &S3Options, private: bool) -> Result<Store, StoreError> {
        if !location.starts_with("s3://") {
            return Store::disk(Path::new(location), private);
        }
        let failed = |source: io::Error| StoreError::Io { location: location.to_owned(), source };
        let (bucket, prefix) = s3::split(location).ok_or_else(|| failed(io::Error::other("no bucket named")))?;
        let objects = Objects::open(bucket, prefix, options).map_err(|failure| failed(failure.into()))?;
        Ok(Store { root: Root::S3(objects) })
    }

    /// The directory at `path`, made if need be, readable by its owner alone where `private`.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be made.
    pub fn disk(path: &Path, private: bool) -> Result<Store, StoreError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        if private {
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        }
        #[cfg(not(unix))]
        let _ = private;
        builder.create(path).map_err(|source| StoreError::Io { location: path.to_string_lossy().into_owned(), source })?;
        Ok(Store { root: Root::Disk(path.to_owned()) })
    }

    /// `key` as a user would name it.
    pub fn location(&self, key: &str) -> String {
        match &self.root {
            Root::Disk(root) => root.join(key).to_string_lossy().into_owned(),
            Root::S3(objects) => objects.location(key),
        }
    }

    fn failed(&self, key: &str) -> impl Fn(Failure) -> StoreError {
        let location = self.location(key);
        move |failure| match failure.cause {
            Cause::Conflict => StoreError::Taken { location: location.clone() },
            _ => StoreError::Io { location: location.clone(), source: failure.into() },
        }
    }

    fn io(&self, key: &str) -> impl Fn(io::Error) -> StoreError {
        let location = self.location(key);
        move |source| StoreError::Io { location: location.clone(), source }
    }

    /// Keeps other processes out until the lock is dropped. In S3 nothing is locked: [`Store::replace`] tells who lost.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another process holds it.
    pub fn lock(&self) -> Result<Lock, StoreError> {
        match &self.root {
            Root::Disk(root) => {
                let file = File::create(root.join("lock")).map_err(self.io("lock"))?;
                match file.try_lock() {
                    Ok(()) => Ok(Lock(Some(file))),
                    Err(TryLockError::WouldBlock) => Err(StoreError::Taken { location: self.location("") }),
                    Err(TryLockError::Error(source)) => Err(self.io("lock")(source)),
                }
            }
            Root::S3(_) => Ok(Lock(None)),
        }
    }

    /// The bytes of `key` and which version they are; None when there is no such file.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn get(&self, key: &str) -> Result<Option<(Vec<u8>, Tag)>, StoreError> {
        match &self.root {
            Root::Disk(root) => match fs::read(root.join(key)) {
                Ok(bytes) => Ok(Some((bytes, Tag(None)))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(self.io(key)(error)),
            },
            Root::S3(objects) => {
                let found = objects.get(key).map_err(self.failed(key))?;
                Ok(found.map(|(bytes, etag)| (bytes, Tag(Some(etag)))))
            }
        }
    }

    /// Writes `key`: all of it or nothing, and for good when this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        match &self.root {
            Root::Disk(root) => write_whole(&root.join(key), &bytes).map_err(self.io(key)),
            Root::S3(objects) => objects.put(key, bytes, Condition::None).map(drop).map_err(self.failed(key)),
        }
    }

    /// Writes `key` from the file at `path`, which may be gone afterwards: on disk it is moved.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put_file(&self, key: &str, path: &Path) -> Result<(), StoreError> {
        match &self.root {
            Root::Disk(root) => move_whole(path, &root.join(key)),
            Root::S3(objects) => objects.put_file(key, path),
        }
        .map_err(self.io(key))
    }

    /// Writes `key` where it still is the version `tag` (None: where there is no such file), and returns the new version's tag.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another process wrote it first; on disk the lock excludes that. [`StoreError::Io`].
    pub fn replace(&self, key: &str, bytes: Vec<u8>, tag: Option<&Tag>) -> Result<Tag, StoreError> {
        match &self.root {
            Root::Disk(_) => self.put(key, bytes).map(|()| Tag(None)),
            Root::S3(objects) => {
                let condition = match tag {
                    None => Condition::New,
                    Some(Tag(etag)) => Condition::Is(etag.as_deref().unwrap_or_default()),
                };
                objects.put(key, bytes, condition).map(|etag| Tag(Some(etag))).map_err(self.failed(key))
            }
        }
    }

    /// All keys that start with `prefix`, in order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        match &self.root {
            Root::Disk(root) => {
                let mut keys = Vec::new();
                for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
                    let entry = entry.map_err(|error| self.io("")(error.into()))?;
                    if entry.file_type().is_file()
                        && let Ok(below) = entry.path().strip_prefix(root)
                        && let Some(key) = below.to_str()
                        && key.starts_with(prefix)
                    {
                        keys.push(key.to_owned());
                    }
                }
                keys.sort_unstable();
                Ok(keys)
            }
            Root::S3(objects) => objects.list(prefix).map_err(self.failed(prefix)),
        }
    }

    /// Removes `key`; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete(&self, key: &str) -> Result<(), StoreError> {
        match &self.root {
            Root::Disk(root) => match fs::remove_file(root.join(key)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.io(key)(error)),
                _ => Ok(()),
            },
            Root::S3(objects) => objects.delete(key).map_err(self.failed(key)),
        }
    }
}

/// Renames, or copies where the two lie on different file systems.
fn move_whole(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    File::open(from)?.sync_all()?;
    if fs::rename(from, to).is_ok() {
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        return Ok(());
    }
    let name = to.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let copied = fs::copy(from, &temporary).and_then(|_| {
        File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, to)
    });
    match copied {
        Ok(()) => fs::remove_file(from),
        Err(_) => {
            let _ = fs::remove_file(&temporary);
            copied
        }
    }
}

/// Under a temporary name first, then renamed, then the folder synced: a crash leaves the old file or the new one.
fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    let written = File::create(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        #[cfg(unix)]
        File::open(folder)?.sync_all()?;
        Ok(())
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
