//! Session tags are not compressed: each takes its key, its value and three bytes. Dropping the largest is the surest way down, if nothing
//! reads them: needs review. A tag that the request's own policy reads stays. Not for requests of more than [`super::MAX_TAGS`] tags.

use super::tag_reads::{Reads, readers, sender, transitive_keys};
use super::{Change, Context, Effect, Proposal, State, counted, join, without_effect};
use crate::packing::{Asked, Parts, Request, one_tag_bytes, percent};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let (request, sizing) = (&state.asked.request, context.sizing);
    let tags = state.tags()?;
    let bytes = |(key, value): &(String, String)| one_tag_bytes(key, value, sizing);
    let reads = Reads::of_inline(state);
    let (kept, mut largest): (Vec<_>, Vec<_>) = tags.iter().partition(|(key, _)| reads.reads(key));
    largest.sort_by_key(|tag| std::cmp::Reverse(bytes(tag)));
    let sizes: Vec<u32> = largest.iter().map(|tag| bytes(tag)).collect();
    largest.truncate(how_many(context, state, &sizes)?);
    let keys: Vec<&str> = largest.iter().map(|(key, _)| key.as_str()).collect();
    let dropped: Vec<String> = largest.iter().map(|tag| format!("`{}` ({} bytes)", tag.0, bytes(tag))).collect();
    let stays = match kept.as_slice() {
        [] => String::new(),
        kept => {
            format!("{} stay, which the inline policy reads", kept.iter().map(|(key, _)| format!("`{key}`")).collect::<Vec<_>>().join(", "))
        }
    };
    let inherited = &request.inherited_tags;
    let note = if inherited.is_empty() {
        String::new()
    } else {
        let sum: u32 = inherited.iter().map(bytes).sum();
        format!(
            "{} more ({sum} bytes) inherited from the calling session can only be dropped where that session is made",
            counted(inherited.len(), "tag")
        )
    };
    let changed: Vec<(&str, Option<&str>)> = keys.iter().map(|key| (*key, None)).collect();
    Some(Proposal {
        change: Change {
            rule: "drop-largest-tags",
            effect: Effect::NeedsReview,
            title: format!("drop the largest {}", if keys.len() == 1 { "tag".to_owned() } else { counted(keys.len(), "tag") }),
            detail: join([
                dropped.join(", "),
                readers(context, &keys),
                sender(state.asked.session.operation, &keys),
                stays,
                note,
                without_effect::letter_case(request).unwrap_or_default(),
            ]),
        },
        asked: Asked {
            request: Request { tags: tags.iter().filter(|(key, _)| !keys.contains(&key.as_str())).cloned().collect(), ..request.clone() },
            transitive_tag_keys: transitive_keys(&state.asked, &changed),
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}

/// The fewest of the tags, largest first, that bring the call under the target; where all of them do not, those that make up half; where they do not either, all.
fn how_many(context: &Context<'_>, state: &State, sizes: &[u32]) -> Option<usize> {
    let all = state.parts.tag_bytes;
    let after = |count: usize| {
        let dropped: u32 = sizes.iter().take(count).sum();
        Parts { tag_bytes: all.saturating_sub(dropped), ..state.parts }
    };
    let session = state.asked.session();
    let value = |parts: &Parts| percent(parts, &session, context.sizing).value;
    let reaches_target = (1..=sizes.len()).find(|&count| value(&after(count)) < context.advice.target_percent);
    let halves = || (1..=sizes.len()).find(|&count| 2 * after(count).tag_bytes <= all);
    reaches_target.or_else(halves).or(Some(sizes.len()).filter(|&count| count > 0))
}

#[cfg(test)]
mod tests {
    use crate::fixes::tests::{only, suggested};
    use crate::packing::{CallerKind, Operation, Profile, Regime, Request, Session};

    #[test]
    fn a_tag_that_the_inline_policy_reads_stays() {
        let long = "v".repeat(250);
        let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::${aws:PrincipalTag/Large}/*"}}"#;
        let tags = vec![("large".to_owned(), long), ("small".to_owned(), "x".to_owned())];
        let request = Request { policy: Some(policy.to_owned()), tags, ..Request::default() };
        let session = Session::new(Operation::AssumeRole, CallerKind::IamUser);
        let found = suggested(&request, &session, Profile::builtin().sizing(Regime::PackedPolicy), false);
        let fix = only(&found, "drop-largest-tags");
        assert_eq!(fix.asked.request.tags, request.tags[..1]);
        assert!(fix.detail().contains("`large` stay, which the inline policy reads"), "{}", fix.detail());
    }
}
