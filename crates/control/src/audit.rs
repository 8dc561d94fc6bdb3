//! Audit events: who changed what through the API. They are log lines of the target `audit`, without secrets.

use serde::Serialize;
use tracing::info;

use crate::auth::Caller;

/// Change that a caller made.
pub(crate) struct Change<'a> {
    /// Kind of resource and of change, such as `live-input.changed`.
    pub(crate) event: &'static str,
    /// Name of the resource.
    pub(crate) resource: &'a str,
}

impl Change<'_> {
    /// Logs the change, with the settings before it and after it where the resource was and is there.
    pub(crate) fn record<T: Serialize>(&self, caller: &Caller, before: Option<&T>, after: Option<&T>) {
        let Self { event, resource } = *self;
        let Caller { name, request, .. } = caller;
        info!(
            target: "audit",
            token = %name, %request, event, resource, before = before.map(to_json), after = after.map(to_json),
            "a resource was changed by the control API"
        );
    }
}

fn to_json(settings: &impl Serialize) -> String {
    serde_json::to_string(settings).expect("settings are JSON")
}
