//! The log: one line per event that a person cares about, on standard error, without secrets.

use std::io::{self, IsTerminal};
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::{LogConfig, LogFormat};
use crate::net::throttle::Throttle;

/// Begins to log. To be called once.
pub fn init(config: &LogConfig) {
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match config.format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let filter = EnvFilter::new(config.level.as_str());
    tracing_subscriber::registry().with(filter).with(filter_fn(tells_no_secret)).with(lines).init();
    panic::set_hook(Box::new(note_panic));
}

/// At trace level the ICE and WebRTC libraries print the credentials of sessions, whatever they are asked for.
fn tells_no_secret(line: &Metadata<'_>) -> bool {
    let module = line.target().split("::").next().unwrap_or_default();
    *line.level() < Level::TRACE || !matches!(module, "is" | "str0m" | "dimpl")
}

/// Panics are contained where bytes of strangers can cause them. Whoever finds a way must not fill the disk by it, so
/// that they are told once a minute at most; `sluice_panics_total` counts those of sessions.
fn note_panic(panic: &PanicHookInfo<'_>) {
    static THROTTLE: Mutex<Throttle> = Mutex::new(Throttle::new());
    let count = THROTTLE.lock().unwrap_or_else(PoisonError::into_inner).count(Instant::now());
    if let Some(count) = count {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let message = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("without words");
        tracing::error!(place, message, count, "a bug");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Kept {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            let metadata = event.metadata();
            self.0.lock().unwrap().push(format!("{} {}", metadata.target(), metadata.level()));
        }
    }

    #[test]
    fn the_libraries_that_print_credentials_are_not_heard_at_trace_level() {
        let kept = Kept::default();
        let log = tracing_subscriber::registry().with(filter_fn(tells_no_secret)).with(kept.clone());
        tracing::subscriber::with_default(log, || {
            tracing::trace!(target: "is::agent", "credentials");
            tracing::trace!(target: "str0m::change::sdp", "credentials");
            tracing::debug!(target: "str0m", "a state");
            tracing::trace!(target: "sluice::worker", "a detail");
        });
        assert_eq!(*kept.0.lock().unwrap(), ["str0m DEBUG", "sluice::worker TRACE"]);
    }
}
