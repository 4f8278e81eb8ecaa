use std::error::Error;
use std::io;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ErrorMetadata, ProvideErrorMetadata, SdkError};

const NO_CREDENTIALS: &str = "no credentials found: neither in AWS_* variables nor in a profile, nor from this machine's role";

/// Why a request failed for good, in one line that names no secret.
///
/// Of what the server says only its code is told: its messages may hold session names.
#[derive(Clone, Debug)]
pub(in crate::trail) struct Failure {
    pub cause: Cause,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::trail) enum Cause {
    /// No such key.
    Missing,
    /// These credentials may not do this, but perhaps other things.
    Denied,
    /// The condition of a write does not hold.
    Conflict,
    Other,
}

impl Failure {
    pub fn other(text: String) -> Failure {
        Failure { cause: Cause::Other, text }
    }

    /// Names the profile that was asked for where there are no credentials.
    pub fn with_profile(self, profile: Option<&str>) -> Failure {
        match profile {
            Some(profile) if self.text == NO_CREDENTIALS => {
                Failure { text: format!("no credentials found, nor any in profile `{profile}`"), ..self }
            }
            _ => self,
        }
    }

    /// What `error` comes to where `permission` was needed.
    pub fn of<E>(error: &SdkError<E, HttpResponse>, permission: &str) -> Failure
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let SdkError::ServiceError(_) = error else {
            return Failure::other(without_answer(error));
        };
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let code = error.code().filter(|code| code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.'));
        let (cause, text) = match (code.unwrap_or_default(), status) {
            ("NoSuchBucket", _) => (Cause::Other, "no such bucket".to_owned()),
            ("InvalidAccessKeyId", _) => (Cause::Other, "S3 does not know this access key".to_owned()),
            ("NotSignedUp", _) => (Cause::Other, "the account of this access key has no S3".to_owned()),
            ("SignatureDoesNotMatch", _) => (Cause::Other, "wrong secret access key for this access key".to_owned()),
            ("ExpiredToken" | "ExpiredTokenException" | "RequestExpired" | "TokenRefreshRequired", _) => {
                (Cause::Other, "the credentials have expired".to_owned())
            }
            ("InvalidToken", _) => (Cause::Other, "the session token of the credentials is not valid".to_owned()),
            ("RequestTimeTooSkewed", _) => (Cause::Other, "the clock of this machine is wrong".to_owned()),
            ("InvalidObjectState", _) => (Cause::Denied, "archived, restore it first".to_owned()),
            ("InvalidRange", _) | (_, 416) => (Cause::Other, "shorter than when it was listed".to_owned()),
            ("PreconditionFailed" | "ConditionalRequestConflict", _) | (_, 409 | 412) => {
                (Cause::Conflict, "changed while it was read".to_owned())
            }
            ("PermanentRedirect" | "TemporaryRedirect" | "AuthorizationHeaderMalformed", _) => {
                (Cause::Other, "the bucket lies in another region, which S3 does not tell: set AWS_REGION".to_owned())
            }
            ("NoSuchKey", _) | (_, 404) => (Cause::Missing, "vanished since it was listed".to_owned()),
            ("AccessDenied" | "", 403) => (Cause::Denied, format!("access denied, {permission} is needed")),
            (code, 403) => (Cause::Denied, format!("access denied: {code}")),
            (code, 500..) => (Cause::Other, format!("S3 answers {status} {code} again and again").replace("  ", " ")),
            (code, _) => (Cause::Other, format!("S3 answers {status} {code}").trim_end().to_owned()),
        };
        Failure { cause, text }
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        let kind = match failure.cause {
            Cause::Missing => io::ErrorKind::NotFound,
            Cause::Denied => io::ErrorKind::PermissionDenied,
            Cause::Conflict | Cause::Other => io::ErrorKind::Other,
        };
        io::Error::new(kind, failure.text)
    }
}

/// Why there was no answer of S3 at all: no connection, no credentials.
fn without_answer(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    let mut credentials = false;
    loop {
        // An answer of another service that was asked for credentials.
        if let Some(answer) = root.downcast_ref::<ErrorMetadata>() {
            return format!("cannot get credentials: {}", answer.code().unwrap_or("refused"));
        }
        let text = root.to_string();
        if text.contains("no credentials found in chain") || text.contains("no providers in chain provided credentials") {
            return NO_CREDENTIALS.to_owned();
        }
        credentials |= text.contains("credential");
        match root.source() {
            Some(source) => root = source,
            None => break,
        }
    }
    let text: String = root.to_string().chars().map(|one| if one.is_control() { ' ' } else { one }).take(300).collect();
    if credentials { format!("cannot get credentials: {text}") } else { format!("cannot reach S3: {text}") }
}
