//! Condition operators: which set of request values they look at, what they compare, and what a missing key means.
//!
//! See [condition operators] and [multivalued context keys]. IAM documents one spelling, so another letter case is no operator here.
//!
//! [condition operators]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
//! [multivalued context keys]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html

use std::fmt;
use std::str::FromStr;

/// A condition operator, `ForAllValues:StringLikeIfExists` for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Operator {
    /// Which of the request's values must fit; None for an operator without a prefix, which takes keys of one value.
    pub set: Option<SetPrefix>,
    /// What it compares.
    pub base: Comparison,
    /// Whether the condition holds where the request has no such key.
    pub if_exists: bool,
}

/// The prefix of an operator for keys of several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetPrefix {
    /// Every value of the request fits one of the policy's; holds where the request has none.
    ForAllValues,
    /// At least one value of the request fits one of the policy's.
    ForAnyValue,
}

impl SetPrefix {
    /// `ForAllValues` or `ForAnyValue`.
    pub fn name(self) -> &'static str {
        match self {
            SetPrefix::ForAllValues => "ForAllValues",
            SetPrefix::ForAnyValue => "ForAnyValue",
        }
    }
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// What an operator compares.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Comparison {
            $($(#[$doc])* $variant,)*
        }

        impl Comparison {
            /// Every comparison, in the order of IAM's page.
            pub const ALL: [Comparison; 27] = [$(Comparison::$variant,)*];

            /// The name as a policy spells it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Comparison::$variant => $name,)*
                }
            }
        }
    };
}

comparisons! {
    /// Equal texts.
    StringEquals "StringEquals",
    /// No equal text.
    StringNotEquals "StringNotEquals",
    /// Equal but for letter case.
    StringEqualsIgnoreCase "StringEqualsIgnoreCase",
    /// None equal but for letter case.
    StringNotEqualsIgnoreCase "StringNotEqualsIgnoreCase",
    /// Texts with `*` and `?`.
    StringLike "StringLike",
    /// No text with `*` and `?` fits.
    StringNotLike "StringNotLike",
    /// Equal numbers.
    NumericEquals "NumericEquals",
    /// No equal number.
    NumericNotEquals "NumericNotEquals",
    /// Smaller.
    NumericLessThan "NumericLessThan",
    /// Smaller or equal.
    NumericLessThanEquals "NumericLessThanEquals",
    /// Larger.
    NumericGreaterThan "NumericGreaterThan",
    /// Larger or equal.
    NumericGreaterThanEquals "NumericGreaterThanEquals",
    /// The same time.
    DateEquals "DateEquals",
    /// Another time.
    DateNotEquals "DateNotEquals",
    /// Before.
    DateLessThan "DateLessThan",
    /// Before, or then.
    DateLessThanEquals "DateLessThanEquals",
    /// After.
    DateGreaterThan "DateGreaterThan",
    /// After, or then.
    DateGreaterThanEquals "DateGreaterThanEquals",
    /// `true` or `false`.
    Bool "Bool",
    /// Equal bytes, in base64.
    BinaryEquals "BinaryEquals",
    /// In a range of addresses.
    IpAddress "IpAddress",
    /// In no range of addresses.
    NotIpAddress "NotIpAddress",
    /// An ARN with wildcards in each of its six parts.
    ArnEquals "ArnEquals",
    /// As `ArnEquals`.
    ArnLike "ArnLike",
    /// No such ARN.
    ArnNotEquals "ArnNotEquals",
    /// As `ArnNotEquals`.
    ArnNotLike "ArnNotLike",
    /// Whether the key is missing.
    Null "Null",
}

impl Comparison {
    /// Whether several values mean none of them, where those of other comparisons mean any of them.
    pub fn is_negated(self) -> bool {
        matches!(
            self,
            Comparison::StringNotEquals
                | Comparison::StringNotEqualsIgnoreCase
                | Comparison::StringNotLike
                | Comparison::NumericNotEquals
                | Comparison::DateNotEquals
                | Comparison::NotIpAddress
                | Comparison::ArnNotEquals
                | Comparison::ArnNotLike
        )
    }
}

/// A text that is no condition operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no condition operator")]
pub struct UnknownOperator(String);

impl FromStr for Operator {
    type Err = UnknownOperator;

    fn from_str(text: &str) -> Result<Operator, UnknownOperator> {
        let unknown = || UnknownOperator(text.to_owned());
        let (set, rest) = match text.split_once(':') {
            None => (None, text),
            Some(("ForAllValues", rest)) => (Some(SetPrefix::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(SetPrefix::ForAnyValue), rest),
            Some(_) => return Err(unknown()),
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let base = Comparison::ALL.into_iter().find(|base| base.name() == name).ok_or_else(unknown)?;
        // A key that is asked for its absence cannot be exempt for its absence.
        if base == Comparison::Null && if_exists { Err(unknown()) } else { Ok(Operator { set, base, if_exists }) }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(set) = self.set {
            write!(f, "{}:", set.name())?;
        }
        write!(f, "{}{}", self.base.name(), if self.if_exists { "IfExists" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_with_every_prefix_and_suffix_is_read_as_it_is_printed() {
        for base in Comparison::ALL {
            for set in [None, Some(SetPrefix::ForAllValues), Some(SetPrefix::ForAnyValue)] {
                for if_exists in [false, true] {
                    let operator = Operator { set, base, if_exists };
                    let read = operator.to_string().parse::<Operator>();
                    assert_eq!(read.ok(), (base != Comparison::Null || !if_exists).then_some(operator), "{operator}");
                }
            }
        }
    }

    #[test]
    fn what_is_spelled_otherwise_is_no_operator() {
        for text in ["stringLike", "StringLikeIfExist", "ForAll:StringLike", "ForAllValues:", "IfExists", "", "NullIfExists"] {
            assert_eq!(text.parse::<Operator>().unwrap_err().to_string(), format!("`{text}` is no condition operator"));
        }
    }
}
