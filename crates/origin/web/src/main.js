import { publish } from './api.js';
import { Controls } from './controls.js';
import { QualityMenu } from './menu.js';
import { parse } from './params.js';
import { Player } from './player.js';
import { Screen } from './screen.js';

const params = parse(location.href);
const player = new Player(document.querySelector('video'), params);
publish(player);
for (const View of [Screen, Controls, QualityMenu]) {
  const view = new View(player, params);
  player.addEventListener('change', () => view.show());
  view.show();
}
player.start();
