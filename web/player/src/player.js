import { HlsEngine } from './hls-engine.js';
import { INITIAL, hasSession, next, probes, searches } from './machine.js';
import { NativeEngine } from './native-engine.js';
import { Poller } from './poller.js';
import { seekable } from './timeline.js';
import { Watch } from './watch.js';

/** Milliseconds. A viewer who pauses for longer gives the session up; play then starts at the live edge. */
const HOLD_AFTER = 60_000;
/** The same where it is possible to go on where it was: the playlist is loaded all the time. */
const HOLD_REWOUND_AFTER = 15 * 60_000;
/** The end stays on the page for so long, also where the origin forgets the broadcast at once. */
const END_SHOWN = 10_000;
/** A session that ran for so long counts as healthy: the next loss is retried without a wait. */
const HEALTHY = 10_000;
/** Seconds. Further behind than this after a stall, somebody who follows live is taken to the edge. */
const FAR_BEHIND = 5;
/** Seconds that one stays away from the start, which moves on while it is live; what is before it is gone. */
const START_MARGIN = 0.5;
/** Milliseconds for which the origin is asked how far it can go back. */
const DVR_LIMIT = 2_000;
/** Milliseconds between two such jumps. */
const JUMP_SETTLES = 4_000;
/** Seconds behind the target from which "go live" makes a difference. */
const BEHIND = 3;

/**
 * The page's mind: feeds the state machine from the probe, the session and the viewer, and does what each state asks
 * for. Sends `change` whenever something that can be shown has changed, and at least twice a second.
 */
export class Player extends EventTarget {
  state = INITIAL;
  /** The browser refused sound without a gesture, so the picture runs muted. */
  silenced = false;
  /** A frame has been shown, and is still on the page. */
  pictured = false;

  #params;
  #poller;
  #watch;
  /** @type {HlsEngine|NativeEngine|undefined} */
  #engine;
  #opening;
  #wanted;
  #following = true;
  #since = performance.now();
  #attempts = 0;
  #broughtBack = -Infinity;

  /** @param {HTMLVideoElement} video @param {import('./params.js').Params} params */
  constructor(video, params) {
    super();
    this.video = video;
    this.#params = params;
    this.#wanted = params.autoplay;
    video.muted = params.muted;
    this.#poller = new Poller(params.source, (finding) => this.#probed(finding));
    this.#watch = new Watch(this, (event) => this.#dispatch(event), () => this.#tick());
    video.addEventListener('volumechange', () => this.#volumeChanged());
    video.addEventListener('play', () => this.#resumed());
    video.addEventListener('pause', () => this.#paused());
  }

  start() {
    this.#watch.start();
    if (HlsEngine.supported || NativeEngine.supported) this.#poller.start();
    else this.#enter('failed');
    addEventListener('online', () => this.#poller.hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.#poller.hurry());
  }

  get engine() {
    return this.#engine;
  }

  /** Milliseconds in the present state. */
  get age() {
    return performance.now() - this.#since;
  }

  get paused() {
    return !this.#wanted;
  }

  /** Seconds, or undefined while nothing plays. */
  get latency() {
    return this.state === 'live' || this.state === 'buffering' ? this.#engine?.latency : undefined;
  }

  /** The address of a recording was opened, and not that of what is on air. */
  get recording() {
    return this.#params.recording;
  }

  /** Where one can go, while there is a session. @returns {import('./timeline.js').Timeline|undefined} */
  get timeline() {
    return hasSession(this.state) ? this.#engine?.timeline : undefined;
  }

  get canSeek() {
    return hasSession(this.state) && this.pictured;
  }

  get behind() {
    if (this.recording) return false;
    const { latency, timeline } = this;
    if (latency === undefined) return false;
    // The session's own figure follows a jump only when playback moves again.
    const distance = timeline?.live ? timeline.end - this.video.currentTime : latency;
    return distance > (this.#engine.targetLatency ?? 6) + BEHIND;
  }

  toggle() {
    if (this.#wanted) this.pause();
    else this.play();
  }

  play() {
    this.#wanted = true;
    if (hasSession(this.state)) this.#run();
    if (this.recording && this.state === 'ended') this.#dispatch('on-air');
    this.#dispatch('play');
    this.#changed();
  }

  pause() {
    this.#wanted = false;
    this.video.pause();
    this.#changed();
  }

  goLive() {
    const position = this.#engine?.livePosition;
    if (position !== undefined) this.video.currentTime = position;
    this.play();
    this.#following = true;
  }

  /** @param {number} time in the video's own seconds; the live edge is as near as the session goes */
  seek(time) {
    const { timeline, livePosition } = this.#engine ?? {};
    if (!timeline) return;
    const edge = timeline.live ? (livePosition ?? timeline.end) : timeline.end;
    if (timeline.live && time >= edge) return this.goLive();
    const first = timeline.start + (timeline.live ? START_MARGIN : 0);
    this.video.currentTime = Math.min(edge, Math.max(first, time));
    this.#following = false;
    this.#changed();
  }

  /** @param {number} index of one of the engine's levels, -1 for automatic choice */
  select(index) {
    this.#engine?.select(index);
  }

  #probed({ event }) {
    if (this.state === 'ended' && event === 'off-air' && this.age < END_SHOWN) return;
    // A recording is there to be played once more, and is closed like a broadcast that is over.
    if (this.recording && this.state === 'ended') return;
    this.#dispatch(this.recording && event === 'over' ? 'on-air' : event);
  }

  #dispatch(event) {
    let state = next(this.state, event);
    if (state === 'ready' && this.#wanted) state = next(state, 'play');
    if (state !== this.state) this.#enter(state);
  }

  #enter(state) {
    const before = this.state;
    if (before === 'live' && this.age > HEALTHY) this.#attempts = 0;
    this.state = state;
    this.#since = performance.now();
    // It is played once more when the viewer asks for it.
    if (state === 'ended' && this.recording) this.#wanted = false;
    if (state === 'starting') this.#open();
    this.#setPoster(state);
    if (state === 'waiting' || state === 'failed') this.#close();
    if (state === 'ready' || state === 'ended') this.#engine?.suspend();
    this.#ask(before);
    this.#changed();
  }

  /** A picture of what is there to be played, while nobody has asked to play it. */
  #setPoster(state) {
    if (state === 'ready') this.video.poster = this.#params.poster(this.recording, 720);
    else if (state !== 'starting') this.video.removeAttribute('poster');
  }

  /** Asks the origin in the states that want it, and leaves it alone in the others. */
  #ask(before) {
    if (searches(this.state)) searches(before) || this.#poller.startForProgress(this.#attempts++);
    else if (!probes(this.state) || (this.recording && this.state === 'ended')) this.#poller.stop();
    else if (!probes(before) || searches(before)) this.#poller.start();
  }

  async #open() {
    this.#close();
    this.#following = !this.recording;
    const opening = (this.#opening = Symbol('session'));
    const source = await this.#source();
    // Another session, or none, may be wanted by now.
    if (this.#opening !== opening || this.state !== 'starting') return;
    const Engine = HlsEngine.supported ? HlsEngine : NativeEngine;
    this.#engine = new Engine(this.video, { ...this.#params, source }, {
      lost: () => this.#dispatch('lost'),
      unplayable: () => this.#dispatch('unplayable'),
      levels: () => this.#changed(),
    });
    this.#run();
  }

  /** The playlist that goes back further, where the origin has one. */
  async #source() {
    const { recording, source, dvr } = this.#params;
    if (recording) return source;
    try {
      const { ok } = await fetch(dvr, { method: 'HEAD', signal: AbortSignal.timeout(DVR_LIMIT) });
      return ok ? dvr : source;
    } catch {
      return source;
    }
  }

  #close() {
    this.#opening = undefined;
    this.#engine?.destroy();
    this.#engine = undefined;
    this.pictured = false;
  }

  /** With sound where the browser allows it, else muted, else not before the viewer asks. */
  async #run() {
    const { video } = this;
    try {
      await video.play();
    } catch (cause) {
      if (cause.name !== 'NotAllowedError') return;
      if (video.muted) return this.#refused();
      this.silenced = true;
      video.muted = true;
      this.#changed();
      await video.play().catch((again) => again.name === 'NotAllowedError' && this.#refused());
    }
  }

  #refused() {
    this.#wanted = false;
    this.#dispatch('blocked');
  }

  #tick() {
    const patience = seekable(this.timeline) ? HOLD_REWOUND_AFTER : HOLD_AFTER;
    if (hasSession(this.state) && !this.#wanted && !this.recording && this.#watch.idle > patience) this.#dispatch('hold');
    if (this.state === 'live' && this.#wanted && this.#following) this.#keepUp();
    this.#changed();
  }

  /** hls.js closes small distances by its playback rate; large ones, after a stall, are jumped here. Native HLS sees to itself. */
  #keepUp() {
    const { livePosition, targetLatency } = this.#engine;
    if (targetLatency === undefined) return;
    const far = livePosition - this.video.currentTime > FAR_BEHIND;
    if (!far || performance.now() - this.#broughtBack < JUMP_SETTLES) return;
    this.#broughtBack = performance.now();
    this.goLive();
  }

  // Media keys, headphones and the window of picture in picture reach the video without passing here.

  #resumed() {
    this.#wanted = true;
    this.#following = !this.recording && !this.behind;
    this.#changed();
  }

  #paused() {
    if (!hasSession(this.state) || this.video.ended || !this.video.paused) return;
    this.#wanted = false;
    this.#changed();
  }

  #volumeChanged() {
    if (!this.video.muted) this.silenced = false;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}
