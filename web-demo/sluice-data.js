// @ts-check
/**
 * Messages between participants: their form on a data channel, and the chat on top.
 */
import { SluiceError, emit } from './sluice-error.js';

/** The longest topic, in bytes. */
const MAX_TOPIC = 64;

/**
 * @typedef {object} Incoming
 * @property {string} from Id of the participant that sent it.
 * @property {string} topic
 * @property {unknown} body Any JSON value, or a `Uint8Array`.
 */

/** @param {unknown} body @returns {Uint8Array | null} The bytes of a binary body. */
export function bytesOf(body) {
  if (body instanceof ArrayBuffer) return new Uint8Array(body);
  if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  return null;
}

/**
 * A message as it goes through a data channel: text for JSON; for bytes the length of a JSON header in 16 bits, the
 * header, and the bytes.
 *
 * @param {unknown} body Any JSON value, or bytes.
 * @param {string} topic
 * @param {string[]} [to] Ids of participants; everybody else where it is missing.
 * @param {number} [limit] The longest message, in bytes.
 * @returns {string | Uint8Array<ArrayBuffer>}
 * @throws {SluiceError} `too_large`, or `unsupported` where the body is no JSON.
 */
export function encodeData(body, topic, to, limit = Infinity) {
  const encoder = new TextEncoder();
  if (encoder.encode(topic).length > MAX_TOPIC) {
    throw new SluiceError('too_large', `A topic has ${MAX_TOPIC} bytes at most.`);
  }
  const bytes = bytesOf(body);
  if (bytes === null) {
    const text = JSON.stringify({ to, topic, body: jsonBody(body) });
    // A character has three bytes of UTF-8 at most, so most messages need not be counted.
    if (text.length * 3 > limit && encoder.encode(text).length > limit) throw new SluiceError('too_large');
    return text;
  }
  const header = encoder.encode(JSON.stringify({ to, topic }));
  if (header.length > 0xffff || 2 + header.length + bytes.length > limit) throw new SluiceError('too_large');
  const message = new Uint8Array(2 + header.length + bytes.length);
  new DataView(message.buffer).setUint16(0, header.length);
  message.set(header, 2);
  message.set(bytes, 2 + header.length);
  return message;
}

/** @param {unknown} body @returns {unknown} The body, where it has a form in JSON. */
export function jsonBody(body) {
  if (body === undefined || typeof body === 'function' || typeof body === 'symbol') {
    throw new SluiceError('unsupported', 'A message carries a JSON value or bytes.');
  }
  return body;
}

/** @param {string | ArrayBuffer} message @returns {Incoming | null} Null for what is not of that form. */
export function decodeData(message) {
  try {
    if (typeof message === 'string') {
      const { from, topic, body } = JSON.parse(message);
      return { from: String(from), topic: String(topic), body };
    }
    const length = new DataView(message).getUint16(0);
    const header = new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(message, 2, length));
    const { from, topic } = JSON.parse(header);
    return { from: String(from), topic: String(topic), body: new Uint8Array(message, 2 + length) };
  } catch {
    return null;
  }
}

/** The topic of the chat. */
export const CHAT_TOPIC = 'chat';
/** Longer texts are cut, in characters. */
const MAX_TEXT = 4000;
/** So many messages are remembered. */
const MAX_MESSAGES = 500;

/**
 * @typedef {object} ChatMessage
 * @property {string} from Id of the participant that wrote it.
 * @property {string} name Its name at that time.
 * @property {string} text Plain text: never to be inserted as HTML.
 * @property {Date} at When it came, or was sent, on this device.
 * @property {boolean} own Whether it was sent here.
 */

/** A text chat over `room.send()`. The server keeps no history: it begins when the room is joined. */
export class Chat {
  /** @type {ChatMessage[]} The oldest first. */
  messages = [];
  #room;

  /** @param {EventTarget & {me: {id: string, name: string}, send: (body: unknown, options: object) => Promise<void>}} room */
  constructor(room) {
    this.#room = room;
  }

  /** Sends a text to everybody in the room. Fires `chat` on the room. @param {string} text */
  async send(text) {
    const plain = text.trim().slice(0, MAX_TEXT);
    if (!plain) return;
    await this.#room.send({ text: plain }, { topic: CHAT_TOPIC });
    const { id, name } = this.#room.me;
    this.#add({ from: id, name, text: plain, at: new Date(), own: true });
  }

  /** @internal A message of the topic came. @param {string} from @param {string} name @param {unknown} body */
  received(from, name, body) {
    const text = typeof body === 'object' && body !== null && 'text' in body ? body.text : undefined;
    if (typeof text !== 'string' || !text) return;
    this.#add({ from, name, text: text.slice(0, MAX_TEXT), at: new Date(), own: false });
  }

  /** @param {ChatMessage} message */
  #add(message) {
    this.messages.push(message);
    if (this.messages.length > MAX_MESSAGES) this.messages.shift();
    emit(this.#room, 'chat', message);
  }
}
