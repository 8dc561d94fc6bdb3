import { pollDelay, retryDelay } from './backoff.js';
import { probe } from './probe.js';

/** Milliseconds after the first answer: a few parts later. */
const SECOND_LOOK = 700;

/** Asks about one stream again and again, until told to stop. */
export class Poller {
  #url;
  #report;
  #abort = new AbortController();
  #wake = () => {};

  /** @param {string} url @param {(finding: import('./probe.js').Finding) => void} report */
  constructor(url, report) {
    this.#url = url;
    this.#report = report;
  }

  /** Starts over: at once, then ever more slowly. */
  start() {
    this.#begin(this.#poll);
  }

  /**
   * Starts over, looking for a broadcast that moves: a playlist that stands still (the publisher is away, and its
   * reconnect window open) is no reason to begin a new session.
   * @param {number} attempt how often this was tried in a row; each waits longer
   */
  startForProgress(attempt) {
    this.#begin((signal) => this.#pollForProgress(signal, attempt));
  }

  stop() {
    this.#abort.abort();
    this.#wake();
  }

  /** Cuts the present wait short: the browser says that it is online again, or the page is looked at again. */
  hurry() {
    this.#wake();
  }

  #begin(loop) {
    this.stop();
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    loop.call(this, signal).catch((cause) => {
      if (!signal.aborted) throw cause;
    });
  }

  async #poll(signal) {
    for (let attempt = 0; !signal.aborted; attempt++) {
      const asked = performance.now();
      const finding = await probe(this.#url, signal, { awaiting: true });
      if (!signal.aborted) this.#report(finding);
      // The origin holds the question until there is a broadcast; caches on the way may answer at once.
      await this.#sleep(Math.max(0, pollDelay(attempt) - (performance.now() - asked)), signal);
    }
  }

  async #pollForProgress(signal, attempt) {
    let seen;
    let delay = retryDelay(attempt);
    for (; !signal.aborted; attempt++) {
      await this.#sleep(delay, signal);
      if (signal.aborted) return;
      const finding = await probe(this.#url, signal);
      if (signal.aborted) return;
      const still = finding.event === 'on-air' && (seen ?? finding.mark) === finding.mark;
      if (!still) this.#report(finding);
      else if (seen) this.#report({ ...finding, event: 'still' });
      delay = finding.mark && !seen ? SECOND_LOOK : retryDelay(attempt + 1);
      seen = finding.mark;
    }
  }

  async #sleep(delay, signal) {
    if (signal.aborted) return;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, delay);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
