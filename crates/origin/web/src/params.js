// What the address of the page says.
//
// The page embeds by an iframe:
//
//   <iframe src="https://watch.example/demo?muted=1" width="854" height="480" frameborder="0"
//           allow="autoplay; fullscreen; picture-in-picture" allowfullscreen></iframe>
//
//   autoplay=1|0   play by itself when the stream starts (default 1: with sound, or muted where the browser insists)
//   muted=1|0      start without sound (default 0)
//   controls=1|0   show badge and control bar (default 1); without them the keys and the unmute button still work
//   latency=2.5    seconds behind the live edge to aim for (default: what the playlist asks for, PART-HOLD-BACK)

/**
 * @typedef {object} Params
 * @property {string} stream
 * @property {string} source address of the multivariant playlist
 * @property {boolean} autoplay
 * @property {boolean} muted
 * @property {boolean} controls
 * @property {number|undefined} latency seconds
 */

/** @param {string} address of the page: any path prefix, then `/<stream>` @returns {Params} */
export function parse(address) {
  const url = new URL(address);
  const path = url.pathname.replace(/\/+$/, '');
  return {
    stream: readable(path.slice(path.lastIndexOf('/') + 1)),
    source: new URL(`${path}/live.m3u8`, url.origin).href,
    autoplay: flag(url, 'autoplay', true),
    muted: flag(url, 'muted', false),
    controls: flag(url, 'controls', true),
    latency: seconds(url.searchParams.get('latency')),
  };
}

function readable(component) {
  try {
    return decodeURIComponent(component);
  } catch {
    return component;
  }
}

function flag(url, name, otherwise) {
  const value = url.searchParams.get(name);
  if (value === null) return otherwise;
  return !['0', 'false', 'no', 'off'].includes(value.toLowerCase());
}

function seconds(text) {
  const value = Number.parseFloat(text ?? '');
  return value > 0 ? Math.min(Math.max(value, 0.5), 60) : undefined;
}
