//! Texts of a column for Parquet: kept once where they repeat.
//!
//! polars finds out for itself whether a column is worth a dictionary and makes it then, with a hash of every text for each. What it says is known here where
//! nearly all texts repeat or nearly none do; only between the two it is left to it.

use std::hash::Hasher;

use hashbrown::HashTable;
use polars_arrow::array::{Array, DictionaryArray, MutableBinaryViewArray, PrimitiveArray};
use polars_arrow::bitmap::Bitmap;
use polars_parquet::write::Encoding;
use rustc_hash::FxHasher;

/// Number of a row whose text is unknown.
const UNKNOWN: u32 = u32::MAX;

/// Texts after which those of a part are no longer looked up, where three in four rows brought a new one.
const LOOKED_UP: usize = 64;

/// Up to so many rows polars makes a dictionary of any texts.
const ALWAYS_DICTIONARY_ROWS: usize = 128;

/// The texts of some rows of a column.
pub(super) struct Texts {
    /// Of each row the number of its text, or [`UNKNOWN`].
    numbers: Vec<u32>,
    /// The texts behind each other, in order of first appearance; where they are no longer looked up there may be equal ones.
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
    /// Of each.
    hashes: Vec<u64>,
    /// Numbers by text; None where they are no longer looked up.
    by_text: Option<HashTable<u32>>,
    /// They always are.
    exact: bool,
}

impl Texts {
    /// Has no rows yet, and room for `rows`.
    pub(super) fn new(rows: usize) -> Texts {
        let by_text = Some(HashTable::new());
        Texts { numbers: Vec::with_capacity(rows), text: String::new(), ends: Vec::new(), hashes: Vec::new(), by_text, exact: false }
    }

    /// Has no rows yet, and no text twice.
    pub(super) fn exact() -> Texts {
        Texts { exact: true, ..Texts::new(0) }
    }

    /// Takes the text of one row.
    pub(super) fn push(&mut self, text: Option<&str>) {
        let number = text.map_or(UNKNOWN, |text| self.number(text));
        self.numbers.push(number);
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(&last) = self.numbers.last()
            && self.get(last) == Some(text)
        {
            return last;
        }
        let hash = hash(text);
        if let Some(by_text) = &self.by_text {
            if let Some(&number) = by_text.find(hash, |&number| self.get(number) == Some(text)) {
                return number;
            }
            if !self.exact && self.ends.len() >= LOOKED_UP && 4 * self.ends.len() > 3 * self.numbers.len() {
                self.by_text = None;
            }
        }
        let number = u32::try_from(self.ends.len()).unwrap_or(UNKNOWN);
        self.text.push_str(text);
        self.ends.push(self.text.len());
        self.hashes.push(hash);
        if let Some(by_text) = &mut self.by_text {
            by_text.insert_unique(hash, number, |&number| self.hashes.get(number as usize).copied().unwrap_or_default());
        }
        number
    }

    /// The text of that number; None for [`UNKNOWN`].
    fn get(&self, number: u32) -> Option<&str> {
        let number = number as usize;
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.text.get(start..end)
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The texts of parts that follow each other as one array, and how polars is to encode it: what comes out are the pages that polars would make of the plain texts.
pub(super) fn array(parts: &[&Texts], otherwise: Encoding) -> (Box<dyn Array>, Encoding) {
    let rows = parts.iter().map(|part| part.numbers.len()).sum();
    if nearly_all_distinct(parts, rows) {
        return (views(parts, rows), Encoding::Plain);
    }
    match dictionary(parts, rows) {
        Some(array) => (array.boxed(), otherwise),
        None => (views(parts, rows), otherwise),
    }
}

/// True where more than 19 in 20 rows have a text of their own. polars' estimate of that is off by less than 1 % mostly, and it makes no dictionary above 3 in 4.
fn nearly_all_distinct(parts: &[&Texts], rows: usize) -> bool {
    let enough = |distinct: usize| 20 * distinct > 19 * rows;
    if rows <= ALWAYS_DICTIONARY_ROWS || !enough(parts.iter().map(|part| part.ends.len()).sum()) {
        return false;
    }
    // There are at least as many texts as there are places that a hash names.
    let places = (32 * rows).next_power_of_two();
    let mut named = vec![0_u64; places / 64];
    for hash in parts.iter().flat_map(|part| &part.hashes) {
        #[allow(clippy::cast_possible_truncation)] // of the low bits
        let place = *hash as usize & (places - 1);
        if let Some(of_64) = named.get_mut(place / 64) {
            *of_64 |= 1 << (place % 64);
        }
    }
    enough(named.iter().map(|of_64| of_64.count_ones() as usize).sum())
}

/// The texts as a dictionary in order of first appearance; None where half of the rows or more have a text of their own, for which polars may decide otherwise.
fn dictionary(parts: &[&Texts], rows: usize) -> Option<DictionaryArray<u32>> {
    let mut texts: Vec<(&str, u64)> = Vec::new();
    let mut by_text = HashTable::new();
    let mut keys: Vec<u32> = Vec::with_capacity(rows);
    let mut unknown = false;
    for part in parts {
        let mut of_part: Vec<u32> = Vec::with_capacity(part.ends.len());
        for (&hash, number) in part.hashes.iter().zip(0..) {
            let text = part.get(number)?;
            let same = |&key: &u32| texts.get(key as usize).is_some_and(|(other, _)| *other == text);
            let key = match by_text.find(hash, same) {
                Some(&key) => key,
                None => {
                    let key = u32::try_from(texts.len()).ok()?;
                    texts.push((text, hash));
                    by_text.insert_unique(hash, key, |&key| texts.get(key as usize).map_or(0, |(_, hash)| *hash));
                    key
                }
            };
            of_part.push(key);
        }
        keys.extend(part.numbers.iter().map(|&number| of_part.get(number as usize).copied().unwrap_or_default()));
        unknown |= part.numbers.contains(&UNKNOWN);
        if is_undecided(texts.len(), unknown, rows) {
            return None;
        }
    }
    let known = unknown.then(|| parts.iter().flat_map(|part| &part.numbers).map(|&number| number != UNKNOWN).collect());
    dictionary_of(texts.into_iter().map(|(text, _)| text), keys, known)
}

/// Whether polars may decide against a dictionary. For its estimate an unknown text is an empty one.
fn is_undecided(distinct: usize, unknown: bool, rows: usize) -> bool {
    rows > ALWAYS_DICTIONARY_ROWS && 2 * (distinct + usize::from(unknown)) >= rows
}

fn dictionary_of<'a>(texts: impl ExactSizeIterator<Item = &'a str>, keys: Vec<u32>, known: Option<Bitmap>) -> Option<DictionaryArray<u32>> {
    let mut values = MutableBinaryViewArray::<str>::with_capacity(texts.len());
    texts.for_each(|text| values.push_value(text));
    DictionaryArray::try_from_keys(PrimitiveArray::from_vec(keys).with_validity(known), values.freeze().boxed(), false).ok()
}

/// As [`array`], of the texts of these rows of `texts`, which has none twice.
pub(super) fn repeated(texts: &Texts, rows: impl Iterator<Item = u32> + Clone, otherwise: Encoding) -> (Box<dyn Array>, Encoding) {
    let numbers = rows.map(|row| texts.numbers.get(row as usize).copied().unwrap_or(UNKNOWN));
    let mut keys_of: Vec<Option<u32>> = vec![None; texts.ends.len()];
    let mut distinct: Vec<u32> = Vec::new();
    let mut keys: Vec<u32> = Vec::new();
    let mut unknown = false;
    for number in numbers.clone() {
        let Some(key) = keys_of.get_mut(number as usize) else {
            unknown = true;
            keys.push(0);
            continue;
        };
        keys.push(*key.get_or_insert_with(|| {
            distinct.push(number);
            u32::try_from(distinct.len() - 1).unwrap_or(u32::MAX)
        }));
    }
    if !is_undecided(distinct.len(), unknown, keys.len()) {
        let known = unknown.then(|| numbers.clone().map(|number| number != UNKNOWN).collect());
        let of = distinct.iter().map(|&number| texts.get(number).unwrap_or_default());
        if let Some(array) = dictionary_of(of, keys, known) {
            return (array.boxed(), otherwise);
        }
    }
    let mut views = MutableBinaryViewArray::<str>::new();
    numbers.for_each(|number| views.push(texts.get(number)));
    (views.freeze().boxed(), otherwise)
}

/// The texts as they are.
fn views(parts: &[&Texts], rows: usize) -> Box<dyn Array> {
    let mut views = MutableBinaryViewArray::<str>::with_capacity(rows);
    for part in parts {
        part.numbers.iter().for_each(|&number| views.push(part.get(number)));
    }
    views.freeze().boxed()
}
