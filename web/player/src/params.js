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
//   recording=ID   play this recording, and not what is on air
//   latency=2.5    seconds behind the live edge to aim for (default: what the playlist asks for, PART-HOLD-BACK)

/**
 * @typedef {object} Params
 * @property {string} stream
 * @property {string} source address of the multivariant playlist
 * @property {string} dvr address of the multivariant playlist that goes back further, where there is one
 * @property {string|undefined} recording the broadcast whose recording is played
 * @property {string} storyboard address of the small pictures of what is played
 * @property {string} recordings address of the list of recordings
 * @property {string} onAir address of the multivariant playlist of what is on air
 * @property {string} live address of this page for what is on air
 * @property {(broadcast: string|undefined, height: number) => string} poster address of a picture of a broadcast
 * @property {(broadcast: string) => string} address of this page for a recording
 * @property {boolean} autoplay
 * @property {boolean} muted
 * @property {boolean} controls
 * @property {number|undefined} latency seconds
 */

/** @param {string} address of the page: any path prefix, then `/<stream>` @returns {Params} */
export function parse(address) {
  const url = new URL(address);
  const path = url.pathname.replace(/\/+$/, '');
  const recording = identifier(url.searchParams.get('recording'));
  const at = (file) => new URL(`${path}/${file}`, url.origin).href;
  const within = (broadcast) => (broadcast ? `${broadcast}/` : '');
  return {
    stream: readable(path.slice(path.lastIndexOf('/') + 1)),
    source: at(recording ? `vod-${recording}.m3u8` : 'live.m3u8'),
    onAir: at('live.m3u8'),
    dvr: at('dvr.m3u8'),
    recording,
    storyboard: at(`${within(recording)}storyboard.vtt`),
    recordings: at('recordings.json'),
    live: page(url, undefined),
    poster: (broadcast, height) => at(`${within(broadcast)}thumbnail.jpg?height=${height}`),
    address: (broadcast) => page(url, broadcast),
    autoplay: flag(url, 'autoplay', true),
    muted: flag(url, 'muted', false),
    controls: flag(url, 'controls', true),
    latency: seconds(url.searchParams.get('latency')),
  };
}

/** Nothing else is ever put into an address. */
function identifier(text) {
  return /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(text ?? '') ? text : undefined;
}

function page(url, recording) {
  const other = new URL(url);
  if (recording) other.searchParams.set('recording', recording);
  else other.searchParams.delete('recording');
  other.hash = '';
  return other.href;
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
