/**
 * @typedef {object} Level
 * @property {number} index the engine's own number
 * @property {string} name `720p`, `1080p60`, or the bit rate's where there is no picture
 * @property {number} width @property {number} height pixels
 * @property {number} bitrate bits per second, peak
 * @property {number} frameRate
 */

/** hls.js levels as the menu shows them, best first. @returns {Level[]} */
export function describe(levels) {
  return levels
    .map(({ width = 0, height = 0, bitrate, frameRate = 0 }, index) => {
      const name = nameOf(width, height, frameRate) ?? 'Audio only';
      return { index, name, width, height, bitrate, frameRate };
    })
    .sort((a, b) => b.height - a.height || b.bitrate - a.bitrate);
}

/** 720p, also for a portrait picture of 720 by 1280. */
function nameOf(width, height, frameRate) {
  const lines = width ? Math.min(width, height) : height;
  if (!lines) return undefined;
  return `${lines}p${frameRate > 45 ? Math.round(frameRate) : ''}`;
}

/** `2.8 Mb/s`, `800 kb/s` */
export function bitRate(bitsPerSecond) {
  if (!bitsPerSecond) return '';
  if (bitsPerSecond < 1e6) return `${Math.round(bitsPerSecond / 1e3)} kb/s`;
  return `${(bitsPerSecond / 1e6).toFixed(1)} Mb/s`;
}
