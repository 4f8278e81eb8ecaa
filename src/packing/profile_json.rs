//! A profile as JSON, version 1: documented in `docs/profile.md`. What is written can be read back to the same profile.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::basis::{Basis, KindBasis};
use super::profile::{Compression, Profile, Rounding, Sizing, TokenBase};
use super::range::{Content, Margins, Range};
use super::{CallerKind, Operation, PlainForm, Regime};

/// The version of the format that is written, and the newest that is read.
const VERSION: u64 = 1;
/// The member that tells a profile from any other JSON, and its version.
const MARK: &str = "packtrail_profile";

/// Why a text is no profile. Messages name the place in the document.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The text is no JSON.
    #[error("no profile: {0}")]
    Json(serde_json::Error),
    /// A JSON document of something else.
    #[error("no profile: the member `packtrail_profile` with the version is missing")]
    NoProfile,
    /// Written by a newer packtrail.
    #[error("profile of version {0}, written by a newer packtrail; this one reads version {VERSION}")]
    Newer(u64),
    /// A member is missing, or not what it should be.
    #[error("damaged profile: `{place}`: expected {expected}")]
    Member {
        /// The path of the member from the top, parted by dots.
        place: String,
        /// What should stand there.
        expected: String,
    },
    /// A member that stands in its object more than once: which one counts would hang on who reads it.
    #[error("damaged profile: `{place}`: stands there twice")]
    Repeated {
        /// The path of the member from the top, parted by dots.
        place: String,
    },
    /// A member that this version does not know.
    #[error("damaged profile: `{place}`: not a member of version {VERSION}")]
    Unknown {
        /// The path of the member from the top, parted by dots.
        place: String,
    },
}

/// `value` with as few decimals as tell it apart.
fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

impl Profile {
    /// The profile as JSON: every figure under its field's name, one object for each regime. Null where an entry of `token_bases` matches any.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert(MARK.to_owned(), VERSION.into());
        for regime in Regime::ALL {
            object.insert(regime.name().to_owned(), sizing_json(self.sizing(regime)));
        }
        Value::Object(object)
    }

    /// The profile of a text that [`Profile::to_json`] gave.
    ///
    /// # Errors
    /// [`ProfileError`] when the text is no JSON, no profile, a newer one, or one that a hand or a disk has damaged.
    pub fn from_json(text: &str) -> Result<Profile, ProfileError> {
        let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(ProfileError::Json)?;
        let version = value.get(MARK).ok_or(ProfileError::NoProfile)?;
        let version =
            version.as_u64().filter(|&version| version > 0).ok_or_else(|| expected(MARK, "the version, a whole number from 1"))?;
        if version > VERSION {
            return Err(ProfileError::Newer(version));
        }
        let mut members = Members::new(&value, "")?;
        members.take(MARK)?;
        let mut sizing = |regime: Regime| sizing_from(&mut members.object(regime.name())?, regime);
        let profile = Profile { packed_policy: sizing(Regime::PackedPolicy)?, session_token: sizing(Regime::SessionToken)? };
        members.end()?;
        match repeated_member(text) {
            Some(place) => Err(ProfileError::Repeated { place }),
            None => Ok(profile),
        }
    }
}

fn sizing_json(sizing: &Sizing) -> Value {
    let margins = &sizing.margins;
    json!({
        "limit_bytes": sizing.limit_bytes,
        "rounding": sizing.rounding.name(),
        "tag_overhead_bytes": sizing.tag_overhead_bytes,
        "inherited_tag_overhead_bytes": sizing.inherited_tag_overhead_bytes,
        "policy_arn_bytes": decimal(sizing.policy_arn_bytes),
        "policy_arn_char_bytes": decimal(sizing.policy_arn_char_bytes),
        "plain_form": {
            "element_bytes": sizing.plain_form.element_bytes,
            "list_bytes": sizing.plain_form.list_bytes,
            "length_bytes": sizing.plain_form.length_bytes,
        },
        "plain_statement_bytes": decimal(sizing.plain_statement_bytes),
        "plain_policy_bytes": decimal(sizing.plain_policy_bytes),
        "codec": sizing.codec.to_string(),
        "compression": sizing.compression.name(),
        "compressed_statement_bytes": decimal(sizing.compressed_statement_bytes),
        "compressed_policy_bytes": decimal(sizing.compressed_policy_bytes),
        "session_name_factor": decimal(sizing.session_name_factor),
        "unknown_session_name_bytes": sizing.unknown_session_name_bytes,
        "source_identity_factor": decimal(sizing.source_identity_factor),
        "source_identity_overhead_bytes": sizing.source_identity_overhead_bytes,
        "source_identity_margin_bytes": decimal(sizing.source_identity_margin_bytes),
        "token_bases": sizing.token_bases.iter().map(token_base_json).collect::<Vec<_>>(),
        "margins": {
            "policy_arn_low_bytes": decimal(margins.policy_arn_low_bytes),
            "policy_arn_high_bytes": decimal(margins.policy_arn_high_bytes),
            "plain_exact_bytes": margins.plain_exact_bytes,
            "plain_high_bytes": decimal(margins.plain_high_bytes),
            "compressed_bytes": decimal(margins.compressed_bytes),
            "web_identity_tags_high_bytes": decimal(margins.web_identity_tags_high_bytes),
        },
        "ranges": sizing.ranges.iter().map(range_json).collect::<Vec<_>>(),
        "basis": sizing.basis.as_ref().map(basis_json),
    })
}

fn token_base_json(base: &TokenBase) -> Value {
    json!({
        "operation": base.operation.map(Operation::name),
        "caller_kind": base.caller_kind.map(CallerKind::name),
        "service_linked": base.service_linked,
        "bytes": base.bytes,
        "low_bytes": base.low_bytes,
        "high_bytes": base.high_bytes,
        "source": base.source,
    })
}

fn range_json(range: &Range) -> Value {
    json!({
        "content": range.content.name(),
        "requests": range.requests,
        "low_bytes": decimal(range.low_bytes),
        "high_bytes": decimal(range.high_bytes),
        "low_share": decimal(range.low_share),
        "high_share": decimal(range.high_share),
    })
}

fn basis_json(basis: &Basis) -> Value {
    json!({
        "calls": basis.calls,
        "requests": basis.requests,
        "requests_sampled": basis.requests_sampled,
        "policies": basis.policies,
        "from_day": basis.from_day,
        "through_day": basis.through_day,
        "outliers_above": basis.outliers_above,
        "outliers_below": basis.outliers_below,
        "padded": basis.padded,
        "ambiguous": basis.ambiguous,
        "at_prior": basis.at_prior,
        "kinds": basis.kinds.iter().map(kind_json).collect::<Vec<_>>(),
    })
}

fn kind_json(kind: &KindBasis) -> Value {
    json!({
        "content": kind.content.name(),
        "requests": kind.requests,
        "logged": kind.logged,
        "mean_error_percent": kind.mean_error_percent,
        "p90_error_percent": kind.p90_error_percent,
        "worst_error_percent": kind.worst_error_percent,
    })
}

/// An object or a list that a walk over JSON text is in.
struct Level {
    place: String,
    /// Names so far; None in a list.
    names: Option<HashSet<String>>,
    /// The name last read.
    name: String,
    /// The number of the item in a list.
    item: usize,
}

/// The place of the first member of `text`, which is JSON, that its object has already; a [`Value`] keeps the last of them and does not tell.
fn repeated_member(text: &str) -> Option<String> {
    let mut levels: Vec<Level> = Vec::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let mut behind = rest.get(sign.len_utf8()..)?;
        match sign {
            '{' | '[' => {
                let place = levels.last().map_or_else(String::new, |level| match level.names {
                    Some(_) => place_in(&level.place, &level.name),
                    None => format!("{}[{}]", level.place, level.item),
                });
                levels.push(Level { place, names: (sign == '{').then(HashSet::new), name: String::new(), item: 0 });
            }
            '}' | ']' => {
                levels.pop();
            }
            ',' => {
                if let Some(level) = levels.last_mut() {
                    level.item += 1;
                }
            }
            '"' => {
                let mut escaped = false;
                let end = behind.find(|one| {
                    let ends = one == '"' && !escaped;
                    escaped = one == '\\' && !escaped;
                    ends
                })?;
                let string = rest.get(..end + 2)?;
                behind = behind.get(end + 1..)?;
                if behind.trim_start().starts_with(':')
                    && let Some(level) = levels.last_mut()
                {
                    // Two spellings of one name are one name.
                    level.name = serde_json::from_str(string).ok()?;
                    if level.names.as_mut().is_some_and(|names| !names.insert(level.name.clone())) {
                        return Some(place_in(&level.place, &level.name));
                    }
                }
            }
            _ => {}
        }
        rest = behind;
    }
    None
}

fn place_in(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

/// The members of one object, each to be taken once.
struct Members<'a> {
    place: String,
    left: Map<String, Value>,
    object: &'a Map<String, Value>,
}

impl<'a> Members<'a> {
    fn new(value: &'a Value, place: &str) -> Result<Members<'a>, ProfileError> {
        let object = value.as_object().ok_or_else(|| expected(place, "an object"))?;
        Ok(Members { place: place.to_owned(), left: object.clone(), object })
    }

    fn place_of(&self, name: &str) -> String {
        place_in(&self.place, name)
    }

    fn take(&mut self, name: &str) -> Result<&'a Value, ProfileError> {
        self.left.remove(name);
        self.object.get(name).ok_or_else(|| expected(&self.place_of(name), "a value, nothing is there"))
    }

    fn wanted<T>(&mut self, name: &str, what: &str, read: impl FnOnce(&'a Value) -> Option<T>) -> Result<T, ProfileError> {
        let value = self.take(name)?;
        read(value).ok_or_else(|| expected(&self.place_of(name), what))
    }

    fn whole<T: TryFrom<u64>>(&mut self, name: &str) -> Result<T, ProfileError> {
        self.wanted(name, "a whole number of its range", |value| T::try_from(value.as_u64()?).ok())
    }

    // Figures have a few digits.
    #[allow(clippy::cast_possible_truncation)]
    fn number(&mut self, name: &str, least: f64) -> Result<f32, ProfileError> {
        let what = format!("a number from {least} to 100000");
        self.wanted(name, &what, |value| value.as_f64().filter(|number| (least..=100_000.0).contains(number)).map(|number| number as f32))
    }

    fn points(&mut self, name: &str) -> Result<Option<f64>, ProfileError> {
        self.wanted(name, "a number or null", |value| match value {
            Value::Null => Some(None),
            _ => value.as_f64().map(Some),
        })
    }

    fn text(&mut self, name: &str) -> Result<&'a str, ProfileError> {
        self.wanted(name, "a text", Value::as_str)
    }

    fn choice<T: Copy>(&mut self, name: &str, all: &[T], called: impl Fn(T) -> &'static str) -> Result<T, ProfileError> {
        let what = all.iter().map(|&one| format!("`{}`", called(one))).collect::<Vec<_>>().join(" or ");
        self.wanted(name, &what, |value| {
            let text = value.as_str()?;
            all.iter().copied().find(|&one| called(one) == text)
        })
    }

    fn object(&mut self, name: &str) -> Result<Members<'a>, ProfileError> {
        let value = self.take(name)?;
        Members::new(value, &self.place_of(name))
    }

    fn list<T>(&mut self, name: &str, mut read: impl FnMut(&mut Members<'a>) -> Result<T, ProfileError>) -> Result<Vec<T>, ProfileError> {
        let items = self.wanted(name, "a list", Value::as_array)?;
        let place = self.place_of(name);
        let item = |(at, item): (usize, &'a Value)| {
            let mut members = Members::new(item, &format!("{place}[{at}]"))?;
            let one = read(&mut members)?;
            members.end()?;
            Ok(one)
        };
        items.iter().enumerate().map(item).collect()
    }

    /// Nothing may be left: what is not understood may matter.
    fn end(&self) -> Result<(), ProfileError> {
        match self.left.keys().next() {
            Some(name) => Err(ProfileError::Unknown { place: self.place_of(name) }),
            None => Ok(()),
        }
    }
}

fn expected(place: &str, what: &str) -> ProfileError {
    ProfileError::Member { place: place.to_owned(), expected: what.to_owned() }
}

fn sizing_from(members: &mut Members<'_>, regime: Regime) -> Result<Sizing, ProfileError> {
    let mut form = members.object("plain_form")?;
    let plain_form = PlainForm {
        element_bytes: form.whole("element_bytes")?,
        list_bytes: form.whole("list_bytes")?,
        length_bytes: form.whole("length_bytes")?,
    };
    form.end()?;
    let mut margin = members.object("margins")?;
    let margins = Margins {
        policy_arn_low_bytes: margin.number("policy_arn_low_bytes", 0.0)?,
        policy_arn_high_bytes: margin.number("policy_arn_high_bytes", 0.0)?,
        plain_exact_bytes: margin.whole("plain_exact_bytes")?,
        plain_high_bytes: margin.number("plain_high_bytes", 0.0)?,
        compressed_bytes: margin.number("compressed_bytes", 0.0)?,
        web_identity_tags_high_bytes: margin.number("web_identity_tags_high_bytes", 0.0)?,
    };
    margin.end()?;
    let basis = match members.take("basis")? {
        Value::Null => None,
        _ => Some(basis_from(&mut members.object("basis")?)?),
    };
    let codec = members.text("codec")?.parse().map_err(|error| expected(&members.place_of("codec"), &format!("a codec ({error})")))?;
    let sizing = Sizing {
        regime,
        limit_bytes: members.whole("limit_bytes")?,
        rounding: members.choice("rounding", &Rounding::ALL, Rounding::name)?,
        tag_overhead_bytes: members.whole("tag_overhead_bytes")?,
        inherited_tag_overhead_bytes: members.whole("inherited_tag_overhead_bytes")?,
        policy_arn_bytes: members.number("policy_arn_bytes", 0.0)?,
        policy_arn_char_bytes: members.number("policy_arn_char_bytes", 0.0)?,
        plain_form,
        plain_statement_bytes: members.number("plain_statement_bytes", -100_000.0)?,
        plain_policy_bytes: members.number("plain_policy_bytes", -100_000.0)?,
        codec,
        compression: members.choice("compression", &[Compression::WhenSmaller, Compression::Always], Compression::name)?,
        compressed_statement_bytes: members.number("compressed_statement_bytes", -100_000.0)?,
        compressed_policy_bytes: members.number("compressed_policy_bytes", -100_000.0)?,
        session_name_factor: members.number("session_name_factor", 0.0)?,
        unknown_session_name_bytes: members.whole("unknown_session_name_bytes")?,
        source_identity_factor: members.number("source_identity_factor", 0.0)?,
        source_identity_overhead_bytes: members.whole("source_identity_overhead_bytes")?,
        source_identity_margin_bytes: members.number("source_identity_margin_bytes", 0.0)?,
        token_bases: members.list("token_bases", token_base_from)?,
        margins,
        ranges: members.list("ranges", range_from)?,
        basis,
    };
    if sizing.limit_bytes == 0 {
        return Err(expected(&members.place_of("limit_bytes"), "a limit above 0"));
    }
    if sizing.token_bases.is_empty() {
        return Err(expected(&members.place_of("token_bases"), "at least one entry"));
    }
    members.end()?;
    Ok(sizing)
}

fn token_base_from(members: &mut Members<'_>) -> Result<TokenBase, ProfileError> {
    fn named<T: std::str::FromStr>(members: &mut Members<'_>, name: &str, what: &str) -> Result<Option<T>, ProfileError> {
        members.wanted(name, what, |value| match value {
            Value::Null => Some(None),
            _ => value.as_str()?.parse().ok().map(Some),
        })
    }
    let base = TokenBase {
        operation: named(members, "operation", "an STS operation or null")?,
        caller_kind: named(members, "caller_kind", "a userIdentity.type or null")?,
        service_linked: members.wanted("service_linked", "true, false or null", |value| match value {
            Value::Null => Some(None),
            _ => value.as_bool().map(Some),
        })?,
        bytes: members.whole("bytes")?,
        low_bytes: members.whole("low_bytes")?,
        high_bytes: members.whole("high_bytes")?,
        source: members.text("source")?.to_owned(),
    };
    if base.low_bytes > base.bytes || base.bytes > base.high_bytes {
        return Err(expected(&members.place_of("bytes"), "a number from `low_bytes` to `high_bytes`"));
    }
    Ok(base)
}

fn content_from(members: &mut Members<'_>) -> Result<Content, ProfileError> {
    members.choice("content", &Content::ALL, Content::name)
}

fn range_from(members: &mut Members<'_>) -> Result<Range, ProfileError> {
    Ok(Range {
        content: content_from(members)?,
        requests: members.whole("requests")?,
        low_bytes: members.number("low_bytes", 0.0)?,
        high_bytes: members.number("high_bytes", 0.0)?,
        low_share: members.number("low_share", 0.0)?,
        high_share: members.number("high_share", 0.0)?,
    })
}

fn basis_from(members: &mut Members<'_>) -> Result<Basis, ProfileError> {
    let basis = Basis {
        calls: members.whole("calls")?,
        requests: members.whole("requests")?,
        requests_sampled: members.whole("requests_sampled")?,
        policies: members.whole("policies")?,
        from_day: members.text("from_day")?.to_owned(),
        through_day: members.text("through_day")?.to_owned(),
        outliers_above: members.whole("outliers_above")?,
        outliers_below: members.whole("outliers_below")?,
        padded: members.whole("padded")?,
        ambiguous: members.whole("ambiguous")?,
        at_prior: members
            .wanted("at_prior", "a list of texts", |value| value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect())?,
        kinds: members.list("kinds", |kind| {
            Ok(KindBasis {
                content: content_from(kind)?,
                requests: kind.whole("requests")?,
                logged: kind.whole("logged")?,
                mean_error_percent: kind.points("mean_error_percent")?,
                p90_error_percent: kind.points("p90_error_percent")?,
                worst_error_percent: kind.points("worst_error_percent")?,
            })
        })?,
    };
    members.end()?;
    Ok(basis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted() -> Profile {
        let mut profile = Profile::builtin();
        let sizing = &mut profile.packed_policy;
        sizing.policy_arn_char_bytes = 0.1;
        sizing.compressed_policy_bytes = -2.5;
        sizing.rounding = Rounding::Up;
        sizing.compression = Compression::Always;
        sizing.ranges =
            vec![Range { content: Content::Tags, requests: 9, low_bytes: 0.0, high_bytes: 1.5, low_share: 0.0, high_share: 0.02 }];
        let kind = KindBasis {
            content: Content::Tags,
            requests: 30,
            logged: 29,
            mean_error_percent: Some(0.25),
            p90_error_percent: Some(1.0),
            worst_error_percent: None,
        };
        sizing.basis = Some(Basis { calls: 40, at_prior: vec!["codec".to_owned()], kinds: vec![kind], ..Basis::default() });
        profile
    }

    #[test]
    fn a_profile_comes_back_as_it_was_written() {
        for profile in [Profile::builtin(), fitted()] {
            let text = serde_json::to_string_pretty(&profile.to_json()).unwrap();
            assert_eq!(Profile::from_json(&text).unwrap(), profile);
        }
        assert_eq!(decimal(0.1), json!(0.1));
    }

    /// The message for the JSON of a fitted profile in which `change` was made.
    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut value = fitted().to_json();
        change(&mut value);
        Profile::from_json(&value.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn a_newer_a_foreign_and_a_cut_profile_are_told_apart() {
        assert_eq!(refusal(|value| value[MARK] = json!(2)), "profile of version 2, written by a newer packtrail; this one reads version 1");
        assert_eq!(
            Profile::from_json("{}").unwrap_err().to_string(),
            "no profile: the member `packtrail_profile` with the version is missing"
        );
        assert_eq!(
            Profile::from_json("{\"packtrail_profile\": 1,").unwrap_err().to_string(),
            "no profile: EOF while parsing a value at line 1 column 24"
        );
        for version in [json!(0), json!("1"), json!(1.5), json!(null)] {
            assert_eq!(
                refusal(|value| value[MARK] = version),
                "damaged profile: `packtrail_profile`: expected the version, a whole number from 1"
            );
        }
    }

    #[test]
    fn damage_is_named_with_its_place() {
        let at = |name: &'static str, new: Value| refusal(|value| value["packed-policy"][name] = new);
        assert_eq!(at("limit_bytes", json!(-1)), "damaged profile: `packed-policy.limit_bytes`: expected a whole number of its range");
        assert_eq!(at("limit_bytes", json!(0)), "damaged profile: `packed-policy.limit_bytes`: expected a limit above 0");
        assert_eq!(at("rounding", json!("off")), "damaged profile: `packed-policy.rounding`: expected `down` or `nearest` or `up`");
        assert_eq!(
            at("session_name_factor", json!(-1)),
            "damaged profile: `packed-policy.session_name_factor`: expected a number from 0 to 100000"
        );
        assert_eq!(
            at("codec", json!("rar 5")),
            "damaged profile: `packed-policy.codec`: expected a codec (no codec of this build: `rar 5`)"
        );
        assert_eq!(at("extra", json!(1)), "damaged profile: `packed-policy.extra`: not a member of version 1");
        assert_eq!(at("token_bases", json!([])), "damaged profile: `packed-policy.token_bases`: expected at least one entry");
        assert_eq!(
            refusal(|value| value["session-token"]["token_bases"][2]["low_bytes"] = json!(5000)),
            "damaged profile: `session-token.token_bases[2].bytes`: expected a number from `low_bytes` to `high_bytes`"
        );
        let removed = refusal(|value| {
            value["session-token"].as_object_mut().unwrap().remove("codec");
        });
        assert_eq!(removed, "damaged profile: `session-token.codec`: expected a value, nothing is there");
    }

    #[test]
    fn a_member_that_stands_twice_is_refused_with_its_place() {
        let whole = serde_json::to_string_pretty(&fitted().to_json()).unwrap();
        let with = |old: &str, new: &str| {
            assert!(whole.contains(old), "{old}");
            Profile::from_json(&whole.replacen(old, new, 1)).unwrap_err().to_string()
        };
        let limit = "\"limit_bytes\": 460";
        assert_eq!(with(limit, &format!("{limit}, {limit}")), "damaged profile: `packed-policy.limit_bytes`: stands there twice");
        // As an escape writes it, too.
        assert_eq!(
            with(limit, &format!("{limit}, \"limit\\u005fbytes\" : 460")),
            "damaged profile: `packed-policy.limit_bytes`: stands there twice"
        );
        let kind = "\"logged\": 29";
        assert_eq!(with(kind, &format!("{kind},\n{kind}")), "damaged profile: `packed-policy.basis.kinds[0].logged`: stands there twice");
        assert_eq!(with("{", "{ \"packtrail_profile\": 1,"), "damaged profile: `packtrail_profile`: stands there twice");
        // What a text says is no member.
        assert_eq!(repeated_member(r#"{"a": "\"b\": 1, \"b\": 2", "b": ["a", "a", {"a": 1}, {"a": 1}]}"#), None);
        assert_eq!(repeated_member(r#"{"b": [0, [1, {"\\": 1, "\\" : 2}]]}"#), Some(r"b[1][1].\".to_owned()));
    }

    #[test]
    fn every_member_is_needed_and_none_may_be_of_another_type() {
        let whole = fitted().to_json();
        for regime in Regime::ALL {
            for name in whole[regime.name()].as_object().unwrap().keys() {
                refusal(|value| {
                    value[regime.name()].as_object_mut().unwrap().remove(name);
                });
                refusal(|value| value[regime.name()][name] = json!({ "odd": [1.5] }));
            }
        }
    }
}
