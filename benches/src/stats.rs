//! Medians and spreads: what is reported of repeated measurements on a machine that is never quite quiet.

/// The middle of the values; the mean of the middle two for an even number. 0 of nothing.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle), sorted.len() % 2) {
        (Some(upper), 0) => sorted
            .get(middle.wrapping_sub(1))
            .map_or(*upper, |lower| f64::midpoint(*lower, *upper)),
        (Some(only), _) => *only,
        (None, _) => 0.0,
    }
}

/// The median distance from the median: a spread that a few disturbed samples do not move.
#[must_use]
pub fn median_deviation(values: &[f64]) -> f64 {
    let centre = median(values);
    median(
        &values
            .iter()
            .map(|value| (value - centre).abs())
            .collect::<Vec<_>>(),
    )
}

/// `value` with three decimals, for reports.
#[must_use]
pub fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_deviations() {
        for (values, want, spread) in [
            (&[][..], 0.0, 0.0),
            (&[3.0], 3.0, 0.0),
            (&[4.0, 1.0], 2.5, 1.5),
            (&[9.0, 1.0, 2.0], 2.0, 1.0),
            (&[1.0, 2.0, 3.0, 1_000.0], 2.5, 1.0),
        ] {
            assert_eq!(
                (median(values), median_deviation(values)),
                (want, spread),
                "{values:?}"
            );
        }
    }
}
