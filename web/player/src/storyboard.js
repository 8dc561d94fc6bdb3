// Small pictures of what can be gone to: a WebVTT file whose cues name places on sheets (`#xywh=`).

/** @typedef {{ start: number, end: number, url: string, x: number, y: number, width: number, height: number }} Tile */

const CUE = /^(?:(\d+):)?(\d\d):(\d\d)\.(\d{3}) --> (?:(\d+):)?(\d\d):(\d\d)\.(\d{3})/;
const PLACE = /^(.+)#xywh=(\d+),(\d+),(\d+),(\d+)$/;
const EPOCH = /from (\d{4}-\d\d-\d\dT[\d:.]+Z)/;

/**
 * @param {string} text @param {string} base address of the file
 * @returns {{ epoch: number, tiles: Tile[] }} `epoch`: what times count from, in milliseconds since 1970; 0 for the start of
 *   a recording
 */
export function parse(text, base) {
  const lines = text.split(/\r?\n/);
  const tiles = [];
  for (const [at, line] of lines.entries()) {
    const cue = CUE.exec(line);
    const place = cue && PLACE.exec(lines[at + 1] ?? '');
    if (!place) continue;
    const [x, y, width, height] = place.slice(2).map(Number);
    tiles.push({ start: seconds(cue.slice(1, 5)), end: seconds(cue.slice(5, 9)), url: new URL(place[1], base).href, x, y, width, height });
  }
  return { epoch: Date.parse(EPOCH.exec(text)?.[1] ?? '') || 0, tiles };
}

function seconds([hours = 0, minutes, whole, millis]) {
  return Number(hours) * 3600 + Number(minutes) * 60 + Number(whole) + Number(millis) / 1000;
}

/** A tile stands for what follows it for up to so many seconds where the file is a little older than the broadcast. */
const STRETCH = 30;
/** Milliseconds between two looks at the file of a live broadcast. */
const FRESH = 15_000;
/** And between two where there was none. */
const RETRY = 30_000;

export class Storyboard {
  #url;
  #read = { epoch: 0, tiles: [] };
  #asked = -Infinity;
  #wait = 0;

  /** @param {string} url of the WebVTT file */
  constructor(url) {
    this.#url = url;
  }

  /** Reads the file when it has not been read for a while. @param {boolean} live whether it grows */
  async refresh(live) {
    const now = performance.now();
    if (now - this.#asked < this.#wait) return;
    [this.#asked, this.#wait] = [now, RETRY];
    try {
      const response = await fetch(this.#url);
      if (!response.ok) return;
      this.#read = parse(await response.text(), response.url || this.#url);
      this.#wait = live ? FRESH : Infinity;
    } catch {
      // It is asked for again.
    }
  }

  /**
   * @param {import('./timeline.js').Timeline} timeline @param {number} time of the video
   * @returns {Tile|undefined}
   */
  at(timeline, time) {
    const { epoch, tiles } = this.#read;
    const seconds = epoch ? (timeline.dateAt(time) - epoch) / 1000 : time - timeline.start;
    const tile = tiles.findLast(({ start }) => start <= seconds) ?? tiles[0];
    return tile && seconds < tile.end + STRETCH && seconds > tile.start - STRETCH ? tile : undefined;
  }
}
