//! What many rows of a table have in common, made once for all of them.

use std::hash::Hash;
use std::ops::Range;

use polars_arrow::array::Array;
use polars_arrow::datatypes::ArrowDataType;
use polars_parquet::write::Encoding;
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::columns::Table;
use super::csv;
use super::rows::{Cell, Rows};

/// The items of a table's rows with the number of what each has in common with others.
pub(super) struct Alike<T> {
    /// The items in order.
    pub items: Vec<(T, u32)>,
    /// The first item of each number.
    pub first: Vec<T>,
}

/// Items that one thread looks at, at a time.
const PART_ITEMS: usize = 1 << 16;

/// Unless so many items have something in common on average, it does not pay to look for it.
const LEAST_ALIKE: usize = 4;

/// Items after which that can be told.
const LOOKED_AT: usize = 1 << 14;

/// More than so many are not kept: some 20 MB.
const MOST: usize = 1 << 15;

impl<T: Copy + Send + Sync> Alike<T> {
    /// Finds which of `items` have equal keys. None where too few have.
    pub(super) fn of<K: Copy + Eq + Hash + Send + Sync>(items: &[T], key: impl Fn(&T) -> Option<K> + Sync) -> Option<Alike<T>> {
        let mut alike = Alike { items: Vec::with_capacity(items.len()), first: Vec::new() };
        let mut numbers: FxHashMap<K, u32> = FxHashMap::default();
        // As many parts at a time as there are threads, so that what a part has is given up soon.
        for items in items.chunks(PART_ITEMS * rayon::current_num_threads()) {
            let parts: Vec<Part<K, T>> = items.par_chunks(PART_ITEMS).map(|items| Part::of(items, &key)).collect::<Option<_>>()?;
            for (items, part) in items.chunks(PART_ITEMS).zip(parts) {
                let mut of_part = Vec::with_capacity(part.first.len());
                for (key, item) in part.first {
                    let number = *numbers.entry(key).or_insert_with(|| {
                        alike.first.push(item);
                        u32::try_from(alike.first.len() - 1).unwrap_or(u32::MAX)
                    });
                    of_part.push(number);
                }
                if alike.first.len() > MOST {
                    return None;
                }
                let number = |own: u32| of_part.get(own as usize).copied().unwrap_or(u32::MAX);
                alike.items.extend(items.iter().zip(part.numbers).map(|(&item, own)| (item, number(own))));
            }
        }
        (LEAST_ALIKE * alike.first.len() <= items.len()).then_some(alike)
    }
}

/// Some of the items.
struct Part<K, T> {
    numbers: Vec<u32>,
    first: Vec<(K, T)>,
}

impl<K: Copy + Eq + Hash, T: Copy> Part<K, T> {
    /// None where too few have equal keys.
    fn of(items: &[T], key: impl Fn(&T) -> Option<K>) -> Option<Part<K, T>> {
        let mut by_key: FxHashMap<K, u32> = FxHashMap::default();
        let mut part = Part { numbers: Vec::with_capacity(items.len()), first: Vec::new() };
        for item in items {
            let key = key(item)?;
            let number = *by_key.entry(key).or_insert_with(|| {
                part.first.push((key, *item));
                u32::try_from(part.first.len() - 1).unwrap_or(u32::MAX)
            });
            part.numbers.push(number);
            let seen = part.numbers.len();
            if part.first.len() > MOST || (seen == LOOKED_AT && 10 * part.first.len() > 9 * seen) {
                return None;
            }
        }
        Some(part)
    }
}

/// Cells of neighbouring columns that many rows have in common, by number: a [`Cell::Common`] stands for all of them.
pub(super) struct Common {
    /// The columns' places in the table.
    pub columns: Range<usize>,
    rows: Rows,
    csv: Vec<u8>,
    /// Where in `csv` each ends.
    ends: Vec<usize>,
}

impl Common {
    /// Has no cells yet.
    pub(super) fn new(table: Table, columns: Range<usize>) -> Common {
        let of_columns = Table { columns: table.columns.get(columns.clone()).unwrap_or_default(), ..table };
        Common { columns, rows: Rows::exact(of_columns), csv: Vec::new(), ends: Vec::new() }
    }

    /// Takes the cells of the next number, one for each column.
    pub(super) fn push(&mut self, cells: &[Cell<'_>]) {
        self.rows.push(cells);
        csv::write_cells(&mut self.csv, cells, None);
        self.ends.push(self.csv.len());
    }

    /// The cells of that number as they stand in a line of CSV.
    pub(super) fn csv(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        self.ends.get(number).and_then(|&end| self.csv.get(start..end)).unwrap_or_default()
    }

    /// As [`super::rows::array`], of the column at `at` of the table, for rows of these numbers.
    pub(super) fn array(
        &self,
        numbers: impl Iterator<Item = u32> + Clone,
        at: usize,
        dtype: ArrowDataType,
        otherwise: Encoding,
    ) -> Option<(Box<dyn Array>, Encoding)> {
        self.rows.repeated(numbers, at.checked_sub(self.columns.start)?, dtype, otherwise)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::super::columns::{Column, Kind};
    use super::super::output::Output;
    use super::super::{Format, Layout};
    use super::*;

    const fn column(name: &'static str, kind: Kind) -> Column {
        Column { name, kind, meaning: "" }
    }

    const TABLE: Table = Table {
        name: "rows",
        rows: "",
        by_day: false,
        columns: &[
            column("time", Kind::Time),
            column("text", Kind::Text),
            column("count", Kind::Count),
            column("decimal", Kind::Decimal),
            column("day", Kind::Date),
            column("flag", Kind::Flag),
            column("other", Kind::Text),
            column("place", Kind::Text),
        ],
    };

    const COMMON: Range<usize> = 1..7;

    /// What the rows of that number have in common: each value unknown to some, and few texts to many of them.
    fn with_cells<R>(number: u32, unknown: u32, with: impl FnOnce(&[Cell<'_>; 6]) -> R) -> R {
        let known = |at: u32| (unknown == 0 || !(number + at).is_multiple_of(unknown)).then_some(number);
        let (text, other) = (format!("text \"{}\"", number % 7), format!("the other text of {number}"));
        with(&[
            Cell::Text(known(0).map(|_| &*text)),
            Cell::Count(known(1).map(i64::from)),
            Cell::Decimal(known(2).map(|number| f64::from(number) / 8.0)),
            Cell::Date(known(3).map(|number| i32::try_from(number).unwrap())),
            Cell::Flag(known(4).is_some()),
            Cell::Text(known(5).map(|_| &*other)),
        ])
    }

    /// The files of rows of these numbers, with what they have in common or without.
    fn written(numbers: &[(usize, u32)], unknown: u32, common: Option<Common>) -> Vec<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::create(folder.path(), TABLE, &[Format::Csv, Format::Parquet], Layout::Flat).unwrap();
        let share = common.is_some();
        if let Some(common) = common {
            output = output.with_common(common);
        }
        let rows = |items: &[(usize, u32)], row: &mut dyn FnMut(&[Cell<'_>])| {
            for &(at, number) in items {
                let place = format!("place {at}");
                let (time, place) = (Cell::Time(Some(i64::try_from(at).unwrap())), Cell::Text(Some(&place)));
                if share {
                    row(&[time, Cell::Common(number), place]);
                } else {
                    with_cells(number, unknown, |cells| row(&[&[time], &cells[..], &[place]].concat()));
                }
            }
        };
        let files = output.fill(numbers, |_| None, rows).unwrap();
        files.into_iter().map(|file| fs::read(file.path).unwrap()).collect()
    }

    #[test]
    fn what_few_items_have_in_common_is_not_kept() {
        let of = |distinct: usize| {
            Alike::of(&(0..3 * PART_ITEMS).collect::<Vec<_>>(), |item| Some(item / 2 % distinct)).map(|it| it.first.len())
        };
        assert_eq!([of(1), of(MOST)], [Some(1), Some(MOST)]);
        assert_eq!([of(MOST + 1), of(2 * PART_ITEMS)], [None, None]);
        let in_turn = |distinct: usize| Alike::of(&(0..3 * PART_ITEMS).collect::<Vec<_>>(), |item| Some(item % distinct)).is_some();
        assert!(in_turn(LOOKED_AT / 2) && !in_turn(LOOKED_AT));
        assert!(Alike::of(&[1, 2, 3], |item| Some(item % 2)).is_none());
        assert!(Alike::of(&[1, 1, 1, 1], |item| (*item > 1).then_some(0)).is_none());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn files_are_those_of_rows_that_have_all_their_cells(
            kinds in prop_oneof![1_u32..20, 1_u32..3_000],
            rows in prop_oneof![0_usize..300, 300_usize..3_000, Just(33_000)],
            unknown in 0_u32..9,
            seed in any::<u64>(),
        ) {
            let mut state = seed;
            let numbers: Vec<(usize, u32)> = (0..rows)
                .map(|at| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (at, u32::try_from(state >> 33).unwrap() % kinds)
                })
                .collect();
            let mut common = Common::new(TABLE, COMMON);
            (0..kinds).for_each(|number| with_cells(number, unknown, |cells| common.push(cells)));
            prop_assert!(written(&numbers, unknown, Some(common)) == written(&numbers, unknown, None));
        }

        #[test]
        fn items_have_the_number_of_the_first_with_the_same_key(distinct in 1_usize..2_000, step in 1_usize..1_000, rows in 8_000_usize..200_000) {
            let items: Vec<usize> = (0..rows).map(|row| row * step).collect();
            let alike = Alike::of(&items, |item| Some(item % distinct)).unwrap();
            prop_assert!(alike.items.iter().map(|(item, _)| item).eq(&items));
            let mut seen = std::collections::HashMap::new();
            for &(item, number) in &alike.items {
                let next = seen.len();
                let expected = *seen.entry(item % distinct).or_insert(next);
                prop_assert_eq!(number as usize, expected);
                prop_assert_eq!(alike.first[expected] % distinct, item % distinct);
            }
            prop_assert_eq!(alike.first.len(), seen.len());
        }
    }
}
