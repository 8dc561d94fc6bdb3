// What the page is doing, as one value, and what may follow from it. No clock, no DOM: tested by test/machine.test.mjs.

/**
 * - `waiting`       nothing on air; asks now and then
 * - `ready`         on air, and the viewer has not asked to see it (autoplay off or refused, or paused for long)
 * - `starting`      a session is loading, no picture yet
 * - `live`          pictures move (or the viewer has paused them)
 * - `buffering`     the session ran dry and waits for more
 * - `reconnecting`  the session or the server is lost; asks until the broadcast moves again
 * - `away`          the origin answers, and the broadcast stands still: its publisher has stopped or is cut off. Either it
 *                   goes on, or it is over when the origin's reconnect window is
 * - `ended`         the broadcast is over; asks for the next one
 * - `failed`        this browser can't play this broadcast
 *
 * @typedef {'waiting'|'ready'|'starting'|'live'|'buffering'|'reconnecting'|'away'|'ended'|'failed'} State
 *
 * From the probe: `on-air`, `still` (on air, but nothing new), `off-air`, `over` (the playlist is closed), `unreachable`.
 * From the session: `playing`, `stalled`, `lost`, `finished`, `unplayable`, `blocked` (the browser refuses to play unasked).
 * From the viewer: `play`, `hold` (paused for so long that the session is given up).
 *
 * @typedef {'on-air'|'still'|'off-air'|'over'|'unreachable'|'playing'|'stalled'|'lost'|'finished'|'unplayable'|'blocked'|'play'|'hold'} Event
 */

const SESSION = { lost: 'reconnecting', finished: 'ended', unplayable: 'failed', blocked: 'ready', hold: 'ready' };

// A session that recovers by itself may overtake the probe.
const FOUND = { 'on-air': 'ready', 'off-air': 'waiting', over: 'ended', playing: 'live', finished: 'ended' };

/** @type {Record<State, Partial<Record<Event, State>>>} */
const TRANSITIONS = {
  waiting: { 'on-air': 'ready', over: 'ended', unreachable: 'reconnecting' },
  ready: { play: 'starting', 'off-air': 'waiting', over: 'ended', unreachable: 'reconnecting' },
  starting: { ...SESSION, playing: 'live' },
  live: { ...SESSION, stalled: 'buffering' },
  buffering: { ...SESSION, playing: 'live' },
  reconnecting: { ...FOUND, still: 'away' },
  away: { ...FOUND, unreachable: 'reconnecting' },
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

/** Whether the page looks for a broadcast that it had. @param {State} state */
export function searches(state) {
  return state === 'reconnecting' || state === 'away';
}

/** Whether a running session owns the video in this state. @param {State} state */
export function hasSession(state) {
  return state === 'starting' || state === 'live' || state === 'buffering';
}
