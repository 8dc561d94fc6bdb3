// How fast to play so that a viewer is as far behind the live edge as the playlist asks for. hls.js only catches up; who was
// there when the broadcast began is nearer than that, and would see every delay as a stand-still.

/** How much slower and faster, at most, nobody hears. */
const SLOWEST = 0.95;
const FASTEST = 1.1;
/** Rates differ by so much, or the browser would have a new one with every look. */
const STEP = 0.05;
/** Seconds in which a distance would be gone, were it not for the limits. */
const SETTLING = 5;
/** Seconds that must be buffered to play faster. */
const ENOUGH = 1;

/**
 * @param {{ latency: number, target: number, range: number, ahead: number }} at  seconds: behind the live edge, where to be
 *   behind it, how much more is not going back, and what is buffered
 * @returns {number} the playback rate
 */
export function pace({ latency, target, range, ahead }) {
  const off = latency - target;
  if (off > range) return 1;
  const wanted = Math.round((1 + off / SETTLING) / STEP) * STEP;
  const fastest = ahead > ENOUGH ? FASTEST : 1;
  return Number(Math.min(fastest, Math.max(SLOWEST, wanted)).toFixed(2));
}
