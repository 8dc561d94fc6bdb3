import { publish } from './api.js';
import { Controls } from './controls.js';
import { QualityMenu } from './menu.js';
import { parse } from './params.js';
import { Player } from './player.js';
import { Recordings } from './recordings.js';
import { Screen } from './screen.js';
import { Scrubber } from './scrubber.js';

/** The same broadcast for other players, where scripts and extensions look for it. */
function offer({ source }) {
  for (const [file, type] of [['live.m3u8', 'application/vnd.apple.mpegurl'], ['live.mpd', 'application/dash+xml']]) {
    const { href } = new URL(file, source);
    document.head.append(Object.assign(document.createElement('link'), { rel: 'alternate', type, href }));
  }
}

const params = parse(location.href);
offer(params);
const player = new Player(document.querySelector('video'), params);
publish(player);
for (const View of [Screen, Scrubber, Controls, QualityMenu, Recordings]) {
  const view = new View(player, params);
  player.addEventListener('change', () => view.show());
  view.show();
}
player.start();
