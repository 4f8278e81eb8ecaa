//! Whether a text is a session policy, told with the place and what was expected there: for who wrote it.
//!
//! Reading ([`super::Policy::parse`]) is tolerant, since what STS accepted is not ours to reject. This is not: every known element must have the shape that
//! the [grammar] gives it, and stand once. Letter case counts in the names of elements and in `Allow` and `Deny`, as IAM documents it. Elements that no page
//! knows are let through: rewrites leave them, and what may depend on them, alone.
//!
//! [grammar]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html

use super::ParseError;
use super::json::{Json, Reader};
use super::operator::Operator;

/// Values of elements that are not looked into may be nested as deep as the reader takes them, less what stands around them.
const DEPTH: u32 = 8;

const TEXTS: &str = "expected a text or a list of texts";
const SCALARS: &str = "expected a text, a number, true or false, or a list of these";

/// Whether `text` is a session policy.
///
/// # Errors
/// The first place where it is not, and what was expected there.
pub fn check(text: &str) -> Result<(), ParseError> {
    // Broken JSON comes first, wherever it is.
    super::json::parse(text)?;
    let mut reader = Reader::new(text);
    reader.skip_white_space();
    if reader.peek() != Some(b'{') {
        return Err(reader.error("expected a policy: an object with an element `Statement`"));
    }
    let start = reader.at();
    let mut seen = Vec::new();
    reader.members(&mut |reader, name, place| {
        once(reader, &mut seen, &name, place)?;
        match name.as_str() {
            "Version" => match text_at(reader, "expected 2012-10-17 or 2008-10-17")?.as_str() {
                "2012-10-17" | "2008-10-17" => Ok(()),
                _ => Err(reader.error_at(place, "expected 2012-10-17 or 2008-10-17 as the `Version`")),
            },
            "Id" => text_at(reader, "expected a text").map(|_| ()),
            "Statement" => match reader.peek() {
                Some(b'{') => statement(reader),
                Some(b'[') => list(reader, "expected at least one statement", &mut |reader| match reader.peek() {
                    Some(b'{') => statement(reader),
                    _ => Err(reader.error("expected a statement: an object")),
                }),
                _ => Err(reader.error("expected a statement or a list of statements")),
            },
            _ => reader.value(DEPTH).map(|_| ()),
        }
    })?;
    if !seen.iter().any(|name| name == "Statement") {
        return Err(reader.error_at(start, "expected an element `Statement`"));
    }
    Ok(())
}

/// An element stands once in its object.
fn once(reader: &Reader<'_>, seen: &mut Vec<String>, name: &str, place: usize) -> Result<(), ParseError> {
    if seen.iter().any(|other| other == name) {
        return Err(reader.error_at(place, "expected each name once in an object"));
    }
    seen.push(name.to_owned());
    Ok(())
}

fn statement(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    let start = reader.at();
    let mut seen = Vec::new();
    reader.members(&mut |reader, name, place| {
        once(reader, &mut seen, &name, place)?;
        match name.as_str() {
            "Sid" => text_at(reader, "expected a text").map(|_| ()),
            "Effect" => {
                let at = reader.at();
                let effect = text_at(reader, "expected Allow or Deny")?;
                if effect == "Allow" || effect == "Deny" { Ok(()) } else { Err(reader.error_at(at, "expected Allow or Deny")) }
            }
            "Action" | "NotAction" | "Resource" | "NotResource" => match reader.peek() {
                Some(b'[') => list(reader, "expected at least one text", &mut |reader| text_at(reader, TEXTS).map(|_| ())),
                _ => text_at(reader, TEXTS).map(|_| ()),
            },
            "Condition" => condition(reader),
            "Principal" | "NotPrincipal" => Err(reader.error_at(place, "expected no principal: a session policy names none")),
            _ => reader.value(DEPTH).map(|_| ()),
        }
    })?;
    let has = |name: &str| seen.iter().any(|other| other == name);
    let missing = |message| Err(reader.error_at(start, message));
    if !has("Effect") {
        return missing("expected an element `Effect`");
    }
    if has("Action") == has("NotAction") {
        return missing("expected either `Action` or `NotAction`");
    }
    if has("Resource") == has("NotResource") {
        return missing("expected either `Resource` or `NotResource`");
    }
    Ok(())
}

fn condition(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    if reader.peek() != Some(b'{') {
        return Err(reader.error("expected an object of condition operators"));
    }
    let mut operators = Vec::new();
    reader.members(&mut |reader, operator, place| {
        once(reader, &mut operators, &operator, place)?;
        if operator.parse::<Operator>().is_err() {
            return Err(reader.error_at(place, "expected a condition operator, such as StringLike"));
        }
        if reader.peek() != Some(b'{') {
            return Err(reader.error("expected an object of condition keys"));
        }
        let mut keys = Vec::new();
        reader.members(&mut |reader, key, place| {
            // Letter case does not tell condition keys apart.
            once(reader, &mut keys, &key.to_ascii_lowercase(), place)?;
            match reader.peek() {
                Some(b'[') => list(reader, "expected at least one value", &mut scalar),
                _ => scalar(reader),
            }
        })
    })
}

fn scalar(reader: &mut Reader<'_>) -> Result<(), ParseError> {
    let at = reader.at();
    match reader.value(DEPTH)? {
        Json::String(_) | Json::Bool(_) | Json::Number(_) => Ok(()),
        Json::Null | Json::Array(_) | Json::Object(_) => Err(reader.error_at(at, SCALARS)),
    }
}

fn text_at(reader: &mut Reader<'_>, expected: &'static str) -> Result<String, ParseError> {
    let at = reader.at();
    match reader.value(DEPTH)? {
        Json::String(text) => Ok(text),
        _ => Err(reader.error_at(at, expected)),
    }
}

fn list(
    reader: &mut Reader<'_>,
    when_empty: &'static str,
    each: &mut dyn FnMut(&mut Reader<'_>) -> Result<(), ParseError>,
) -> Result<(), ParseError> {
    let start = reader.at();
    let mut count = 0_usize;
    reader.items(&mut |reader| {
        count += 1;
        each(reader)
    })?;
    if count == 0 { Err(reader.error_at(start, when_empty)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        check(text).map_or_else(|error| error.to_string(), |()| String::new())
    }

    fn of_statement(elements: &str) -> String {
        told(&format!("{{\"Statement\":[\n{{{elements}}}]}}"))
    }

    #[test]
    fn every_element_that_iam_accepts_passes() {
        let text = r#"{"Version":"2012-10-17","Id":"x","Statement":[
            {"Sid":"A","Effect":"Allow","Action":"S3:getobject","Resource":["*"],"Condition":{"ForAnyValue:StringLikeIfExists":{"k":["a",1,true],"l":"b"},"Null":{"k":false}}},
            {"Effect":"Deny","NotAction":["iam:*"],"NotResource":"b","Unheard":{"of":[null]}}],"New":1}"#;
        assert_eq!(told(text), "");
        assert_eq!(told(r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#), "");
    }

    #[test]
    fn what_is_no_policy_is_told_with_its_place_and_what_was_expected() {
        for (text, expected) in [
            ("[]", "expected a policy: an object with an element `Statement` at line 1 column 1"),
            ("{\n}", "expected an element `Statement` at line 1 column 1"),
            (r#"{"Version":"2012","Statement":[]}"#, "expected 2012-10-17 or 2008-10-17 as the `Version` at line 1 column 2"),
            (r#"{"Version":2012}"#, "expected 2012-10-17 or 2008-10-17 at line 1 column 12"),
            (r#"{"Statement":[]}"#, "expected at least one statement at line 1 column 14"),
            (r#"{"Statement":"x"}"#, "expected a statement or a list of statements at line 1 column 14"),
            (r#"{"Statement":["x"]}"#, "expected a statement: an object at line 1 column 15"),
            (r#"{"Id":"a","Id":"a"}"#, "expected each name once in an object at line 1 column 11"),
            ("{\"Statement\": oops}", "expected a value at line 1 column 15"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_statement_is_told_with_its_place_and_what_was_expected() {
        let rest = r#""Action":"*","Resource":"*""#;
        for (elements, expected) in [
            (r#""Effect":"allow""#.to_owned(), "expected Allow or Deny at line 2 column 11"),
            (rest.to_owned(), "expected an element `Effect` at line 2 column 1"),
            (format!(r#""effect":"Allow",{rest}"#), "expected an element `Effect` at line 2 column 1"),
            (r#""Effect":"Allow","Action":{}"#.to_owned(), "expected a text or a list of texts at line 2 column 28"),
            (r#""Effect":"Allow","Action":["a",1]"#.to_owned(), "expected a text or a list of texts at line 2 column 33"),
            (r#""Effect":"Allow","Action":[]"#.to_owned(), "expected at least one text at line 2 column 28"),
            (r#""Effect":"Allow","Action":"*""#.to_owned(), "expected either `Resource` or `NotResource` at line 2 column 1"),
            (format!(r#""Effect":"Allow","NotAction":"*",{rest}"#), "expected either `Action` or `NotAction` at line 2 column 1"),
            (r#""Principal":"*""#.to_owned(), "expected no principal: a session policy names none at line 2 column 2"),
            (r#""Condition":[]"#.to_owned(), "expected an object of condition operators at line 2 column 14"),
            (r#""Condition":{"StringLikes":{}}"#.to_owned(), "expected a condition operator, such as StringLike at line 2 column 15"),
            (r#""Condition":{"Bool":1}"#.to_owned(), "expected an object of condition keys at line 2 column 22"),
            (
                r#""Condition":{"Bool":{"k":[null]}}"#.to_owned(),
                "expected a text, a number, true or false, or a list of these at line 2 column 28",
            ),
            (r#""Condition":{"Bool":{"k":1,"K":2}}"#.to_owned(), "expected each name once in an object at line 2 column 29"),
        ] {
            assert_eq!(of_statement(&elements), expected, "{elements}");
        }
    }
}
