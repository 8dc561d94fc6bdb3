import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse as params } from '../src/params.js';
import { parse } from '../src/storyboard.js';
import { clock, ofDetails, seekable, spoken } from '../src/timeline.js';

const fragment = (start, duration, programDateTime = null) => ({ start, duration, programDateTime });

test('dates go on across a break in the broadcast', () => {
  const fragments = [fragment(10, 2, 1_000_000), fragment(12, 2, 1_002_000), fragment(14, 2, 1_060_000)];
  const timeline = ofDetails({ fragments, edge: 16.5, live: true });
  assert.deepEqual([timeline.start, timeline.end, timeline.live], [10, 16.5, true]);
  assert.deepEqual([10, 13, 14, 15].map(timeline.dateAt), [1_000_000, 1_003_000, 1_060_000, 1_061_000]);
  assert.deepEqual([1_000_500, 1_003_000, 1_061_000].map(timeline.timeAt), [10.5, 13, 15]);
  assert.equal(ofDetails({ fragments: [], edge: 0, live: true }), undefined);
  assert.equal(ofDetails({ fragments: [fragment(0, 2)], edge: 2, live: false }).dateAt(1), undefined);
});

test('the live window alone is nothing to go back to, a recording always is', () => {
  assert.equal(seekable({ start: 0, end: 22, live: true }), false);
  assert.equal(seekable({ start: 0, end: 60, live: true }), true);
  assert.equal(seekable({ start: 0, end: 5, live: false }), true);
  assert.equal(seekable(undefined), false);
});

test('times are read and heard', () => {
  assert.deepEqual([0, 65, 3_723].map(clock), ['0:00', '1:05', '1:02:03']);
  assert.deepEqual([0, 61, 3_602].map(spoken), ['0 seconds', '1 minute 1 second', '1 hour 2 seconds']);
});

test('a storyboard names places on sheets', () => {
  const text = 'WEBVTT\n\nNOTE Times count from 2026-11-21T09:20:00.000Z, when the broadcast began.\n\n' +
    '00:00:00.000 --> 00:00:10.000\nid/storyboard/0.jpg?tiles=2#xywh=0,0,192,108\n\n' +
    '01:00:10.000 --> 01:00:20.500\nid/storyboard/0.jpg?tiles=2#xywh=192,0,192,108\n';
  const { epoch, tiles } = parse(text, 'https://watch.example/demo/storyboard.vtt');
  assert.equal(epoch, Date.parse('2026-11-21T09:20:00Z'));
  assert.deepEqual(tiles[1], {
    start: 3_610, end: 3_620.5, url: 'https://watch.example/demo/id/storyboard/0.jpg?tiles=2', x: 192, y: 0, width: 192, height: 108,
  });
  assert.equal(parse('WEBVTT\n\n00:00.000 --> 00:10.000\nno place\n', 'https://watch.example/').tiles.length, 0);
});

test('a recording has addresses of its own', () => {
  const id = '019a1b2c-3d4e-7f50-8a61-728394a5b6c7';
  const recorded = params(`https://watch.example/demo?recording=${id}&muted=1`);
  assert.equal(recorded.source, `https://watch.example/demo/vod-${id}.m3u8`);
  assert.equal(recorded.storyboard, `https://watch.example/demo/${id}/storyboard.vtt`);
  assert.equal(recorded.live, 'https://watch.example/demo?muted=1');
  assert.equal(recorded.poster(id, 180), `https://watch.example/demo/${id}/thumbnail.jpg?height=180`);
  const live = params('https://watch.example/demo?recording=../x');
  assert.deepEqual([live.recording, live.storyboard], [undefined, 'https://watch.example/demo/storyboard.vtt']);
  assert.equal(live.address(id), `https://watch.example/demo?recording=${id}`);
});
