// Initials and links out of what people type.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hueOf, initials, pieces, shownName } from '../../web-demo/room-names.js';

test('initials are what a reader would pick', () => {
  const cases = {
    'Ana Ferreira': 'AF', dana: 'D', 'Elif Şahin': 'EŞ', 'Ludwig van Beethoven': 'LB', 'anna-lena': 'AL', '🦊 Fox': '🦊', '👩‍🚀': '👩‍🚀',
    山田太郎: '山', 'محمد عبد': 'م', ' ': '', '': '', '...': '', '42 things': '4', 'R2 D2': 'RD',
  };
  for (const [name, expected] of Object.entries(cases)) assert.equal(initials(name), expected, JSON.stringify(name));
});

test('a name has the same colour everywhere, and different names mostly differ', () => {
  assert.equal(hueOf('Ana Ferreira'), hueOf(' ana ferreira '));
  const hues = new Set(['Ana', 'Bo', 'Chidi', 'Dana', 'Elif', 'Farid', 'Grace', 'Hiro'].map(hueOf));
  assert.ok(hues.size >= 6, `${hues.size} colours for 8 people`);
  assert.equal(shownName('  '), 'Guest');
});

test('only http and https become links, without the punctuation of the sentence', () => {
  assert.deepEqual(pieces('See https://a.example/x?y=1#z, then go.'), [
    { text: 'See ' }, { text: 'https://a.example/x?y=1#z', href: 'https://a.example/x?y=1#z' }, { text: ', then go.' },
  ]);
  assert.deepEqual(pieces('(www.a.example)').at(1), { text: 'www.a.example', href: 'https://www.a.example' });
  assert.equal(pieces('https://a.example/wiki/Lock_(water)').at(0).href, 'https://a.example/wiki/Lock_(water)');
  for (const text of ['javascript:alert(1)', 'data:text/html,x', '<b>no</b>', 'plain', 'ftp://a.example']) {
    assert.deepEqual(pieces(text), [{ text }], text);
  }
  assert.deepEqual(pieces('"https://a.example"onmouseover=x').at(1).href, 'https://a.example');
  assert.deepEqual(pieces(''), []);
});
