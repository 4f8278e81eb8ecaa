//! Everything there is to say of one request, in one call.

use super::limits::{self, Names, PlainLimit, Problem};
use super::{
    CallerKind, Ceiling, Estimate, Operation, PartRow, Parts, Profile, Regime, Request, STS, Session, pack_both, percent, rows, token_bytes,
};
use crate::policy::{Clause, Element, Policy, Statement, Statements};

/// Policies longer than this have no rows for their statements, bytes: STS takes 2,048 characters, and each statement is a policy to pack.
const MAX_POLICY_BYTES: usize = 8 << 10;

/// A session that somebody means to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What STS packs.
    pub request: Request,
    /// Operation, caller, and what else of the call counts in the token. Lengths of names that stand below as text are taken from there.
    pub session: Session,
    /// ARN of the role; None where there is none, or it is not known. Managed policies must stand in its account.
    pub role_arn: Option<String>,
    /// Account of the calling IAM user, 12 digits, for GetFederationToken: managed policies must stand there. None where it is not known.
    pub account_id: Option<String>,
    /// The role session name, or the name of the federated user; None where it is not known, or only its length is.
    pub session_name: Option<String>,
    /// The source identity; None where none is passed, or only its length is known.
    pub source_identity: Option<String>,
    /// Keys of the tags that are to be transitive.
    pub transitive_tag_keys: Vec<String>,
    /// Limits of systems behind STS to hold the session token against.
    pub ceilings: Vec<Ceiling>,
}

impl Asked {
    /// A call with nothing passed.
    pub fn new(operation: Operation, caller_kind: CallerKind) -> Asked {
        Asked {
            request: Request::default(),
            session: Session::new(operation, caller_kind),
            role_arn: None,
            account_id: None,
            session_name: None,
            source_identity: None,
            transitive_tag_keys: Vec::new(),
            ceilings: Vec::new(),
        }
    }

    /// What the call adds to its request, the names that are known counted.
    pub fn session(&self) -> Session {
        let bytes = |text: &Option<String>| text.as_ref().map(|text| u16::try_from(text.len()).unwrap_or(u16::MAX));
        Session {
            service_linked: self.session.service_linked
                || self.role_arn.as_deref().is_some_and(|arn| arn.contains(":role/aws-service-role/")),
            session_name_bytes: bytes(&self.session_name).or(self.session.session_name_bytes),
            source_identity_bytes: bytes(&self.source_identity).or(self.session.source_identity_bytes),
            ..self.session
        }
    }

    fn names(&self) -> Names<'_> {
        Names {
            session_name: self.session_name.as_deref(),
            source_identity: self.source_identity.as_deref(),
            role_arn: self.role_arn.as_deref(),
            account_id: self.account_id.as_deref(),
            transitive_tag_keys: &self.transitive_tag_keys,
            minimum_token_bytes: self.session.minimum_token_bytes.map(u32::from),
        }
    }
}

/// What [`estimate`] says of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The operation called.
    pub operation: Operation,
    /// The size under each regime, in the order of [`Regime::ALL`].
    pub sizes: [Size; 2],
    /// The limits in plain characters and in number, with what is used of each.
    pub limits: Vec<PlainLimit>,
    /// What STS would refuse the request for, its size apart.
    pub problems: Vec<Problem>,
    /// What it would not refuse, but is seldom meant.
    pub notes: Vec<Problem>,
}

impl Answer {
    /// The size under `regime`.
    pub fn size(&self, regime: Regime) -> &Size {
        let [old, new] = &self.sizes;
        match regime {
            Regime::PackedPolicy => old,
            Regime::SessionToken => new,
        }
    }
}

/// How large a request is under one regime.
#[derive(Clone, Debug, PartialEq)]
pub struct Size {
    /// The regime.
    pub regime: Regime,
    /// Its limit: 100 %, in bytes of packed content or of session token.
    pub limit_bytes: u32,
    /// Points of the limit, with the range.
    pub percent: Estimate,
    /// Packed content: policy, managed policy ARNs and tags. Bytes.
    pub packed_bytes: u32,
    /// The session token, bytes, with the range.
    pub token_bytes: Estimate,
    /// What each part costs, largest first.
    ///
    /// The rows of [`super::part_rows`], and where there is a policy document a row `statement` for each of its statements. Each says how many bytes go if it
    /// goes. Statements of a compressed policy share what they have in common, so they do not add up to the policy: leave them out of a sum.
    pub parts: Vec<PartRow>,
    /// The ceilings asked for, with what the token takes of each.
    pub ceilings: Vec<OfCeiling>,
}

/// What a token takes of a ceiling.
#[derive(Clone, Debug, PartialEq)]
pub struct OfCeiling {
    /// The ceiling.
    pub ceiling: Ceiling,
    /// Points of it, with the range.
    pub percent: Estimate,
}

impl Size {
    /// Name and points of the limit that is nearest: [`STS`], or a ceiling.
    pub fn nearest(&self) -> (&str, f64) {
        let ceilings = self.ceilings.iter().map(|one| (one.ceiling.name.as_str(), one.percent.value));
        ceilings.fold((STS, self.percent.value), |nearest, one| if one.1 > nearest.1 { one } else { nearest })
    }
}

/// How large the session asked for is under both regimes, what each part of it costs, what is left of every limit, and what STS would refuse it for.
///
/// Pure: no I/O, no clock, nothing kept but a compressor per thread.
///
/// ```
/// use packtrail::packing::{Asked, CallerKind, Ceiling, Operation, Profile, Regime, Request, estimate};
///
/// let asked = Asked {
///     request: Request {
///         policy: Some(r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#.to_owned()),
///         tags: vec![("team".to_owned(), "payments".to_owned())],
///         ..Request::default()
///     },
///     session_name: Some("deploy".to_owned()),
///     ceilings: vec![Ceiling { name: "eks-authenticator".to_owned(), bytes: 2500 }],
///     ..Asked::new(Operation::AssumeRole, CallerKind::IamUser)
/// };
/// let answer = estimate(&asked, &Profile::builtin());
/// let size = answer.size(Regime::SessionToken);
/// assert!(size.percent.low <= size.percent.value && size.percent.value < 25.0);
/// assert_eq!(size.parts.first().map(|part| part.part), Some("base"));
/// assert_eq!(size.nearest().0, "eks-authenticator");
/// assert_eq!(answer.problems, []);
/// ```
///
/// Where one policy is asked for again and again and only tags differ, [`super::pack`] it once and add [`super::one_tag_bytes`] of each tag to
/// [`Parts::tag_bytes`]: that is hundreds of times as fast (`cargo bench --bench estimate`).
pub fn estimate(asked: &Asked, profile: &Profile) -> Answer {
    let (request, session, names) = (&asked.request, asked.session(), asked.names());
    let operation = session.operation;
    let packed = pack_both(request, profile);
    let statements = statement_rows(request, &packed, profile);
    let size = |regime: Regime, parts: &Parts, statements: Vec<PartRow>| {
        let sizing = profile.sizing(regime);
        let token_bytes = token_bytes(parts, &session, sizing);
        let mut parts_of = rows(request, parts, &session, sizing);
        parts_of.extend(statements);
        // Stable: equal ones stay in the order of the request, the policy before its statements.
        parts_of.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        Size {
            regime,
            limit_bytes: sizing.limit_bytes,
            percent: percent(parts, &session, sizing),
            packed_bytes: parts.packed_bytes(),
            token_bytes,
            parts: parts_of,
            ceilings: asked.ceilings.iter().map(|one| OfCeiling { ceiling: one.clone(), percent: one.percent(token_bytes) }).collect(),
        }
    };
    let [old, new] = &packed;
    let [of_old, of_new] = statements;
    Answer {
        operation,
        sizes: [size(Regime::PackedPolicy, old, of_old), size(Regime::SessionToken, new, of_new)],
        limits: limits::plain_limits(request, names, operation),
        problems: limits::problems(request, names, operation),
        notes: limits::notes(request, operation),
    }
}

/// A row for each statement of the policy, under each regime.
fn statement_rows(request: &Request, packed: &[Parts; 2], profile: &Profile) -> [Vec<PartRow>; 2] {
    let mut rows = [Vec::new(), Vec::new()];
    let Some(text) = request.policy.as_deref().filter(|text| text.len() <= MAX_POLICY_BYTES) else { return rows };
    let Ok(policy) = Policy::parse(text) else { return rows };
    let statements: Vec<&Statement> = policy.statements().collect();
    for (index, statement) in statements.iter().enumerate() {
        // Without its only statement there is no policy.
        let rest = (statements.len() > 1).then(|| without(&policy, index).to_string());
        let without = pack_both(&Request { policy: rest, ..Request::default() }, profile);
        for ((rows, whole), rest) in rows.iter_mut().zip(packed).zip(&without) {
            rows.push(PartRow {
                part: "statement",
                name: statement_name(statement, index),
                bytes: whole.policy_bytes.saturating_sub(rest.policy_bytes),
            });
        }
    }
    rows
}

/// `policy` without its statement `index`.
fn without(policy: &Policy, index: usize) -> Policy {
    let mut left = policy.clone();
    let mut passed = 0;
    for element in &mut left.elements {
        if let Element::Statement(statements) = element {
            let count = statements.as_slice().len();
            if let Some(at) = index.checked_sub(passed).filter(|&at| at < count) {
                match statements {
                    Statements::Many(many) => {
                        many.remove(at);
                    }
                    one @ Statements::One(_) => *one = Statements::Many(Vec::new()),
                }
                break;
            }
            passed += count;
        }
    }
    left
}

/// Its Sid, else its number from 1.
fn statement_name(statement: &Statement, index: usize) -> String {
    let sid = statement.clauses.iter().find_map(|clause| match clause {
        Clause::Sid(sid) if !sid.is_empty() => Some(sid.clone()),
        _ => None,
    });
    sid.unwrap_or_else(|| format!("statement {}", index + 1))
}

#[cfg(test)]
mod tests {
    use super::super::pack;
    use super::*;

    fn asked(policy: &str) -> Asked {
        Asked {
            request: Request {
                policy: Some(policy.to_owned()),
                policy_arns: vec!["arn:aws:iam::aws:policy/ReadOnlyAccess".to_owned()],
                tags: vec![("team".to_owned(), "payments".to_owned()), ("cost-center".to_owned(), "12".to_owned())],
                inherited_tags: vec![("project".to_owned(), "atlas".to_owned())],
            },
            session_name: Some("jane".to_owned()),
            source_identity: Some("jane.doe".to_owned()),
            ..Asked::new(Operation::AssumeRole, CallerKind::IamUser)
        }
    }

    fn policy(statements: &[&str]) -> String {
        format!(r#"{{"Version":"2012-10-17","Statement":[{}]}}"#, statements.join(","))
    }

    const READ: &str = r#"{"Sid":"Read","Effect":"Allow","Action":["s3:GetObject","s3:ListBucket"],"Resource":"arn:aws:s3:::a-bucket/*"}"#;
    const WRITE: &str = r#"{"Effect":"Allow","Action":["s3:GetObject","s3:PutObject"],"Resource":"arn:aws:s3:::a-bucket/*"}"#;

    #[test]
    fn each_part_costs_what_goes_when_it_goes() {
        let profile = Profile::builtin();
        let asked = asked(&policy(&[READ, WRITE, READ]));
        let answer = estimate(&asked, &profile);
        for regime in Regime::ALL {
            let sizing = profile.sizing(regime);
            let whole = pack(&asked.request, sizing).packed_bytes();
            let parts = &answer.size(regime).parts;
            let costs = |part: &str, without: Request| {
                let names: Vec<u32> = parts.iter().filter(|row| row.part == part).map(|row| row.bytes).collect();
                let gone = whole - pack(&without, sizing).packed_bytes();
                assert!(names.contains(&gone), "{part} in {regime}: {gone} is not in {names:?}");
            };
            let request = || asked.request.clone();
            for rest in [[WRITE, READ], [READ, READ], [READ, WRITE]] {
                costs("statement", Request { policy: Some(policy(&rest)), ..request() });
            }
            costs("policy", Request { policy: None, ..request() });
            costs("policy_arns", Request { policy_arns: Vec::new(), ..request() });
            costs("tags", Request { tags: request().tags.into_iter().skip(1).collect(), ..request() });
            costs("inherited_tags", Request { inherited_tags: Vec::new(), ..request() });
            assert!(parts.is_sorted_by_key(|row| std::cmp::Reverse(row.bytes)));
        }
        let names: Vec<&str> =
            answer.size(Regime::PackedPolicy).parts.iter().filter(|row| row.part == "statement").map(|row| row.name.as_str()).collect();
        assert_eq!(names.iter().filter(|&&name| name == "Read").count(), 2);
        assert!(names.contains(&"statement 2"));
    }

    #[test]
    fn the_only_statement_is_the_policy() {
        let answer = estimate(&asked(&policy(&[READ])), &Profile::builtin());
        for size in &answer.sizes {
            let bytes = |part| size.parts.iter().find(|row| row.part == part).unwrap().bytes;
            assert_eq!(bytes("statement"), bytes("policy"));
        }
    }

    #[test]
    fn statements_in_repeated_elements_are_told_apart() {
        let twice = format!(r#"{{"Statement":{READ},"Statement":[{WRITE},{READ}]}}"#);
        let policy = Policy::parse(&twice).unwrap();
        assert_eq!(without(&policy, 0).to_string(), format!(r#"{{"Statement":[],"Statement":[{WRITE},{READ}]}}"#));
        assert_eq!(without(&policy, 2).to_string(), format!(r#"{{"Statement":{READ},"Statement":[{WRITE}]}}"#));
    }

    #[test]
    fn parts_without_statements_sum_to_the_whole() {
        let answer = estimate(&asked(&policy(&[READ, WRITE])), &Profile::builtin());
        let sum = |size: &Size| size.parts.iter().filter(|row| row.part != "statement").map(|row| row.bytes).sum::<u32>();
        let [old, new] = &answer.sizes;
        assert_eq!(sum(old), old.packed_bytes);
        assert_eq!(f64::from(sum(new).div_ceil(3) * 4), new.token_bytes.value);
    }

    #[test]
    fn the_nearest_limit_is_the_largest_share() {
        let ceilings = ["wide=9000", "narrow=700", "narrower=650"].map(|text| text.parse().unwrap()).to_vec();
        let answer = estimate(&Asked { ceilings, ..asked(&policy(&[READ])) }, &Profile::builtin());
        let size = answer.size(Regime::SessionToken);
        let (name, points) = size.nearest();
        assert_eq!(name, "narrower");
        assert!((points - 100.0 * size.token_bytes.value / 650.0).abs() < 1e-9);
        assert_eq!(estimate(&asked(&policy(&[READ])), &Profile::builtin()).size(Regime::SessionToken).nearest().0, STS);
    }

    #[test]
    fn a_policy_too_long_for_sts_is_weighed_without_its_statements() {
        let long = policy(&vec![READ; 200]);
        let answer = estimate(&asked(&long), &Profile::builtin());
        assert!(!answer.sizes[0].parts.iter().any(|row| row.part == "statement"));
        assert!(answer.problems.iter().any(|problem| problem.message.contains("at most 2048 are allowed")));
    }

    #[test]
    fn names_given_as_text_count_with_their_length() {
        let session = asked("{}").session();
        assert_eq!((session.session_name_bytes, session.source_identity_bytes), (Some(4), Some(8)));
        let linked = Asked {
            role_arn: Some("arn:aws:iam::111122223333:role/aws-service-role/rds.amazonaws.com/AWSServiceRoleForRDS".to_owned()),
            ..Asked::new(Operation::AssumeRole, CallerKind::AwsService)
        };
        assert!(linked.session().service_linked);
    }
}
