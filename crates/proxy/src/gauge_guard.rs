//! Gauges that are lowered again whatever happens.

/// Unit of the gauge of this name, until the guard is dropped.
pub struct GaugeGuard(&'static str);

impl GaugeGuard {
    /// Raises the gauge by one.
    pub fn new(gauge: &'static str) -> Self {
        metrics::gauge!(gauge).increment(1);
        Self(gauge)
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        metrics::gauge!(self.0).decrement(1);
    }
}
