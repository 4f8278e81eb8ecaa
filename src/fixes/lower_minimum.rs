//! `minimumSessionTokenSize` pads a session token that would be smaller: then it alone is what counts against the limit, and no other change
//! helps before it is lowered. Somebody asked for tokens of that size, to see whether they fit where they are kept: needs review.
//!
//! Only the limit on the session token knows it: see [`Regime::SessionToken`].

use super::{Change, Context, Effect, Proposal, State};
use crate::packing::{Asked, Regime, Session, token_bytes};

pub(super) fn rule(context: &Context<'_>, state: &State) -> Option<Proposal> {
    let (sizing, target_percent) = (context.sizing, context.advice.target_percent);
    let minimum = state.asked.session.minimum_token_bytes.filter(|_| sizing.regime == Regime::SessionToken)?;
    let session = Session { minimum_token_bytes: None, ..state.asked.session };
    let asked = Asked { session, ..state.asked.clone() };
    let plain_bytes = token_bytes(&state.parts, &asked.session(), sizing).value;
    if plain_bytes >= f64::from(minimum) {
        return None;
    }
    // The largest size that is below the target.
    let most = (f64::from(sizing.limit_bytes) * target_percent / 100.0).ceil() - 1.0;
    let lower =
        if plain_bytes < most { format!("; a minimum of up to {most} bytes stays under {target_percent} %") } else { String::new() };
    Some(Proposal {
        change: Change {
            rule: "lower-minimum-token-size",
            effect: Effect::NeedsReview,
            title: format!("drop or lower minimumSessionTokenSize, which pads the token to {minimum} bytes"),
            detail: format!(
                "without it the token takes about {plain_bytes} bytes{lower}; whoever sets it wants tokens of that size, for a test maybe"
            ),
        },
        asked,
        documents: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use crate::fixes::tests::{only, suggested};
    use crate::fixes::{Effect, Fix};
    use crate::packing::{CallerKind, Operation, Profile, Regime, Request, Session};

    fn padded(minimum: u16, value: &str, regime: Regime) -> Vec<Fix> {
        let request = Request { tags: vec![("department".to_owned(), value.to_owned())], ..Request::default() };
        let session = Session {
            minimum_token_bytes: Some(minimum),
            session_name_bytes: Some(12),
            ..Session::new(Operation::AssumeRole, CallerKind::IamUser)
        };
        suggested(&request, &session, Profile::builtin().sizing(regime), false)
    }

    #[test]
    fn padding_is_the_only_thing_worth_changing_where_it_decides() {
        let fixes = padded(4000, "payments", Regime::SessionToken);
        assert_eq!(fixes.iter().map(Fix::rule).collect::<Vec<_>>(), ["lower-minimum-token-size"]);
        assert_eq!((fixes[0].effect, fixes[0].asked.session.minimum_token_bytes), (Effect::NeedsReview, None));
        // 549 + 12 + 10 + 8 + 3 bytes, and their base64.
        assert_eq!(fixes[0].after.value, 100.0 * 776.0 / 4096.0);
        assert_eq!(fixes[0].before_percent, 100.0 * 4000.0 / 4096.0);
        assert_eq!(fixes[0].saved_bytes, (4000 - 776) * 3 / 4);
        assert!(fixes[0].detail().contains("about 776 bytes; a minimum of up to 2867 bytes stays under 70 %"), "{}", fixes[0].detail());
    }

    #[test]
    fn a_minimum_that_pads_nothing_is_left_alone() {
        assert!(padded(700, "payments", Regime::SessionToken).iter().all(|fix| fix.rule() != "lower-minimum-token-size"));
        assert!(padded(4000, "payments", Regime::PackedPolicy).iter().all(|fix| fix.rule() != "lower-minimum-token-size"));
    }

    #[test]
    fn a_fix_counts_only_down_to_the_padding() {
        let fixes = padded(800, &"v".repeat(100), Regime::SessionToken);
        let dropped = only(&fixes, "drop-largest-tags");
        // 549 + 12 + 113 bytes are 900 characters of base64, of which 100 can go.
        assert_eq!((dropped.after.value, dropped.saved_bytes), (100.0 * 800.0 / 4096.0, 75 - 1));
    }
}
