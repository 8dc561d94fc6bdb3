/** Seconds before the end at which a session that runs dry is over. */
const NEARLY_OVER = 2;

/** Plays HLS by the browser's own means (Safari without Media Source Extensions): no choice of quality. */
export class NativeEngine {
  static label = 'native';
  static get supported() {
    return document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== '';
  }

  #video;
  #listening = new AbortController();
  dead = false;
  errors = 0;
  lastError = '';
  levels = [];
  level = -1;
  chosen = -1;
  auto = true;
  bandwidth = undefined;
  targetLatency = undefined;

  /** @param {HTMLVideoElement} video @param {{ lost(): void, unplayable(): void, levels(): void }} on */
  constructor(video, { source }, on) {
    this.#video = video;
    video.addEventListener('error', () => this.#failed(on), { signal: this.#listening.signal });
    video.src = source;
  }

  destroy() {
    this.#listening.abort();
    this.#video.removeAttribute('src');
    this.#video.load();
  }

  /** A paused video loads no more than the browser thinks fit. */
  suspend() {
    this.#video.pause();
  }

  get latency() {
    const edge = this.#edge;
    return edge === undefined ? undefined : Math.max(0, edge - this.#video.currentTime);
  }

  get sourceLatency() {
    const start = this.#video.getStartDate?.().getTime();
    return start ? (Date.now() - start) / 1000 - this.#video.currentTime : undefined;
  }

  get over() {
    const { duration, currentTime } = this.#video;
    return Number.isFinite(duration) && duration - currentTime < NEARLY_OVER;
  }

  /** @returns {import('./timeline.js').Timeline|undefined} */
  get timeline() {
    const { seekable, duration } = this.#video;
    if (!seekable.length) return undefined;
    const began = this.#video.getStartDate?.().getTime() || undefined;
    return {
      start: seekable.start(0),
      end: seekable.end(seekable.length - 1),
      live: !Number.isFinite(duration),
      dateAt: (time) => began && began + time * 1000,
      timeAt: (date) => began && (date - began) / 1000,
    };
  }

  /** The browser keeps its own distance to the end of what can be sought. */
  get livePosition() {
    return this.#edge;
  }

  select() {}

  get #edge() {
    const { seekable, buffered } = this.#video;
    const ranges = seekable.length ? seekable : buffered;
    return ranges.length ? ranges.end(ranges.length - 1) : undefined;
  }

  #failed(on) {
    const { error } = this.#video;
    this.errors += 1;
    this.lastError = error?.message || `media error ${error?.code}`;
    if (error?.code === MediaError.MEDIA_ERR_SRC_NOT_SUPPORTED && !this.#video.currentTime) on.unplayable();
    else {
      this.dead = true;
      on.lost();
    }
  }
}
