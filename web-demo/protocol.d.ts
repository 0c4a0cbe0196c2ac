// The room protocol. Generated from the types in src/protocol/; docs/protocol.md explains it.
// A client sends `Request`, the server sends `Reply`. `DataSent`, `DataHeader` and `DataReceived` pass through data
// channels.

/** A client's message with its number. */
export type Request = {
  /** The client's number for it. What answers the request carries it as `re`. */
  id?: number;
} & ClientMessage;

/** What a client can say. */
export type ClientMessage =
  /** The first message of every connection. Answered by `welcome`. */
  | { t: "join" } & Join
  /** A new offer of the same peer connection: more slots, other sections. Answered by `answer`. */
  | { t: "offer" } & Offer
  /** Candidates of the client. They are not needed: the server learns addresses from connectivity checks. */
  | { t: "ice" } & Ice
  /** All that the client publishes from now on. Answered by `ok`. */
  | { t: "tracks" } & Tracks
  /** Mutes or unmutes one track. Answered by `ok`. */
  | { t: "mute" } & Mute
  /** All that the client wants to see and hear from now on. Answered by `ok`. */
  | { t: "view" } & View
  /** A message to other participants. Answered by `ok`. */
  | { t: "send" } & Send
  /** Changes the client's own name or metadata. Answered by `ok`. */
  | { t: "update" } & Update
  /** Answered by `pong`. */
  | { t: "ping" } & Ping
  /** The client leaves for good. */
  | { t: "leave" } & Leave;

/** Joins a room, or resumes a connection to it. */
export type Join = {
  /** The version of the protocol: 1. */
  v: number;
  /** The room's name: 1 to 128 letters, digits and `- _ . ~`. */
  room: string;
  /** The room's key, where it has one. */
  key?: string;
  /** The name that others see: up to 64 characters. */
  name?: string;
  /** What the application wants to keep with the participant: up to 2 KiB. */
  meta?: Record<string, unknown>;
  /** The offer. Without one the peer connection of the resumed participant goes on as it is. */
  sdp?: string;
  /** What the client publishes in which section of the offer. */
  tracks?: Array<TrackIntent>;
  /** The resume token of an earlier `welcome`. */
  resume?: string;
};

/** One track that the client publishes. */
export type TrackIntent = {
  /** The section of the offer that carries it. */
  mid: string;
  /** What it shows or carries. */
  source: Source;
  /** What others shall see it called: up to 64 characters. */
  label?: string;
  /** Whether it begins muted. */
  muted?: boolean;
};

/** What a track shows or carries. */
export type Source =
  /** A microphone. */
  | "mic"
  /** A camera. */
  | "camera"
  /** A screen, a window or a tab. */
  | "screen"
  /** The sound of a screen. */
  | "screen_audio"
  /** The picture of a WHIP stream. */
  | "stream"
  /** The sound of a WHIP stream. */
  | "stream_audio";

/** A new offer. */
export type Offer = {
  /** The offer. */
  sdp: string;
};

/** Candidates. */
export type Ice = {
  /** In whatever form the client has them. */
  candidates?: unknown[];
};

/** The full list of what is published. */
export type Tracks = {
  /** All tracks; one that is missing is no longer published. */
  tracks: Array<TrackIntent>;
};

/** Mutes or unmutes. */
export type Mute = {
  /** The section of the track. */
  mid: string;
  /** Whether it is muted from now on. */
  muted: boolean;
};

/** What the client wants to see and hear. Each view replaces the one before. */
export type View = {
  /** Video slots and what they shall show. A slot that is not named is empty. */
  slots?: Array<SlotView>;
  /** What the audio slots shall carry. */
  audio?: AudioView;
};

/** What one video slot shall show. */
export type SlotView = {
  /** The slot's section. */
  mid: string;
  /** The track; without one the slot is empty. */
  track?: TrackId;
  /** The width at which it is shown, in device pixels. */
  w?: number;
  /** The height at which it is shown, in device pixels. */
  h?: number;
  /** The most frames per second that are of use. */
  fps?: number;
  /** How important it is: 0 least, 1 as the others, more is more. */
  priority?: number;
};

/** Something published: one microphone, camera or screen. Unique in this process for its whole life. */
export type TrackId = string;

/** What the audio slots shall carry. */
export type AudioView = {
  /** Tracks that are to be heard whoever else speaks. */
  tracks?: Array<TrackId>;
  /** Whether the slots that are left carry whoever speaks. */
  auto?: boolean;
};

/** A message to other participants by way of the WebSocket; data channels are quicker, and take more of them. */
export type Send = {
  /** To whom; to everybody else in the room where it is missing. */
  to?: Array<ParticipantId>;
  /** What it is about, for the application: up to 64 bytes. */
  topic?: string;
  /** The content. */
  body: unknown;
};

/** A person or program in a room. Unique in this process for its whole life. */
export type ParticipantId = string;

/** Changes what others see of the client. */
export type Update = {
  /** The new name. */
  name?: string;
  /** The new metadata, as a whole. */
  meta?: Record<string, unknown>;
};

/** A sign of life. */
export type Ping = {
  /** The client's time, given back as it is. */
  ts?: number;
};

/** The client leaves. */
export type Leave = Record<symbol, never>;

/** A server's message, and the request that it answers. */
export type Reply = {
  /** The `id` of the request that this answers. */
  re?: number;
} & ServerMessage;

/** What the server can say. */
export type ServerMessage =
  /** The client is in the room. */
  | { t: "welcome" } & Welcome
  /** The answer to a new offer. */
  | { t: "answer" } & Answer
  /** The request was carried out. */
  | { t: "ok" } & Done
  /** Participants came, changed or left. */
  | { t: "peers" } & Peers
  /** What slots carry from now on. Slots that are not named are as before. */
  | { t: "slots" } & Slots
  /** Who is speaking, the loudest first. Nobody, where the list is empty. */
  | { t: "speakers" } & Speakers
  /** Which of the client's own video tracks anybody watches. What nobody watches need not be sent. */
  | { t: "want" } & Want
  /** How well connections do. */
  | { t: "quality" } & Quality
  /** ICE servers with newer credentials, for the next time that the client gathers candidates. */
  | { t: "ice_servers" } & IceServers
  /** A message of another participant. */
  | { t: "msg" } & Msg
  /** A request was not carried out, or something is to be known that went wrong. */
  | { t: "error" } & Error
  /** The reply to `ping`. */
  | { t: "pong" } & Pong
  /** The last message: the server ends the connection. */
  | { t: "bye" } & Bye;

/** The client is in the room. */
export type Welcome = {
  /** The version that is spoken. */
  v: number;
  /** The room. */
  room: string;
  /** The client's own id. */
  you: ParticipantId;
  /** The client's own name, as others see it. */
  name: string;
  /** What resumes this participant after a broken connection. Keep it secret. */
  resume_token: string;
  /** Whether an earlier connection was resumed. */
  resumed: boolean;
  /** The answer, where there was an offer. */
  sdp?: string;
  /** The client's own tracks. */
  tracks: Array<OwnTrack>;
  /** The client's slots. */
  slots: Array<Slot>;
  /** Everybody else. */
  peers: Array<Peer>;
  /** For the `iceServers` of the peer connection. */
  ice_servers: Array<IceServer>;
  /** What the server takes. */
  limits: Limits;
};

/** A section in which the client can publish. */
export type OwnTrack = {
  /** The section. */
  mid: string;
  /** The id of the track in it. */
  track: TrackId;
  /** Audio or video. */
  kind: "audio" | "video";
};

/** A section in which the client can receive. */
export type Slot = {
  /** The section. */
  mid: string;
  /** Audio or video. */
  kind: "audio" | "video";
};

/** A participant as others see it. */
export type Peer = {
  /** Its id. */
  id: ParticipantId;
  /** Its name, as it gave it. */
  name: string;
  /** What kind of participant it is. */
  kind: PeerKind;
  /** Whether its connection is alive. */
  state: PeerState;
  /** What it publishes. */
  tracks: Array<TrackInfo>;
  /** What the application keeps with it. */
  meta?: Record<string, unknown>;
};

/** What kind of participant somebody is. */
export type PeerKind =
  /** Somebody who joined the room. */
  | "member"
  /** A WHIP publisher. */
  | "stream";

/** Whether somebody's connection is alive. */
export type PeerState =
  /** It is. */
  | "here"
  /** It broke, and may be resumed within 30 s. */
  | "reconnecting";

/** A track as others see it. */
export type TrackInfo = {
  /** Its id. */
  id: TrackId;
  /** What it shows or carries. */
  source: Source;
  /** What its publisher calls it. */
  label?: string;
  /** Whether it is muted. Nothing of a muted track is forwarded. */
  muted: boolean;
  /** The contributing source that packets of this track name (RFC 3550 section 5.1): `getContributingSources()` of a
   * slot's receiver tells by it which track is playing at this moment.
   */
  csrc: number;
};

/** An ICE server, as `RTCPeerConnection` takes it. */
export type IceServer = {
  /** Its addresses. */
  urls: Array<string>;
  /** The name to use there. */
  username?: string;
  /** The password to use there. */
  credential?: string;
};

/** What the server takes. */
export type Limits = {
  /** The longest message over the WebSocket, in bytes. */
  message_bytes: number;
  /** Messages per second over the WebSocket. */
  messages_per_second: number;
  /** The longest message over a data channel, in bytes. */
  data_bytes: number;
  /** How long a broken connection can be resumed, in milliseconds. */
  resume_ms: number;
  /** How often the server pings, in milliseconds. */
  ping_ms: number;
};

/** The answer to a new offer. */
export type Answer = {
  /** The answer. */
  sdp: string;
  /** All of the client's own tracks. */
  tracks: Array<OwnTrack>;
  /** All of the client's slots. */
  slots: Array<Slot>;
};

/** The request was carried out. */
export type Done = Record<symbol, never>;

/** Participants came, changed or left. */
export type Peers = {
  /** Those who came or changed, each as a whole. */
  set?: Array<Peer>;
  /** Those who left. */
  gone?: Array<ParticipantId>;
};

/** What slots carry. */
export type Slots = {
  /** The slots that changed. */
  bind: Array<Binding>;
};

/** What one slot carries. */
export type Binding = {
  /** The slot's section. */
  mid: string;
  /** The track; an empty slot has none. */
  track?: TrackId;
  /** Whether media comes. */
  state: SlotState;
  /** Why none comes. */
  why?: PauseReason;
  /** The RTP timestamp of the track's first frame in this video slot. Told a second time with it, once media comes:
   * frames before it, as `requestVideoFrameCallback` tells them apart, are still of the track before.
   */
  from?: number;
};

/** Whether a slot carries anything. */
export type SlotState =
  /** The track's media comes, from its next key frame on. */
  | "live"
  /** It is held back for a reason; it comes by itself once the reason is gone. */
  | "paused"
  /** Nothing is bound to the slot. */
  | "empty";

/** Why a slot is paused. */
export type PauseReason =
  /** The publisher muted the track. */
  | "muted"
  /** The client has no decoder for the track's codec. */
  | "codec"
  /** There is no such track, or not any more. */
  | "gone"
  /** The publisher's media connection is not up. */
  | "connecting"
  /** The client's link does not carry it now. It comes back by itself. */
  | "bandwidth";

/** Who is speaking. */
export type Speakers = {
  /** The loudest first. */
  list: Array<Speaker>;
};

/** Somebody who speaks. */
export type Speaker = {
  /** Who. */
  peer: ParticipantId;
  /** How loud: 0 (silent) to 127 (as loud as it gets), in dB. */
  level: number;
};

/** Which of the client's own video tracks anybody watches. */
export type Want = {
  /** The tracks that changed. */
  tracks: Array<Wanted>;
};

/** Whether anybody watches a track. */
export type Wanted = {
  /** The track's section. */
  mid: string;
  /** Whether anybody watches it. */
  wanted: boolean;
  /** The encodings that anybody gets, by their `rid`. Without it all are wanted. */
  rids?: Array<string>;
};

/** How well connections do. */
export type Quality = {
  /** Those whose quality changed. The client itself is among them under its own id. */
  peers: Array<PeerQuality>;
};

/** How well one connection does. */
export type PeerQuality = {
  /** Whose. */
  peer: ParticipantId;
  /** How well. */
  level: QualityLevel;
};

/** How well a connection does, by the share of its packets that are lost. */
export type QualityLevel =
  /** Pictures freeze and words are missing. */
  | "poor"
  /** Some of it shows. */
  | "fair"
  /** Nothing to be noticed. */
  | "good";

/** ICE servers with credentials that are good for longer than those told before. */
export type IceServers = {
  /** All of them, in place of those told before. */
  list: Array<IceServer>;
};

/** A message of another participant. */
export type Msg = {
  /** Whose. */
  from: ParticipantId;
  /** What it is about, for the application. */
  topic: string;
  /** The content. */
  body: unknown;
};

/** What went wrong. */
export type Error = {
  /** For programs. */
  code: ErrorCode;
  /** For people: what happened, and what to do. */
  message: string;
};

/** What went wrong, for programs. */
export type ErrorCode =
  /** Not JSON, or not of the form that its type asks for. */
  | "bad_message"
  /** No message of this version has that type. */
  | "unknown_type"
  /** Only a `join` can come first, and only once. */
  | "order"
  /** The version is not spoken here. */
  | "version"
  /** The room's name is none. */
  | "room_name"
  /** The room's key is missing or wrong. */
  | "room_key"
  /** The room or the server is full. */
  | "full"
  /** The resume token is unknown, or its participant is gone: join anew. */
  | "resume"
  /** The offer cannot be answered. */
  | "offer"
  /** There is no such section, track or participant. */
  | "not_found"
  /** Too long a topic, message or metadata, or too many tracks. */
  | "too_large"
  /** Too many messages. */
  | "rate"
  /** The peer connection did not come up or broke: resume with a new one. */
  | "media"
  /** Messages for this client were lost, as it does not take them fast enough. */
  | "data_lost"
  /** The server cannot do it now: try again in a moment. */
  | "busy";

/** The reply to `ping`. */
export type Pong = {
  /** The client's time, as it was given. */
  ts: number;
};

/** The server ends the connection. */
export type Bye = {
  /** For programs. */
  code: ByeCode;
  /** For people. */
  message: string;
  /** After how many milliseconds it makes sense to come back; not at all, where it is missing. */
  retry_ms?: number;
};

/** Why the server ends a connection, for programs. */
export type ByeCode =
  /** The client was not let in; an `error` before says why. */
  | "refused"
  /** The client left. */
  | "left"
  /** Somebody who runs the server removed the participant. */
  | "removed"
  /** Somebody who runs the server closed the room. */
  | "room_closed"
  /** The same participant was resumed by another connection. */
  | "resumed"
  /** The client broke a limit for too long. */
  | "rate"
  /** The client does not read what it is sent. */
  | "too_slow"
  /** The participant's media was gone for too long. */
  | "timeout"
  /** The server stops. */
  | "restarting";

/** A text message on a data channel, on its way to the server. */
export type DataSent = {
  /** To whom; to everybody else in the room where it is missing. */
  to?: Array<ParticipantId>;
  /** What it is about, for the application: up to 64 bytes. */
  topic?: string;
  /** The content: any JSON value. It is passed on byte by byte. */
  body: unknown;
};

/** The header of a binary message on a data channel, on its way to the server. */
export type DataHeader = {
  /** To whom; to everybody else in the room where it is missing. */
  to?: Array<ParticipantId>;
  /** What it is about, for the application: up to 64 bytes. */
  topic?: string;
};

/** A text message on a data channel, or the header of a binary one, on its way from the server. */
export type DataReceived = {
  /** Whose. */
  from: ParticipantId;
  /** What it is about, for the application. Empty, where its sender did not say. */
  topic: string;
  /** The content. The header of a binary message has none: its content follows it. */
  body?: unknown;
};
