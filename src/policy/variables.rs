//! Policy variables in a text: `${aws:username}`, with a default `${aws:PrincipalTag/team, 'none'}`, and the escapes `${*}`, `${?}`, `${$}`.
//!
//! Texts have variables in `Resource`, `NotResource` and the values of conditions, and only in documents of version 2012-10-17: see
//! [policy variables]. Elsewhere `${...}` is a plain text.
//!
//! [policy variables]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html

/// A piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What stands for itself, wildcards included.
    Text(&'a str),
    /// The value of a key of the request.
    Variable {
        /// The key, `aws:PrincipalTag/team` for example.
        key: &'a str,
        /// What stands for it where the request has no such key; None where then nothing fits.
        default: Option<&'a str>,
    },
    /// `*`, `?` or `$` as a letter, not as a wildcard.
    Letter(char),
}

/// The pieces of `text`, in order. A `${` without its end stands for itself.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, inside, after)) = next(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        pieces.push(match inside {
            "*" => Piece::Letter('*'),
            "?" => Piece::Letter('?'),
            "$" => Piece::Letter('$'),
            _ => match inside.split_once(',') {
                Some((key, default)) => {
                    Piece::Variable { key: key.trim(), default: default.trim().strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) }
                }
                None => Piece::Variable { key: inside.trim(), default: None },
            },
        });
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// What stands before the first `${...}` of `text`, in it and behind it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, opened) = text.split_once("${")?;
    let (inside, after) = opened.split_once('}')?;
    Some((before, inside, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_defaults_and_escapes_are_told_apart() {
        assert_eq!(
            pieces("b/${aws:username}/${ aws:PrincipalTag/team , 'no one'}${*}*"),
            [
                Piece::Text("b/"),
                Piece::Variable { key: "aws:username", default: None },
                Piece::Text("/"),
                Piece::Variable { key: "aws:PrincipalTag/team", default: Some("no one") },
                Piece::Letter('*'),
                Piece::Text("*"),
            ]
        );
    }

    #[test]
    fn what_has_no_end_stands_for_itself() {
        assert_eq!(pieces("a${b"), [Piece::Text("a${b")]);
        assert_eq!(pieces("a$b}"), [Piece::Text("a$b}")]);
        assert_eq!(pieces(""), []);
    }
}
