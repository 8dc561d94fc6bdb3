import { byId, setText } from './dom.js';
import { bitRate } from './levels.js';

/** The choice of quality: a button and a menu of radio items (WAI-ARIA menu button pattern). */
export class QualityMenu {
  #player;
  #button = byId('quality');
  #menu = byId('levels');
  #drawn = '';

  /** @param {import('./player.js').Player} player */
  constructor(player) {
    this.#player = player;
    this.#button.addEventListener('click', () => (this.#open ? this.#close() : this.#show()));
    this.#menu.addEventListener('click', ({ target }) => this.#choose(target.closest('[role=menuitemradio]')));
    this.#menu.addEventListener('keydown', (event) => this.#key(event));
    document.addEventListener('pointerdown', ({ target }) => {
      if (!target.closest('#quality-box')) this.#close();
    });
  }

  show() {
    const { engine, state } = this.#player;
    const levels = engine?.levels ?? [];
    this.#button.hidden = levels.length < 2 || !['live', 'buffering'].includes(state);
    if (this.#button.hidden) this.#close();
    const playing = levels.find(({ index }) => index === engine.level)?.name ?? '';
    setText(byId('quality-value'), playing || 'Auto');
    this.#draw(levels, playing);
  }

  get #open() {
    return !this.#menu.hidden;
  }

  #show() {
    this.#menu.hidden = false;
    this.#button.setAttribute('aria-expanded', 'true');
    document.body.classList.add('menu');
    (this.#menu.querySelector('[aria-checked=true]') ?? this.#items[0])?.focus();
  }

  #close(refocus = false) {
    if (!this.#open) return;
    this.#menu.hidden = true;
    this.#button.setAttribute('aria-expanded', 'false');
    document.body.classList.remove('menu');
    if (refocus) this.#button.focus();
  }

  #choose(item) {
    if (!item) return;
    this.#player.select(Number(item.dataset.index));
    this.#close(true);
  }

  #key(event) {
    const items = this.#items;
    const at = items.indexOf(document.activeElement);
    const actions = {
      ArrowDown: () => items[(at + 1) % items.length].focus(),
      ArrowUp: () => items.at(at - 1).focus(),
      Home: () => items[0].focus(),
      End: () => items.at(-1).focus(),
      Escape: () => this.#close(true),
      Tab: () => this.#close(),
    };
    if (!actions[event.key]) return;
    actions[event.key]();
    if (event.key !== 'Tab') event.preventDefault();
    event.stopPropagation();
  }

  get #items() {
    return [...this.#menu.querySelectorAll('[role=menuitemradio]')];
  }

  /** Draws the items anew where they differ, and keeps the focus where it was. */
  #draw(levels, playing) {
    const auto = this.#player.engine?.auto ?? true;
    const chosen = auto ? -1 : this.#player.engine.chosen;
    const entries = [
      { index: -1, name: 'Auto', detail: auto ? playing : '' },
      ...levels.map(({ index, name, bitrate }) => ({ index, name, detail: bitRate(bitrate) })),
    ];
    const drawing = JSON.stringify([entries, chosen]);
    if (drawing === this.#drawn) return;
    this.#drawn = drawing;
    const focused = document.activeElement?.dataset.index;
    this.#menu.replaceChildren(...entries.map((entry) => item(entry, entry.index === chosen)));
    if (this.#open) this.#items.find(({ dataset }) => dataset.index === focused)?.focus();
  }
}

function item({ index, name, detail }, checked) {
  const button = document.createElement('button');
  button.type = 'button';
  button.tabIndex = -1;
  button.dataset.index = index;
  button.setAttribute('role', 'menuitemradio');
  button.setAttribute('aria-checked', checked);
  const [label, small] = [document.createElement('span'), document.createElement('small')];
  label.textContent = name;
  small.textContent = detail;
  button.append(label, ' ', small);
  return button;
}
