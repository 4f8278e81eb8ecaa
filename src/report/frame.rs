//! Rows to columns to a polars frame: CSV, Parquet and JSON are written from the same one.

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
    pub(super) fn new(table: Table) -> Rows {
        let values = table
            .columns
            .iter()
            .map(|column| {
                let name = PlSmallStr::from_static(column.name);
                match column.kind {
                    Kind::Text => Values::Text(StringChunkedBuilder::new(name, 0)),
                    Kind::Time => Values::Time(PrimitiveChunkedBuilder::new(name, 0)),
                    Kind::Date => Values::Date(PrimitiveChunkedBuilder::new(name, 0)),
                    Kind::Count => Values::Count(PrimitiveChunkedBuilder::new(name, 0)),
                    Kind::Decimal => Values::Decimal(PrimitiveChunkedBuilder::new(name, 0)),
                    Kind::Flag => Values::Flag(BooleanChunkedBuilder::new(name, 0)),
                }
            })
            .collect();
        Rows { table, values, len: 0 }
    }

    /// Rows taken so far.
    pub(super) fn len(&self) -> usize {
        self.len
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
    (value * 100.0).round() / 100.0 + 0.0
}
