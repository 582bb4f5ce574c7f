//! Running estimates.

/// Share of a new sample in an estimate.
const NEW_SHARE: f64 = 0.3;
/// The same, of a time that is longer than the estimate.
const HELD_UP_SHARE: f64 = 0.1;

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
        self.mix(sample, NEW_SHARE);
    }

    /// Takes in a sample of a time. What takes longer than usual was mostly held up by something else.
    pub(crate) fn time(&mut self, sample: f64) {
        let share = if self.0.is_some_and(|value| value < sample) { HELD_UP_SHARE } else { NEW_SHARE };
        self.mix(sample, share);
    }

    /// Takes in a sample that something else than what is measured may have kept down.
    pub(crate) fn at_least(&mut self, sample: f64) {
        if self.0.is_none_or(|value| value < sample) {
            *self = Self::from_value(Some(sample));
        }
    }

    fn mix(&mut self, sample: f64, share: f64) {
        let mixed = self.0.map_or(sample, |value| value + (sample - value) * share);
        *self = Self::from_value(Some(mixed));
    }
}
