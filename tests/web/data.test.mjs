// Messages between participants, as they go through data channels.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Chat, decodeData, encodeData } from '../../web-demo/sluice-data.js';

test('JSON goes as text, with its topic and its receivers', () => {
  const sent = JSON.parse(encodeData({ text: 'hi', n: 1.5 }, 'chat', ['p2']));
  assert.deepEqual(sent, { to: ['p2'], topic: 'chat', body: { text: 'hi', n: 1.5 } });
  assert.deepEqual(JSON.parse(encodeData(null, '')), { topic: '', body: null }, 'to everybody, without a topic');
});

test('bytes go behind a header whose length is in the first two bytes', () => {
  const sent = encodeData(new Uint8Array([0, 255, 7]), 'pad');
  assert.deepEqual([...sent.subarray(0, 2)], [0, 15]);
  assert.equal(new TextDecoder().decode(sent.subarray(2, 17)), '{"topic":"pad"}');
  assert.deepEqual([...sent.subarray(17)], [0, 255, 7]);
});

test('a view into a larger buffer sends its own bytes alone', () => {
  const buffer = new Uint8Array([9, 9, 1, 2, 9]).buffer;
  const sent = encodeData(new Uint8Array(buffer, 2, 2), '');
  assert.deepEqual([...sent.subarray(-2)], [1, 2]);
  assert.deepEqual([...encodeData(buffer, '').subarray(-5)], [9, 9, 1, 2, 9]);
});

test('what comes is read back, and what is broken is passed over', () => {
  assert.deepEqual(decodeData('{"from":"p1","topic":"chat","body":[1]}'), { from: 'p1', topic: 'chat', body: [1] });
  const header = new TextEncoder().encode('{"from":"p3","topic":"päd"}');
  const message = new Uint8Array([header.length >> 8, header.length & 255, ...header, 0, 255]);
  const { from, topic, body } = decodeData(message.buffer);
  assert.deepEqual({ from, topic, body: [...body] }, { from: 'p3', topic: 'päd', body: [0, 255] });
  for (const broken of ['', 'null', '{', new ArrayBuffer(0), new Uint8Array([0, 9, 123, 125]).buffer]) {
    assert.equal(decodeData(broken), null);
  }
});

test('what the server would refuse is refused here, with words', () => {
  const code = (...words) => {
    try {
      encodeData(...words);
    } catch (error) {
      return error.code;
    }
  };
  assert.equal(code('x'.repeat(100), '', undefined, 100), 'too_large');
  assert.equal(code('ä'.repeat(40), '', undefined, 100), 'too_large', 'bytes count, not characters');
  assert.equal(code('a'.repeat(40), '', undefined, 100), undefined);
  assert.equal(code(new Uint8Array(100), '', undefined, 100), 'too_large');
  assert.equal(code(1, 'ü'.repeat(33)), 'too_large', 'a topic has 64 bytes');
  assert.equal(code(undefined, ''), 'unsupported');
});

test('the chat keeps what is said, plain, and passes over what is no text', async () => {
  const room = Object.assign(new EventTarget(), { me: { id: 'p1', name: 'Ada' }, sent: [], send: async (body) => void room.sent.push(body) });
  const chat = new Chat(room);
  const seen = [];
  room.addEventListener('chat', ({ detail }) => seen.push(detail.text));
  await chat.send('  hello ');
  await chat.send('   ');
  chat.received('p2', 'Bob', { text: '<b>hi</b>' });
  for (const odd of [null, 'text', { text: 5 }, { text: '' }, []]) chat.received('p2', 'Bob', odd);
  assert.deepEqual(room.sent, [{ text: 'hello' }]);
  assert.deepEqual(seen, ['hello', '<b>hi</b>']);
  assert.deepEqual(chat.messages.map(({ name, own }) => [name, own]), [['Ada', true], ['Bob', false]]);
  for (let count = 0; count < 600; count += 1) chat.received('p2', 'Bob', { text: `${count}` });
  assert.equal(chat.messages.length, 500);
  assert.equal(chat.messages.at(-1).text, '599');
});
