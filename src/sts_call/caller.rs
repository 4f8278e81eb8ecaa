//! Who is behind a session: the principal that someone can go and change, never a session name.

use std::borrow::Cow;

use super::shape::{Identity, Parameters};
use crate::packing::CallerKind;

/// The principal behind a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Caller<'a> {
    /// Its ARN, service name, provider or account; None when the record names none.
    pub name: Option<Cow<'a, str>>,
    /// `userIdentity.type`.
    pub kind: CallerKind,
    /// How well the record knows it.
    pub knowledge: Knowledge,
}

/// How well a record knows who called, least first: of two accounts' copies of one call the one that knows more names the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knowledge {
    /// No caller is named.
    Nothing,
    /// Only the account.
    Account,
    /// Only the unique id of a principal.
    PrincipalId,
    /// The role, but not its path: taken from the ARN of an assumed-role session.
    RoleOfSession,
    /// The principal itself.
    Principal,
}

pub(super) fn caller<'a>(identity: &Identity<'a>, parameters: Option<&Parameters<'a>>) -> Caller<'a> {
    let kind = match identity.kind.as_deref() {
        Some(name) => CallerKind::named(name).unwrap_or(CallerKind::Unknown),
        // Records of early years name only the service.
        None if identity.invoked_by.is_some() => CallerKind::AwsService,
        None => CallerKind::Unknown,
    };
    let known = |text: Option<Cow<'a, str>>, knowledge| text.filter(|text| !text.is_empty()).map(|text| (text, knowledge));
    let whole = |text: &Option<Cow<'a, str>>| known(text.clone(), Knowledge::Principal);
    let issuer = || whole(&identity.issuer_arn);
    let arn = || match identity.arn.as_ref().map(|arn| (arn, role_of_session(arn))) {
        Some((_, Some(role))) => known(Some(Cow::Owned(role)), Knowledge::RoleOfSession),
        // One of a session that has not the usual form would show the session's name.
        Some((arn, None)) if !is_of_session(arn) => known(Some(arn.clone()), Knowledge::Principal),
        _ => None,
    };
    let principal = || known(identity.principal_id.as_ref().map(before_colon), Knowledge::PrincipalId);
    let account = || known(identity.account_id.clone(), Knowledge::Account);
    let found = match kind {
        CallerKind::AssumedRole | CallerKind::Role | CallerKind::FederatedUser | CallerKind::Unknown => {
            issuer().or_else(arn).or_else(principal).or_else(|| whole(&identity.invoked_by))
        }
        CallerKind::IamUser => arn().or_else(principal),
        CallerKind::WebIdentityUser => whole(&identity.identity_provider),
        CallerKind::SamlUser => {
            whole(&parameters.and_then(|it| it.saml_provider_arn.clone())).or_else(|| whole(&identity.identity_provider))
        }
        CallerKind::AwsService => whole(&identity.invoked_by).or_else(arn),
        CallerKind::AwsAccount => principal(),
        CallerKind::Root => arn().or_else(|| {
            let id = identity.account_id.as_ref()?;
            Some((Cow::Owned(format!("arn:aws:iam::{id}:root")), Knowledge::Principal))
        }),
        CallerKind::IdentityCenterUser => whole(&identity.user_id).or_else(arn).or_else(principal),
    };
    match found.or_else(account) {
        Some((name, knowledge)) => Caller { name: Some(name), kind, knowledge },
        None => Caller { name: None, kind, knowledge: Knowledge::Nothing },
    }
}

/// `AROAEXAMPLE:session-name` without the session name.
fn before_colon<'a>(id: &Cow<'a, str>) -> Cow<'a, str> {
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(id.split(':').next().unwrap_or(id)),
        Cow::Owned(id) => Cow::Owned(id.split(':').next().unwrap_or(id).to_owned()),
    }
}

/// Whether an ARN may have a session's name in it: one of STS has, whatever form it has taken, but for that of a federated user.
fn is_of_session(arn: &str) -> bool {
    let mut fields = arn.splitn(6, ':').skip(2);
    let sts = fields.next() == Some("sts") && fields.nth(2).is_none_or(|resource| !resource.starts_with("federated-user/"));
    sts || arn.contains(":assumed-role/")
}

/// `arn:P:sts::A:assumed-role/R/session` as `arn:P:iam::A:role/R`, in any partition; None for any other ARN.
///
/// The role's path is not part of an assumed-role ARN, so it is missing here too.
fn role_of_session(arn: &str) -> Option<String> {
    let mut fields = arn.splitn(6, ':');
    match (fields.next(), fields.next(), fields.next(), fields.next(), fields.next(), fields.next()) {
        (Some("arn"), Some(partition), Some("sts"), Some(_), Some(account), Some(resource)) => {
            let role = resource.strip_prefix("assumed-role/")?.split('/').next()?;
            Some(format!("arn:{partition}:iam::{account}:role/{role}"))
        }
        _ => None,
    }
}
