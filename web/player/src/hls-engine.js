import Hls from 'hls.js';
import { bufferedAhead } from './dom.js';
import { describe } from './levels.js';
import { pace } from './pace.js';
import { ofDetails } from './timeline.js';

// The full build of hls.js, because the light one can't play an audio group (EXT-X-MEDIA), which is what origins serve.

/** A second media error so soon after a recovery (milliseconds) will not be cured by another one. */
const RECOVERY_HOLDS = 5_000;

/** Seconds before the end at which a session that runs dry is over. */
const NEARLY_OVER = 2;

/** Neither goes away by trying again. */
const UNPLAYABLE = new Set([
  Hls.ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR,
  Hls.ErrorDetails.BUFFER_INCOMPATIBLE_CODECS_ERROR,
  Hls.ErrorDetails.BUFFER_ADD_CODEC_ERROR,
]);

/**
 * Playlists and segments: quick first retries, for about 5 s (hls.js counts those of picture and sound together), then
 * it is left to the page's own reconnecting. A connection that broke (no status) is retried as well, which hls.js does
 * not do by itself: the origin may have been restarted, or replaced by another one.
 */
const RETRIES = {
  maxNumRetry: 8,
  retryDelayMs: 300,
  maxRetryDelayMs: 2_000,
  backoff: 'exponential',
  shouldRetry: (config, count, timedOut, response, retry) => retry || (count < config.maxNumRetry && !response?.code),
};
const policy = (first, whole) => ({
  default: {
    maxTimeToFirstByteMs: first,
    maxLoadTimeMs: whole,
    timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
    errorRetry: RETRIES,
  },
});

// Two things of hls.js 1.7 that cost viewers of a broadcast's first seconds time, mended in its controllers for want of
// settings.

/** Sound is asked for as soon as the picture's time is known, and not at the second look after that (every 100 ms). */
class PromptAudio extends Hls.DefaultConfig.audioStreamController {
  onInitPtsFound(event, data) {
    super.onInitPtsFound(event, data);
    this.tick();
    this.tick();
  }
}

/**
 * While every segment of a playlist is listed with its parts, parts are loaded. hls.js wants more than the newest
 * segment's parts to be listed before those; what has only begun was played up to there, and then not before that
 * segment was whole.
 */
const loader = Object.getPrototypeOf(Hls.DefaultConfig.audioStreamController).prototype;
const { shouldLoadParts } = loader;
loader.shouldLoadParts = function (details, bufferEnd) {
  const inParts = this.config.lowLatencyMode && details?.partList?.[0]?.fragment.sn === details?.startSN;
  return shouldLoadParts.call(this, details, bufferEnd) || Boolean(details?.partList && inParts);
};

const CONFIG = {
  audioStreamController: PromptAudio,
  lowLatencyMode: true,
  // liveSyncDuration stays unset on purpose: hls.js then aims for the playlist's PART-HOLD-BACK (or HOLD-BACK).
  // The rate is ours (pace.js).
  maxLiveSyncPlaybackRate: 1,
  // Each stall of a session moves it a part or two away from the edge, up to one target duration.
  liveSyncOnStallIncrease: 0.5,
  maxBufferLength: 20,
  backBufferLength: 20,
  capLevelToPlayerSize: true,
  // Good enough a guess to begin with a middle rung and not with the smallest.
  abrEwmaDefaultEstimate: 2_000_000,
  // A rung that failed is tried again, and not left for the rest of the broadcast.
  errorPenaltyExpireMs: 20_000,
  playlistLoadPolicy: policy(12_000, 20_000),
  fragLoadPolicy: policy(10_000, 30_000),
  enableInterstitialPlayback: false,
  enableWebVTT: false,
  enableIMSC1: false,
  enableCEA708Captions: false,
};

/** Plays through Media Source Extensions. One engine is one session: made to play, destroyed after. */
export class HlsEngine {
  static label = 'hls.js';
  static get supported() {
    return Hls.isSupported();
  }

  #hls;
  #video;
  /** Of these playlist details. */
  #timeline = { details: undefined, timeline: undefined };
  #recovered = -Infinity;
  #on;
  #keepPace = () => this.#pace();
  /** Given up by hls.js: what is buffered still plays, no more will come. */
  dead = false;
  errors = 0;
  /** Of these, the ones that hls.js did not get over by itself. */
  fatalErrors = 0;
  lastError = '';
  /** @type {import('./levels.js').Level[]} */
  levels = [];

  /** @param {{ lost(): void, unplayable(): void, levels(): void }} on */
  constructor(video, { source, latency }, on) {
    this.#on = on;
    this.#video = video;
    this.#hls = new Hls({ ...CONFIG, ...(latency && { liveSyncDuration: latency }) });
    this.#hls.on(Hls.Events.MANIFEST_PARSED, () => this.#describe());
    this.#hls.on(Hls.Events.LEVELS_UPDATED, () => this.#describe());
    this.#hls.on(Hls.Events.LEVEL_SWITCHED, () => on.levels());
    this.#hls.on(Hls.Events.ERROR, (_, error) => this.#failed(error));
    this.#hls.loadSource(source);
    this.#hls.attachMedia(video);
    video.addEventListener('timeupdate', this.#keepPace);
  }

  destroy() {
    this.#video.removeEventListener('timeupdate', this.#keepPace);
    this.#video.playbackRate = 1;
    this.#hls.destroy();
  }

  /** Loads nothing more; the picture stays. */
  suspend() {
    this.#hls.stopLoad();
  }

  /** Seconds behind the live edge. */
  get latency() {
    return this.#hls.latency || undefined;
  }

  get targetLatency() {
    return this.#hls.targetLatency ?? undefined;
  }

  /** Seconds behind the publisher by EXT-X-PROGRAM-DATE-TIME; as true as this computer's clock. */
  get sourceLatency() {
    const date = this.#hls.playingDate;
    return date ? (Date.now() - date.getTime()) / 1000 : undefined;
  }

  /** Whether what is played is at the end of a closed playlist: no more will come. */
  get over() {
    const details = this.#hls.latestLevelDetails;
    return details?.live === false && details.edge - this.#video.currentTime < NEARLY_OVER;
  }

  /** @returns {import('./timeline.js').Timeline|undefined} */
  get timeline() {
    const details = this.#hls.latestLevelDetails ?? undefined;
    if (details !== this.#timeline.details) this.#timeline = { details, timeline: details && ofDetails(details) };
    return this.#timeline.timeline;
  }

  get livePosition() {
    return this.#hls.liveSyncPosition ?? undefined;
  }

  get level() {
    return this.#hls.currentLevel;
  }

  get auto() {
    return this.#hls.autoLevelEnabled;
  }

  /** What `select` asked for; `level` follows when it reaches the screen. */
  get chosen() {
    return this.#hls.manualLevel;
  }

  get bandwidth() {
    return this.#hls.bandwidthEstimate;
  }

  /** @param {number} index of the level, or -1 for automatic choice */
  select(index) {
    // nextLevel replaces what is already buffered, so that a choice shows soon; automatic choice is in no hurry.
    if (index < 0) this.#hls.loadLevel = -1;
    else this.#hls.nextLevel = index;
    this.#on.levels();
  }

  #pace() {
    const { latency, targetLatency: target } = this;
    const details = this.#hls.latestLevelDetails;
    const ahead = bufferedAhead(this.#video);
    const isLive = details?.live && target && latency;
    const rate = isLive ? pace({ latency, target, range: target + details.targetduration, ahead }) : 1;
    if (this.#video.playbackRate !== rate) this.#video.playbackRate = rate;
  }

  #describe() {
    this.levels = describe(this.#hls.levels);
    this.#on.levels();
  }

  #failed({ fatal, type, details }) {
    this.errors += 1;
    this.lastError = details;
    if (!fatal) return;
    this.fatalErrors += 1;
    if (UNPLAYABLE.has(details)) return this.#on.unplayable();
    if (type === Hls.ErrorTypes.MEDIA_ERROR && performance.now() - this.#recovered > RECOVERY_HOLDS) {
      this.#recovered = performance.now();
      this.#hls.recoverMediaError();
      return;
    }
    this.dead = true;
    this.#on.lost();
  }
}
