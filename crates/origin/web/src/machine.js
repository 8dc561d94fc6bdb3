// What the page is doing, as one value, and what may follow from it. No clock, no DOM: tested by test/machine.test.mjs.

/**
 * - `waiting`       nothing on air; asks now and then
 * - `ready`         on air, and the viewer has not asked to see it (autoplay off or refused, or paused for long)
 * - `starting`      a session is loading, no picture yet
 * - `live`          pictures move (or the viewer has paused them)
 * - `buffering`     the session ran dry and waits for more
 * - `reconnecting`  the session or the server is lost; asks until the broadcast moves again
 * - `ended`         the broadcast is over; asks for the next one
 * - `failed`        this browser can't play this broadcast
 *
 * @typedef {'waiting'|'ready'|'starting'|'live'|'buffering'|'reconnecting'|'ended'|'failed'} State
 *
 * From the probe: `on-air`, `off-air`, `over` (the playlist is closed), `unreachable`.
 * From the session: `playing`, `stalled`, `lost`, `finished`, `unplayable`, `blocked` (the browser refuses to play unasked).
 * From the viewer: `play`, `hold` (paused for so long that the session is given up).
 *
 * @typedef {'on-air'|'off-air'|'over'|'unreachable'|'playing'|'stalled'|'lost'|'finished'|'unplayable'|'blocked'|'play'|'hold'} Event
 */

const SESSION = { lost: 'reconnecting', finished: 'ended', unplayable: 'failed', blocked: 'ready', hold: 'ready' };

/** @type {Record<State, Partial<Record<Event, State>>>} */
const TRANSITIONS = {
  waiting: { 'on-air': 'ready', over: 'ended', unreachable: 'reconnecting' },
  ready: { play: 'starting', 'off-air': 'waiting', over: 'ended', unreachable: 'reconnecting' },
  starting: { ...SESSION, playing: 'live' },
  live: { ...SESSION, stalled: 'buffering' },
  buffering: { ...SESSION, playing: 'live' },
  // A session that recovers by itself may overtake the probe.
  reconnecting: { 'on-air': 'ready', 'off-air': 'waiting', over: 'ended', playing: 'live', finished: 'ended' },
  ended: { 'on-air': 'ready', 'off-air': 'waiting' },
  failed: { 'off-air': 'waiting', over: 'ended' },
};

/** @type {State} */
export const INITIAL = 'waiting';

/**
 * The state after `event`; the same one where the event means nothing.
 * @param {State} state @param {Event} event @returns {State}
 */
export function next(state, event) {
  return TRANSITIONS[state][event] ?? state;
}

/** Whether the page asks the origin about the stream in this state. @param {State} state */
export function probes(state) {
  return !hasSession(state);
}

/** Whether a running session owns the video in this state. @param {State} state */
export function hasSession(state) {
  return state === 'starting' || state === 'live' || state === 'buffering';
}
