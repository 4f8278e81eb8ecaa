//! Sizing functions as STS might have them: drawn by seed, unknown to the fit.

use std::cell::RefCell;
use std::collections::HashMap;

use packtrail::packing::{CallerKind, Operation, Regime, Request, Session};

use super::codec::Codec;
use super::plain::{Form, minified, plain};
use super::rng::Rng;

/// A function from calls to what STS logs of them.
pub struct Hidden {
    pub old: Figures,
    pub new: Figures,
}

/// How one regime sizes a session.
#[derive(Clone, Debug)]
pub struct Figures {
    pub content: Content,
    /// Bytes of packed content (old) or of the token's text (new) that are 100 %.
    pub limit: usize,
    pub rounding: Round,
    pub base: Base,
    /// What a source identity takes beside its text.
    pub identity: usize,
}

/// How the packed content of a request is sized, in bytes.
#[derive(Clone, Debug)]
pub struct Content {
    pub tag: usize,
    pub inherited_tag: usize,
    /// A managed policy ARN takes this and a share of its characters.
    pub arn: usize,
    pub arn_share: f64,
    pub codec: Codec,
    /// What is compressed.
    pub input: Input,
    /// What the codec's output grows by for each statement and for each policy.
    pub statement: usize,
    pub policy: usize,
    /// Whether a policy that is smaller plain stays so.
    pub smaller_of_both: bool,
}

/// What of a request the codec is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Input {
    /// The plain form of the policy, elements numbered from the second figure on.
    Plain(Form, u8),
    /// The plain form of the policy, and the tags after it.
    PlainAndTags(Form, u8),
    /// The policy's text without white space.
    Minified,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Round {
    Down,
    Nearest,
    Up,
}

/// What a token takes before names and content, by operation, caller kind and whether the role is service-linked.
#[derive(Clone, Copy, Debug)]
pub enum Base {
    /// Between 150 and 1,000 bytes, drawn for each group by this seed, and more in all of them.
    Drawn { seed: u64, more: usize },
    /// The same everywhere.
    Same(usize),
}

/// What a session takes: packed content, and the text of its token.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Size {
    pub packed: usize,
    pub token: usize,
    /// Rounded as STS logs it; None where STS logs none.
    pub percent: Option<usize>,
    /// Whether STS refuses the call.
    pub refused: bool,
}

/// What a call takes that its record does not show.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Unseen {
    pub content: usize,
    pub token: usize,
}

impl Hidden {
    /// What the engine is built with, as far as it is known.
    pub fn builtin_like() -> Hidden {
        let content = Content {
            tag: 3,
            inherited_tag: 3,
            arn: 7,
            arn_share: 0.0,
            codec: Codec::Libdeflate(3),
            input: Input::Plain(Form::ONE_EACH, 0),
            statement: 12,
            policy: 0,
            smaller_of_both: true,
        };
        let old = Figures { content, limit: 460, rounding: Round::Down, base: Base::Same(549), identity: 25 };
        Hidden { new: Figures { limit: 4096, ..old.clone() }, old }
    }

    /// One of the family that a fit should find.
    pub fn draw(seed: u64) -> Hidden {
        Hidden::of(Content::draw, &mut Rng::new(seed))
    }

    /// One that no fit can find, only cover.
    pub fn draw_strange(seed: u64) -> Hidden {
        Hidden::of(Content::draw_strange, &mut Rng::new(seed))
    }

    fn of(draw: fn(&mut Rng) -> Content, rng: &mut Rng) -> Hidden {
        let seed = rng.bits();
        let old = Figures {
            content: draw(rng),
            limit: if rng.chance(20.0) { 460 } else { rng.whole(300, 2000) as usize },
            rounding: Round::draw(rng),
            base: Base::Drawn { seed, more: 0 },
            identity: rng.whole(0, 40) as usize,
        };
        let mut new = Figures { limit: if rng.chance(40.0) { 4096 } else { rng.whole(2048, 8192) as usize }, ..old.clone() };
        if rng.chance(40.0) {
            new = Figures {
                content: draw(rng),
                limit: new.limit,
                rounding: Round::draw(rng),
                base: Base::Drawn { seed, more: rng.whole(4, 60) as usize },
                identity: rng.whole(0, 40) as usize,
            };
        }
        Hidden { old, new }
    }

    pub fn figures(&self, regime: Regime) -> &Figures {
        match regime {
            Regime::PackedPolicy => &self.old,
            Regime::SessionToken => &self.new,
        }
    }

    /// What `session` takes in `regime`, given the packed bytes of its request there.
    pub fn size(&self, regime: Regime, request: &Request, packed: usize, session: &Session, unseen: Unseen) -> Size {
        let figures = self.figures(regime);
        let packed = packed + unseen.content;
        let identity = session.source_identity_bytes.map_or(0, |bytes| usize::from(bytes) + figures.identity);
        let name = usize::from(session.session_name_bytes.unwrap_or(0));
        let bytes = figures.base.bytes(session) + name + packed + identity + unseen.token;
        let token = (4 * bytes.div_ceil(3)).max(usize::from(session.minimum_token_bytes.unwrap_or(0)));
        let (sized, logged) = match regime {
            Regime::PackedPolicy => (packed, passes_anything(request) || unseen.content > 0),
            Regime::SessionToken => (token, true),
        };
        let percent = logged.then(|| figures.rounding.percent(sized, figures.limit));
        Size { packed, token, percent, refused: sized > figures.limit }
    }
}

/// Whether STS packs anything for the request.
fn passes_anything(request: &Request) -> bool {
    request.policy.is_some() || !(request.policy_arns.is_empty() && request.tags.is_empty() && request.inherited_tags.is_empty())
}

impl Content {
    fn draw(rng: &mut Rng) -> Content {
        let overhead = |rng: &mut Rng| if rng.chance(70.0) { 1 } else { *rng.pick(&[0, 2]) };
        let form = Form { element: overhead(rng), list: overhead(rng), length: overhead(rng) };
        let tag = if rng.chance(30.0) { 3 } else { rng.whole(0, 12) as usize };
        Content {
            tag,
            inherited_tag: if rng.chance(75.0) { tag } else { rng.whole(0, 12) as usize },
            arn: rng.whole(2, 40) as usize,
            arn_share: if rng.chance(60.0) { 0.0 } else { *rng.pick(&[0.25, 0.5, 0.75, 1.0]) },
            codec: Codec::draw(rng),
            input: Input::Plain(form, *rng.pick(&[0, 0, 0x20, 0x80])),
            statement: rng.whole(0, 30) as usize,
            policy: rng.whole(0, 40) as usize,
            smaller_of_both: rng.chance(75.0),
        }
    }

    fn draw_strange(rng: &mut Rng) -> Content {
        let content = Content::draw(rng);
        let Input::Plain(form, code) = content.input else { return content };
        let (codec, input) = match rng.whole(0, 5) {
            0 => (Codec::Words, content.input),
            1 => (Codec::Brotli(*rng.pick(&[5, 11])), content.input),
            2 => (Codec::Bzip2, content.input),
            3 => (Codec::Entropy, Input::Minified),
            4 => (Codec::Zlib(9), Input::Minified),
            _ => (content.codec, Input::PlainAndTags(form, code)),
        };
        Content { codec, input, ..content }
    }

    /// Packed bytes of `request`.
    pub fn bytes(&self, request: &Request) -> usize {
        let tags = |tags: &[(String, String)], overhead| tags.iter().map(|(key, value)| key.len() + value.len() + overhead).sum::<usize>();
        let arn = |arn: &String| self.arn + (self.arn_share * arn.len() as f64) as usize;
        let beside = tags(&request.inherited_tags, self.inherited_tag) + request.policy_arns.iter().map(arn).sum::<usize>();
        let passed = tags(&request.tags, self.tag);
        match (&request.policy, self.input) {
            (None, _) => beside + passed,
            (Some(policy), Input::PlainAndTags(..)) => beside + self.policy(policy, &request.tags),
            (Some(policy), _) => beside + passed + self.policy(policy, &[]),
        }
    }

    fn policy(&self, text: &str, tags: &[(String, String)]) -> usize {
        let (mut bytes, statements) = match self.input {
            Input::Plain(form, code) | Input::PlainAndTags(form, code) => plain(text, form, code),
            Input::Minified => (minified(text).into_bytes(), plain(text, Form::ONE_EACH, 0).1),
        };
        tags.iter().for_each(|(key, value)| bytes.extend(format!("{key}{value}").bytes()));
        let packed = self.codec.bytes(&bytes) + self.statement * statements + self.policy;
        let plain_counts = self.smaller_of_both && self.codec != Codec::None;
        if plain_counts { packed.min(bytes.len()) } else { packed }
    }
}

impl Round {
    fn draw(rng: &mut Rng) -> Round {
        if rng.chance(84.0) { Round::Down } else { *rng.pick(&[Round::Nearest, Round::Up]) }
    }

    /// Percent of `limit` that `bytes` are.
    pub fn percent(self, bytes: usize, limit: usize) -> usize {
        match self {
            Round::Down => 100 * bytes / limit,
            Round::Nearest => (200 * bytes + limit) / (2 * limit),
            Round::Up => (100 * bytes).div_ceil(limit),
        }
    }
}

impl Base {
    fn bytes(self, session: &Session) -> usize {
        match self {
            Base::Same(bytes) => bytes,
            Base::Drawn { seed, more } => {
                let place = |found: Option<usize>| found.unwrap() as u64;
                let operation = place(Operation::ALL.iter().position(|one| *one == session.operation));
                let caller = place(CallerKind::ALL.iter().position(|one| *one == session.caller_kind));
                let group = operation << 16 | caller << 8 | u64::from(session.service_linked);
                150 + more + Rng::new(seed ^ group).whole(0, 850 - more as i64) as usize
            }
        }
    }
}

/// Remembers what requests take: most stand in a trail more than once, and some codecs are slow.
pub struct Packed<'a> {
    content: &'a Content,
    known: RefCell<HashMap<Request, usize>>,
}

impl<'a> Packed<'a> {
    pub fn new(content: &'a Content) -> Packed<'a> {
        Packed { content, known: RefCell::default() }
    }

    pub fn bytes(&self, request: &Request) -> usize {
        let known = self.known.borrow().get(request).copied();
        known.unwrap_or_else(|| {
            let bytes = self.content.bytes(request);
            self.known.borrow_mut().insert(request.clone(), bytes);
            bytes
        })
    }
}
