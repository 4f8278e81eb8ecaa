//! Session tags are not compressed: each takes its key, its value and three bytes. Dropping the largest is the surest way down, if nothing
//! reads them: needs review. Not for requests of more than [`super::MAX_TAGS`] tags.

use super::{Change, Context, Effect, Proposal, State, counted, join, without_effect};
use crate::packing::{Asked, Parts, Request, one_tag_bytes, percent};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let (request, sizing) = (&state.asked.request, context.sizing);
    let tags = state.tags()?;
    let bytes = |(key, value): &(String, String)| one_tag_bytes(key, value, sizing);
    let mut largest: Vec<usize> = (0..tags.len()).collect();
    largest.sort_by_key(|&index| std::cmp::Reverse(tags.get(index).map_or(0, bytes)));
    let sizes: Vec<u32> = largest.iter().filter_map(|&index| tags.get(index)).map(bytes).collect();
    largest.truncate(how_many(context, state, &sizes)?);
    let drop = largest;
    let dropped: Vec<String> =
        drop.iter().filter_map(|&index| tags.get(index)).map(|tag| format!("`{}` ({} bytes)", tag.0, bytes(tag))).collect();
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
    Some(Proposal {
        change: Change {
            rule: "drop-largest-tags",
            effect: Effect::NeedsReview,
            title: format!("drop the largest {}", if drop.len() == 1 { "tag".to_owned() } else { counted(drop.len(), "tag") }),
            detail: join([dropped.join(", "), note, without_effect::letter_case(request).unwrap_or_default()]),
        },
        asked: Asked {
            request: Request {
                tags: tags.iter().enumerate().filter(|(index, _)| !drop.contains(index)).map(|(_, tag)| tag.clone()).collect(),
                ..request.clone()
            },
            ..state.asked.clone()
        },
        documents: Vec::new(),
    })
}

/// The fewest of the tags, largest first, that bring the call under the target; where all of them do not, those that make up half.
fn how_many(context: &Context<'_>, state: &State, sizes: &[u32]) -> Option<usize> {
    let all = state.parts.tag_bytes;
    let after = |count: usize| {
        let dropped: u32 = sizes.iter().take(count).sum();
        Parts { tag_bytes: all.saturating_sub(dropped), ..state.parts }
    };
    let session = state.asked.session();
    let value = |parts: &Parts| percent(parts, &session, context.sizing).value;
    let reaches_target = (1..=sizes.len()).find(|&count| value(&after(count)) < context.advice.target_percent);
    reaches_target.or_else(|| (1..=sizes.len()).find(|&count| 2 * after(count).tag_bytes <= all))
}
