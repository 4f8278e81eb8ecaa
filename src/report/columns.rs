//! Every column of every table: named once, with its type, its unit and its meaning. The tables, `packtrail schema` and the tests read this.

/// Type of a column's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8 text.
    Text,
    /// A UTC instant: microseconds in Parquet, RFC 3339 in CSV.
    Time,
    /// A UTC date.
    Date,
    /// A whole number.
    Count,
    /// A number with two decimals.
    Decimal,
    /// True or false.
    Flag,
}

impl Kind {
    /// The Parquet logical type, as `packtrail schema` names it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "string",
            Kind::Time => "timestamp (UTC, microseconds)",
            Kind::Date => "date",
            Kind::Count => "int64",
            Kind::Decimal => "double",
            Kind::Flag => "boolean",
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in every form of the table.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means, with its unit and when it is empty.
    pub meaning: &'static str,
}

/// One table.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name, and that of its files.
    pub name: &'static str,
    /// What a row is and how rows are ordered.
    pub rows: &'static str,
    /// In a partitioned dataset it has a file for each UTC day, which its first column tells.
    pub by_day: bool,
    /// Its columns in order.
    pub columns: &'static [Column],
}

const fn column(name: &'static str, kind: Kind, meaning: &'static str) -> Column {
    Column { name, kind, meaning }
}

use Kind::{Count, Date, Decimal, Flag, Text, Time};

/// One row per kept call.
pub const EVENTS: Table = Table {
    name: "events",
    rows: "one row per kept STS call, by event_time, then event_id",
    by_day: true,
    columns: &[
        column("event_time", Time, "when the call was made (eventTime)"),
        column("event_id", Text, "eventID of the record; empty when it has none"),
        column(
            "operation",
            Text,
            "AssumeRole, AssumeRoleWithSAML, AssumeRoleWithWebIdentity, GetFederationToken, AssumeRoot or GetSessionToken",
        ),
        column("outcome", Text, "granted or refused (for whatever reason)"),
        column("error_code", Text, "errorCode; empty when granted"),
        column(
            "role_arn",
            Text,
            "the role assumed; empty for GetFederationToken, GetSessionToken and AssumeRoot, and where a refusal does not log it",
        ),
        column("caller", Text, "the principal behind the session, never a session name; empty when the record names none"),
        column("caller_kind", Text, "userIdentity.type"),
        column("account_id", Text, "recipientAccountId, 12 digits"),
        column("region", Text, "awsRegion"),
        column(
            "regime",
            Text,
            "packed-policy (until September 2026) or session-token; empty for a refusal with no granted call in its region",
        ),
        column(
            "observed_percent",
            Decimal,
            "what STS logged, points of the limit of the regime; for a size refusal the percentage of its message; empty when nothing was logged",
        ),
        column(
            "session_token_bytes",
            Count,
            "bytes of the session token: sessionTokenSize, else the length of the logged token; empty when redacted or refused",
        ),
        column(
            "recomputed_percent",
            Decimal,
            "what the engine says, points of the limit of the regime (today's where it is unknown); empty when the request is not logged",
        ),
        column("recomputed_low_percent", Decimal, "lower end of the engine's range"),
        column("recomputed_high_percent", Decimal, "upper end of the engine's range"),
        column(
            "residual_percent",
            Decimal,
            "observed_percent - recomputed_percent rounded as STS does (down, by the built-in figures), points; empty when either is",
        ),
        column("packed_bytes", Count, "policy_bytes + policy_arn_bytes + tag_bytes + inherited_tag_bytes"),
        column("policy_bytes", Count, "packed bytes of the session policy; empty when the request is not logged"),
        column("policy_arn_bytes", Count, "packed bytes of the managed policy ARNs"),
        column("tag_bytes", Count, "packed bytes of the session tags passed"),
        column("inherited_tag_bytes", Count, "packed bytes of the inherited (transitive) tags"),
        column("policy_chars", Count, "characters of the inline policy as sent, white space included; empty without one"),
        column("policy_arn_count", Count, "managed policy ARNs passed"),
        column("tag_count", Count, "session tags passed"),
        column("inherited_tag_count", Count, "transitive tags inherited from the calling session"),
        column(
            "request_fingerprint",
            Text,
            "SHA-256 in hexadecimal of the canonical request (role, policy without white space, ARNs, tags by key; not the session name)",
        ),
        column("location", Text, "log file and, after #, the number of the record in it, from 1"),
    ],
};

/// One row per series: the findings.
pub const PRINCIPALS: Table = Table {
    name: "principals",
    rows: "one row per role x caller x operation, worst status first, then largest latest size; percentages, slopes, dates, driver and reason are against the limit that limit_name names",
    by_day: false,
    columns: &[
        column("role_arn", Text, "the role assumed; empty as in events"),
        column("caller", Text, "the principal behind the sessions"),
        column("caller_kind", Text, "userIdentity.type of the latest call"),
        column("operation", Text, "what was called"),
        column("status", Text, "failing, critical, warning, watch or ok"),
        column("reason", Text, "why, in a sentence"),
        column("calls", Count, "kept calls, refused ones included"),
        column("refused_calls", Count, "calls refused for their size"),
        column("first_seen", Time, "time of the first call"),
        column("last_seen", Time, "time of the last call"),
        column(
            "latest_percent",
            Decimal,
            "95th percentile over the calls of the last 7 days that have calls, points of the limit; empty when none has a size",
        ),
        column("p95_percent", Decimal, "95th percentile over all calls, points of the limit"),
        column("max_percent", Decimal, "largest size, points of the limit"),
        column("max_session_token_bytes", Count, "longest session token, bytes; empty when none was logged"),
        column("slope_percent_per_day", Decimal, "growth of the daily 95th percentile, points a day; empty with too few days"),
        column("slope_low", Decimal, "lower end of the slope's 95 % interval, points a day"),
        column("slope_high", Decimal, "upper end of the slope's 95 % interval, points a day"),
        column("limit_date", Date, "first day the trend reaches 100 %; empty when not growing or later than 365 days after the window"),
        column("limit_date_low", Date, "earlier end of the date's 95 % interval"),
        column("limit_date_high", Date, "later end of the date's 95 % interval; empty when beyond 365 days"),
        column(
            "limit_name",
            Text,
            "the nearest limit, which the row is about: sts (the limit in force for the series) or a --ceiling; the worse status counts, then the larger latest_percent, then sts",
        ),
        column("driver", Text, "the part that grew most: policy, policy_arns, tags, inherited_tags or other; empty where nothing grew"),
        column("worst_event_id", Text, "eventID of the call with the largest size; against a ceiling, of those that were granted"),
        column("actionable", Flag, "false where nobody can change the request: the caller is an AWS service"),
        column("best_fix", Text, "title of the best fix; empty when none is needed or none helps"),
        column("best_fix_percent", Decimal, "size after the best fix, points of the same limit"),
    ],
};

/// One row per day of a series.
pub const DAILY: Table = Table {
    name: "daily",
    rows: "one row per day x role x caller x operation, in that order; percentages are against STS's limit in force for the series, never a ceiling",
    by_day: true,
    columns: &[
        column("day", Date, "UTC day"),
        column("role_arn", Text, "the role assumed; empty as in events"),
        column("caller", Text, "the principal behind the sessions"),
        column("operation", Text, "what was called"),
        column("calls", Count, "calls of the day, refused ones included"),
        column("refused_calls", Count, "calls refused for their size"),
        column("p50_percent", Decimal, "median size by nearest rank, points of the limit; empty when no call of the day has a size"),
        column("p95_percent", Decimal, "95th percentile by nearest rank, points of the limit"),
        column("max_percent", Decimal, "largest size, points of the limit"),
        column("max_session_token_bytes", Count, "longest session token, bytes"),
        column("max_packed_bytes", Count, "largest packed request, bytes"),
    ],
};

/// One row per suggested fix.
pub const FIXES: Table = Table {
    name: "fixes",
    rows: "one row per suggested fix of a finding, findings in the order of principals, best fix first; percentages are of the limit_name in principals",
    by_day: false,
    columns: &[
        column("role_arn", Text, "the role assumed; empty as in events"),
        column("caller", Text, "the principal behind the sessions"),
        column("operation", Text, "what was called"),
        column("rank", Count, "1 for the best fix of the finding"),
        column("rule", Text, "name of the rule that made it"),
        column("title", Text, "what to do, in a sentence"),
        column("effect", Text, "same-meaning, or needs-review where the session's permissions or context change"),
        column("before_percent", Decimal, "size of the largest request, as the engine computes it, points of the limit"),
        column("after_percent", Decimal, "size after the fix, points of the limit"),
        column("after_low_percent", Decimal, "lower end of its range"),
        column("after_high_percent", Decimal, "upper end of its range"),
        column("saved_bytes", Count, "bytes the fix saves: packed bytes, and padding of the token where minimumSessionTokenSize goes"),
        column("detail", Text, "the rewritten part or the steps to take"),
        column(
            "folder",
            Text,
            "folder below --out with the policy, its diff, the request, the commands and a page about the fix; empty beyond the three best of a finding and with --redact",
        ),
    ],
};

/// Every table.
pub const TABLES: [Table; 4] = [EVENTS, PRINCIPALS, DAILY, FIXES];
