//! Running estimates.

/// Share of a new sample in an estimate.
const NEW_SHARE: f64 = 0.3;

/// A number that is measured again and again.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Estimate(Option<f64>);

impl Estimate {
    /// Takes over what was measured before; what is no number of seconds or bytes is none.
    pub(crate) fn from_value(value: Option<f64>) -> Self {
        Self(value.filter(|value| value.is_finite() && *value >= 0.0))
    }

    /// Returns the estimate, if there is one.
    pub(crate) fn value(self) -> Option<f64> {
        self.0
    }

    /// Takes in a sample.
    pub(crate) fn exact(&mut self, sample: f64) {
        *self = Self::from_value(Some(match self.0 {
            Some(value) => value + (sample - value) * NEW_SHARE,
            None => sample,
        }));
    }

    /// Takes in a sample that something else than what is measured may have kept down.
    pub(crate) fn at_least(&mut self, sample: f64) {
        if self.0.is_none_or(|value| value < sample) {
            *self = Self::from_value(Some(sample));
        }
    }
}
