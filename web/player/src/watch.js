// Looks at the video twice a second and says what it does. Progress of currentTime is the one sign that all browsers
// and both engines agree on; their events are not.

const INTERVAL = 500;
/** Milliseconds without progress from which it is a stall: below, it is the browser's own hiccup. */
const STALLED = 1_000;
/** A session that is dry for so long won't come back by itself; one that starts has longer. */
const LOST = 8_000;
const LOST_STARTING = 15_000;

export class Watch {
  #player;
  #tell;
  #tick;
  #at = 0;
  #moved = performance.now();

  /**
   * @param {import('./player.js').Player} player
   * @param {(event: import('./machine.js').Event) => void} tell
   * @param {() => void} tick called at each look
   */
  constructor(player, tell, tick) {
    this.#player = player;
    this.#tell = tell;
    this.#tick = tick;
  }

  start() {
    const { video } = this.#player;
    video.addEventListener('playing', () => this.#look());
    // A jump is no progress, or hls.js nudging a dry session would look like playing.
    video.addEventListener('seeking', () => (this.#at = video.currentTime));
    video.addEventListener('play', () => (this.#moved = performance.now()));
    video.addEventListener('loadeddata', () => this.#shown());
    video.addEventListener('ended', () => this.#tell('finished'));
    setInterval(() => this.#look(), INTERVAL);
  }

  /** Milliseconds since the picture last moved. */
  get idle() {
    return performance.now() - this.#moved;
  }

  #shown() {
    this.#player.pictured = true;
    // A paused session has started as well once its first picture is there.
    if (this.#player.paused) this.#tell('playing');
  }

  #look() {
    const { video } = this.#player;
    if (video.currentTime !== this.#at) {
      this.#at = video.currentTime;
      this.#moved = performance.now();
      if (this.#plays) this.#tell('playing');
    } else if (!this.#player.paused) {
      this.#standsStill();
    }
    this.#tick();
  }

  get #plays() {
    const { video, engine } = this.#player;
    return video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !video.paused && !engine?.dead;
  }

  #standsStill() {
    const { state, age, engine } = this.#player;
    if (state === 'live' && this.idle > STALLED) this.#tell('stalled');
    if (state === 'buffering' && engine?.over) this.#tell('finished');
    else if (state === 'buffering' && this.idle > LOST) this.#tell('lost');
    if (state === 'starting' && age > LOST_STARTING) this.#tell('lost');
  }
}
