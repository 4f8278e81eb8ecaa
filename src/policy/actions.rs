//! The actions IAM knows: which names a wildcard matches today.
//!
//! The list that ships is that of 2026-09-26; its source and licence stand in `src/policy/actions/NOTICE`. AWS adds actions every week, so whatever rests on
//! the list names its date.

use std::fmt;
use std::sync::LazyLock;

/// The list that ships, gzip.
const SHIPPED: &[u8] = include_bytes!("actions/2026-09-26.json.gz");

/// The day the shipped list was made.
const SHIPPED_DATE: &str = "2026-09-26";

/// More than any list of actions inflates to.
const MOST_BYTES: usize = 16 << 20;

/// Every IAM action known on some day, `service:Action` as AWS spells it, in order without regard to letter case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionList {
    source: String,
    /// None for the list that ships.
    own: Option<Vec<String>>,
}

/// The actions of the list that ships. Read when they are first asked for: it takes longer than all else when a run begins, and most need none of them.
static ALL_SHIPPED: LazyLock<Vec<String>> = LazyLock::new(|| inflate(SHIPPED).and_then(|text| parse(&text).ok()).unwrap_or_default());

/// Why a text is no list of actions.
#[derive(Debug, thiserror::Error)]
pub enum ActionListError {
    /// No JSON.
    #[error("no JSON: line {line} column {column}")]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Not an object of lists of names.
    #[error("expected an object with a list of action names for each service prefix, found {found} in `{place}`")]
    Shape {
        /// What stands there instead.
        found: &'static str,
        /// The service prefix, or the whole.
        place: String,
    },
    /// Holds no action.
    #[error("holds no action")]
    Empty,
}

impl ActionList {
    /// The list that ships with packtrail, of 2026-09-26.
    pub fn shipped() -> ActionList {
        ActionList { source: format!("the list of {SHIPPED_DATE}"), own: None }
    }

    /// Reads a list in the form `{"s3": ["GetObject", ...], ...}`, which `source` names in what is said of it.
    ///
    /// # Errors
    /// [`ActionListError`] when `text` has another form or names no action.
    pub fn from_json(text: &str, source: impl Into<String>) -> Result<ActionList, ActionListError> {
        let actions = parse(text)?;
        if actions.is_empty() { Err(ActionListError::Empty) } else { Ok(ActionList { source: source.into(), own: Some(actions) }) }
    }

    /// What the list is called: `the list of 2026-09-26`, or the file it was read from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Every action, `service:Action`, in order without regard to letter case.
    pub fn all(&self) -> &[String] {
        self.own.as_deref().unwrap_or(&ALL_SHIPPED)
    }
}

impl fmt::Display for ActionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} actions)", self.source, self.all().len())
    }
}

fn inflate(gzip: &[u8]) -> Option<String> {
    let size = gzip.last_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize).filter(|&size| size <= MOST_BYTES)?;
    let mut text = vec![0; size];
    libdeflater::Decompressor::new().gzip_decompress(gzip, &mut text).ok()?;
    String::from_utf8(text).ok()
}

fn parse(text: &str) -> Result<Vec<String>, ActionListError> {
    use serde_json::Value;
    let kind = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    let value: Value = serde_json::from_str(text).map_err(|error| ActionListError::Json { line: error.line(), column: error.column() })?;
    let shape = |found: &Value, place: &str| ActionListError::Shape { found: kind(found), place: place.to_owned() };
    let Value::Object(services) = &value else { return Err(shape(&value, "the whole")) };
    let mut actions = Vec::new();
    for (service, names) in services {
        let Value::Array(names) = names else { return Err(shape(names, service)) };
        for name in names {
            let Value::String(name) = name else { return Err(shape(name, service)) };
            actions.push(format!("{service}:{name}"));
        }
    }
    actions.sort_by_cached_key(|action| action.to_ascii_lowercase());
    actions.dedup_by(|one, other| one.eq_ignore_ascii_case(other));
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_list_holds_what_aws_had_on_its_day() {
        let list = ActionList::shipped();
        assert_eq!(list.all().len(), 22_091);
        assert!(list.all().iter().any(|action| action == "s3:GetObject"));
        assert!(list.all().is_sorted_by_key(|action| action.to_ascii_lowercase()));
        assert_eq!(list.source(), "the list of 2026-09-26");
    }

    #[test]
    fn a_list_of_ones_own_is_read_and_one_that_is_none_is_refused_with_its_place() {
        let list = ActionList::from_json(r#"{"s3":["PutObject","GetObject"],"ec2":["RunInstances"]}"#, "mine.json").unwrap();
        assert_eq!(list.all(), ["ec2:RunInstances", "s3:GetObject", "s3:PutObject"]);
        let refused = |text: &str| ActionList::from_json(text, "mine.json").unwrap_err().to_string();
        assert_eq!(refused("{\n \"s3\": [,"), "no JSON: line 2 column 9");
        assert_eq!(
            refused(r#"{"s3":"GetObject"}"#),
            "expected an object with a list of action names for each service prefix, found a text in `s3`"
        );
        assert_eq!(refused(r#"{"s3":[]}"#), "holds no action");
        assert!(refused("[1]").ends_with("found a list in `the whole`"));
    }
}
