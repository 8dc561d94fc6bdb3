//! A modelled player's buffer: what was received and not played yet.

use std::time::Duration;

use tokio::time::Instant;

/// Plays in real time as soon as `start` of media is there, and stalls when it runs dry until another part has come.
#[derive(Debug)]
pub struct Buffer {
    start: Duration,
    held: Duration,
    state: State,
}

#[derive(Debug, PartialEq)]
enum State {
    Filling,
    /// As of then.
    Playing(Instant),
}

impl Buffer {
    /// An empty buffer, which plays once it holds `start`.
    pub fn new(start: Duration) -> Self {
        Self { start, held: Duration::ZERO, state: State::Filling }
    }

    /// Takes a part that came now. Gives how long the picture has stood still for it, if it has.
    pub fn add_part(&mut self, now: Instant, part: Duration) -> Option<Duration> {
        let stalled = match self.state {
            State::Filling => None,
            State::Playing(since) => {
                let passed = now - since;
                let dry = passed.checked_sub(self.held).filter(|dry| !dry.is_zero());
                self.held = self.held.saturating_sub(passed);
                self.state = State::Playing(now);
                dry
            }
        };
        self.held += part;
        if self.state == State::Filling && self.held >= self.start {
            self.state = State::Playing(now);
        }
        stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stalls_only_when_it_is_played_empty() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        let mut buffer = Buffer::new(ms(1_000));
        assert_eq!(buffer.add_part(began, ms(500)), None);
        assert_eq!(buffer.add_part(began + ms(5_000), ms(500)), None, "it has not begun to play");
        // It plays from 5 s on, and has media up to 6 s.
        assert_eq!(buffer.add_part(began + ms(5_900), ms(300)), None);
        // Up to 6.3 s.
        assert_eq!(buffer.add_part(began + ms(6_500), ms(300)), Some(ms(200)));
        assert_eq!(buffer.add_part(began + ms(6_800), ms(300)), None, "just in time");
    }
}
