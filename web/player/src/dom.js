/** The element with this id. @returns {HTMLElement} */
export const byId = (id) => document.getElementById(id);

/** Sets a text only where it differs: views are shown twice a second, and screen readers hear each change. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setLabel(button, label) {
  if (button.getAttribute('aria-label') === label) return;
  button.setAttribute('aria-label', label);
  button.title = label;
}

export function setIcon(button, name) {
  const use = button.querySelector('use');
  if (use.getAttribute('href') !== `#${name}`) use.setAttribute('href', `#${name}`);
}

/** Seconds that a video has from where it is on, without a hole. */
export function bufferedAhead({ buffered, currentTime }) {
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}
