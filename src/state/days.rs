//! Which days of a folder need not be listed again.

use chrono::NaiveDate;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::trail::Day;

/// Days without a gap, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Range {
    /// [`Day::MIN`], null in the file, from the folder's beginning.
    #[serde(serialize_with = "write_from", deserialize_with = "read_from")]
    pub(super) from: Day,
    #[serde(serialize_with = "write_day", deserialize_with = "read_day")]
    pub(super) through: Day,
}

/// `2026-09-15`.
pub(super) fn day_text(day: Day) -> String {
    NaiveDate::from_epoch_days(day).map(|date| date.to_string()).unwrap_or_default()
}

fn day_of(text: &str) -> Option<Day> {
    Some(text.parse::<NaiveDate>().ok()?.to_epoch_days())
}

fn write_from<S: Serializer>(day: &Day, to: S) -> Result<S::Ok, S::Error> {
    write_some_day(&(*day > Day::MIN).then_some(*day), to)
}

fn read_from<'de, D: Deserializer<'de>>(from: D) -> Result<Day, D::Error> {
    Ok(read_some_day(from)?.unwrap_or(Day::MIN))
}

fn write_day<S: Serializer>(day: &Day, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&day_text(*day))
}

fn read_day<'de, D: Deserializer<'de>>(from: D) -> Result<Day, D::Error> {
    read_some_day(from)?.ok_or_else(|| serde::de::Error::custom("a day is missing"))
}

pub(super) fn write_some_day<S: Serializer>(day: &Option<Day>, to: S) -> Result<S::Ok, S::Error> {
    day.map(day_text).serialize(to)
}

pub(super) fn read_some_day<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Day>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| day_of(&text).ok_or_else(|| serde::de::Error::custom("no day"))).transpose()
}

/// Adds days to ranges that are in order and do not meet, and leaves them so.
pub(super) fn close(ranges: &mut Vec<Range>, from: Day, through: Day) {
    if from > through {
        return;
    }
    ranges.push(Range { from, through });
    ranges.sort_unstable();
    let mut merged: Vec<Range> = Vec::with_capacity(ranges.len());
    for &range in ranges.iter() {
        match merged.last_mut() {
            Some(last) if range.from <= last.through.saturating_add(1) => last.through = last.through.max(range.through),
            _ => merged.push(range),
        }
    }
    *ranges = merged;
}

/// The first day from `from` that is in none of `ranges`; None when that is beyond `through`.
pub(super) fn first_open(ranges: &[Range], from: Day, through: Option<Day>) -> Option<Day> {
    let mut open = from;
    for range in ranges {
        if range.from <= open && open <= range.through {
            open = range.through.saturating_add(1);
        }
    }
    through.is_none_or(|through| open <= through).then_some(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_folder_never_listed_is_open_from_its_beginning() {
        assert_eq!(first_open(&[], Day::MIN, Some(10)), Some(Day::MIN));
        assert_eq!(first_open(&[Range { from: Day::MIN, through: 5 }], Day::MIN, Some(10)), Some(6));
        assert_eq!(first_open(&[Range { from: Day::MIN, through: 10 }], Day::MIN, Some(10)), None);
        assert_eq!(first_open(&[Range { from: 3, through: 10 }], Day::MIN, None), Some(Day::MIN));
    }

    proptest! {
        #[test]
        fn ranges_hold_the_days_they_were_given(given in proptest::collection::vec((0..40, 0..6), 0..12), from in 0..45, through in 0..45) {
            let mut ranges = Vec::new();
            let mut days = std::collections::BTreeSet::new();
            for (first, more) in given {
                close(&mut ranges, first, first + more);
                days.extend(first..=first + more);
            }
            prop_assert!(ranges.windows(2).all(|pair| pair[0].through + 1 < pair[1].from));
            let found: std::collections::BTreeSet<Day> = ranges.iter().flat_map(|range| range.from..=range.through).collect();
            prop_assert_eq!(&found, &days);
            prop_assert_eq!(first_open(&ranges, from, Some(through)), (from..=through).find(|day| !days.contains(day)));
        }
    }
}
