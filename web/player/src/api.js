// window.headwater: the page for tests and developers. Always true, never written to.
//
//   headwater.state      'waiting' | 'ready' | 'starting' | 'live' | 'buffering' | 'reconnecting' | 'away' | 'ended' | 'failed'
//                        (what each means: machine.js)
//   headwater.latency    seconds behind the live edge, undefined while nothing plays
//   headwater.levels     [{ index, name, width, height, bitrate, frameRate }], best first; [] before the start
//   headwater.level      index of the level on the screen, -1 before the first and with native HLS
//   headwater.auto       whether the level is chosen automatically
//   headwater.select(i)  choose the level with index i, -1 for automatic choice
//   headwater.seek(t)    go to second t of the video's own time
//   headwater.stats()    a snapshot of everything else, see below

import { bufferedAhead } from './dom.js';

/** @param {import('./player.js').Player} player */
export function publish(player) {
  window.headwater = Object.freeze({
    get state() {
      return player.state;
    },
    get latency() {
      return player.latency;
    },
    get levels() {
      return player.engine?.levels ?? [];
    },
    get level() {
      return player.engine?.level ?? -1;
    },
    get auto() {
      return player.engine?.auto ?? true;
    },
    select: (index) => player.select(index),
    seek: (time) => player.seek(time),
    stats: () => stats(player),
  });
}

function stats({ video, engine, latency, state, timeline, recording }) {
  const quality = video.getVideoPlaybackQuality?.();
  return {
    state,
    engine: engine?.constructor.label,
    currentTime: video.currentTime, // seconds of media time
    paused: video.paused,
    muted: video.muted,
    playbackRate: video.playbackRate,
    width: video.videoWidth,
    height: video.videoHeight,
    buffered: bufferedAhead(video), // seconds
    latency, // seconds behind the live edge
    recording: recording ?? '', // the broadcast that is played, where it is not what is on air
    start: timeline?.start, // seconds of the video's own time: how far one can go back
    end: timeline?.end, // and forward
    date: timeline?.dateAt(video.currentTime), // when what is shown was on air, in milliseconds since 1970
    targetLatency: engine?.targetLatency, // seconds
    sourceLatency: engine?.sourceLatency, // seconds behind the publisher, by this computer's clock
    bandwidth: engine?.bandwidth, // estimate, bits per second
    frames: quality?.totalVideoFrames,
    droppedFrames: quality?.droppedVideoFrames,
    errors: engine?.errors ?? 0, // of this session, those that hls.js got over by itself included
    fatalErrors: engine?.fatalErrors ?? 0, // of these, those that it did not
    lastError: engine?.lastError ?? '',
  };
}
