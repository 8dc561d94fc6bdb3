import { byId, setText } from './dom.js';
import { Storyboard } from './storyboard.js';
import { clock, seekable, spoken } from './timeline.js';

/** Seconds that keys move by. */
const STEP = 5;
const LEAP = 60;
/** Milliseconds for which the thumb stays where it was put, while the video gets there. */
const SETTLES = 1_500;

/** The line over the bar: where one is, where one can go, and what is to be seen there (WAI-ARIA slider pattern). */
export class Scrubber {
  #player;
  #slider = byId('scrubber');
  #preview = byId('preview');
  #storyboard;
  /** Where a finger or the mouse holds the thumb, in seconds. */
  #held;
  #hovered;
  #put = { time: 0, until: -Infinity };

  /** @param {import('./player.js').Player} player @param {import('./params.js').Params} params */
  constructor(player, params) {
    this.#player = player;
    this.#storyboard = new Storyboard(params.storyboard);
    const slider = this.#slider;
    slider.addEventListener('pointerdown', (event) => this.#grab(event));
    slider.addEventListener('pointermove', (event) => this.#move(event));
    slider.addEventListener('pointerup', (event) => this.#drop(event));
    slider.addEventListener('pointercancel', () => this.#release());
    slider.addEventListener('pointerleave', () => this.#held === undefined && this.#release());
    slider.addEventListener('keydown', (event) => this.#key(event));
    slider.addEventListener('focus', () => this.#refresh());
    document.addEventListener('keydown', (event) => this.#arrow(event));
  }

  show() {
    const { timeline } = this.#player;
    this.#slider.hidden = !this.#player.canSeek || !seekable(timeline);
    document.body.classList.toggle('seekable', !this.#slider.hidden);
    if (this.#slider.hidden) return this.#release();
    const { start, end, live } = timeline;
    const time = this.#time;
    const part = (seconds) => Math.min(1, Math.max(0, (seconds - start) / (end - start || 1)));
    this.#slider.style.setProperty('--at', part(time));
    this.#slider.style.setProperty('--loaded', part(loadedUntil(this.#player.video)));
    this.#slider.ariaValueMax = Math.round(end - start);
    this.#slider.ariaValueNow = Math.round(Math.min(end, Math.max(start, time)) - start);
    const distance = end - time < 1 ? 'Live' : `${spoken(end - time)} behind live`;
    this.#slider.ariaValueText = live ? distance : `${spoken(time - start)} of ${spoken(end - start)}`;
    setText(byId('position'), live ? '' : `${clock(time - start)} / ${clock(end - start)}`);
    if (this.#hovered !== undefined) this.#show();
  }

  get #time() {
    if (this.#held !== undefined) return this.#held;
    const { video, timeline, behind } = this.#player;
    if (performance.now() < this.#put.until) return this.#put.time;
    // Whoever follows live is at the end of the line, however long it takes to get here.
    return timeline.live && !behind ? timeline.end : video.currentTime;
  }

  #refresh() {
    const { timeline } = this.#player;
    if (timeline) this.#storyboard.refresh(timeline.live).then(() => this.#hovered !== undefined && this.#show());
  }

  #at({ clientX }) {
    const { left, width } = byId('track').getBoundingClientRect();
    const { start, end } = this.#player.timeline;
    return start + Math.min(1, Math.max(0, (clientX - left) / width)) * (end - start);
  }

  #grab(event) {
    if (event.button || !this.#player.timeline) return;
    this.#slider.setPointerCapture(event.pointerId);
    this.#held = this.#hovered = this.#at(event);
    document.body.classList.add('scrubbing');
    this.#refresh();
    this.show();
  }

  #move(event) {
    if (!this.#player.timeline) return;
    this.#hovered = this.#at(event);
    if (this.#held !== undefined) this.#held = this.#hovered;
    this.#refresh();
    this.show();
  }

  #drop(event) {
    if (this.#held === undefined) return;
    const time = this.#at(event);
    this.#release(event.pointerType === 'mouse' ? time : undefined);
    this.#seek(time);
  }

  #release(hovered) {
    this.#held = undefined;
    this.#hovered = hovered;
    document.body.classList.remove('scrubbing');
    this.#preview.hidden = hovered === undefined;
  }

  #seek(time) {
    this.#put = { time, until: performance.now() + SETTLES };
    this.#player.seek(time);
    this.show();
  }

  #key(event) {
    const { timeline } = this.#player;
    if (!timeline || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -STEP, ArrowDown: -STEP, ArrowRight: STEP, ArrowUp: STEP, PageDown: -LEAP, PageUp: LEAP }[event.key];
    const to = { Home: timeline.start, End: timeline.end }[event.key] ?? (step && this.#time + step);
    if (to === undefined) return;
    this.#seek(Math.min(timeline.end, Math.max(timeline.start, to)));
    event.preventDefault();
    event.stopPropagation();
  }

  /** Left and right work wherever the focus is, but in what uses them itself. */
  #arrow(event) {
    if (event.defaultPrevented || this.#slider.hidden || !['ArrowLeft', 'ArrowRight'].includes(event.key)) return;
    if (!event.target.closest('input, [role=menu], dialog, #recordings')) this.#key(event);
  }

  #show() {
    const { timeline } = this.#player;
    if (!timeline) return;
    const time = Math.min(timeline.end, Math.max(timeline.start, this.#hovered));
    const tile = this.#storyboard.at(timeline, time);
    const picture = byId('tile');
    picture.hidden = !tile;
    if (tile) {
      picture.style.cssText = `width:${tile.width}px;height:${tile.height}px;background:url("${tile.url}") -${tile.x}px -${tile.y}px`;
    }
    setText(byId('moment'), timeline.live ? ago(timeline.end - time) : clock(time - timeline.start));
    const date = timeline.dateAt(time);
    setText(byId('daytime'), date ? new Date(date).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit' }) : '');
    this.#preview.hidden = false;
    const track = byId('track').getBoundingClientRect();
    const x = track.left + ((time - timeline.start) / (timeline.end - timeline.start || 1)) * track.width;
    const half = this.#preview.offsetWidth / 2 + 8;
    this.#preview.style.left = `${Math.min(innerWidth - half, Math.max(half, x))}px`;
  }
}

function ago(seconds) {
  return seconds < 1 ? 'Live' : `−${clock(seconds)}`;
}

function loadedUntil({ buffered, currentTime }) {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime + 0.1 && currentTime <= buffered.end(i)) return buffered.end(i);
  }
  return 0;
}
