import { setIcon, setLabel } from './dom.js';

/** The whole page in full screen, or the bare video where only that can be (iPhone). */
export class Fullscreen {
  #button;
  #video;

  constructor(button, video, changed) {
    this.#button = button;
    this.#video = video;
    button.addEventListener('click', () => this.toggle());
    document.addEventListener('fullscreenchange', changed);
  }

  show() {
    const on = Boolean(document.fullscreenElement);
    this.#button.hidden = !(document.fullscreenEnabled || this.#video.webkitSupportsFullscreen);
    setIcon(this.#button, on ? 'i-shrink' : 'i-grow');
    setLabel(this.#button, on ? 'Leave full screen (f)' : 'Full screen (f)');
  }

  toggle() {
    if (document.fullscreenElement) document.exitFullscreen();
    else if (document.fullscreenEnabled) document.documentElement.requestFullscreen().catch(refused);
    else this.#video.webkitEnterFullscreen?.();
  }
}

export class PictureInPicture {
  #button;
  #video;

  constructor(button, video, changed) {
    this.#button = button;
    this.#video = video;
    button.addEventListener('click', () => this.toggle());
    for (const event of ['enterpictureinpicture', 'leavepictureinpicture', 'loadedmetadata', 'emptied']) {
      video.addEventListener(event, changed);
    }
  }

  show() {
    const on = document.pictureInPictureElement === this.#video;
    this.#button.hidden = !document.pictureInPictureEnabled || !this.#hasPicture;
    this.#button.setAttribute('aria-pressed', on);
    setLabel(this.#button, on ? 'Leave picture in picture (p)' : 'Picture in picture (p)');
  }

  toggle() {
    if (document.pictureInPictureElement) document.exitPictureInPicture();
    else if (this.#hasPicture) this.#video.requestPictureInPicture?.().catch(refused);
  }

  get #hasPicture() {
    return this.#video.readyState > 0 && this.#video.videoWidth > 0;
  }
}

/** The frame that embeds the page may forbid either; there is nothing to be done about it here. */
function refused(cause) {
  console.info('The browser refused:', cause.message);
}
