//! Metrics as Prometheus would see them.

use headwater_runtime::telemetry::start_metrics;

pub struct Metrics(Box<dyn Fn() -> String>);

impl Metrics {
    /// Once in a process.
    pub fn start() -> Self {
        let handle = start_metrics().unwrap();
        Self(Box::new(move || handle.render()))
    }

    /// The value of a metric without labels; 0 as long as it has none.
    pub fn value(&self, name: &str) -> f64 {
        let rendered = (self.0)();
        let line = rendered.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub async fn reach(&self, name: &str, value: f64) {
        super::eventually(name, async || (self.value(name) == value).then_some(())).await;
    }
}
