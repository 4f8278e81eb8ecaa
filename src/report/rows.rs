//! The cells of a row, and rows by column, from which Parquet is written.

use polars::prelude::{ArrowDataType, DataType, Field, Schema, TimeUnit, TimeZone};
use polars_arrow::array::{Array, BooleanArray, PrimitiveArray};
use polars_parquet::write::Encoding;

use super::alike::Common;
use super::columns::{Column, Kind, Table};
use super::texts::{self, Texts};

/// Values of one column as they come in.
enum Values {
    Text(Texts),
    /// Times in microseconds, and counts.
    Long(Vec<Option<i64>>),
    Days(Vec<Option<i32>>),
    Decimal(Vec<Option<f64>>),
    Flag(Vec<bool>),
    /// Of several columns: numbers of what other rows have too.
    Common(Vec<u32>),
}

/// One value of a row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// A text.
    Text(Option<&'a str>),
    /// Seconds since 1970-01-01 UTC.
    Time(Option<i64>),
    /// Days since 1970-01-01 UTC.
    Date(Option<i32>),
    /// A whole number.
    Count(Option<i64>),
    /// A number, rounded to two decimals in the tables.
    Decimal(Option<f64>),
    /// True or false.
    Flag(bool),
    /// Values of several columns, by number, that other rows have too: see [`Common`].
    Common(u32),
}

/// Takes the rows of one table.
pub(super) struct Rows {
    table: Table,
    values: Vec<Values>,
    len: usize,
}

impl Rows {
    /// Has no rows yet, and room for `rows`. In place of the columns of `common` each has a [`Cell::Common`].
    pub(super) fn new(table: Table, rows: usize, common: Option<&Common>) -> Rows {
        let (before, after) = match common {
            Some(common) => (table.columns.get(..common.columns.start), table.columns.get(common.columns.end..)),
            None => (Some(table.columns), None),
        };
        let values = |columns: Option<&'static [Column]>| {
            columns.unwrap_or_default().iter().map(move |column| values(column, Texts::new(rows), rows))
        };
        let in_between = common.map(|_| Values::Common(Vec::with_capacity(rows)));
        Rows { table, values: values(before).chain(in_between).chain(values(after)).collect(), len: 0 }
    }

    /// Has no rows yet, and no text of them twice.
    pub(super) fn exact(table: Table) -> Rows {
        Rows { table, values: table.columns.iter().map(|column| values(column, Texts::exact(), 0)).collect(), len: 0 }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes one row: a cell per column, in order and of the column's type.
    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        debug_assert_eq!(row.len(), self.values.len(), "a row of {} has {} cells", self.table.name, row.len());
        for (values, cell) in self.values.iter_mut().zip(row) {
            match (values, *cell) {
                (Values::Text(values), Cell::Text(value)) => values.push(value),
                (Values::Long(values), Cell::Time(value)) => values.push(value.map(|seconds| seconds.saturating_mul(1_000_000))),
                (Values::Long(values), Cell::Count(value)) => values.push(value),
                (Values::Days(values), Cell::Date(value)) => values.push(value),
                (Values::Decimal(values), Cell::Decimal(value)) => values.push(value.map(two_decimals)),
                (Values::Flag(values), Cell::Flag(value)) => values.push(value),
                (Values::Common(values), Cell::Common(number)) => values.push(number),
                _ => debug_assert!(false, "a cell of {} is not of its column's type", self.table.name),
            }
        }
        self.len += 1;
    }

    /// The values of the column at `at` of the rows of these numbers, as [`array`] gives them.
    pub(super) fn repeated(
        &self,
        numbers: impl Iterator<Item = u32> + Clone,
        at: usize,
        dtype: ArrowDataType,
        otherwise: Encoding,
    ) -> Option<(Box<dyn Array>, Encoding)> {
        fn each<T: Copy>(values: &[Option<T>], numbers: impl Iterator<Item = u32>) -> impl Iterator<Item = Option<T>> {
            numbers.map(|number| values.get(number as usize).copied().flatten())
        }
        Some(match self.values.get(at)? {
            Values::Text(texts) => texts::repeated(texts, numbers, otherwise),
            Values::Long(values) => (each(values, numbers).collect::<PrimitiveArray<i64>>().to(dtype).boxed(), otherwise),
            Values::Days(values) => (each(values, numbers).collect::<PrimitiveArray<i32>>().to(dtype).boxed(), otherwise),
            // As in [`array`].
            Values::Decimal(values) => (each(values, numbers).collect::<PrimitiveArray<f64>>().to(dtype).boxed(), Encoding::Plain),
            Values::Flag(values) => {
                let flags = numbers.map(|number| values.get(number as usize).copied().unwrap_or_default());
                (BooleanArray::from_slice(flags.collect::<Vec<_>>()).boxed(), otherwise)
            }
            Values::Common(_) => return None,
        })
    }
}

/// Where the values of `column` come in.
fn values(column: &Column, texts: Texts, rows: usize) -> Values {
    match column.kind {
        Kind::Text => Values::Text(texts),
        Kind::Time | Kind::Count => Values::Long(Vec::with_capacity(rows)),
        Kind::Date => Values::Days(Vec::with_capacity(rows)),
        Kind::Decimal => Values::Decimal(Vec::with_capacity(rows)),
        Kind::Flag => Values::Flag(Vec::with_capacity(rows)),
    }
}

/// The columns of `table` as polars knows them, with real dates and times.
pub(super) fn schema(table: &Table) -> Schema {
    let field = |column: &Column| {
        let of_polars = match column.kind {
            Kind::Text => DataType::String,
            Kind::Time => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Kind::Date => DataType::Date,
            Kind::Count => DataType::Int64,
            Kind::Decimal => DataType::Float64,
            Kind::Flag => DataType::Boolean,
        };
        Field::new(column.name.into(), of_polars)
    };
    table.columns.iter().map(field).collect()
}

/// The values of the column at `at` of parts that follow each other as one array of `dtype`, and how it is to be encoded: as polars would, or `otherwise`.
pub(super) fn array<'a>(
    parts: impl Iterator<Item = &'a Rows> + Clone,
    common: Option<&Common>,
    at: usize,
    dtype: ArrowDataType,
    otherwise: Encoding,
) -> Option<(Box<dyn Array>, Encoding)> {
    let at = match common {
        // The columns in between have one place together.
        Some(common) if at >= common.columns.end => at - (common.columns.len() - 1),
        Some(common) if at >= common.columns.start => {
            let numbers = parts.filter_map(|part| match part.values.get(common.columns.start) {
                Some(Values::Common(numbers)) => Some(numbers),
                _ => None,
            });
            return common.array(numbers.flatten().copied(), at, dtype, otherwise);
        }
        _ => at,
    };
    let parts = parts.filter_map(|part| part.values.get(at));
    macro_rules! of_kind {
        ($kind:ident) => {
            parts.filter_map(|values| if let Values::$kind(values) = values { Some(values) } else { None })
        };
    }
    Some(match parts.clone().next()? {
        Values::Text(_) => texts::array(&of_kind!(Text).collect::<Vec<_>>(), otherwise),
        Values::Long(_) => (of_kind!(Long).flatten().collect::<PrimitiveArray<i64>>().to(dtype).boxed(), otherwise),
        Values::Days(_) => (of_kind!(Days).flatten().collect::<PrimitiveArray<i32>>().to(dtype).boxed(), otherwise),
        // polars has no dictionary of such numbers, which it finds out late.
        Values::Decimal(_) => (of_kind!(Decimal).flatten().collect::<PrimitiveArray<f64>>().to(dtype).boxed(), Encoding::Plain),
        Values::Flag(_) => (BooleanArray::from_slice(of_kind!(Flag).flatten().copied().collect::<Vec<_>>()).boxed(), otherwise),
        Values::Common(_) => return None,
    })
}

pub(super) fn two_decimals(value: f64) -> f64 {
    // Adding zero turns -0.0 into 0.0.
    hundredths(value).map_or_else(|| (value * 100.0).round() / 100.0 + 0.0, |hundredths| hundredths as f64 / 100.0)
}

/// `value` in hundredths, rounded half away from zero; None where that is too large for a float to hold each number of hundredths.
///
/// The same as `f64::round`, which without SSE 4.1 is a call of a function.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // in range, as is checked
pub(super) fn hundredths(value: f64) -> Option<i64> {
    let scaled = value * 100.0;
    (scaled.abs() < 1e15).then(|| {
        let whole = scaled as i64;
        let rest = scaled - whole as f64;
        whole + i64::from(rest >= 0.5) - i64::from(rest <= -0.5)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hundredths_are_rounded_as_the_standard_library_rounds(
            value in prop_oneof![any::<f64>(), -1e13_f64..1e13, -3_f64..3.0],
            half in -1_000_000_i32..1_000_000,
        ) {
            for value in [value, f64::from(half) / 200.0] {
                let expected = (value * 100.0).round() / 100.0 + 0.0;
                prop_assert_eq!(two_decimals(value).to_bits(), expected.to_bits());
                if let Some(hundredths) = hundredths(value) {
                    prop_assert_eq!(hundredths as f64, (value * 100.0).round());
                }
            }
        }
    }
}
