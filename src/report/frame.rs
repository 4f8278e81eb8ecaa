//! The cells of a row, and rows to a polars frame, from which Parquet is written.

use polars::prelude::*;

use super::columns::{Kind, Table};

/// Values of one column as they come in.
enum Values {
    Text(StringChunkedBuilder),
    Time(PrimitiveChunkedBuilder<Int64Type>),
    Date(PrimitiveChunkedBuilder<Int32Type>),
    Count(PrimitiveChunkedBuilder<Int64Type>),
    Decimal(PrimitiveChunkedBuilder<Float64Type>),
    Flag(BooleanChunkedBuilder),
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
    /// A number, rounded to two decimals in the frame.
    Decimal(Option<f64>),
    /// True or false.
    Flag(bool),
}

/// Takes the rows of one table.
pub(super) struct Rows {
    table: Table,
    values: Vec<Values>,
    len: usize,
}

impl Rows {
    /// Has no rows yet, and room for `rows`.
    pub(super) fn new(table: Table, rows: usize) -> Rows {
        let values = table
            .columns
            .iter()
            .map(|column| {
                let name = PlSmallStr::from_static(column.name);
                match column.kind {
                    Kind::Text => Values::Text(StringChunkedBuilder::new(name, rows)),
                    Kind::Time => Values::Time(PrimitiveChunkedBuilder::new(name, rows)),
                    Kind::Date => Values::Date(PrimitiveChunkedBuilder::new(name, rows)),
                    Kind::Count => Values::Count(PrimitiveChunkedBuilder::new(name, rows)),
                    Kind::Decimal => Values::Decimal(PrimitiveChunkedBuilder::new(name, rows)),
                    Kind::Flag => Values::Flag(BooleanChunkedBuilder::new(name, rows)),
                }
            })
            .collect();
        Rows { table, values, len: 0 }
    }

    /// Takes one row: a cell per column, in order and of the column's type.
    pub(super) fn push(&mut self, row: &[Cell<'_>]) {
        debug_assert_eq!(row.len(), self.values.len(), "a row of {} has {} cells", self.table.name, row.len());
        for (values, cell) in self.values.iter_mut().zip(row) {
            match (values, *cell) {
                (Values::Text(values), Cell::Text(value)) => values.append_option(value),
                (Values::Time(values), Cell::Time(value)) => values.append_option(value.map(|seconds| seconds.saturating_mul(1_000_000))),
                (Values::Date(values), Cell::Date(value)) => values.append_option(value),
                (Values::Count(values), Cell::Count(value)) => values.append_option(value),
                (Values::Decimal(values), Cell::Decimal(value)) => values.append_option(value.map(two_decimals)),
                (Values::Flag(values), Cell::Flag(value)) => values.append_value(value),
                _ => debug_assert!(false, "a cell of {} is not of its column's type", self.table.name),
            }
        }
        self.len += 1;
    }

    /// The rows as a frame, with real dates and times.
    pub(super) fn frame(self) -> PolarsResult<DataFrame> {
        let columns = self
            .values
            .into_iter()
            .map(|values| {
                Ok(match values {
                    Values::Text(values) => values.finish().into_series().into_column(),
                    Values::Time(values) => {
                        values.finish().into_series().cast(&DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)))?.into_column()
                    }
                    Values::Date(values) => values.finish().into_series().cast(&DataType::Date)?.into_column(),
                    Values::Count(values) => values.finish().into_series().into_column(),
                    Values::Decimal(values) => values.finish().into_series().into_column(),
                    Values::Flag(values) => values.finish().into_series().into_column(),
                })
            })
            .collect::<PolarsResult<Vec<_>>>()?;
        DataFrame::new(self.len, columns)
    }
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
