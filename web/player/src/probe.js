// Asks the origin whether a stream is on air, by its playlists: one small request while it is not, two when it is.

/** @typedef {{ event: 'on-air'|'still'|'off-air'|'over'|'unreachable', mark?: string }} Finding `mark` changes as the broadcast advances. */

/** No answer for so long counts as unreachable; the origin holds a question for 8 s at most. */
const TIMEOUT = 12_000;

/**
 * @param {string} url of the multivariant playlist
 * @param {AbortSignal} signal
 * @param {{ awaiting?: boolean, get?: typeof fetch }} options `awaiting`: the origin may wait for a broadcast before it
 *   answers
 * @returns {Promise<Finding>}
 */
export async function probe(url, signal, { awaiting = false, get = fetch } = {}) {
  try {
    return await ask(awaiting ? `${url}?await=live` : url, signal, get);
  } catch (cause) {
    if (signal.aborted) throw cause;
    return { event: 'unreachable' };
  }
}

async function ask(url, signal, get) {
  const limited = AbortSignal.any ? AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]) : signal;
  const response = await get(url, { signal: limited, cache: 'no-cache' });
  if (response.status === 404 || response.status === 410) return { event: 'off-air' };
  if (!response.ok) return { event: 'unreachable' };
  const playlist = await response.text();
  const media = firstVariant(playlist);
  if (media) return ask(new URL(media, response.url || url).href, signal, get);
  const first = firstUnfinished(playlist);
  // hls.js can't begin with parts alone: the origin answers when the first segment is whole.
  if (first && !url.includes('_HLS_msn=')) return ask(`${url}?_HLS_msn=${first}`, signal, get);
  return read(playlist);
}

/** The number of the segment that a live media playlist begins with, while none is whole; otherwise nothing. */
export function firstUnfinished(playlist) {
  if (playlist.includes('#EXTINF:') || playlist.includes('#EXT-X-ENDLIST')) return undefined;
  return playlist.match(/^#EXT-X-MEDIA-SEQUENCE:(\d+)/m)?.[1];
}

/** The first media playlist that a multivariant playlist names; nothing for a media playlist. */
export function firstVariant(playlist) {
  if (!playlist.includes('#EXT-X-STREAM-INF')) return undefined;
  return lines(playlist).find((line) => !line.startsWith('#'));
}

/** @returns {Finding} */
export function read(playlist) {
  if (!playlist.startsWith('#EXTM3U')) return { event: 'unreachable' };
  if (lines(playlist).includes('#EXT-X-ENDLIST')) return { event: 'over' };
  return { event: 'on-air', mark: lines(playlist).findLast((line) => /^(?!#)|^#EXT-X-PART:/.test(line)) };
}

function lines(playlist) {
  return playlist.split('\n').map((line) => line.trim()).filter(Boolean);
}
