import assert from 'node:assert/strict';
import { test } from 'node:test';

import { describePeople } from '../../web-demo/room-people.js';

test('few are named, many are counted', () => {
  const said = (count, ...names) => describePeople({ count, names });
  assert.equal(said(0), 'Nobody is here yet');
  assert.equal(said(1, 'Ada'), 'Ada is here');
  assert.equal(said(2, 'Ada', 'Bob'), 'Ada and Bob are here');
  assert.equal(said(3, 'Ada', 'Bob', 'Cy'), 'Ada, Bob and Cy are here');
  assert.equal(said(4, 'Ada', 'Bob', 'Cy', 'Di'), 'Ada, Bob and 2 others are here');
  assert.equal(said(60, 'Ada', 'Bob', 'Cy', 'Di', 'Ed'), 'Ada, Bob and 58 others are here');
});
