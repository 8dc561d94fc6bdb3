import { byId, setText } from './dom.js';

/** state → [badge, headline, word below it]. No headline: the picture speaks for itself. */
const TEXTS = {
  waiting: ['Waiting', 'Waiting for the broadcast', 'It starts here by itself.'],
  ready: ['Live', '', ''],
  starting: ['Live', '', ''],
  live: ['Live', '', ''],
  buffering: ['Live', '', ''],
  reconnecting: ['Reconnecting', 'Reconnecting', 'The connection was interrupted. Playback resumes by itself.'],
  away: ['Waiting', 'The broadcaster has stopped sending', 'If the broadcast goes on, it goes on here by itself.'],
  ended: ['Ended', 'The broadcast has ended', 'The next one starts here by itself.'],
  failed: ['Error', 'This browser can’t play the broadcast', 'Try a current version of Chrome, Edge, Firefox or Safari.'],
};

/** The same where a recording is played. */
const RECORDED = {
  waiting: ['Recording', 'This recording is not here', 'It may have been deleted. The list below has the others.'],
  ready: ['Recording', '', ''],
  starting: ['Recording', '', ''],
  live: ['Recording', '', ''],
  buffering: ['Recording', '', ''],
  ended: ['Recording', 'That was the recording', 'Press play to see it again.'],
};

/** The same where nobody has broadcast before, as far as the origin knows. */
const UNKNOWN = {
  waiting: ['Waiting', 'Nothing has been broadcast here yet', 'Is the address right? If so, it starts here by itself.'],
};

/** What a screen reader hears where there is no headline. */
const SPOKEN = { ready: 'Live. Press play to watch.', starting: 'Starting', live: 'Live', buffering: 'Buffering' };
const SPOKEN_RECORDED = { ...SPOKEN, ready: 'Recording. Press play to watch.', live: 'Recording' };

/** Short waits go by without a spinner. Milliseconds. */
const SPINNER_AFTER = 600;
/** Why pictures don't come is known after two looks at the playlist; until then nothing is said. Milliseconds. */
const REASON_KNOWN_AFTER = 2_000;

/** Everything over the picture but the controls: badge, stream, messages, spinner, the large play button. */
export class Screen {
  #player;
  #texts;
  #spoken;

  /** @param {import('./player.js').Player} player @param {import('./params.js').Params} params */
  constructor(player, params) {
    this.#player = player;
    const isUnknown = 'unknown' in document.body.dataset;
    this.#texts = { ...TEXTS, ...(isUnknown && UNKNOWN), ...(params.recording && RECORDED) };
    this.#spoken = params.recording ? SPOKEN_RECORDED : SPOKEN;
    document.body.classList.toggle('recorded', Boolean(params.recording));
    byId('stream').textContent = params.stream;
    document.title = params.stream;
    document.body.classList.toggle('bare', !params.controls);
    byId('start').addEventListener('click', () => player.play());
    byId('unmute').addEventListener('click', () => (player.video.muted = false));
  }

  show() {
    const { state, age, silenced, paused } = this.#player;
    const isEarly = state === 'reconnecting' && age < REASON_KNOWN_AFTER;
    const [badge, headline, word] = isEarly ? this.#texts.buffering : this.#texts[state];
    document.body.dataset.state = isEarly ? 'buffering' : state;
    document.body.classList.toggle('behind', this.#player.behind);
    setText(byId('badge'), badge);
    setText(byId('headline'), headline);
    setText(byId('word'), word);
    setText(byId('status'), headline ? `${headline}. ${word}` : this.#spoken[state]);
    byId('message').hidden = !headline;
    byId('start').hidden = !(paused && (state === 'ready' || state === 'starting' || state === 'live')) || document.body.classList.contains('scrubbing');
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
