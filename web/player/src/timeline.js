// Where one can go in what is played, and what time it was there. No DOM: tested by test/timeline.test.mjs.

/**
 * @typedef {object} Timeline
 * @property {number} start seconds of the video's own time
 * @property {number} end the live edge, or the end of the recording
 * @property {boolean} live whether more will come
 * @property {(time: number) => number|undefined} dateAt when that moment was on air, in milliseconds since 1970
 * @property {(date: number) => number|undefined} timeAt the other way round
 */

/** Shorter than this many seconds, there is nothing to go back to: the live window alone has 20. */
const WORTH_SEEKING = 30;

/** @param {{ fragments: { start: number, duration: number, programDateTime: number|null }[], edge: number, live: boolean }} details of hls.js @returns {Timeline|undefined} */
export function ofDetails({ fragments, edge, live }) {
  if (!fragments?.length) return undefined;
  const dated = fragments.filter(({ programDateTime }) => programDateTime);
  return {
    start: fragments[0].start,
    end: Math.max(edge, fragments.at(-1).start),
    live,
    dateAt(time) {
      const fragment = dated.findLast(({ start }) => start <= time) ?? dated[0];
      return fragment && fragment.programDateTime + (time - fragment.start) * 1000;
    },
    timeAt(date) {
      const fragment = dated.findLast(({ programDateTime }) => programDateTime <= date) ?? dated[0];
      return fragment && fragment.start + (date - fragment.programDateTime) / 1000;
    },
  };
}

/** Whether it is worth showing where one is. @param {Timeline|undefined} timeline */
export function seekable(timeline) {
  return Boolean(timeline) && (!timeline.live || timeline.end - timeline.start >= WORTH_SEEKING);
}

/** `1:05`, `1:02:03` */
export function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const padded = (number) => `${number}`.padStart(2, '0');
  return hours ? `${hours}:${padded(minutes)}:${padded(rest)}` : `${minutes}:${padded(rest)}`;
}

/** `1 hour 2 minutes 3 seconds`, for who listens to it. */
export function spoken(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [[Math.floor(whole / 3600), 'hour'], [Math.floor(whole / 60) % 60, 'minute'], [whole % 60, 'second']];
  const said = parts.filter(([number]) => number).map(([number, unit]) => `${number} ${unit}${number === 1 ? '' : 's'}`);
  return said.join(' ') || '0 seconds';
}
