//! Gauges that can't be left too high.

/// One more of what the gauge of this name counts, until it is dropped.
pub struct Counted(&'static str);

impl Counted {
    pub fn new(gauge: &'static str) -> Self {
        metrics::gauge!(gauge).increment(1);
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!(self.0).decrement(1);
    }
}
