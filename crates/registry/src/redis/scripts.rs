use fred::types::scripts::Script;

/// The registry's commands in Redis, each one atomic step. Redis may forget scripts when it restarts; they are
/// loaded anew when it says so.
pub(super) struct Scripts {
    pub(super) claim: Script,
    pub(super) renew: Script,
    pub(super) next_turn: Script,
    pub(super) release: Script,
    pub(super) hand_off: Script,
    pub(super) handoff: Script,
    pub(super) register: Script,
    pub(super) unregister: Script,
    pub(super) servers: Script,
    pub(super) report_viewers: Script,
    pub(super) viewers: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            claim: of_stream(include_str!("lua/claim.lua")),
            renew: of_stream(include_str!("lua/renew.lua")),
            next_turn: of_stream(include_str!("lua/next_turn.lua")),
            release: of_stream(include_str!("lua/release.lua")),
            hand_off: of_stream(include_str!("lua/hand_off.lua")),
            handoff: Script::from_lua(include_str!("lua/handoff.lua")),
            register: Script::from_lua(include_str!("lua/register.lua")),
            unregister: Script::from_lua(include_str!("lua/unregister.lua")),
            servers: Script::from_lua(include_str!("lua/servers.lua")),
            report_viewers: Script::from_lua(include_str!("lua/report_viewers.lua")),
            viewers: Script::from_lua(include_str!("lua/viewers.lua")),
        }
    }
}

/// A script about one stream.
fn of_stream(script: &str) -> Script {
    Script::from_lua([include_str!("lua/prelude.lua"), script].concat())
}
