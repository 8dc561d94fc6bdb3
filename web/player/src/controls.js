import { byId, setIcon, setLabel, setText } from './dom.js';
import { Fullscreen, PictureInPicture } from './presentation.js';
import { clock } from './timeline.js';

/** The bar hides after so many milliseconds without a hand on mouse, screen or keys, while pictures move. */
const IDLE = 3_000;

/** Seconds from which the distance to live is a matter of minutes, and stands beside "go live". */
const FAR = 20;

/** Keys that a focused button or slider uses itself. */
const TAKEN = new Set([' ', 'ArrowUp', 'ArrowDown']);

/** The bar at the bottom, and the keys: space or k, m, f, p, l, arrows up and down. Left and right are the scrubber's. */
export class Controls {
  #player;
  #idle;

  /** @param {import('./player.js').Player} player */
  constructor(player) {
    this.#player = player;
    const { video } = player;
    this.fullscreen = new Fullscreen(byId('fullscreen'), video, () => this.show());
    this.inPicture = new PictureInPicture(byId('pip'), video, () => this.show());
    byId('play').addEventListener('click', () => player.toggle());
    byId('mute').addEventListener('click', () => this.#toggleSound());
    byId('volume').addEventListener('input', ({ target }) => this.#setVolume(target.valueAsNumber));
    byId('golive').addEventListener('click', () => player.goLive());
    video.addEventListener('click', () => this.#pictureClicked());
    video.addEventListener('dblclick', () => this.fullscreen.toggle());
    document.addEventListener('keydown', (event) => this.#key(event));
    for (const sign of ['pointermove', 'pointerdown', 'keydown', 'focusin']) {
      document.addEventListener(sign, () => this.#awake());
    }
    this.#awake();
  }

  show() {
    const { video, paused, latency, behind, engine, recording, timeline } = this.#player;
    const silent = video.muted || video.volume === 0;
    setIcon(byId('play'), paused ? 'i-play' : 'i-pause');
    setLabel(byId('play'), paused ? 'Play (k)' : 'Pause (k)');
    setIcon(byId('mute'), silent ? 'i-muted' : 'i-sound');
    setLabel(byId('mute'), silent ? 'Unmute (m)' : 'Mute (m)');
    byId('volume').value = silent ? 0 : video.volume;
    byId('volume').style.setProperty('--level', silent ? 0 : video.volume);
    const distance = timeline?.live ? timeline.end - video.currentTime : latency;
    const isFar = behind && distance > FAR;
    byId('golive').hidden = !behind;
    setText(byId('distance'), isFar ? ` −${clock(distance)}` : '');
    byId('latency').hidden = latency === undefined || isFar || Boolean(recording);
    setText(byId('latency-value'), latency === undefined ? '' : `${latency.toFixed(1)} s`);
    byId('latency').title = explained(engine);
    this.fullscreen.show();
    this.inPicture.show();
    document.body.classList.toggle('paused', paused);
  }

  #toggleSound() {
    const { video } = this.#player;
    if (video.muted || video.volume === 0) {
      video.muted = false;
      if (video.volume === 0) video.volume = 1;
    } else {
      video.muted = true;
    }
  }

  #setVolume(volume) {
    const { video } = this.#player;
    video.volume = Math.min(1, Math.max(0, volume));
    video.muted = volume <= 0;
  }

  /** A finger on the picture brings the bar, a mouse plays and pauses. */
  #pictureClicked() {
    if (matchMedia('(hover: hover)').matches) this.#player.toggle();
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (TAKEN.has(event.key) && event.target.closest('button, input, a')) return;
    const actions = {
      ' ': () => this.#player.toggle(),
      k: () => this.#player.toggle(),
      m: () => this.#toggleSound(),
      f: () => this.fullscreen.toggle(),
      p: () => this.inPicture.toggle(),
      l: () => this.#player.goLive(),
      ArrowUp: () => this.#setVolume(this.#player.video.volume + 0.1),
      ArrowDown: () => this.#setVolume(this.#player.video.volume - 0.1),
    };
    if (!Object.hasOwn(actions, event.key)) return;
    actions[event.key]();
    event.preventDefault();
  }

  #awake() {
    document.body.classList.remove('idle');
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => document.body.classList.add('idle'), IDLE);
  }
}

function explained(engine) {
  const toSource = engine?.sourceLatency;
  const edge = 'Seconds behind the live edge';
  return toSource > 0 ? `${edge}; ${toSource.toFixed(1)} s behind the publisher by this computer’s clock` : edge;
}
