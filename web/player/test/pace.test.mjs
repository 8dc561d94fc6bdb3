import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pace } from '../src/pace.js';

const at = (latency, ahead = 2) => pace({ latency, target: 1, range: 3, ahead });

test('who is nearer to the edge than the playlist asks for plays slower, who is further faster', () => {
  assert.deepEqual([0.4, 0.8].map((latency) => at(latency)), [0.95, 0.95]);
  assert.deepEqual([0.9, 1, 1.1].map((latency) => at(latency)), [1, 1, 1]);
  assert.deepEqual([1.3, 1.5, 3].map((latency) => at(latency)), [1.05, 1.1, 1.1]);
});

test('nobody plays faster than there is media for', () => {
  assert.equal(at(2, 0.9), 1);
  assert.equal(at(0.5, 0.2), 0.95);
});

test('who has gone back stays there', () => {
  assert.equal(at(4.5), 1);
});
