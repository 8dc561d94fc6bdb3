import { byId, setLabel } from './dom.js';
import { hasSession } from './machine.js';
import { probe } from './probe.js';
import { clock } from './timeline.js';

/** Milliseconds. A recording is listed some seconds after its broadcast has begun. */
const LOOK_EVERY = 15_000;

/**
 * @typedef {object} Recording as the origin lists it
 * @property {string} broadcast
 * @property {string|number} start
 * @property {number} duration_seconds
 * @property {number} size_bytes
 * @property {'live'|'complete'|'interrupted'} state
 */

/** What was on air before, and what is: a panel of links to this page. */
export class Recordings {
  #params;
  #button = byId('list');
  #panel = byId('recordings');
  #player;
  #state;
  #drawn = '';

  /** @param {import('./player.js').Player} player @param {import('./params.js').Params} params */
  constructor(player, params) {
    this.#params = params;
    this.#button.addEventListener('click', () => (this.#panel.hidden ? this.#open() : this.#close()));
    byId('close').addEventListener('click', () => this.#close());
    this.#panel.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      this.#close();
      event.stopPropagation();
    });
    document.addEventListener('pointerdown', ({ target }) => {
      if (!target.closest('#recordings, #list')) this.#close(false);
    });
    this.#player = player;
    byId('tolive').href = params.live;
    this.#look();
    setInterval(() => document.hidden || this.#look(), LOOK_EVERY);
  }

  /** A broadcast that begins or ends is a recording more. */
  show() {
    const { state } = this.#player;
    if (state === this.#state) return;
    this.#state = state;
    if (!hasSession(state) || state === 'live') this.#read();
  }

  #look() {
    this.#read();
    this.#lookForBroadcast();
  }

  /** Whether there is something live beside the recording that is played. */
  async #lookForBroadcast() {
    if (!this.#params.recording) return;
    const { event } = await probe(this.#params.onAir, new AbortController().signal);
    byId('tolive').hidden = event !== 'on-air';
  }

  async #open() {
    this.#panel.hidden = false;
    document.body.classList.add('menu');
    this.#button.setAttribute('aria-expanded', 'true');
    (this.#panel.querySelector('[aria-current]') ?? byId('close')).focus();
    await this.#read();
  }

  #close(refocus = true) {
    if (this.#panel.hidden) return;
    this.#panel.hidden = true;
    document.body.classList.remove('menu');
    this.#button.setAttribute('aria-expanded', 'false');
    if (refocus) this.#button.focus();
  }

  async #read() {
    try {
      const response = await fetch(this.#params.recordings);
      this.#draw(response.ok ? await response.json() : []);
    } catch {
      // What was listed stays.
    }
  }

  /** @param {Recording[]} listed */
  #draw(listed) {
    // Some origins wrap the list.
    const recordings = Array.isArray(listed) ? listed : (listed.recordings ?? []);
    this.#button.hidden = !recordings.length;
    setLabel(this.#button, 'Recordings');
    if (!recordings.length) this.#close(false);
    const drawing = JSON.stringify(recordings);
    if (drawing === this.#drawn) return;
    this.#drawn = drawing;
    const newestFirst = recordings.toSorted((a, b) => new Date(b.start) - new Date(a.start));
    byId('listed').replaceChildren(...newestFirst.map((recording) => this.#item(recording)));
  }

  /** @param {Recording} recording */
  #item(recording) {
    const { broadcast, duration_seconds: duration, size_bytes: size, state } = recording;
    const link = document.createElement('a');
    link.href = this.#params.address(broadcast);
    if (broadcast === this.#params.recording) link.setAttribute('aria-current', 'true');
    const start = new Date(recording.start);
    const picture = document.createElement('span');
    picture.className = 'picture';
    const image = document.createElement('img');
    Object.assign(image, { src: this.#params.poster(broadcast, 180), alt: '', loading: 'lazy' });
    image.addEventListener('error', () => image.remove());
    picture.append(image, text('span', clock(duration), 'length'));
    const words = document.createElement('span');
    words.className = 'words';
    words.append(
      text('b', start.toLocaleDateString([], { weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' })),
      text('span', start.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })),
      text('small', [STATES[state], bytes(size)].filter(Boolean).join(' · '), state),
    );
    link.append(picture, words);
    const item = document.createElement('li');
    item.append(link);
    return item;
  }
}

const STATES = { live: 'On air', interrupted: 'Interrupted' };

function text(name, content, className = '') {
  const element = document.createElement(name);
  Object.assign(element, { textContent: content, className });
  return element;
}

/** `1.2 GB` */
function bytes(count) {
  if (!count) return '';
  const [unit, name] = count >= 1e9 ? [1e9, 'GB'] : count >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
  return `${(count / unit).toFixed(count >= 1e9 ? 1 : 0)} ${name}`;
}
