//! Whether one pattern of a policy covers another: matches everything the other can match.
//!
//! Only what can be proven counts. A `*` is taken not to cross a `:`, but for one at the end of the last part of an ARN, which is the sixth; and a text with
//! a policy variable (`${...}`) is covered by itself and by `*` alone, since nothing tells what it becomes. See [wildcards in resource elements].
//!
//! [wildcards in resource elements]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html

/// Whether the action pattern `wide` covers `narrow`. Case does not count in actions.
pub(super) fn action_covers(wide: &str, narrow: &str) -> bool {
    covers(wide, narrow, |one, other| one.eq_ignore_ascii_case(&other))
}

/// Whether the resource pattern `wide` covers `narrow`. Case counts.
pub(super) fn resource_covers(wide: &str, narrow: &str) -> bool {
    covers(wide, narrow, |one, other| one == other)
}

/// Whether some action may fit both patterns; true where it is not sure.
pub(super) fn actions_overlap(one: &str, other: &str) -> bool {
    overlap(one, other, |one, other| one.eq_ignore_ascii_case(&other))
}

/// Whether some resource may fit both patterns; true where it is not sure.
pub(super) fn resources_overlap(one: &str, other: &str) -> bool {
    overlap(one, other, |one, other| one == other)
}

fn covers(wide: &str, narrow: &str, same: fn(u8, u8) -> bool) -> bool {
    if wide == "*" || wide == narrow {
        return true;
    }
    if wide.contains("${") || narrow.contains("${") {
        return false;
    }
    matches(wide.as_bytes(), narrow.as_bytes(), same)
}

/// Every `*` is taken to cross everything, and a variable to be anything: what overlaps then may not overlap for IAM, but not the other way.
fn overlap(one: &str, other: &str, same: fn(u8, u8) -> bool) -> bool {
    if one.contains("${") || other.contains("${") {
        return true;
    }
    let (one, other) = (one.as_bytes(), other.as_bytes());
    // Whether what is left of both, from each place of `other` on, can be one text.
    let mut reach = vec![false; other.len() + 1];
    for at in (0..=one.len()).rev() {
        let mut next = vec![false; other.len() + 1];
        for place in (0..=other.len()).rev() {
            let below = reach.get(place).copied().unwrap_or(false);
            let right = next.get(place + 1).copied().unwrap_or(false);
            let across = reach.get(place + 1).copied().unwrap_or(false);
            let fits = match (one.get(at), other.get(place)) {
                (None, None) => true,
                (Some(b'*'), Some(b'*')) => below || right,
                (Some(b'*'), None) => below,
                (None, Some(b'*')) => right,
                (Some(b'*'), Some(_)) | (Some(_), Some(b'*')) => below || right,
                (Some(b'?'), Some(_)) | (Some(_), Some(b'?')) => across,
                (Some(&letter), Some(&other)) => same(letter, other) && across,
                (None, Some(_)) | (Some(_), None) => false,
            };
            if let Some(slot) = next.get_mut(place) {
                *slot = fits;
            }
        }
        reach = next;
    }
    reach.first().copied().unwrap_or(false)
}

/// Matches the pattern `wide` against the text of `narrow`, in which `*` and `?` stand for what no literal of `wide` can match: any
/// text for `*`, which only a `*` swallows, any character for `?`, which a `?` or a `*` swallows.
///
/// One pass with a memory of the last `*`, as for a plain pattern: a later `*` can take whatever an earlier one could. Where an earlier
/// one stops at a `:`, no later one can be reached, and the answer is no.
fn matches(wide: &[u8], narrow: &[u8], same: fn(u8, u8) -> bool) -> bool {
    let (mut at_wide, mut at_narrow) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let is_last_part = wide.iter().filter(|&&byte| byte == b':').count() >= 5;
    loop {
        match (wide.get(at_wide), narrow.get(at_narrow)) {
            (None, None) => return true,
            (Some(b'*'), _) if at_wide + 1 == wide.len() && (is_last_part || !narrow.iter().skip(at_narrow).any(|&byte| byte == b':')) => {
                return true;
            }
            (Some(b'*'), _) => {
                star = Some((at_wide, at_narrow));
                at_wide += 1;
                continue;
            }
            (Some(b'?'), Some(&one)) if one != b'*' => {
                at_wide += 1;
                at_narrow += 1;
                continue;
            }
            (Some(&literal), Some(&one)) if literal != b'?' && same(literal, one) => {
                at_wide += 1;
                at_narrow += 1;
                continue;
            }
            _ => {}
        }
        // Here nothing fits: let the last star take one more.
        let Some((at_star, taken)) = star else { return false };
        match narrow.get(taken) {
            None | Some(b':') => return false,
            Some(_) => {
                star = Some((at_star, taken + 1));
                at_wide = at_star + 1;
                at_narrow = taken + 1;
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A plain pattern matcher, to judge by.
    pub(in crate::fixes) fn glob(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), _) => glob(rest, text) || text.split_first().is_some_and(|(_, tail)| glob(pattern, tail)),
            (Some((b'?', rest)), Some((_, tail))) => glob(rest, tail),
            (Some((one, rest)), Some((other, tail))) => one == other && glob(rest, tail),
            _ => false,
        }
    }

    #[test]
    fn wider_patterns_cover_narrower_ones() {
        assert!(action_covers("s3:*", "S3:GetObject"));
        assert!(action_covers("s3:Get*", "s3:GetObject*"));
        assert!(!action_covers("s3:GetObject", "s3:Get*"));
        assert!(!action_covers("s3:Get?", "s3:Get*"));
        assert!(action_covers("s3:*Object", "s3:Get*Object"));
        assert!(resource_covers("arn:aws:s3:::b/*", "arn:aws:s3:::b/c/*"));
        assert!(!resource_covers("arn:aws:s3:::B/*", "arn:aws:s3:::b/c"));
        assert!(resource_covers("*", "arn:aws:s3:::${aws:username}/*"));
        assert!(!resource_covers("arn:aws:s3:::*", "arn:aws:s3:::${aws:username}/*"));
    }

    #[test]
    fn a_star_inside_does_not_cross_a_colon() {
        assert!(!resource_covers("arn:aws:*:table", "arn:aws:dynamodb:eu-west-1:1:table"));
        assert!(resource_covers("arn:aws:dynamodb:*:1:table", "arn:aws:dynamodb:eu-west-1:1:table"));
        assert!(!resource_covers("arn:aws:*", "arn:aws:s3:::b"));
        assert!(resource_covers("arn:aws:logs:*:1:log-group:*", "arn:aws:logs:eu-west-1:1:log-group:g:log-stream:*"));
    }

    proptest! {
        #[test]
        fn what_is_covered_matches_nothing_more(wide in "[ab*?:]{0,6}", narrow in "[ab*?:]{0,6}", text in "[ab:]{0,8}") {
            if resource_covers(&wide, &narrow) && glob(narrow.as_bytes(), text.as_bytes()) {
                prop_assert!(glob(wide.as_bytes(), text.as_bytes()));
            }
        }

        #[test]
        fn patterns_that_share_a_text_overlap(one in "[ab*?]{0,6}", other in "[ab*?]{0,6}", text in "[ab]{0,6}") {
            if glob(one.as_bytes(), text.as_bytes()) && glob(other.as_bytes(), text.as_bytes()) {
                prop_assert!(resources_overlap(&one, &other));
            }
        }

        #[test]
        fn a_text_overlaps_what_matches_it_and_nothing_else(pattern in "[ab*?]{0,6}", text in "[ab]{0,6}") {
            prop_assert_eq!(resources_overlap(&pattern, &text), glob(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn a_text_without_wildcards_is_covered_by_what_matches_it(wide in "[ab*?]{0,6}", text in "[ab]{0,8}") {
            prop_assert_eq!(resource_covers(&wide, &text), glob(wide.as_bytes(), text.as_bytes()));
        }
    }
}
