// How long to wait before asking again. Milliseconds throughout.

const FIRST = 2_000;
const LONGEST = 5_000;
/** So many questions at the first pace: most viewers open the page shortly before the start. */
const PATIENT = 15;
const GROWTH = 1.15;
/** A lost broadcast is missed: what it costs to ask more often lasts only as long as the trouble. */
const LONGEST_RETRY = 3_000;

/**
 * Delay before question number `attempt` (from 0) about a stream that isn't on air: 2 s, growing to 5 s, ±20 % so that
 * an audience does not ask in step.
 */
export function pollDelay(attempt, random = Math.random()) {
  const delay = Math.min(LONGEST, FIRST * GROWTH ** Math.max(0, attempt - PATIENT));
  return jitter(delay, random);
}

/** Delay before attempt `attempt` (from 0) to come back to a broadcast that was lost: 0.3 s, doubling to 3 s, ±20 %. */
export function retryDelay(attempt, random = Math.random()) {
  return jitter(Math.min(LONGEST_RETRY, 300 * 2 ** Math.min(attempt, 10)), random);
}

function jitter(delay, random) {
  return Math.round(delay * (0.8 + 0.4 * random));
}
