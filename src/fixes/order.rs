//! The order of statements, of their elements and of the entries of their lists decides nothing. A codec finds more where like stands near like.
//! Effect: same meaning.
//!
//! The engine chooses: an order is taken where it leaves fewer packed bytes. Which codec STS uses is not known, so an order found for the engine's codec
//! may bring less, or nothing, with STS's own; orders that a person would choose (sorted lists, elements in one order) are tried first.

use super::known;
use super::{Rewrite, Scale};
use crate::policy::{Clause, Element, Policy, Scalar, Scalars, Statement, Statements, Values};

pub(super) const REWRITE: Rewrite = Rewrite {
    rule: "order",
    title: |_| "put statements, elements and lists in an order that packs better".to_owned(),
    apply: rewrite,
    says_what: true,
};

/// How many orders are weighed, at some ten microseconds each.
const MOST_WEIGHED: usize = 200;

fn rewrite(policy: &mut Policy, scale: &mut Scale<'_>) -> Vec<String> {
    if !known::is_plain(policy) || policy.statements().any(|statement| known::known(statement).is_none()) {
        return Vec::new();
    }
    let start = scale.bytes(policy);
    let mut search = Search { policy: policy.clone(), bytes: start, weighed: 0, scale };
    search.try_orders(&[elements_in_one_order, |policy| sort_lists(policy, |text| text.to_owned()), sort_statements]);
    search.try_orders(&[|policy| sort_lists(policy, |text| text.chars().rev().collect())]);
    // The plain form takes the same bytes in any order, so more trying is of use only where one made a difference.
    if search.bytes < start {
        search.swap_neighbours();
    }
    let saved = start.saturating_sub(search.bytes);
    if saved == 0 {
        return Vec::new();
    }
    *policy = search.policy;
    vec![format!("another order saves {} by the engine's codec, which stands for STS's own", super::counted(saved as usize, "byte"))]
}

struct Search<'a, 'b> {
    policy: Policy,
    bytes: u32,
    weighed: usize,
    scale: &'a mut Scale<'b>,
}

impl Search<'_, '_> {
    /// Keeps what `change` does where it leaves fewer bytes.
    fn keep_if_smaller(&mut self, change: impl FnOnce(&mut Policy)) {
        if self.weighed >= MOST_WEIGHED {
            return;
        }
        let mut changed = self.policy.clone();
        change(&mut changed);
        if changed == self.policy {
            return;
        }
        self.weighed += 1;
        let bytes = self.scale.bytes(&changed);
        if bytes < self.bytes {
            (self.policy, self.bytes) = (changed, bytes);
        }
    }

    fn try_orders(&mut self, orders: &[fn(&mut Policy)]) {
        for order in orders {
            self.keep_if_smaller(order);
        }
    }

    fn swap_neighbours(&mut self) {
        let statements = self.policy.statements().count();
        for at in 1..statements {
            self.keep_if_smaller(|policy| {
                if let Some(many) = known::statements(policy) {
                    many.swap(at - 1, at);
                }
            });
        }
        for statement in 0..statements {
            for list in 0.. {
                let Some(length) = self.policy.statements().nth(statement).and_then(|statement| list_length(statement, list)) else {
                    break;
                };
                for at in 1..length {
                    self.keep_if_smaller(|policy| {
                        if let Some(statement) = policy.statements_mut().nth(statement) {
                            swap(statement, list, at);
                        }
                    });
                }
            }
        }
    }
}

fn elements_in_one_order(policy: &mut Policy) {
    for statement in policy.statements_mut() {
        statement.clauses.sort_by_key(|clause| match clause {
            Clause::Sid(_) => 0,
            Clause::Effect(_) => 1,
            Clause::Action(_) | Clause::NotAction(_) => 2,
            Clause::Resource(_) | Clause::NotResource(_) => 3,
            Clause::Condition(_) => 4,
            Clause::Other(..) => 5,
        });
    }
}

fn sort_lists(policy: &mut Policy, key: fn(&str) -> String) {
    for clause in policy.statements_mut().flat_map(|statement| &mut statement.clauses) {
        match clause {
            Clause::Action(Values::Many(texts))
            | Clause::NotAction(Values::Many(texts))
            | Clause::Resource(Values::Many(texts))
            | Clause::NotResource(Values::Many(texts)) => texts.sort_by_cached_key(|text| key(text)),
            Clause::Condition(operators) => {
                for (_, values) in operators.iter_mut().flat_map(|(_, keys)| keys) {
                    if let Scalars::Many(many) = values {
                        many.sort_by_cached_key(|value: &Scalar| key(value.text()));
                    }
                }
            }
            _ => {}
        }
    }
}

fn sort_statements(policy: &mut Policy) {
    for element in &mut policy.elements {
        if let Element::Statement(Statements::Many(many)) = element {
            many.sort_by_cached_key(|statement| {
                known::known(statement).map(|known| {
                    let first = |texts: &[String]| texts.first().cloned().unwrap_or_default();
                    (known.effect.name(), first(known.resources.texts()), first(known.actions.texts()))
                })
            });
        }
    }
}

/// How many entries the list at `index` of a statement has; None beyond the last.
fn list_length(statement: &Statement, index: usize) -> Option<usize> {
    let mut lengths = Vec::new();
    for clause in &statement.clauses {
        match clause {
            Clause::Action(values) | Clause::NotAction(values) | Clause::Resource(values) | Clause::NotResource(values) => {
                lengths.push(values.as_slice().len());
            }
            Clause::Condition(operators) => {
                lengths.extend(operators.iter().flat_map(|(_, keys)| keys).map(|(_, values)| values.as_slice().len()))
            }
            _ => {}
        }
    }
    lengths.get(index).copied()
}

/// Swaps the entry at `at` of the list at `index` with the one before it.
fn swap(statement: &mut Statement, index: usize, at: usize) {
    let mut list = 0;
    for clause in &mut statement.clauses {
        match clause {
            Clause::Action(values) | Clause::NotAction(values) | Clause::Resource(values) | Clause::NotResource(values) => {
                if let (true, Values::Many(texts)) = (list == index, values) {
                    texts.swap(at - 1, at);
                }
                list += 1;
            }
            Clause::Condition(operators) => {
                for (_, values) in operators.iter_mut().flat_map(|(_, keys)| keys) {
                    if let (true, Scalars::Many(many)) = (list == index, values) {
                        many.swap(at - 1, at);
                    }
                    list += 1;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;
    use super::*;

    #[test]
    fn an_order_is_changed_where_it_packs_better_and_only_the_order() {
        let verbs = ["Get", "Put", "Delete"];
        let nouns = ["ObjectLegalHold", "ObjectRetention", "ObjectVersionTagging", "BucketOwnershipControls", "AccelerateConfiguration"];
        let actions: Vec<String> = nouns.iter().flat_map(|noun| verbs.map(|verb| format!("\"s3:{verb}{noun}\""))).collect();
        let mixed: Vec<&String> = (0..actions.len()).map(|index| &actions[index * 7 % actions.len()]).collect();
        let list = mixed.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"Statement":{{"Resource":"*","Effect":"Allow","Action":[{list}]}}}}"#);
        let (after, said) = rewritten(&REWRITE, &text).unwrap();
        assert!(said[0].starts_with("another order saves "), "{said:?}");
        let entries = |text: &str| {
            let mut entries: Vec<String> = text.split(['"', '{', '}', '[', ']', ',', ':']).map(str::to_owned).collect();
            entries.sort_unstable();
            entries
        };
        assert_eq!(entries(&after), entries(&text));
    }

    #[test]
    fn a_policy_that_is_not_compressed_keeps_its_order() {
        assert_eq!(
            rewritten(&REWRITE, r#"{"Statement":{"Resource":"*","Effect":"Allow","Action":["s3:PutObject","s3:GetObject"]}}"#),
            None
        );
    }
}
