//! What a state needs of the place it lies in.

use std::sync::{Mutex, PoisonError};

use crate::trail::{Lock, Store, StoreError, Tag};

/// The manifest's key.
pub(super) const MANIFEST: &str = "manifest.json";

/// Whole files under one root, of which only the manifest is ever written twice. Apart from [`Store`] so that tests can end a run at any of its steps.
#[doc(hidden)]
pub trait Files: Send + Sync {
    /// `key` as a user would name it.
    fn location(&self, key: &str) -> String;

    /// Keeps other processes out, as far as the place can, until this is dropped.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another process is in.
    fn lock(&self) -> Result<(), StoreError>;

    /// The manifest's bytes; None when there is none. Which version they are is remembered.
    ///
    /// # Errors
    /// [`StoreError`].
    fn manifest(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes the manifest where it still is the version read or written last.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when another run wrote it in the meantime.
    fn replace_manifest(&self, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// The bytes of `key`; None when there is no such file.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes `key`, all of it or nothing, and for good when this returns.
    ///
    /// # Errors
    /// [`StoreError`].
    fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError>;

    /// All keys.
    ///
    /// # Errors
    /// [`StoreError`].
    fn list(&self) -> Result<Vec<String>, StoreError>;

    /// Removes `key`; one that is not there is no error.
    ///
    /// # Errors
    /// [`StoreError`].
    fn delete(&self, key: &str) -> Result<(), StoreError>;
}

/// A store, with its lock and the version of the manifest seen last.
pub(super) struct Stored {
    store: Store,
    lock: Mutex<Option<Lock>>,
    tag: Mutex<Option<Tag>>,
}

impl Stored {
    pub(super) fn new(store: Store) -> Stored {
        Stored { store, lock: Mutex::default(), tag: Mutex::default() }
    }
}

impl Files for Stored {
    fn location(&self, key: &str) -> String {
        self.store.location(key)
    }

    fn lock(&self) -> Result<(), StoreError> {
        *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.store.lock()?);
        Ok(())
    }

    fn manifest(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let (bytes, tag) = self.store.get(MANIFEST)?.unzip();
        *self.tag.lock().unwrap_or_else(PoisonError::into_inner) = tag;
        Ok(bytes)
    }

    fn replace_manifest(&self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let mut tag = self.tag.lock().unwrap_or_else(PoisonError::into_inner);
        *tag = Some(self.store.replace(MANIFEST, bytes, tag.as_ref())?);
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.store.get(key)?.map(|(bytes, _)| bytes))
    }

    fn put(&self, key: &str, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.store.put(key, bytes)
    }

    fn list(&self) -> Result<Vec<String>, StoreError> {
        self.store.list("")
    }

    fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.store.delete(key)
    }
}
