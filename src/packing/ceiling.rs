//! Limits on the session token that systems behind STS set, by the name a user gives them.

use std::fmt;
use std::str::FromStr;

use super::Estimate;

/// The name of STS's own limit wherever limits are named; no ceiling may take it.
pub const STS: &str = "sts";

/// A limit on the session token set by something behind STS: a token above it is granted all the same, and breaks there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ceiling {
    /// What the user calls it: not empty, no `=` and no control character in it, not [`STS`].
    pub name: String,
    /// The most bytes of session token it takes, at least 1.
    pub bytes: u32,
}

impl Ceiling {
    /// Points of this ceiling that a token of so many bytes takes, unrounded, with its range.
    pub fn percent(&self, token_bytes: Estimate) -> Estimate {
        let points = |bytes: f64| 100.0 * bytes / f64::from(self.bytes);
        Estimate { value: points(token_bytes.value), low: points(token_bytes.low), high: points(token_bytes.high) }
    }
}

impl fmt::Display for Ceiling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.bytes)
    }
}

/// A text that is no ceiling.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CeilingError {
    /// There is no `=`, nothing before it, or a control character.
    #[error("expected NAME=BYTES, such as eks-authenticator=2500")]
    Form,
    /// What follows `=` is no number of bytes.
    #[error("`{0}` is no number of bytes: expected a whole number from 1 to {max}", max = u32::MAX)]
    Bytes(String),
    /// The name is that of STS's own limit.
    #[error("`{STS}` is the name of STS's own limit")]
    Taken,
}

impl FromStr for Ceiling {
    type Err = CeilingError;

    /// `NAME=BYTES`
    fn from_str(text: &str) -> Result<Ceiling, CeilingError> {
        let (name, bytes) = text.split_once('=').ok_or(CeilingError::Form)?;
        if name.trim().is_empty() || name.contains(char::is_control) {
            return Err(CeilingError::Form);
        }
        if name.trim().eq_ignore_ascii_case(STS) {
            return Err(CeilingError::Taken);
        }
        let digits = Some(bytes).filter(|bytes| bytes.bytes().all(|one| one.is_ascii_digit()));
        match digits.and_then(|digits| digits.parse().ok()) {
            Some(bytes) if bytes > 0 => Ok(Ceiling { name: name.to_owned(), bytes }),
            _ => Err(CeilingError::Bytes(bytes.to_owned())),
        }
    }
}

/// The first name that two of `ceilings` have in common.
pub fn repeated_name(ceilings: &[Ceiling]) -> Option<&str> {
    let repeats = |(at, ceiling): &(usize, &Ceiling)| ceilings.iter().take(*at).any(|earlier| earlier.name == ceiling.name);
    ceilings.iter().enumerate().find(repeats).map(|(_, ceiling)| ceiling.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ceiling_is_a_name_and_a_number_of_bytes() {
        let ceiling: Ceiling = "eks-authenticator=2500".parse().unwrap();
        assert_eq!((ceiling.name.as_str(), ceiling.bytes, ceiling.to_string().as_str()), ("eks-authenticator", 2500, "eks-authenticator=2500"));
        let percent = ceiling.percent(Estimate { value: 2500.0, low: 2000.0, high: 3000.0 });
        assert_eq!((percent.value, percent.low, percent.high), (100.0, 80.0, 120.0));
    }

    #[test]
    fn what_is_no_ceiling_is_told_why() {
        let form = "expected NAME=BYTES, such as eks-authenticator=2500";
        let taken = "`sts` is the name of STS's own limit";
        for (text, expected) in [
            ("proxy", form),
            ("", form),
            ("=1", form),
            (" =1", form),
            ("a\nb=1", form),
            ("sts=4096", taken),
            ("STS=4096", taken),
            ("proxy=", "`` is no number of bytes: expected a whole number from 1 to 4294967295"),
            ("proxy=0", "`0` is no number of bytes: expected a whole number from 1 to 4294967295"),
            ("proxy=+9", "`+9` is no number of bytes: expected a whole number from 1 to 4294967295"),
            ("proxy=8k", "`8k` is no number of bytes: expected a whole number from 1 to 4294967295"),
            ("proxy=a=1", "`a=1` is no number of bytes: expected a whole number from 1 to 4294967295"),
            ("proxy=4294967296", "`4294967296` is no number of bytes: expected a whole number from 1 to 4294967295"),
        ] {
            assert_eq!(text.parse::<Ceiling>().unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_name_given_twice_is_found() {
        let ceilings = ["a=1", "b=1", "a=2"].map(|text| text.parse::<Ceiling>().unwrap());
        assert_eq!(repeated_name(&ceilings), Some("a"));
        assert_eq!(repeated_name(&ceilings[..2]), None);
    }
}
