//! Who is behind a session: the principal that someone can go and change, never a session name.

use std::borrow::Cow;

use super::shape::{Identity, Issuer, OnBehalfOf, Parameters, SessionContext, lenient};
use crate::packing::CallerKind;

/// The principal behind a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller<'a> {
    /// Its ARN, service name, provider or account; None when the record names none.
    pub name: Option<Cow<'a, str>>,
    /// `userIdentity.type`.
    pub kind: CallerKind,
}

pub(super) fn caller<'a>(identity: &Identity<'a>, parameters: Option<&Parameters<'a>>) -> Caller<'a> {
    let kind = match identity.kind.as_deref() {
        Some(name) => name.parse().unwrap_or(CallerKind::Unknown),
        // Records of early years name only the service.
        None if identity.invoked_by.is_some() => CallerKind::AwsService,
        None => CallerKind::Unknown,
    };
    let principal = || identity.principal_id.as_ref().map(|id| before_colon(id));
    let account = || identity.account_id.clone();
    let arn = || identity.arn.clone();
    let name = match kind {
        CallerKind::AssumedRole | CallerKind::Role => {
            issuer(identity).or_else(|| identity.arn.as_ref().map(role_of_session)).or_else(principal)
        }
        CallerKind::FederatedUser => issuer(identity).or_else(arn).or_else(principal),
        CallerKind::IamUser => arn().or_else(principal),
        CallerKind::WebIdentityUser => identity.identity_provider.clone(),
        CallerKind::SamlUser => parameters.and_then(|it| it.saml_provider_arn.clone()).or_else(|| identity.identity_provider.clone()),
        CallerKind::AwsService => identity.invoked_by.clone().or_else(arn),
        CallerKind::AwsAccount => principal().or_else(account),
        CallerKind::Root => arn().or_else(|| identity.account_id.as_ref().map(|id| Cow::Owned(format!("arn:aws:iam::{id}:root")))),
        CallerKind::IdentityCenterUser => {
            lenient::<OnBehalfOf<'a>>(identity.on_behalf_of).and_then(|it| it.user_id).or_else(arn).or_else(principal)
        }
        CallerKind::Unknown => issuer(identity)
            .or_else(|| identity.arn.as_ref().map(role_of_session))
            .or_else(principal)
            .or_else(|| identity.invoked_by.clone()),
    };
    Caller { name: name.or_else(account).filter(|name| !name.is_empty()), kind }
}

fn issuer<'a>(identity: &Identity<'a>) -> Option<Cow<'a, str>> {
    let context: SessionContext<'a> = lenient(identity.session_context)?;
    lenient::<Issuer<'a>>(context.session_issuer)?.arn
}

/// `AROAEXAMPLE:session-name` without the session name.
fn before_colon<'a>(id: &Cow<'a, str>) -> Cow<'a, str> {
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(id.split(':').next().unwrap_or(id)),
        Cow::Owned(id) => Cow::Owned(id.split(':').next().unwrap_or(id).to_owned()),
    }
}

/// `arn:P:sts::A:assumed-role/R/session` as `arn:P:iam::A:role/R`, in any partition; any other ARN as it is.
///
/// The role's path is not part of an assumed-role ARN, so it is missing here too.
fn role_of_session<'a>(arn: &Cow<'a, str>) -> Cow<'a, str> {
    let mut fields = arn.splitn(6, ':');
    let role = match (fields.next(), fields.next(), fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some("arn"), Some(partition), Some("sts"), Some(_), Some(account), Some(resource)) => resource
            .strip_prefix("assumed-role/")
            .and_then(|rest| rest.split('/').next())
            .map(|role| format!("arn:{partition}:iam::{account}:role/{role}")),
        _ => None,
    };
    role.map_or_else(|| arn.clone(), Cow::Owned)
}
