//! The tables of a dataset in hive layout for Amazon Athena.
//!
//! Source: Amazon Athena user guide, "Supported types for partition projection", "Set up partition projection" and "Amazon Data Firehose example" (a date
//! projected onto a string column `day`); AWS Glue API, "Column structure" (a comment has at most 255 bytes).

use super::columns::{Kind, TABLES, Table};

/// The first day that a projected range has: AWS announced CloudTrail on 2013-11-13. A day outside the range would be missed silently.
const FIRST_DAY: &str = "2013-11-13";

/// A location that is no `s3://bucket/prefix/`, or has characters that do not belong into a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected s3://bucket/prefix/, not `{0}`")]
pub struct LocationError(String);

/// The statements that make the four tables over a dataset at `location`, each ended by a semicolon, which is nowhere else.
///
/// # Errors
/// [`LocationError`] for anything but `s3://bucket/prefix/`, with or without the last slash.
pub fn athena(location: &str) -> Result<String, LocationError> {
    let root = location.trim_end_matches('/');
    let bucket = root.strip_prefix("s3://").unwrap_or_default().split('/').next().unwrap_or_default();
    let named = !bucket.is_empty() && bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if !named || root.contains(|character: char| character.is_control() || "'\"`\\;$".contains(character)) {
        return Err(LocationError(location.to_owned()));
    }
    let mut text = format!(
        "-- Tables over what `packtrail analyze --layout hive --out {root}/` writes. Athena takes one statement at a time.\n\
         -- The partitions follow from the range of day: nothing is to be crawled, repaired or added. A query without a condition on day\n\
         -- looks into every day of the range, which may be narrowed to the days that are kept.\n"
    );
    for table in TABLES {
        text.push_str(&statement(&table, root));
    }
    Ok(text)
}

fn statement(table: &Table, root: &str) -> String {
    let name = table.name;
    let mut columns = Vec::new();
    for column in table.columns {
        if !(table.by_day && column.name == "day") {
            columns.push(format!("  `{}` {} COMMENT '{}'", column.name, kind(column.kind), comment(column.meaning)));
        }
    }
    let columns = columns.join(",\n");
    let (partitions, properties) = if table.by_day {
        (
            "PARTITIONED BY (\n  `day` string COMMENT 'UTC day, as 2026-09-15'\n)\n",
            format!(
                "\nTBLPROPERTIES (\n  'projection.enabled' = 'true',\n  'projection.day.type' = 'date',\n  'projection.day.format' = 'yyyy-MM-dd',\n  \
                 'projection.day.range' = '{FIRST_DAY},NOW',\n  'projection.day.interval' = '1',\n  'projection.day.interval.unit' = 'DAYS',\n  \
                 'storage.location.template' = '{root}/{name}/day=${{day}}/'\n)"
            ),
        )
    } else {
        ("", String::new())
    };
    format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS `packtrail_{name}` (\n{columns}\n)\n{partitions}STORED AS PARQUET\nLOCATION '{root}/{name}/'{properties};\n"
    )
}

/// The type in Athena's DDL.
fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "string",
        Kind::Time => "timestamp",
        Kind::Date => "date",
        Kind::Count => "bigint",
        Kind::Decimal => "double",
        Kind::Flag => "boolean",
    }
}

/// A meaning as a quoted comment: nothing to escape, and no semicolon, at which clients cut statements.
fn comment(meaning: &str) -> String {
    meaning.replace('\'', "\u{2019}").replace(';', ",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_statement_with_every_column_and_its_type() {
        let text = athena("s3://audit-reports/packtrail/").unwrap();
        assert_eq!(athena("s3://audit-reports/packtrail").unwrap(), text);
        let (_, statements) = text.split_once("\n\n").unwrap();
        let statements: Vec<&str> = statements.split_inclusive(';').map(str::trim).filter(|one| !one.is_empty()).collect();
        assert_eq!(statements.len(), TABLES.len());
        for (statement, table) in statements.iter().zip(TABLES) {
            assert!(statement.starts_with(&format!("CREATE EXTERNAL TABLE IF NOT EXISTS `packtrail_{}` (\n", table.name)));
            for column in table.columns {
                assert_eq!(statement.matches(&format!("  `{}` ", column.name)).count(), 1, "{}", column.name);
                assert!(comment(column.meaning).len() <= 255, "{} has too long a comment", column.name);
            }
            assert_eq!(statement.contains("projection.enabled"), table.by_day);
        }
        assert!(text.contains("  `account_id` string COMMENT 'recipientAccountId, 12 digits',\n"));
    }

    #[test]
    fn a_partitioned_table_stands_as_athena_wants_it() {
        let text = athena("s3://audit-reports/packtrail/").unwrap();
        let (_, daily) = text.split_once("`packtrail_daily`").unwrap();
        let (daily, _) = daily.split_once(';').unwrap();
        let (columns, rest) = daily.split_once("\n)\n").unwrap();
        assert!(columns.ends_with("  `max_packed_bytes` bigint COMMENT 'largest packed request, bytes'"), "{columns}");
        assert_eq!(
            rest,
            "PARTITIONED BY (\n  `day` string COMMENT 'UTC day, as 2026-09-15'\n)\nSTORED AS PARQUET\nLOCATION 's3://audit-reports/packtrail/daily/'\n\
             TBLPROPERTIES (\n  'projection.enabled' = 'true',\n  'projection.day.type' = 'date',\n  'projection.day.format' = 'yyyy-MM-dd',\n  \
             'projection.day.range' = '2013-11-13,NOW',\n  'projection.day.interval' = '1',\n  'projection.day.interval.unit' = 'DAYS',\n  \
             'storage.location.template' = 's3://audit-reports/packtrail/daily/day=${day}/'\n)"
        );
    }

    #[test]
    fn only_a_bucket_and_a_prefix_are_a_location() {
        for wrong in
            ["", "s3://", "s3:///x", "S3://b/x", "/data/out", "https://b/x", "s3://b/x'y", "s3://b/${day}", "s3://b c/x", "s3://b/a;b"]
        {
            assert_eq!(athena(wrong), Err(LocationError(wrong.to_owned())));
        }
        assert!(athena("s3://b").unwrap().contains("LOCATION 's3://b/fixes/'"));
    }
}
