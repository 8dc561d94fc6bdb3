import { byId, setText } from './dom.js';

/** state → [badge, headline, word below it]. No headline: the picture speaks for itself. */
const TEXTS = {
  waiting: ['Waiting', 'Waiting for the broadcast', 'It starts here by itself.'],
  ready: ['Live', '', ''],
  starting: ['Live', '', ''],
  live: ['Live', '', ''],
  buffering: ['Live', '', ''],
  reconnecting: ['Reconnecting', 'Reconnecting', 'The connection was interrupted. Playback resumes by itself.'],
  ended: ['Ended', 'The broadcast has ended', 'The next one starts here by itself.'],
  failed: ['Error', 'This browser can’t play the broadcast', 'Try a current version of Chrome, Edge, Firefox or Safari.'],
};

/** What a screen reader hears where there is no headline. */
const SPOKEN = { ready: 'Live. Press play to watch.', starting: 'Starting', live: 'Live', buffering: 'Buffering' };

/** Short waits go by without a spinner. Milliseconds. */
const SPINNER_AFTER = 600;

/** Everything over the picture but the controls: badge, stream, messages, spinner, the large play button. */
export class Screen {
  #player;

  /** @param {import('./player.js').Player} player @param {import('./params.js').Params} params */
  constructor(player, params) {
    this.#player = player;
    byId('stream').textContent = params.stream;
    document.title = params.stream;
    document.body.classList.toggle('bare', !params.controls);
    byId('start').addEventListener('click', () => player.play());
    byId('unmute').addEventListener('click', () => (player.video.muted = false));
  }

  show() {
    const { state, silenced, paused } = this.#player;
    const [badge, headline, word] = TEXTS[state];
    document.body.dataset.state = state;
    document.body.classList.toggle('behind', this.#player.behind);
    setText(byId('badge'), badge);
    setText(byId('headline'), headline);
    setText(byId('word'), word);
    setText(byId('status'), headline ? `${headline}. ${word}` : SPOKEN[state]);
    byId('message').hidden = !headline;
    byId('start').hidden = !(paused && (state === 'ready' || state === 'starting' || state === 'live'));
    byId('unmute').hidden = !(silenced && (state === 'live' || state === 'buffering'));
    byId('spinner').hidden = !this.#spins();
    byId('sound-only').hidden = !this.#soundOnly();
  }

  #spins() {
    const { state, age, paused } = this.#player;
    if (state === 'reconnecting') return true;
    return (state === 'starting' || state === 'buffering') && !paused && age > SPINNER_AFTER;
  }

  #soundOnly() {
    const { state, video, pictured } = this.#player;
    return state === 'live' && pictured && video.videoWidth === 0;
  }
}
