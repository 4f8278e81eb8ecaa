//! Texts that stand in many calls (roles, callers, accounts, regions), each kept once.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustc_hash::FxHashMap;

/// Stands for a text in a [`Names`]; equal texts have equal names within one scan. The order of names means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(u32);

impl Name {
    /// No text.
    pub const NONE: Name = Name(u32::MAX);

    /// A number to sort by where any order will do.
    pub(super) fn order(self) -> u32 {
        self.0
    }

    /// False for [`Name::NONE`].
    pub fn is_some(self) -> bool {
        self != Name::NONE
    }
}

/// The names that one thread has asked for lately: a lock that all threads take for each text costs more than the text.
#[derive(Default)]
pub(super) struct Lately(FxHashMap<Box<str>, Name>);

/// Beyond this many all are forgotten: logs repeat what is near.
const LATELY_MOST: usize = 4096;

impl Lately {
    /// As [`Names::intern`].
    pub(super) fn intern(&mut self, text: &str, names: &Names) -> Name {
        if let Some(name) = self.0.get(text) {
            return *name;
        }
        let name = names.intern(text);
        if self.0.len() >= LATELY_MOST {
            self.0.clear();
        }
        self.0.insert(text.into(), name);
        name
    }

    /// As [`Names::intern_some`].
    pub(super) fn intern_some(&mut self, text: Option<&str>, names: &Names) -> Name {
        text.map_or(Name::NONE, |text| self.intern(text, names))
    }
}

#[derive(Default)]
struct Inner {
    by_text: FxHashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

/// The texts of one scan.
#[derive(Default)]
pub struct Names(RwLock<Inner>);

impl Names {
    /// The name of `text`, made now if it is new.
    pub fn intern(&self, text: &str) -> Name {
        // A poisoned lock only says that another thread panicked between two complete states.
        if let Some(&at) = self.0.read().unwrap_or_else(PoisonError::into_inner).by_text.get(text) {
            return Name(at);
        }
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(&at) = inner.by_text.get(text) {
            return Name(at);
        }
        let at = u32::try_from(inner.texts.len()).unwrap_or(u32::MAX - 1);
        let text: Arc<str> = Arc::from(text);
        inner.texts.push(Arc::clone(&text));
        inner.by_text.insert(text, at);
        Name(at)
    }

    /// As [`Names::intern`]; [`Name::NONE`] for none.
    pub fn intern_some(&self, text: Option<&str>) -> Name {
        text.map_or(Name::NONE, |text| self.intern(text))
    }

    /// The text `name` stands for; None for [`Name::NONE`].
    pub fn text(&self, name: Name) -> Option<Arc<str>> {
        let at = usize::try_from(name.0).ok()?;
        self.0.read().unwrap_or_else(PoisonError::into_inner).texts.get(at).cloned()
    }

    /// For many texts at once. While this lives no text is new: [`Names::intern`] waits for it.
    pub fn read(&self) -> ReadNames<'_> {
        ReadNames(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The texts of one scan, held to be read.
pub struct ReadNames<'a>(RwLockReadGuard<'a, Inner>);

impl ReadNames<'_> {
    /// As [`Names::text`].
    pub fn text(&self, name: Name) -> Option<&str> {
        self.0.texts.get(usize::try_from(name.0).ok()?).map(|text| &**text)
    }
}
