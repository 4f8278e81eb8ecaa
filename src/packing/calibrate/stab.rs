//! The point that most windows hold: an exact and robust fit of one figure, since what STS logs are windows and an outlier is one window among many.

/// Where among equally good points to be.
pub(super) struct Wish {
    /// Here if it is as good as any.
    pub prior: f64,
    /// Else as near as can be to here.
    pub near: f64,
    /// A whole number if one is as good as any.
    pub whole: bool,
}

/// A point and how many windows hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub value: f64,
    pub count: usize,
}

/// How many in a hundred windows more another point than the prior must be held by: as many may be outliers that happen to agree.
const LEAD_PERCENT: usize = 2;

/// The point that most of `windows` (from, and up to) hold; of equals as `wish` says, and the prior where it is held by nearly as many. None without windows.
pub(super) fn best(mut windows: Vec<(f64, f64)>, wish: &Wish) -> Option<Point> {
    windows.retain(|(from, to)| from < to && !from.is_nan() && !to.is_nan());
    let mut starts: Vec<f64> = windows.iter().map(|window| window.0).collect();
    let mut ends: Vec<f64> = windows.iter().map(|window| window.1).collect();
    starts.sort_unstable_by(f64::total_cmp);
    ends.sort_unstable_by(f64::total_cmp);
    let mut ends = ends.into_iter().peekable();
    let (mut open, mut count) = (0_usize, 0_usize);
    let mut stretches: Vec<(f64, f64)> = Vec::new();
    for start in starts {
        while ends.next_if(|&end| end <= start).is_some() {
            open -= 1;
        }
        open += 1;
        if open > count {
            count = open;
            stretches.clear();
        }
        if open == count
            && let Some(&end) = ends.peek()
        {
            stretches.push((start, end));
        }
    }
    let of_prior = windows.iter().filter(|&&(from, to)| from <= wish.prior && wish.prior < to).count();
    if count > 0 && of_prior + count * LEAD_PERCENT / 100 >= count {
        return Some(Point { value: wish.prior, count: of_prior });
    }
    // What a later start cut short: a stretch ends where the next one that is as good begins, which changes nothing.
    let value = place(&stretches, wish)?;
    Some(Point { value, count })
}

fn place(stretches: &[(f64, f64)], wish: &Wish) -> Option<f64> {
    let holds = |value: f64| stretches.iter().any(|&(from, to)| from <= value && value < to);
    if holds(wish.prior) {
        return Some(wish.prior);
    }
    if wish.whole {
        let whole = stretches.iter().filter_map(|&(from, to)| {
            let near = wish.near.round().clamp(from.ceil(), if to.is_finite() { (to.ceil() - 1.0).max(from.ceil()) } else { f64::MAX });
            (near < to).then_some(near)
        });
        if let Some(value) = nearest(whole, wish.near) {
            return Some(value);
        }
    }
    if holds(wish.near) {
        return Some(wish.near);
    }
    let inside = stretches.iter().map(|&(from, to)| if to.is_finite() { f64::midpoint(from, to) } else { from });
    nearest(inside, wish.near)
}

fn nearest(values: impl Iterator<Item = f64>, to: f64) -> Option<f64> {
    values.min_by(|a, b| (a - to).abs().total_cmp(&(b - to).abs()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WISH: Wish = Wish { prior: 100.0, near: 2.2, whole: true };

    #[test]
    fn the_prior_then_a_whole_number_then_what_is_near() {
        assert_eq!(best(vec![(0.0, 200.0), (50.0, 150.0)], &WISH), Some(Point { value: 100.0, count: 2 }));
        assert_eq!(best(vec![(0.0, 9.0), (3.5, 8.0), (90.0, 91.0)], &WISH), Some(Point { value: 4.0, count: 2 }));
        assert_eq!(best(vec![(2.1, 2.9)], &WISH), Some(Point { value: 2.2, count: 1 }));
        assert_eq!(best(vec![(2.4, 2.8)], &WISH), Some(Point { value: f64::midpoint(2.4, 2.8), count: 1 }));
        assert_eq!(best(vec![], &WISH), None);
        assert_eq!(best(vec![(1.0, 1.0)], &WISH), None);
    }

    proptest! {
        #[test]
        fn no_point_is_held_by_more_windows(windows in proptest::collection::vec((0_u8..40, 1_u8..12), 1..30), prior in 0_u8..60) {
            let windows: Vec<(f64, f64)> = windows.into_iter().map(|(from, length)| (f64::from(from), f64::from(from) + f64::from(length))).collect();
            let held = |value: f64| windows.iter().filter(|&&(from, to)| from <= value && value < to).count();
            let most = (0..60).map(|value| held(f64::from(value))).max().unwrap();
            let point = best(windows.clone(), &Wish { prior: f64::from(prior), near: 7.0, whole: true }).unwrap();
            prop_assert_eq!((held(point.value), point.count), (most, most));
            prop_assert!(held(f64::from(prior)) < most || point.value == f64::from(prior));
        }
    }
}
