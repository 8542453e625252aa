//! Several takes of one figure, and places in a distribution.

/// The middle and the ends of several takes.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Sample {
    pub(crate) values: Vec<f64>,
}

impl Sample {
    pub(crate) fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        quantile(&self.values, 0.5)
    }

    pub(crate) fn smallest(&self) -> f64 {
        self.values.iter().copied().fold(f64::INFINITY, f64::min)
    }

    pub(crate) fn largest(&self) -> f64 {
        self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
    }
}

/// The value below which the given part of `values` lies; the middle two are averaged for a median.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    #[expect(clippy::cast_precision_loss, reason = "samples are far fewer than 2^52")]
    let place = part * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the last index"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * place.fract()
}

/// Whole numbers as what figures are computed with.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds of a benchmark are far below 2^52")]
pub(crate) const fn float(number: u64) -> f64 {
    number as f64
}

/// [`float`] for lengths.
pub(crate) const fn length(number: usize) -> f64 {
    float(number as u64)
}
