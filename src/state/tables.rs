//! The three tables of a state, to Parquet and back. `docs/state.md` describes every column.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Arc;

use polars::prelude::*;

use super::manifest::{Sums, hex, unhex};
use crate::packing::{CallerKind, Operation, Regime, Session};
use crate::scan::{EventId, Fate, FileRead, Fingerprint, Name, Names};
use crate::sts_call::{Knowledge, Outcome, StsCall};

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Time,
    Count,
    Number,
    Flag,
}

impl Kind {
    /// As the documentation calls it.
    #[cfg(test)]
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Time => "timestamp",
            Kind::Count => "int64",
            Kind::Number => "double",
            Kind::Flag => "boolean",
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Text => DataType::String,
            Kind::Time => DataType::Datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)),
            Kind::Count => DataType::Int64,
            Kind::Number => DataType::Float64,
            Kind::Flag => DataType::Boolean,
        }
    }
}

/// Names and types of a table's columns, in order.
pub(super) type Columns = &'static [(&'static str, Kind)];

pub(super) const CALLS: Columns = &[
    ("event_time", Kind::Time),
    ("event_id", Kind::Text),
    ("shared_event_id", Kind::Text),
    ("updates_event_id", Kind::Text),
    ("operation", Kind::Text),
    ("outcome", Kind::Text),
    ("error_code", Kind::Text),
    ("role_arn", Kind::Text),
    ("caller", Kind::Text),
    ("caller_kind", Kind::Text),
    ("caller_knowledge", Kind::Text),
    ("account_id", Kind::Text),
    ("region", Kind::Text),
    ("regime", Kind::Text),
    ("observed_percent", Kind::Number),
    ("session_token_bytes", Kind::Count),
    ("policy_chars", Kind::Count),
    ("session_name_bytes", Kind::Count),
    ("source_identity_bytes", Kind::Count),
    ("minimum_token_bytes", Kind::Count),
    ("service_linked", Kind::Flag),
    ("answered", Kind::Flag),
    ("request_fingerprint", Kind::Text),
    ("location", Kind::Text),
    ("record", Kind::Count),
];

pub(super) const OBJECTS: Columns = &[
    ("location", Kind::Text),
    ("bytes", Kind::Count),
    ("stamp", Kind::Text),
    ("account_id", Kind::Text),
    ("region", Kind::Text),
    ("fate", Kind::Text),
    ("reason", Kind::Text),
    ("records", Kind::Count),
    ("records_read", Kind::Count),
    ("bytes_read", Kind::Count),
    ("bytes_inflated", Kind::Count),
    ("sts_calls", Kind::Count),
];

pub(super) const REQUESTS: Columns = &[("request_fingerprint", Kind::Text), ("role_arn", Kind::Text), ("request", Kind::Text)];

/// One record of an STS call, as it was met in one file.
#[derive(Clone)]
pub(super) struct CallRow {
    pub(super) location: Arc<str>,
    pub(super) record: u32,
    pub(super) time: i64,
    event_id: EventId,
    shared_event_id: EventId,
    updates_event_id: EventId,
    operation: Operation,
    outcome: Outcome,
    caller_kind: CallerKind,
    caller_knowledge: Knowledge,
    regime: Option<Regime>,
    service_linked: bool,
    answered: bool,
    error_code: Name,
    role_arn: Name,
    caller: Name,
    account_id: Name,
    region: Name,
    observed_percent: Option<f64>,
    session_token_bytes: Option<u32>,
    policy_chars: Option<u32>,
    session_name_bytes: Option<u16>,
    source_identity_bytes: Option<u16>,
    minimum_token_bytes: Option<u16>,
    request: Option<Fingerprint>,
}

impl CallRow {
    pub(super) fn new(location: &Arc<str>, record: u32, call: &StsCall<'_>, request: Option<Fingerprint>, names: &Names) -> CallRow {
        CallRow {
            location: Arc::clone(location),
            record,
            time: call.time,
            event_id: EventId::new(call.event_id.as_deref(), names),
            shared_event_id: EventId::new(call.shared_event_id.as_deref(), names),
            updates_event_id: EventId::new(call.updates_event_id.as_deref(), names),
            operation: call.session.operation,
            outcome: call.outcome,
            caller_kind: call.session.caller_kind,
            caller_knowledge: call.caller_knowledge,
            regime: call.regime,
            service_linked: call.session.service_linked,
            answered: call.answered,
            error_code: names.intern_some(call.error_code.as_deref()),
            role_arn: names.intern_some(call.role_arn.as_deref()),
            caller: names.intern_some(call.caller.as_deref()),
            account_id: names.intern_some(call.account_id.as_deref()),
            region: names.intern_some(call.region.as_deref()),
            observed_percent: call.observed_percent,
            session_token_bytes: call.session_token_bytes,
            policy_chars: call.policy_chars,
            session_name_bytes: call.session.session_name_bytes,
            source_identity_bytes: call.session.source_identity_bytes,
            minimum_token_bytes: call.session.minimum_token_bytes,
            request,
        }
    }
}

/// One file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectRow {
    pub(super) location: String,
    pub(super) bytes: Option<u64>,
    pub(super) stamp: u64,
    pub(super) account_id: Option<String>,
    pub(super) region: Option<String>,
    pub(super) read: FileRead,
    pub(super) sts_calls: u64,
}

/// One distinct request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RequestRow {
    pub(super) fingerprint: Fingerprint,
    pub(super) role_arn: Option<String>,
    /// As JSON.
    pub(super) request: String,
}

const OUTCOMES: [(Outcome, &str); 3] =
    [(Outcome::Granted, "granted"), (Outcome::RefusedForSize, "refused_for_size"), (Outcome::RefusedOtherwise, "refused_otherwise")];

const KNOWLEDGE: [(Knowledge, &str); 5] = [
    (Knowledge::Nothing, "nothing"),
    (Knowledge::Account, "account"),
    (Knowledge::PrincipalId, "principal_id"),
    (Knowledge::RoleOfSession, "role_of_session"),
    (Knowledge::Principal, "principal"),
];

fn name_of<T: PartialEq + Copy>(names: &[(T, &'static str)], value: T) -> Option<&'static str> {
    names.iter().find(|one| one.0 == value).map(|one| one.1)
}

fn of_name<T: Copy>(names: &[(T, &str)], name: &str) -> Option<T> {
    names.iter().find(|one| one.1 == name).map(|one| one.0)
}

/// Values of one column as they come in.
enum Values {
    Text(StringChunkedBuilder),
    Count(PrimitiveChunkedBuilder<Int64Type>),
    Number(PrimitiveChunkedBuilder<Float64Type>),
    Flag(BooleanChunkedBuilder),
}

/// One value.
enum Cell<'a> {
    Text(Option<Cow<'a, str>>),
    Count(Option<i64>),
    Number(Option<f64>),
    Flag(bool),
}

fn text(value: Option<&str>) -> Cell<'_> {
    Cell::Text(value.map(Cow::Borrowed))
}

fn count<T: TryInto<i64>>(value: Option<T>) -> Cell<'static> {
    Cell::Count(value.map(|value| value.try_into().unwrap_or(i64::MAX)))
}

/// The Parquet file of these rows.
fn encode<'a>(columns: Columns, rows: impl ExactSizeIterator<Item = Vec<Cell<'a>>>) -> PolarsResult<Vec<u8>> {
    let height = rows.len();
    let mut values: Vec<Values> = columns
        .iter()
        .map(|&(name, kind)| {
            let name = PlSmallStr::from_static(name);
            match kind {
                Kind::Text => Values::Text(StringChunkedBuilder::new(name, height)),
                Kind::Time | Kind::Count => Values::Count(PrimitiveChunkedBuilder::new(name, height)),
                Kind::Number => Values::Number(PrimitiveChunkedBuilder::new(name, height)),
                Kind::Flag => Values::Flag(BooleanChunkedBuilder::new(name, height)),
            }
        })
        .collect();
    for row in rows {
        debug_assert_eq!(row.len(), values.len());
        for (values, cell) in values.iter_mut().zip(row) {
            match (values, cell) {
                (Values::Text(values), Cell::Text(value)) => values.append_option(value.as_deref()),
                (Values::Count(values), Cell::Count(value)) => values.append_option(value),
                (Values::Number(values), Cell::Number(value)) => values.append_option(value),
                (Values::Flag(values), Cell::Flag(value)) => values.append_value(value),
                _ => debug_assert!(false, "a cell is not of its column's type"),
            }
        }
    }
    let columns = values
        .into_iter()
        .zip(columns)
        .map(|(values, (_, kind))| match (values, kind) {
            (Values::Count(values), Kind::Time) => values.finish().into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC)).into_column(),
            (Values::Text(values), _) => values.finish().into_column(),
            (Values::Count(values), _) => values.finish().into_column(),
            (Values::Number(values), _) => values.finish().into_column(),
            (Values::Flag(values), _) => values.finish().into_column(),
        })
        .collect();
    let mut frame = DataFrame::new(height, columns)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None)).set_parallel(false).finish(&mut frame)?;
    Ok(bytes)
}

/// A table read back, or some of its columns.
struct Read {
    frame: DataFrame,
}

/// What stands where it cannot have been written.
const ODD: &str = "it holds a value that no packtrail writes";

impl Read {
    /// All columns, or the one named.
    fn new(columns: Columns, bytes: Vec<u8>, only: Option<&str>) -> Result<Read, String> {
        let mut frame = ParquetReader::new(Cursor::new(bytes))
            .with_columns(only.map(|name| vec![name.to_owned()]))
            .read_parallel(ParallelStrategy::None)
            .finish()
            .map_err(|error| error.to_string())?;
        let wanted = columns.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
        let same = frame.columns().iter().map(|column| (column.name().as_str(), column.dtype().clone()));
        if !same.eq(wanted.map(|&(name, kind)| (name, kind.data_type()))) {
            return Err("its columns are others".to_owned());
        }
        frame.rechunk_mut();
        Ok(Read { frame })
    }

    fn text(&self, name: &str) -> Result<StringChunked, String> {
        self.frame.column(name).and_then(|column| column.str().cloned()).map_err(|error| error.to_string())
    }

    fn count(&self, name: &str) -> Result<Int64Chunked, String> {
        let column = self.frame.column(name).and_then(|column| column.cast(&DataType::Int64));
        column.and_then(|column| column.i64().cloned()).map_err(|error| error.to_string())
    }

    fn number(&self, name: &str) -> Result<Float64Chunked, String> {
        self.frame.column(name).and_then(|column| column.f64().cloned()).map_err(|error| error.to_string())
    }

    fn flag(&self, name: &str) -> Result<BooleanChunked, String> {
        self.frame.column(name).and_then(|column| column.bool().cloned()).map_err(|error| error.to_string())
    }
}

/// None stays None; a value that `read` cannot read is an error.
fn whole<A, B>(value: Option<A>, read: impl FnOnce(A) -> Option<B>) -> Result<Option<B>, String> {
    value.map(|value| read(value).ok_or_else(|| ODD.to_owned())).transpose()
}

fn there<A>(value: Option<A>) -> Result<A, String> {
    value.ok_or_else(|| ODD.to_owned())
}

/// The Parquet file of calls whose texts stand in `names`.
pub(super) fn encode_calls(rows: &[CallRow], names: &Names) -> PolarsResult<Vec<u8>> {
    let shared: Vec<[Option<Arc<str>>; 5]> = rows
        .iter()
        .map(|row| [row.error_code, row.role_arn, row.caller, row.account_id, row.region].map(|name| names.text(name)))
        .collect();
    let rows = rows.iter().zip(&shared).map(|(row, [error_code, role_arn, caller, account_id, region])| {
        let id = |id: EventId| Cell::Text(id.text(names).map(Cow::Owned));
        vec![
            Cell::Count(Some(row.time.saturating_mul(1_000_000))),
            id(row.event_id),
            id(row.shared_event_id),
            id(row.updates_event_id),
            text(Some(row.operation.name())),
            text(name_of(&OUTCOMES, row.outcome)),
            text(error_code.as_deref()),
            text(role_arn.as_deref()),
            text(caller.as_deref()),
            text(Some(row.caller_kind.name())),
            text(name_of(&KNOWLEDGE, row.caller_knowledge)),
            text(account_id.as_deref()),
            text(region.as_deref()),
            text(row.regime.map(Regime::name)),
            Cell::Number(row.observed_percent),
            count(row.session_token_bytes),
            count(row.policy_chars),
            count(row.session_name_bytes),
            count(row.source_identity_bytes),
            count(row.minimum_token_bytes),
            Cell::Flag(row.service_linked),
            Cell::Flag(row.answered),
            Cell::Text(row.request.map(|fingerprint| Cow::Owned(hex(&fingerprint)))),
            text(Some(&row.location)),
            count(Some(row.record)),
        ]
    });
    encode(CALLS, rows)
}

/// Takes a call: location, record, call, fingerprint of its request.
pub(super) type TakeCall<'a> = dyn FnMut(&str, u32, &StsCall<'_>, Option<&Fingerprint>) + 'a;

/// Hands each call of a Parquet file to `take`.
pub(super) fn decode_calls(bytes: Vec<u8>, take: &mut TakeCall<'_>) -> Result<(), String> {
    let read = Read::new(CALLS, bytes, None)?;
    let event_time = read.count("event_time")?;
    let event_id = read.text("event_id")?;
    let shared_event_id = read.text("shared_event_id")?;
    let updates_event_id = read.text("updates_event_id")?;
    let operation = read.text("operation")?;
    let outcome = read.text("outcome")?;
    let error_code = read.text("error_code")?;
    let role_arn = read.text("role_arn")?;
    let caller = read.text("caller")?;
    let caller_kind = read.text("caller_kind")?;
    let caller_knowledge = read.text("caller_knowledge")?;
    let account_id = read.text("account_id")?;
    let region = read.text("region")?;
    let regime = read.text("regime")?;
    let observed_percent = read.number("observed_percent")?;
    let session_token_bytes = read.count("session_token_bytes")?;
    let policy_chars = read.count("policy_chars")?;
    let session_name_bytes = read.count("session_name_bytes")?;
    let source_identity_bytes = read.count("source_identity_bytes")?;
    let minimum_token_bytes = read.count("minimum_token_bytes")?;
    let service_linked = read.flag("service_linked")?;
    let answered = read.flag("answered")?;
    let request_fingerprint = read.text("request_fingerprint")?;
    let location = read.text("location")?;
    let record = read.count("record")?;
    let long = |value: Option<i64>| whole(value, |value| u32::try_from(value).ok());
    let short = |value: Option<i64>| whole(value, |value| u16::try_from(value).ok());
    for at in 0..read.frame.height() {
        let call = StsCall {
            time: there(event_time.get(at))?.div_euclid(1_000_000),
            event_id: event_id.get(at).map(Cow::Borrowed),
            shared_event_id: shared_event_id.get(at).map(Cow::Borrowed),
            updates_event_id: updates_event_id.get(at).map(Cow::Borrowed),
            outcome: there(outcome.get(at).and_then(|name| of_name(&OUTCOMES, name)))?,
            error_code: error_code.get(at).map(Cow::Borrowed),
            role_arn: role_arn.get(at).map(Cow::Borrowed),
            caller: caller.get(at).map(Cow::Borrowed),
            caller_knowledge: there(caller_knowledge.get(at).and_then(|name| of_name(&KNOWLEDGE, name)))?,
            account_id: account_id.get(at).map(Cow::Borrowed),
            region: region.get(at).map(Cow::Borrowed),
            regime: whole(regime.get(at), |name| name.parse().ok())?,
            observed_percent: observed_percent.get(at),
            session_token_bytes: long(session_token_bytes.get(at))?,
            policy_chars: long(policy_chars.get(at))?,
            request: None,
            session: Session {
                operation: there(operation.get(at).and_then(|name| name.parse().ok()))?,
                caller_kind: there(caller_kind.get(at).and_then(|name| name.parse().ok()))?,
                service_linked: there(service_linked.get(at))?,
                session_name_bytes: short(session_name_bytes.get(at))?,
                source_identity_bytes: short(source_identity_bytes.get(at))?,
                minimum_token_bytes: short(minimum_token_bytes.get(at))?,
            },
            answered: there(answered.get(at))?,
            damaged: false,
        };
        let fingerprint = whole(request_fingerprint.get(at), unhex)?;
        take(there(location.get(at))?, there(long(record.get(at))?)?, &call, fingerprint.as_ref());
    }
    Ok(())
}

/// The fingerprints in one column of a Parquet file of calls or of requests.
pub(super) fn decode_fingerprints(columns: Columns, bytes: Vec<u8>, take: &mut dyn FnMut(Fingerprint)) -> Result<(), String> {
    let read = Read::new(columns, bytes, Some("request_fingerprint"))?;
    for text in read.text("request_fingerprint")?.iter().flatten() {
        take(there(unhex(text))?);
    }
    Ok(())
}

/// The Parquet file of objects, and what they come to.
pub(super) fn encode_objects(rows: &[ObjectRow]) -> PolarsResult<(Vec<u8>, Sums)> {
    let mut sums = Sums::default();
    for row in rows {
        match &row.read.fate {
            Fate::Damaged(_) => {
                sums.damaged += 1;
                continue;
            }
            Fate::Read => sums.read += 1,
            Fate::Skipped(what) => *sums.skipped.entry(what.to_string()).or_default() += 1,
        }
        sums.records += row.read.records;
        sums.bytes_read += row.read.bytes_read;
        sums.bytes_inflated += row.read.bytes_inflated;
    }
    let rows = rows.iter().map(|row| {
        let (fate, reason) = match &row.read.fate {
            Fate::Read => ("read", None),
            Fate::Skipped(what) => (what.as_ref(), None),
            Fate::Damaged(reason) => ("damaged", Some(reason.as_str())),
        };
        vec![
            text(Some(&row.location)),
            count(row.bytes),
            Cell::Text(Some(Cow::Owned(format!("{:016x}", row.stamp)))),
            text(row.account_id.as_deref()),
            text(row.region.as_deref()),
            text(Some(fate)),
            text(reason),
            count(Some(row.read.records)),
            count(Some(row.read.records_read)),
            count(Some(row.read.bytes_read)),
            count(Some(row.read.bytes_inflated)),
            count(Some(row.sts_calls)),
        ]
    });
    Ok((encode(OBJECTS, rows)?, sums))
}

/// Hands each object of a Parquet file to `take`.
pub(super) fn decode_objects(bytes: Vec<u8>, take: &mut dyn FnMut(ObjectRow)) -> Result<(), String> {
    let read = Read::new(OBJECTS, bytes, None)?;
    let location = read.text("location")?;
    let bytes = read.count("bytes")?;
    let stamp = read.text("stamp")?;
    let account_id = read.text("account_id")?;
    let region = read.text("region")?;
    let fate = read.text("fate")?;
    let reason = read.text("reason")?;
    let records = read.count("records")?;
    let records_read = read.count("records_read")?;
    let bytes_read = read.count("bytes_read")?;
    let bytes_inflated = read.count("bytes_inflated")?;
    let sts_calls = read.count("sts_calls")?;
    let number = |value: Option<i64>| there(value.and_then(|value| u64::try_from(value).ok()));
    for at in 0..read.frame.height() {
        let fate = match there(fate.get(at))? {
            "read" => Fate::Read,
            "damaged" => Fate::Damaged(there(reason.get(at))?.to_owned()),
            what => Fate::Skipped(Cow::Owned(what.to_owned())),
        };
        take(ObjectRow {
            location: there(location.get(at))?.to_owned(),
            bytes: whole(bytes.get(at), |value| u64::try_from(value).ok())?,
            stamp: there(stamp.get(at).and_then(|text| u64::from_str_radix(text, 16).ok()))?,
            account_id: account_id.get(at).map(str::to_owned),
            region: region.get(at).map(str::to_owned),
            read: FileRead {
                fate,
                records: number(records.get(at))?,
                records_read: number(records_read.get(at))?,
                bytes_read: number(bytes_read.get(at))?,
                bytes_inflated: number(bytes_inflated.get(at))?,
            },
            sts_calls: number(sts_calls.get(at))?,
        });
    }
    Ok(())
}

/// The Parquet file of requests.
pub(super) fn encode_requests(rows: &[RequestRow]) -> PolarsResult<Vec<u8>> {
    let rows = rows
        .iter()
        .map(|row| vec![Cell::Text(Some(Cow::Owned(hex(&row.fingerprint)))), text(row.role_arn.as_deref()), text(Some(&row.request))]);
    encode(REQUESTS, rows)
}

/// Hands each request of a Parquet file that `wanted` says to `take`.
pub(super) fn decode_requests(
    bytes: Vec<u8>,
    wanted: &dyn Fn(&Fingerprint) -> bool,
    take: &mut dyn FnMut(RequestRow) -> Result<(), String>,
) -> Result<(), String> {
    let read = Read::new(REQUESTS, bytes, None)?;
    let fingerprint = read.text("request_fingerprint")?;
    let role_arn = read.text("role_arn")?;
    let request = read.text("request")?;
    for at in 0..read.frame.height() {
        let fingerprint = there(fingerprint.get(at).and_then(unhex))?;
        if wanted(&fingerprint) {
            let role_arn = role_arn.get(at).map(str::to_owned);
            take(RequestRow { fingerprint, role_arn, request: there(request.get(at))?.to_owned() })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some<T: std::fmt::Debug + Clone>(strategy: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
        proptest::option::of(strategy)
    }

    fn cow(text: Option<String>) -> Option<Cow<'static, str>> {
        text.map(Cow::Owned)
    }

    prop_compose! {
        fn call()(
            time in -62_000_000_000_i64..250_000_000_000,
            ids in proptest::array::uniform3(some(prop_oneof!["[a-f0-9]{8}-0000-4000-8000-[a-f0-9]{12}", ".{0,5}"])),
            texts in proptest::array::uniform5(some(".{0,9}")),
            kinds in (0..3_usize, 0..5_usize, some(any::<bool>()), 0..6_usize, 0..11_usize),
            observed in some(prop_oneof![any::<f64>().prop_filter("a number", |value| !value.is_nan()), Just(-0.0)]),
            long in proptest::array::uniform2(some(any::<u32>())),
            short in proptest::array::uniform3(some(any::<u16>())),
            flags in any::<(bool, bool)>(),
        ) -> StsCall<'static> {
            let [event_id, shared_event_id, updates_event_id] = ids.map(cow);
            let [error_code, role_arn, caller, account_id, region] = texts.map(cow);
            let (outcome, knowledge, regime, operation, kind) = kinds;
            StsCall {
                time, event_id, shared_event_id, updates_event_id, error_code, role_arn, caller, account_id, region,
                outcome: OUTCOMES[outcome].0,
                caller_knowledge: KNOWLEDGE[knowledge].0,
                regime: regime.map(|old| if old { Regime::PackedPolicy } else { Regime::SessionToken }),
                observed_percent: observed,
                session_token_bytes: long[0],
                policy_chars: long[1],
                request: None,
                session: Session {
                    operation: ["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "GetFederationToken", "AssumeRoot", "GetSessionToken"][operation].parse().unwrap(),
                    caller_kind: ["IAMUser", "AssumedRole", "Role", "FederatedUser", "SAMLUser", "WebIdentityUser", "AWSService", "AWSAccount", "Root", "IdentityCenterUser", "Unknown"][kind].parse().unwrap(),
                    service_linked: flags.0,
                    session_name_bytes: short[0],
                    source_identity_bytes: short[1],
                    minimum_token_bytes: short[2],
                },
                answered: flags.1,
                damaged: false,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn calls_come_back_as_they_were(calls in proptest::collection::vec((".{0,9}", any::<u32>(), call(), some(any::<[u8; 32]>())), 0..8)) {
            let names = Names::default();
            let rows: Vec<CallRow> = calls.iter().map(|(location, record, call, request)| CallRow::new(&Arc::from(location.as_str()), *record, call, *request, &names)).collect();
            let mut back = Vec::new();
            decode_calls(encode_calls(&rows, &names).unwrap(), &mut |location, record, call, request| {
                let row = CallRow::new(&Arc::from(location), record, call, request.copied(), &names);
                back.push((location.to_owned(), record, row.request, format!("{call:?}")));
            }).unwrap();
            let sent: Vec<_> = calls.into_iter().map(|(location, record, call, request)| (location, record, request, format!("{call:?}"))).collect();
            prop_assert_eq!(back, sent);
        }
    }

    #[test]
    fn objects_and_requests_come_back_as_they_were() {
        let object = |fate| ObjectRow {
            location: "a/é".to_owned(),
            bytes: None,
            stamp: u64::MAX,
            account_id: Some("000000000012".to_owned()),
            region: None,
            read: FileRead { fate, records: 4, records_read: 3, bytes_read: 2, bytes_inflated: 1 },
            sts_calls: 9,
        };
        let objects = [object(Fate::Read), object(Fate::Skipped(Cow::Borrowed("digest"))), object(Fate::Damaged("truncated".to_owned()))];
        let (bytes, sums) = encode_objects(&objects).unwrap();
        assert_eq!((sums.read, sums.damaged, sums.records), (1, 1, 8));
        let mut back = Vec::new();
        decode_objects(bytes, &mut |row| back.push(row)).unwrap();
        assert_eq!(back, objects);

        let request = |first, role: Option<&str>| RequestRow {
            fingerprint: [first; 32],
            role_arn: role.map(str::to_owned),
            request: "{}".to_owned(),
        };
        let requests = [request(1, None), request(2, Some("r")), request(3, Some(""))];
        let bytes = encode_requests(&requests).unwrap();
        let mut back = Vec::new();
        decode_requests(bytes.clone(), &|fingerprint| fingerprint[0] > 1, &mut |row| {
            back.push(row);
            Ok(())
        })
        .unwrap();
        assert_eq!(back, requests[1..]);
        let mut fingerprints = Vec::new();
        decode_fingerprints(REQUESTS, bytes.clone(), &mut |one| fingerprints.push(one[0])).unwrap();
        assert_eq!(fingerprints, [1, 2, 3]);
        assert_eq!(decode_objects(bytes, &mut |_| ()).unwrap_err(), "its columns are others");
    }
}
