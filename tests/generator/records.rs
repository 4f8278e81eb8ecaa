//! CloudTrail records of STS calls and of other management events, field for field in the order CloudTrail writes them.

use chrono::DateTime;
use packtrail::packing::{CallerKind, Operation, Packer, Parts, Profile, Request, Session, token_bytes};

use super::Rng;
use super::json::{Fields, Json};

/// First day of every trail: 2026-07-15.
pub const FIRST_DAY: i32 = 20_649;
/// Bytes of packed content STS granted before September 2026.
pub const PACKED_LIMIT_BYTES: u32 = 460;
/// Bytes of session token STS grants since.
pub const TOKEN_LIMIT_BYTES: u32 = 4096;

/// Who calls. `account` is the caller's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    Role { account: &'static str, name: &'static str },
    User { account: &'static str, name: &'static str },
    Service { name: &'static str },
    GitHub { account: &'static str, repository: &'static str },
    Saml { account: &'static str, provider: &'static str },
}

impl Caller {
    /// `userIdentity.type`.
    pub fn kind(&self) -> CallerKind {
        match self {
            Caller::Role { .. } => CallerKind::AssumedRole,
            Caller::User { .. } => CallerKind::IamUser,
            Caller::Service { .. } => CallerKind::AwsService,
            Caller::GitHub { .. } => CallerKind::WebIdentityUser,
            Caller::Saml { .. } => CallerKind::SamlUser,
        }
    }

    /// What the `caller` column shows.
    pub fn shown(&self) -> String {
        match self {
            Caller::Role { account, name } => format!("arn:aws:iam::{account}:role/{name}"),
            Caller::User { account, name } => format!("arn:aws:iam::{account}:user/{name}"),
            Caller::Service { name } => (*name).to_owned(),
            Caller::GitHub { account, .. } => format!("arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com"),
            Caller::Saml { account, provider } => format!("arn:aws:iam::{account}:saml-provider/{provider}"),
        }
    }

    fn account(&self) -> Option<&'static str> {
        match self {
            Caller::Role { account, .. } | Caller::User { account, .. } => Some(account),
            _ => None,
        }
    }

    fn user_agent(&self) -> &'static str {
        match self {
            Caller::Role { .. } => "Boto3/1.40.11 md/Botocore#1.40.11 ua/2.1 os/linux#6.1 lang/python#3.12.4 Botocore/1.40.11",
            Caller::User { .. } => "aws-cli/2.31.4 md/awscrt#0.27.6 ua/2.1 os/linux#6.8 md/arch#x86_64 lang/python#3.13.7",
            Caller::Service { name } => name,
            Caller::GitHub { .. } => {
                "aws-sdk-js/3.888.0 ua/2.1 os/linux#6.11 lang/js md/nodejs#22.19.0 api/sts#3.888.0 configure-aws-credentials"
            }
            Caller::Saml { .. } => "aws-sdk-go-v2/1.39.0 ua/2.1 os/macos lang/go#1.25.1 md/GOOS#darwin api/sts#1.38.4",
        }
    }
}

/// How STS answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Granted under the packed-policy limit; the percentage stands where a policy, ARN or tag was passed.
    GrantedPacked { percent: Option<u32>, token_bytes: u32 },
    /// Granted under the session-token limit.
    GrantedToken { token_bytes: u32 },
    /// Refused for size, with this message.
    TooLarge { message: String },
    /// AccessDenied: neither request nor answer are logged.
    Denied,
}

/// One STS call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Seconds since 1970-01-01 UTC.
    pub time: i64,
    /// Account of the role, or of the caller where no role is assumed.
    pub account: &'static str,
    pub region: &'static str,
    pub operation: Operation,
    pub caller: Caller,
    /// None for operations that assume none.
    pub role_arn: Option<String>,
    pub session_name: String,
    pub request: Request,
    pub answer: Answer,
}

/// What STS would say to a call, by the engine.
pub struct Sizes {
    packer: Packer,
    profile: Profile,
}

impl Sizes {
    pub fn new() -> Sizes {
        Sizes { packer: Packer::new(), profile: Profile::builtin() }
    }

    pub fn parts(&mut self, request: &Request) -> Parts {
        self.packer.pack(request, &self.profile.packed_policy)
    }

    pub fn token(&self, parts: &Parts, call: &Call) -> u32 {
        let role = call.role_arn.as_deref().unwrap_or_default();
        let session = Session {
            operation: call.operation,
            caller_kind: call.caller.kind(),
            service_linked: role.contains("/aws-service-role/"),
            session_name_bytes: Some(call.session_name.len() as u16),
            source_identity_bytes: None,
            minimum_token_bytes: None,
        };
        token_bytes(parts, &session, &self.profile.session_token).value as u32
    }
}

/// True when a percentage is logged under the packed-policy limit.
pub fn passes_anything(request: &Request) -> bool {
    request.policy.is_some() || !request.policy_arns.is_empty() || !request.tags.is_empty() || !request.inherited_tags.is_empty()
}

/// Tags that pack to `bytes`: key, value and 3 bytes each.
pub fn tags(name: &str, bytes: f64) -> Vec<(String, String)> {
    // Two letters of key and value, a hyphen and two digits are the least a tag is made of here.
    let key_bytes = name.len() + 3;
    let mut left = bytes.round().max(0.0) as usize;
    let mut tags = Vec::new();
    let full = key_bytes + 3 + 240;
    while left > key_bytes + 3 {
        // What would be too little for the next tag stays in this one.
        let take = if left > full + key_bytes + 6 { full } else { left.min(full + 16) };
        let value = take - key_bytes - 3;
        let list: String = (0..).map(|item| format!("p{:04}:", (item * 7 + tags.len() * 131) % 10_000)).take(value / 6 + 1).collect();
        tags.push((format!("{name}-{:02}", tags.len() + 1), list[..value].to_owned()));
        left -= take;
    }
    tags
}

/// The records of `call`: one, or one for each account when it crosses accounts.
pub fn records(call: &Call, rng: &mut Rng) -> Vec<(&'static str, Json)> {
    let other = call.caller.account().filter(|account| *account != call.account);
    let shared = (other.is_some() || matches!(call.caller, Caller::Service { .. })).then(|| uuid(rng));
    let request_id = uuid(rng);
    let credentials = credentials(call, rng);
    let mut copies = vec![(call.account, record(call, call.account, &request_id, shared.as_deref(), &credentials, rng))];
    if let Some(other) = other {
        copies.push((other, record(call, other, &request_id, shared.as_deref(), &credentials, rng)));
    }
    copies
}

fn record(call: &Call, recipient: &str, request_id: &str, shared: Option<&str>, credentials: &Json, rng: &mut Rng) -> Json {
    let (code, message) = match &call.answer {
        Answer::TooLarge { message } => (Some("PackedPolicyTooLargeException"), Some(message.clone())),
        Answer::Denied => (Some("AccessDenied"), Some(denial(call))),
        _ => (None, None),
    };
    let is_service = matches!(call.caller, Caller::Service { .. });
    let role = call.role_arn.as_deref().filter(|_| !matches!(call.answer, Answer::Denied));
    let resources = role.map(|arn| {
        let resource = Fields::new().with("accountId", call.account).with("type", "AWS::IAM::Role").with("ARN", arn);
        vec![Json::from(resource)]
    });
    let source =
        if is_service { call.caller.user_agent().to_owned() } else { format!("203.0.113.{}", 10 + call.account.as_bytes()[0] % 50) };
    Fields::new()
        .with("eventVersion", "1.11")
        .with("userIdentity", identity(call, recipient))
        .with("eventTime", timestamp(call.time))
        .with("eventSource", "sts.amazonaws.com")
        .with("eventName", call.operation.name())
        .with("awsRegion", call.region)
        .with("sourceIPAddress", source)
        .with("userAgent", call.caller.user_agent())
        .with_some("errorCode", code)
        .with_some("errorMessage", message)
        .with("requestParameters", if call.answer == Answer::Denied { Json::Null } else { parameters(call) })
        .with("responseElements", response(call, credentials))
        .with("requestID", request_id)
        .with("eventID", uuid(rng))
        .with("readOnly", true)
        .with_some("resources", resources)
        .with("eventType", "AwsApiCall")
        .with("managementEvent", true)
        .with("recipientAccountId", recipient)
        .with_some("sharedEventID", shared)
        .with("eventCategory", "Management")
        .with_some("tlsDetails", (!is_service).then(|| tls(&format!("sts.{}.amazonaws.com", call.region))))
        .into()
}

fn tls(host: &str) -> Json {
    Fields::new().with("tlsVersion", "TLSv1.3").with("cipherSuite", "TLS_AES_128_GCM_SHA256").with("clientProvidedHostHeader", host).into()
}

fn denial(call: &Call) -> String {
    let role = call.role_arn.as_deref().unwrap_or("*");
    format!("User: {} is not authorized to perform: sts:{} on resource: {role}", call.caller.shown(), call.operation.name())
}

fn identity(call: &Call, recipient: &str) -> Json {
    let fields = Fields::new();
    let home = call.caller.account();
    if let Caller::Role { account, name } = &call.caller
        && home != Some(recipient)
    {
        let principal = format!("{}:{name}-worker", principal_id("AROA", &call.caller.shown()));
        return fields.with("type", "AWSAccount").with("principalId", principal).with("accountId", *account).into();
    }
    match &call.caller {
        Caller::Role { account, name } => {
            let id = principal_id("AROA", &call.caller.shown());
            let issuer = Fields::new()
                .with("type", "Role")
                .with("principalId", id.as_str())
                .with("arn", call.caller.shown())
                .with("accountId", *account)
                .with("userName", *name);
            let attributes =
                Fields::new().with("creationDate", timestamp(call.time - call.time.rem_euclid(3600))).with("mfaAuthenticated", "false");
            fields
                .with("type", "AssumedRole")
                .with("principalId", format!("{id}:{name}-worker"))
                .with("arn", format!("arn:aws:sts::{account}:assumed-role/{name}/{name}-worker"))
                .with("accountId", *account)
                .with("accessKeyId", principal_id("ASIA", name))
                .with("sessionContext", Fields::new().with("sessionIssuer", issuer).with("attributes", attributes))
        }
        Caller::User { account, name } => fields
            .with("type", "IAMUser")
            .with("principalId", principal_id("AIDA", name))
            .with("arn", call.caller.shown())
            .with("accountId", *account)
            .with("accessKeyId", principal_id("AKIA", name))
            .with("userName", *name),
        Caller::Service { name } => fields.with("type", "AWSService").with("invokedBy", *name),
        Caller::GitHub { repository, .. } => {
            let subject = format!("repo:{repository}:ref:refs/heads/main");
            fields
                .with("type", "WebIdentityUser")
                .with("principalId", format!("{}:sts.amazonaws.com:{subject}", call.caller.shown()))
                .with("userName", subject)
                .with("identityProvider", call.caller.shown())
        }
        Caller::Saml { .. } => {
            let user = call.session_name.as_str();
            fields
                .with("type", "SAMLUser")
                .with("principalId", format!("ExampleNameQualifierAAAAAAA=:{user}"))
                .with("userName", user)
                .with("identityProvider", "ExampleNameQualifierAAAAAAA=")
        }
    }
    .into()
}

fn parameters(call: &Call) -> Json {
    let request = &call.request;
    let policy = request.policy.clone();
    let arns = (!request.policy_arns.is_empty())
        .then(|| request.policy_arns.iter().map(|arn| Fields::new().with("arn", arn.as_str()).into()).collect::<Vec<Json>>());
    let object = |tags: &[(String, String)]| -> Option<Json> {
        let fields = tags.iter().fold(Fields::new(), |fields, (key, value)| fields.with(key, value.as_str()));
        (!tags.is_empty()).then(|| fields.into())
    };
    let list = (!request.tags.is_empty()).then(|| {
        let tag = |(key, value): &(String, String)| Fields::new().with("key", key.as_str()).with("value", value.as_str()).into();
        request.tags.iter().map(tag).collect::<Vec<Json>>()
    });
    let fields = Fields::new();
    match call.operation {
        Operation::AssumeRole => fields
            .with_some("roleArn", call.role_arn.clone())
            .with("roleSessionName", call.session_name.as_str())
            .with_some("policy", policy)
            .with_some("policyArns", arns)
            .with("durationSeconds", 3600)
            .with_some("tags", list)
            .with_some("incomingTransitiveTags", object(&request.inherited_tags)),
        Operation::AssumeRoleWithSaml => fields
            .with_some("principalTags", object(&request.tags))
            .with("sAMLAssertionID", "_FAKEassertionEXAMPLE0000000000000000")
            .with("roleSessionName", call.session_name.as_str())
            .with_some("roleArn", call.role_arn.clone())
            .with("principalArn", call.caller.shown())
            .with_some("policy", policy)
            .with_some("policyArns", arns)
            .with("durationSeconds", 3600),
        Operation::AssumeRoleWithWebIdentity => fields
            .with_some("principalTags", object(&request.tags))
            .with_some("roleArn", call.role_arn.clone())
            .with("roleSessionName", call.session_name.as_str())
            .with_some("policy", policy)
            .with_some("policyArns", arns)
            .with("durationSeconds", 3600),
        Operation::GetFederationToken => fields
            .with("name", call.session_name.as_str())
            .with_some("policy", policy)
            .with_some("policyArns", arns)
            .with("durationSeconds", 3600)
            .with_some("tags", list),
        Operation::AssumeRoot => fields
            .with("targetPrincipal", call.account)
            .with("taskPolicyArn", Fields::new().with("arn", "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"))
            .with("durationSeconds", 900),
        Operation::GetSessionToken => fields.with("durationSeconds", 3600),
    }
    .into()
}

fn credentials(call: &Call, rng: &mut Rng) -> Json {
    let bytes = match call.answer {
        Answer::GrantedPacked { token_bytes, .. } | Answer::GrantedToken { token_bytes } => token_bytes,
        _ => return Json::Null,
    };
    Fields::new()
        .with("accessKeyId", format!("ASIAEXAMPLE{}", code(rng, 9)))
        .with("sessionToken", "FAKETOKEN".repeat(bytes as usize / 9 + 1)[..bytes as usize].to_owned())
        .with("expiration", expiration(call.time + 3600))
        .into()
}

fn response(call: &Call, credentials: &Json) -> Json {
    let (packed, size) = match call.answer {
        Answer::GrantedPacked { percent, .. } => (percent, None),
        Answer::GrantedToken { token_bytes } => {
            // GetSessionToken packs nothing and says so: its answer has no `packedPolicySize`.
            let percent = 100 * token_bytes / TOKEN_LIMIT_BYTES;
            ((call.operation != Operation::GetSessionToken).then_some(percent), Some((token_bytes, percent)))
        }
        _ => return Json::Null,
    };
    let fields = Fields::new().with("credentials", credentials.clone());
    let role = call.role_arn.as_deref().unwrap_or_default();
    let name = call.session_name.as_str();
    let assumed = || {
        let short = role.rsplit('/').next().unwrap_or_default();
        Fields::new()
            .with("assumedRoleId", format!("{}:{name}", principal_id("AROA", role)))
            .with("arn", format!("arn:aws:sts::{}:assumed-role/{short}/{name}", call.account))
    };
    let packed = packed.map(i64::from);
    let fields = match call.operation {
        Operation::AssumeRole => fields.with("assumedRoleUser", assumed()).with_some("packedPolicySize", packed),
        Operation::AssumeRoleWithSaml => fields
            .with("assumedRoleUser", assumed())
            .with_some("packedPolicySize", packed)
            .with("subject", name)
            .with("subjectType", "persistent")
            .with("issuer", "https://idp.example.com/saml")
            .with("audience", "https://signin.aws.amazon.com/saml")
            .with("nameQualifier", "ExampleNameQualifierAAAAAAA="),
        Operation::AssumeRoleWithWebIdentity => fields
            .with("subjectFromWebIdentityToken", "repo:example/infrastructure:ref:refs/heads/main")
            .with("assumedRoleUser", assumed())
            .with_some("packedPolicySize", packed)
            .with("provider", call.caller.shown())
            .with("audience", "sts.amazonaws.com"),
        Operation::GetFederationToken => {
            let user = Fields::new()
                .with("federatedUserId", format!("{}:{name}", call.account))
                .with("arn", format!("arn:aws:sts::{}:federated-user/{name}", call.account));
            fields.with("federatedUser", user).with_some("packedPolicySize", packed)
        }
        Operation::AssumeRoot | Operation::GetSessionToken => fields.with_some("packedPolicySize", packed),
    };
    match size {
        Some((bytes, percent)) => {
            fields.with("sessionTokenSize", i64::from(bytes)).with("sessionTokenUtilization", i64::from(percent)).into()
        }
        None => fields.into(),
    }
}

/// A management event that is no STS call; one in ten holds words that look like one.
pub fn other_event(time: i64, account: &'static str, region: &'static str, rng: &mut Rng) -> Json {
    const READS: [(&str, &str); 8] = [
        ("ec2.amazonaws.com", "DescribeInstances"),
        ("s3.amazonaws.com", "ListBuckets"),
        ("iam.amazonaws.com", "ListRoles"),
        ("kms.amazonaws.com", "Decrypt"),
        ("logs.amazonaws.com", "DescribeLogGroups"),
        ("lambda.amazonaws.com", "ListFunctions20150331"),
        ("sts.amazonaws.com", "GetCallerIdentity"),
        ("ssm.amazonaws.com", "GetParameters"),
    ];
    let (source, name, parameters, read) = if rng.chance(10.0) {
        let tag = Fields::new().with("key", "note").with("value", "\"eventSource\":\"sts.amazonaws.com\",\"eventName\":\"AssumeRole\"");
        let tags = Fields::new().with("items", vec![Json::from(tag)]);
        let set = Fields::new().with("items", vec![Json::from(Fields::new().with("resourceId", format!("i-0{}", hex(rng, 16))))]);
        let parameters = Json::from(Fields::new().with("resourcesSet", set).with("tagSet", tags));
        ("ec2.amazonaws.com", "CreateTags", parameters, false)
    } else {
        let (source, name) = *rng.pick(&READS);
        (source, name, Json::Null, true)
    };
    let caller = Caller::User { account, name: "inventory" };
    let identity = Fields::new()
        .with("type", "IAMUser")
        .with("principalId", principal_id("AIDA", "inventory"))
        .with("arn", caller.shown())
        .with("accountId", account)
        .with("accessKeyId", principal_id("AKIA", "inventory"))
        .with("userName", "inventory");
    Fields::new()
        .with("eventVersion", "1.11")
        .with("userIdentity", identity)
        .with("eventTime", timestamp(time))
        .with("eventSource", source)
        .with("eventName", name)
        .with("awsRegion", region)
        .with("sourceIPAddress", "198.51.100.20")
        .with("userAgent", caller.user_agent())
        .with("requestParameters", parameters)
        .with("responseElements", Json::Null)
        .with("requestID", uuid(rng))
        .with("eventID", uuid(rng))
        .with("readOnly", read)
        .with("eventType", "AwsApiCall")
        .with("managementEvent", true)
        .with("recipientAccountId", account)
        .with("eventCategory", "Management")
        .with("tlsDetails", tls(&format!("{}.{region}.amazonaws.com", source.split('.').next().unwrap())))
        .into()
}

/// `2026-07-15T00:05:00Z`.
pub fn timestamp(time: i64) -> String {
    DateTime::from_timestamp(time, 0).unwrap().format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `Jul 15, 2026, 1:05:00 AM`.
fn expiration(time: i64) -> String {
    DateTime::from_timestamp(time, 0).unwrap().format("%b %-d, %Y, %-I:%M:%S %p").to_string()
}

/// An id of a role, user or key: always the same for the same name, and an example to the eye.
fn principal_id(prefix: &str, name: &str) -> String {
    let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{prefix}EXAMPLE{}", code(&mut Rng::new(seed), 10))
}

fn code(rng: &mut Rng, chars: usize) -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    (0..chars).map(|_| char::from(LETTERS[(rng.bits() % 32) as usize])).collect()
}

/// Random hexadecimal digits.
pub fn hex(rng: &mut Rng, chars: usize) -> String {
    (0..chars).map(|_| char::from(b"0123456789abcdef"[(rng.bits() % 16) as usize])).collect()
}

/// A random UUID.
pub fn uuid(rng: &mut Rng) -> String {
    format!("{}-{}-4{}-a{}-{}", hex(rng, 8), hex(rng, 4), hex(rng, 3), hex(rng, 3), hex(rng, 12))
}
