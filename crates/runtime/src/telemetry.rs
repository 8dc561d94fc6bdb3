//! Telemetry of a process: log lines on its standard error, metrics for Prometheus.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, stderr};
use std::panic::PanicHookInfo;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::error;
use tracing::field::display;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt};

mod table;

pub use table::reference;

use crate::config::{LogConfig, LogFormat};

/// Upper bounds of the histograms whose names end in `_seconds`: from answers out of memory to a stalled worker.
const SECONDS_BUCKETS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0];

/// Starts logging, panics included.
///
/// # Errors
/// When logging was started before.
pub fn start_logging(config: &LogConfig) -> Result<(), TryInitError> {
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        LogFormat::Text => fmt::layer().with_writer(stderr).with_ansi(is_coloured()).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
    };
    let filtered = lines.with_filter(config.level.filter());
    tracing_subscriber::registry().with(filtered).try_init()?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// Whether log lines have colours: on a terminal whose user has not set `NO_COLOR`.
fn is_coloured() -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr().is_terminal() && !is_unwanted
}

/// Installs the recorder of all metrics of this process, with their HELP, and gives the handle that renders them. The
/// operations listener keeps it tidy.
///
/// # Errors
/// When the process has a recorder already.
pub fn start_metrics() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let handle = prometheus_builder()?.install_recorder()?;
    table::describe_metrics();
    Ok(handle)
}

pub(crate) fn prometheus_builder() -> Result<PrometheusBuilder, metrics_exporter_prometheus::BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS_BUCKETS)
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| display(&backtrace));
    let text = panic.payload_as_str().unwrap_or("a panic without words");
    error!(target: "panic", place, thread = std::thread::current().name(), backtrace, "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_described_when_they_start() {
        let handle = start_metrics().unwrap();
        metrics::counter!("headwater_server_parts_total").increment(1);
        let text = handle.render();
        assert!(text.contains("# HELP headwater_server_parts_total Parts that "), "{text}");
    }

    #[test]
    fn histograms_of_seconds_have_buckets() {
        let recorder = prometheus_builder().unwrap().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("part_delay_seconds").record(0.3);
            metrics::counter!("bytes_total").increment(7);
        });
        let text = handle.render();
        assert!(text.contains("part_delay_seconds_bucket{le=\"0.5\"} 1"), "{text}");
        assert!(text.contains("part_delay_seconds_bucket{le=\"0.25\"} 0"), "{text}");
        assert!(text.contains("bytes_total 7"), "{text}");
    }
}
