//! Who calls, and what they pass: the requests of an organisation, drawn by seed.

use packtrail::packing::{CallerKind, Operation, Request, Session};

use super::policies::{Holes, Template};
use super::rng::Rng;

/// What all trails of one organisation share.
pub struct Population {
    vendors: Vec<Template>,
    hand_written: Vec<Template>,
    /// Accounts whose records hold no session tokens, out of [`ACCOUNTS`].
    redacted: Vec<bool>,
}

const ACCOUNTS: i64 = 5;
const TEMPLATES: usize = 24;
/// Templates beyond these stand only in trails that a fit has not seen.
const TEMPLATES_TO_LEARN_FROM: usize = 17;

/// What somebody passes again and again, and how.
pub struct Pattern {
    pub group: Group,
    pub request: Request,
    pub session: Session,
    /// Whether the tokens are kept out of the log.
    pub redacted: bool,
}

/// Kinds of callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Vendor,
    Partner,
    HandWritten,
    Pods,
    LinkedRole,
    Service,
    GitHub,
    Cognito,
    Saml,
    Chain,
    ManagedPolicies,
    Plain,
    Federation,
    SessionToken,
    Root,
}

impl Group {
    /// With how many calls each makes, of 100.
    const WEIGHTS: [(Group, i64); 15] = [
        (Group::Vendor, 24),
        (Group::Partner, 7),
        (Group::HandWritten, 9),
        (Group::Pods, 9),
        (Group::LinkedRole, 5),
        (Group::Service, 4),
        (Group::GitHub, 6),
        (Group::Cognito, 3),
        (Group::Saml, 8),
        (Group::Chain, 8),
        (Group::ManagedPolicies, 5),
        (Group::Plain, 6),
        (Group::Federation, 3),
        (Group::SessionToken, 2),
        (Group::Root, 1),
    ];

    pub fn draw(rng: &mut Rng) -> Group {
        let mut left = rng.whole(1, 100);
        let found = Group::WEIGHTS.iter().find(|(_, weight)| {
            left -= weight;
            left <= 0
        });
        found.unwrap().0
    }
}

impl Population {
    pub fn new(seed: u64) -> Population {
        let mut rng = Rng::new(seed);
        let vendors = (0..TEMPLATES).map(|_| Template::draw(&mut rng)).collect();
        let hand_written = (0..TEMPLATES).map(|_| Template::draw_small(&mut rng)).collect();
        let all = rng.chance(10.0);
        Population { vendors, hand_written, redacted: (0..ACCOUNTS).map(|_| all || rng.chance(25.0)).collect() }
    }

    /// The `number`th pattern of `group` in the trail of `seed`: always the same. `unseen` adds templates nobody could learn from.
    pub fn pattern(&self, group: Group, number: i64, seed: u64, unseen: bool) -> Pattern {
        let rng = &mut Rng::new(seed ^ (group as u64) << 48 ^ (number as u64) << 32);
        let templates = if unseen { TEMPLATES } else { TEMPLATES_TO_LEARN_FROM };
        let vendor = |rng: &mut Rng| vendor_policy(&self.vendors[..templates], rng);
        let small = |rng: &mut Rng| rng.pick(&self.hand_written[..templates]).fill(&holes(1, rng));
        let mut request = Request::default();
        let (operation, caller_kind) = match group {
            Group::Vendor | Group::Partner => {
                request.policy = Some(vendor(rng));
                if rng.chance(25.0) {
                    request.tags = pairs(&["tenant", "data-domain", "job-id"], rng);
                }
                if rng.chance(10.0) {
                    request.policy_arns = arns(1, rng);
                }
                (Operation::AssumeRole, if group == Group::Vendor { CallerKind::AssumedRole } else { CallerKind::AwsAccount })
            }
            Group::HandWritten => {
                request.policy = Some(small(rng));
                (Operation::AssumeRole, *rng.pick(&[CallerKind::IamUser, CallerKind::AssumedRole]))
            }
            Group::Pods => {
                request.tags = pod(rng);
                (Operation::AssumeRole, CallerKind::AwsService)
            }
            Group::LinkedRole => {
                if rng.chance(50.0) {
                    request.policy = Some(vendor(rng));
                }
                (Operation::AssumeRole, CallerKind::AwsService)
            }
            Group::Service => (Operation::AssumeRole, CallerKind::AwsService),
            Group::GitHub => {
                if rng.chance(70.0) {
                    request.tags = pairs(&["repository", "ref", "actor", "environment", "workflow", "sha"], rng);
                }
                if rng.chance(25.0) {
                    request.policy = Some(small(rng));
                }
                (Operation::AssumeRoleWithWebIdentity, CallerKind::WebIdentityUser)
            }
            Group::Cognito => {
                request.tags = pairs(&["client", "username", "tier"], rng);
                (Operation::AssumeRoleWithWebIdentity, CallerKind::WebIdentityUser)
            }
            Group::Saml => {
                request.tags = attributes(rng);
                if rng.chance(15.0) {
                    let count = rng.whole(1, 3);
                    request.policy_arns = arns(count, rng);
                }
                (Operation::AssumeRoleWithSaml, CallerKind::SamlUser)
            }
            Group::Chain => {
                request.inherited_tags = if rng.chance(50.0) { attributes(rng) } else { pod(rng) };
                if rng.chance(50.0) {
                    request.tags = pairs(&["job", "stage"], rng);
                }
                if rng.chance(40.0) {
                    request.policy = Some(if rng.chance(50.0) { vendor(rng) } else { small(rng) });
                }
                (Operation::AssumeRole, CallerKind::AssumedRole)
            }
            Group::ManagedPolicies => {
                let count = rng.whole(0, 10);
                request.policy_arns = arns(count, rng);
                if rng.chance(30.0) {
                    request.policy = Some(small(rng));
                }
                (Operation::AssumeRole, *rng.pick(&[CallerKind::IamUser, CallerKind::AssumedRole]))
            }
            Group::Plain => {
                let callers = [CallerKind::IamUser, CallerKind::AssumedRole, CallerKind::AwsAccount, CallerKind::IdentityCenterUser];
                (Operation::AssumeRole, *rng.pick(&callers))
            }
            Group::Federation => {
                if rng.chance(60.0) {
                    request.policy = Some(small(rng));
                } else {
                    let count = rng.whole(1, 4);
                    request.policy_arns = arns(count, rng);
                }
                if rng.chance(30.0) {
                    request.tags = pairs(&["team", "cost-center"], rng);
                }
                (Operation::GetFederationToken, CallerKind::IamUser)
            }
            Group::SessionToken => (Operation::GetSessionToken, *rng.pick(&[CallerKind::IamUser, CallerKind::Root])),
            Group::Root => (Operation::AssumeRoot, CallerKind::AssumedRole),
        };
        let may_name = matches!(operation, Operation::AssumeRole | Operation::AssumeRoleWithSaml | Operation::AssumeRoleWithWebIdentity);
        let session = Session {
            service_linked: group == Group::LinkedRole,
            source_identity_bytes: (may_name && rng.chance(15.0)).then(|| rng.whole(2, 40) as u16),
            ..Session::new(operation, caller_kind)
        };
        Pattern { group, request, session, redacted: *rng.pick(&self.redacted) }
    }
}

/// Templates are filled until the text is one that STS takes.
fn vendor_policy(templates: &[Template], rng: &mut Rng) -> String {
    loop {
        let template = rng.pick(templates);
        let tables = rng.whole(1, 4);
        let text = template.fill(&holes(tables, rng));
        if (200..=2048).contains(&text.len()) {
            return text;
        }
    }
}

fn holes(tables: i64, rng: &mut Rng) -> Holes {
    let tenant = match rng.whole(0, 3) {
        0 => hex(rng, 32),
        1 => uuid(rng),
        2 => format!("org-{:08}", rng.whole(0, 99_999_999)),
        _ => format!("{}-{}", word(rng), word(rng)),
    };
    let prefix = (0..rng.whole(1, 3)).map(|_| word(rng)).collect::<Vec<_>>().join("/");
    let tables = (0..tables).map(|_| format!("{}_{}", word(rng), if rng.chance(50.0) { hex(rng, 8) } else { word(rng).to_owned() }));
    Holes { tenant, prefix, tables: tables.collect(), key: uuid(rng) }
}

/// What EKS Pod Identity passes.
fn pod(rng: &mut Rng) -> Vec<(String, String)> {
    let (cluster, account) = (format!("{}-{}", word(rng), rng.whole(1, 9)), word(rng));
    let tags = [
        ("eks-cluster-arn", format!("arn:aws:eks:eu-west-1:111122223333:cluster/{cluster}")),
        ("eks-cluster-name", cluster),
        ("kubernetes-namespace", word(rng).to_owned()),
        ("kubernetes-service-account", format!("{account}-sa")),
        ("kubernetes-pod-name", format!("{account}-{}-{}", hex(rng, 10), hex(rng, 5))),
        ("kubernetes-pod-uid", uuid(rng)),
    ];
    tags.map(|(key, value)| (key.to_owned(), value)).to_vec()
}

/// What an identity provider says of a person: one to twenty tags, some not in ASCII.
fn attributes(rng: &mut Rng) -> Vec<(String, String)> {
    const KEYS: [&str; 20] = [
        "team",
        "cost-center",
        "department",
        "city",
        "manager",
        "project",
        "clearance",
        "employee-id",
        "division",
        "product",
        "stage",
        "region",
        "office",
        "function",
        "level",
        "company",
        "group-1",
        "group-2",
        "group-3",
        "group-4",
    ];
    const ABROAD: [&str; 5] = ["Zürich", "Łódź", "Île-de-France", "東京", "Αθήνα"];
    let most = if rng.chance(70.0) { 6 } else { 20 };
    let count = rng.whole(1, most) as usize;
    let mut value = |key: &str| match key {
        "city" | "office" if rng.chance(50.0) => (*rng.pick(&ABROAD)).to_owned(),
        "employee-id" => rng.whole(10_000, 999_999).to_string(),
        _ if rng.chance(15.0) => (0..rng.whole(3, 12)).map(|_| word(rng)).collect::<Vec<_>>().join(":"),
        _ => word(rng).to_owned(),
    };
    KEYS[..count].iter().map(|key| ((*key).to_owned(), value(key))).collect()
}

fn pairs(keys: &[&str], rng: &mut Rng) -> Vec<(String, String)> {
    let count = rng.whole(1, keys.len() as i64) as usize;
    keys[..count]
        .iter()
        .map(|key| ((*key).to_owned(), if rng.chance(30.0) { hex(rng, 16) } else { format!("{}/{}", word(rng), word(rng)) }))
        .collect()
}

fn arns(count: i64, rng: &mut Rng) -> Vec<String> {
    const NAMES: [&str; 8] = [
        "aws:policy/ReadOnlyAccess",
        "aws:policy/AmazonS3ReadOnlyAccess",
        "aws:policy/AWSGlueConsoleFullAccess",
        "aws:policy/job-function/ViewOnlyAccess",
        "aws:policy/AmazonElasticMapReduceReadOnlyAccess",
        "aws:policy/service-role/AmazonEKSServicePolicy",
        "111122223333:policy/boundary",
        "111122223333:policy/platform/teams/data-engineering/restricted-export-",
    ];
    let from = rng.whole(0, 7) as usize;
    let arn = |step: usize| {
        let name = NAMES[(from + step) % NAMES.len()];
        let own = if name.ends_with('-') || step >= NAMES.len() { hex(rng, 6) } else { String::new() };
        format!("arn:aws:iam::{name}{own}")
    };
    (0..count as usize).map(arn).collect()
}

fn word(rng: &mut Rng) -> &'static str {
    const WORDS: [&str; 30] = [
        "orders",
        "billing",
        "search",
        "catalog",
        "ledger",
        "ingest",
        "export",
        "raw",
        "curated",
        "events",
        "clickstream",
        "inventory",
        "payments",
        "risk",
        "models",
        "features",
        "staging",
        "prod",
        "finance",
        "marketing",
        "logistics",
        "tickets",
        "sessions",
        "audit",
        "telemetry",
        "pricing",
        "returns",
        "warehouse",
        "customers",
        "experiments",
    ];
    WORDS[rng.whole(0, WORDS.len() as i64 - 1) as usize]
}

fn hex(rng: &mut Rng, chars: usize) -> String {
    (0..chars).map(|_| char::from(b"0123456789abcdef"[(rng.bits() % 16) as usize])).collect()
}

fn uuid(rng: &mut Rng) -> String {
    format!("{}-{}-4{}-a{}-{}", hex(rng, 8), hex(rng, 4), hex(rng, 3), hex(rng, 3), hex(rng, 12))
}
