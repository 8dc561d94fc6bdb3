import assert from 'node:assert/strict';
import { test } from 'node:test';
import { INITIAL, hasSession, next, probes } from '../src/machine.js';

const STATES = ['waiting', 'ready', 'starting', 'live', 'buffering', 'reconnecting', 'away', 'ended', 'failed'];
const after = (...events) => events.reduce(next, INITIAL);

test('a broadcast from before its start to the next one', () => {
  assert.equal(after('off-air'), 'waiting');
  assert.equal(after('on-air', 'play', 'playing'), 'live');
  assert.equal(after('on-air', 'play', 'playing', 'finished'), 'ended');
  assert.equal(after('on-air', 'play', 'playing', 'finished', 'over'), 'ended');
  assert.equal(after('on-air', 'play', 'playing', 'finished', 'off-air', 'on-air', 'play', 'playing'), 'live');
  assert.equal(after('on-air', 'play', 'playing', 'finished', 'on-air'), 'ready');
});

test('a page opened after the end says so', () => assert.equal(after('over'), 'ended'));

test('a session that runs dry goes on by itself, or is lost and found again', () => {
  const dry = after('on-air', 'play', 'playing', 'stalled');
  assert.equal(dry, 'buffering');
  assert.equal(next(dry, 'playing'), 'live');
  const lost = next(dry, 'lost');
  assert.equal(lost, 'reconnecting');
  assert.equal(next(lost, 'unreachable'), 'reconnecting');
  assert.equal(next(lost, 'playing'), 'live');
  assert.equal(next(lost, 'on-air'), 'ready');
  assert.equal(next(lost, 'off-air'), 'waiting');
  assert.equal(next(lost, 'over'), 'ended');
});

test('a publisher who has stopped is told from a connection that was interrupted', () => {
  const lost = after('on-air', 'play', 'playing', 'stalled', 'lost');
  const away = next(lost, 'still');
  assert.equal(away, 'away');
  assert.equal(next(away, 'still'), 'away');
  assert.equal(next(away, 'unreachable'), 'reconnecting');
  assert.equal(next(away, 'on-air'), 'ready');
  assert.equal(next(away, 'playing'), 'live');
  for (const event of ['over', 'finished']) assert.equal(next(away, event), 'ended');
  assert.equal(next(after('on-air', 'play', 'playing'), 'still'), 'live');
});

test('nothing plays that the viewer has not asked for', () => {
  assert.equal(after('on-air', 'playing'), 'ready');
  assert.equal(after('on-air', 'play', 'blocked'), 'ready');
  assert.equal(after('on-air', 'play', 'playing', 'hold'), 'ready');
  assert.equal(after('on-air', 'off-air'), 'waiting');
});

test('what the browser cannot play is not tried again until the next broadcast', () => {
  const failed = after('on-air', 'play', 'unplayable');
  assert.equal(next(failed, 'on-air'), 'failed');
  assert.equal(next(failed, 'off-air'), 'waiting');
});

test('a late answer of the probe does not disturb a session', () => {
  for (const state of STATES.filter(hasSession)) {
    for (const event of ['on-air', 'off-air', 'over', 'unreachable']) assert.equal(next(state, event), state);
  }
});

test('every state has either a session or a probe, so none is a dead end', () => {
  for (const state of STATES) assert.notEqual(hasSession(state), probes(state));
});
